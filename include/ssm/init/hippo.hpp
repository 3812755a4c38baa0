#pragma once

/// All HiPPO measures: dense A and B, and the low-rank corrections that `nplr` needs.
#include <ssm/init/hippo/basis.hpp>
#include <ssm/init/hippo/fourier.hpp>
#include <ssm/init/hippo/laguerre.hpp>
#include <ssm/init/hippo/legendre.hpp>
#include <ssm/init/hippo/measure.hpp>
#include <ssm/init/hippo/random.hpp>
