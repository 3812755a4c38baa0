#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string_view>
#include <type_traits>

#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/train/loss.hpp>

namespace ssm {

namespace detail {

inline constexpr std::size_t weight_grain = 16384;

/// Calls `body(number)` for all numbers of the trained weights of a gradient, in parallel.
template <class L, class Body>
void for_each_trained(L& gradient, Body&& body) {
    visit(
        [&](std::string_view, const WeightTraits& traits, auto& tensor) {
            if (traits.role != WeightRole::trained)
                return;
            parallel_ranges(tensor.size(), weight_grain,
                            [&](std::size_t begin, std::size_t end, std::size_t) {
                                for (std::size_t i = begin; i < end; ++i)
                                    body(tensor[i]);
                            });
        },
        gradient);
}

}  // namespace detail

/// Euclidean norm of all trained entries of a gradient (or of weights), computed in double.
///
/// NaN and infinity in an entry come out as NaN and infinity.
/// Threads   in parallel, the same bits for any number of threads
template <class L>
[[nodiscard]] double gradient_norm(const L& gradient) {
    double sum = 0.0;
    visit(
        [&](std::string_view, const WeightTraits& traits, const auto& tensor) {
            if (traits.role != WeightRole::trained)
                return;
            sum += detail::parallel_sum(
                tensor.size(), detail::weight_grain, [&](std::size_t begin, std::size_t end) {
                    return detail::interleaved_sum(begin, end, [&](std::size_t i) {
                        const auto entry = static_cast<double>(tensor[i]);
                        return entry * entry;
                    });
                });
        },
        gradient);
    return std::sqrt(sum);
}

/// Scales a gradient down to the norm `limit` if it is longer, and returns the norm that it had.
/// Statistics and frozen weights neither count nor change.
///
///   g *= min(1, limit / (norm + 1e-6))
///
/// A norm that is not finite is returned and the gradient left as it is: the caller decides whether
/// to skip the update.
/// Errors    ValueError unless limit > 0
/// Source    torch.nn.utils.clip_grad_norm_
template <class L>
double clip_norm(L& gradient, double limit) {
    require<ValueError>(limit > 0.0, "ssm::clip_norm: limit ", limit, " is not positive");
    const double norm = gradient_norm(gradient);
    const double factor = limit / (norm + 1e-6);
    if (std::isfinite(norm) && factor < 1.0)
        detail::for_each_trained(gradient, [factor](auto& entry) {
            entry *= static_cast<std::remove_reference_t<decltype(entry)>>(factor);
        });
    return norm;
}

/// Limits every trained entry of a gradient to -limit .. limit; NaN stays NaN.
///
/// Errors    ValueError unless limit > 0
template <class L>
void clip_value(L& gradient, double limit) {
    require<ValueError>(limit > 0.0, "ssm::clip_value: limit ", limit, " is not positive");
    detail::for_each_trained(gradient, [limit](auto& entry) {
        using T = std::remove_reference_t<decltype(entry)>;
        entry = std::clamp(entry, static_cast<T>(-limit), static_cast<T>(limit));
    });
}

}  // namespace ssm
