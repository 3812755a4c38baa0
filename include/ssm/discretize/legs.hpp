#pragma once

#include <cmath>
#include <concepts>
#include <cstddef>

#include <ssm/core/error.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo/legendre.hpp>

namespace ssm {

/// Step `k` = 1, 2, ... of HiPPO-LegS as it was meant, a system that slows down as its history gets longer,
///
///   c'(t) = A c(t) / t + B f(t) / t        c_k = A_bar_k c_{k-1} + B_bar_k f_k
///
///   GeneralizedBilinear   A_bar = (I - alpha A / k)^-1 (I + (1 - alpha) A / k)     B_bar = (I - alpha A / k)^-1 B / k
///   Zoh                   A_bar = exp(A log((k + 1) / k))                          B_bar = A^-1 (A_bar - I) B
///
/// `HippoMemory` does the bilinear ones without matrices.
///
/// Errors  ValueError for k = 0
/// Source  Gu, Dao, Ermon, Rudra, Re: "HiPPO: Recurrent Memory with Optimal Polynomial Projections", arXiv:2008.07669
template <DenseDiscretization Method>
[[nodiscard]] DenseTransition legs_transition(const Method& method, std::size_t N, std::size_t k) {
    require<ValueError>(k > 0, "ssm::legs_transition: steps count from 1");
    const double share = 1.0 / static_cast<double>(k);
    const auto [A, B] = init::hippo::LegS::transition(N);
    // Zoh: exact for an input that is constant from k to k + 1.
    return discretize(method, A, B, std::same_as<Method, Zoh> ? std::log1p(share) : share);
}

}  // namespace ssm
