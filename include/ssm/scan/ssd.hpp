#pragma once

#include <ssm/scan/ssd_backward.hpp>
#include <ssm/scan/ssd_forward.hpp>
#include <ssm/scan/ssd_step.hpp>
#include <ssm/scan/ssd_system.hpp>

/// The state space dual scan (SSD) of Mamba-2: `ssd_forward`, `ssd_backward`, `ssd_step` for an `SsdSystem` and its
/// `SsdInput`.
