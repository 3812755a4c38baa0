#pragma once

#include <complex>
#include <concepts>
#include <cstddef>
#include <ranges>
#include <type_traits>

#include <ssm/core/error.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/simd/complex_exp.hpp>
#include <ssm/simd/erf.hpp>
#include <ssm/simd/exp.hpp>
#include <ssm/simd/log.hpp>
#include <ssm/simd/partial.hpp>
#include <ssm/simd/sigmoid.hpp>
#include <ssm/simd/trig.hpp>

/// Pointwise functions of numbers and of whole arrays.
namespace ssm::math {
inline namespace SSM_ARCH {

/// y_i = f(x_i) for n consecutive numbers; y may be x.
template <class F, std::floating_point T>
SSM_INLINE void apply(const F& f, const T* x, T* y, std::size_t n) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i)
                                  SSM_INLINE_LAMBDA { lanes.store(y + i, f(lanes.load(x + i))); });
}

/// dx_i = f'(x_i) dy_i for n consecutive numbers; dx may be x or dy.
template <class F, std::floating_point T>
SSM_INLINE void apply_adjoint(const F& f, const T* x, const T* dy, T* dx, std::size_t n) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) SSM_INLINE_LAMBDA {
        lanes.store(dx + i, f.derivative(lanes.load(x + i)) * lanes.load(dy + i));
    });
}

/// A function for a number, `f(x)`, for a pack, and for arrays, `f(in, out)`, any contiguous ranges of
/// one length; `out` may be `in`.
///
/// Errors    ShapeError if the lengths differ
/// Threads   one; cut the arrays to use more
template <class F>
struct Pointwise : F {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return F::operator()(x);
    }

    template <std::floating_point T>
    [[nodiscard]] SSM_INLINE std::complex<T> operator()(std::complex<T> z) const noexcept requires
        requires(const F& f, simd::Complex<T> c) {
        f(c);
    }
    {
        const simd::Complex<T> y = F::operator()(simd::Complex<T>{z.real(), z.imag()});
        return {y.re, y.im};
    }

    template <std::ranges::contiguous_range In, std::ranges::contiguous_range Out>
    void operator()(const In& in, Out&& out) const {
        const auto n = static_cast<std::size_t>(std::ranges::size(in));
        const auto room = static_cast<std::size_t>(std::ranges::size(out));
        require<ShapeError>(n == room, "ssm::math: pointwise function of ", n,
                            " numbers into an array of ", room);
        apply(static_cast<const F&>(*this), std::ranges::data(in), std::ranges::data(out), n);
    }
};

/// The plain functions behind the names below.
namespace function {

struct Exp {
    template <class V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::exp(x);
    }
};
struct Exp2 {
    template <class V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::exp2(x);
    }
};
struct Expm1 {
    template <class V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::expm1(x);
    }
};
struct Phi1 {
    template <class V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::phi1(x);
    }
};
struct Log {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::log(x);
    }
};
struct Log1p {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::log1p(x);
    }
};
struct LogExpm1 {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V y) const noexcept {
        using T = simd::Scalar<V>;
        return simd::select(y > V(T(20)), y, simd::log(simd::expm1(y)));
    }
};
struct Sin {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::sin(x);
    }
};
struct Cos {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::cos(x);
    }
};
struct Erf {
    template <simd::Numeric V>
    [[nodiscard]] SSM_INLINE V operator()(V x) const noexcept {
        return simd::erf(x);
    }
};

}  // namespace function

/// e^x, 2^x, e^x - 1 (also of complex numbers)
inline constexpr Pointwise<function::Exp> exp{};
inline constexpr Pointwise<function::Exp2> exp2{};
inline constexpr Pointwise<function::Expm1> expm1{};
/// (e^x - 1) / x with the limit 1 at 0, also of complex numbers
inline constexpr Pointwise<function::Phi1> phi1{};
/// Natural logarithms of x and of 1 + x
inline constexpr Pointwise<function::Log> log{};
inline constexpr Pointwise<function::Log1p> log1p{};
/// log(e^y - 1): the inverse of softplus, y itself above 20
inline constexpr Pointwise<function::LogExpm1> log_expm1{};
inline constexpr Pointwise<function::Sin> sin{};
inline constexpr Pointwise<function::Cos> cos{};
inline constexpr Pointwise<function::Erf> erf{};

/// The activations of <ssm/math/activation.hpp> under the names of functions
inline constexpr Pointwise<Sigmoid> sigmoid{};
inline constexpr Pointwise<LogSigmoid> log_sigmoid{};
inline constexpr Pointwise<Tanh> tanh{};
inline constexpr Pointwise<Softplus> softplus{};
inline constexpr Pointwise<Silu> silu{};
inline constexpr Pointwise<Gelu> gelu{};
inline constexpr Pointwise<GeluTanh> gelu_tanh{};

}  // namespace SSM_ARCH
}  // namespace ssm::math
