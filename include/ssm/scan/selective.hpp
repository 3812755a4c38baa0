#pragma once

#include <ssm/scan/selective_backward.hpp>
#include <ssm/scan/selective_discretization.hpp>
#include <ssm/scan/selective_forward.hpp>
#include <ssm/scan/selective_step.hpp>
#include <ssm/scan/selective_system.hpp>

/// The selective scan (S6) of Mamba: `selective_forward`, `selective_backward`, `selective_step` for a
/// `SelectiveSystem` and its `SelectiveInput`.
