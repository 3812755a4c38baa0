#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <string_view>

#include <ssm/core/config.hpp>
#include <ssm/core/error.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/log.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sigmoid.hpp>

namespace ssm {

/// How a physical quantity is made of the stored weight p: -Re A, -Im A and dt are trained through
/// such a function so that they keep their sign.
///
///   none       p
///   exp        e^p
///   relu       max(p, 0) + 1e-4
///   sigmoid    1 / (1 + e^-p)
///   softplus   ln(1 + e^p)
///
/// Source  the released S4 code (param_transform)
enum class Transform { none, exp, relu, sigmoid, softplus };

/// What relu adds, and the smallest value that `initial_weight` stores.
inline constexpr double smallest_transformed = 1e-4;

[[nodiscard]] constexpr std::string_view name(Transform transform) noexcept {
    switch (transform) {
        case Transform::none:
            return "none";
        case Transform::exp:
            return "exp";
        case Transform::relu:
            return "relu";
        case Transform::sigmoid:
            return "sigmoid";
        case Transform::softplus:
            return "softplus";
    }
    return "unknown";
}

/// The transform with this name. Errors: ValueError for an unknown one.
[[nodiscard]] inline Transform transform_named(std::string_view wanted) {
    for (const Transform transform : {Transform::none, Transform::exp, Transform::relu,
                                      Transform::sigmoid, Transform::softplus})
        if (name(transform) == wanted)
            return transform;
    raise<ValueError>("ssm::Transform: \"", wanted,
                      "\" is not one of none, exp, relu, sigmoid, softplus");
}

namespace detail {

/// 1 / (1 + e^-p) without overflow.
[[nodiscard]] inline double logistic(double p) noexcept {
    const double e = std::exp(-std::abs(p));
    return (p >= 0.0 ? 1.0 : e) / (1.0 + e);
}

}  // namespace detail

/// f(p): the physical value of the stored weight p.
[[nodiscard]] inline double value(Transform transform, double p) noexcept {
    switch (transform) {
        case Transform::none:
            return p;
        case Transform::exp:
            return std::exp(p);
        case Transform::relu:
            return std::max(p, 0.0) + smallest_transformed;
        case Transform::sigmoid:
            return detail::logistic(p);
        case Transform::softplus:
            return std::max(p, 0.0) + std::log1p(std::exp(-std::abs(p)));
    }
    return p;
}

/// f of each number of an array; `v` may be `p`.
inline void values(Transform transform, std::span<const double> p, std::span<double> v) noexcept {
    using Pack = simd::Pack<double>;
    const auto each = [&](auto&& f) {
        simd::for_each_pack<double>(p.size(), [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
            lanes.store(v.data() + i, f(lanes.load(p.data() + i)));
        });
    };
    switch (transform) {
        case Transform::none:
            each([](Pack x) SSM_INLINE_LAMBDA { return x; });
            break;
        case Transform::exp:
            each([](Pack x) SSM_INLINE_LAMBDA { return simd::exp(x); });
            break;
        case Transform::relu:
            each([](Pack x) SSM_INLINE_LAMBDA {
                return simd::max(x, Pack(0.0)) + Pack(smallest_transformed);
            });
            break;
        case Transform::sigmoid:
            each([](Pack x) SSM_INLINE_LAMBDA { return simd::sigmoid(x); });
            break;
        case Transform::softplus:
            each([](Pack x) SSM_INLINE_LAMBDA {
                return simd::max(x, Pack(0.0)) + simd::log1p(simd::exp(-simd::abs(x)));
            });
            break;
    }
}

/// f'(p).
[[nodiscard]] inline double derivative(Transform transform, double p) noexcept {
    switch (transform) {
        case Transform::none:
            return 1.0;
        case Transform::exp:
            return std::exp(p);
        case Transform::relu:
            return p > 0.0 ? 1.0 : 0.0;
        case Transform::sigmoid:
            return detail::logistic(p) * detail::logistic(-p);
        case Transform::softplus:
            return detail::logistic(p);
    }
    return 1.0;
}

/// The weight whose value is v; NaN or infinite outside the range of f. relu is inverted without its
/// shift, as in the original code: f(inverse(v)) = v + 1e-4.
[[nodiscard]] inline double inverse(Transform transform, double v) noexcept {
    switch (transform) {
        case Transform::none:
        case Transform::relu:
            return v;
        case Transform::exp:
            return std::log(v);
        case Transform::sigmoid:
            return std::log(v) - std::log1p(-v);
        case Transform::softplus:
            return v + std::log(-std::expm1(-v));  // ln(e^v - 1), no overflow
    }
    return v;
}

/// The weight to start from for a wanted value: inverse(max(v, 1e-4)). As in the original code the
/// bound holds for `none` too: a frequency of zero starts at 1e-4.
/// Errors  ValueError for NaN, and for sigmoid at v >= 1
[[nodiscard]] inline double initial_weight(Transform transform, double v) {
    require<ValueError>(!std::isnan(v), "ssm::Transform: the initial value is not a number");
    require<ValueError>(transform != Transform::sigmoid || v < 1.0,
                        "ssm::Transform: initial value ", v,
                        " is not below 1, which is the bound of a sigmoid");
    return inverse(transform, std::max(v, smallest_transformed));
}

}  // namespace ssm
