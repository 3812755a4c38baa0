// What nearly every test includes, parsed once (SSM_PRECOMPILE). Nothing of ssm is here, so that a
// header which forgets an include of ours still fails.
#pragma once

#include <algorithm>
#include <array>
#include <cmath>
#include <complex>
#include <cstddef>
#include <functional>
#include <limits>
#include <numeric>
#include <random>
#include <span>
#include <string>
#include <vector>

#include <Eigen/Core>

#include "support/catch.hpp"
