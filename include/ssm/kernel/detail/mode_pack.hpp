#pragma once

#include <cstddef>

#include <ssm/core/config.hpp>
#include <ssm/simd/complex.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// Complex numbers, one for each mode of a channel, lanes across modes: real parts and, `stride` behind, imaginary
/// parts; zero in the padding unless said otherwise.
using ModePack = simd::Complex<simd::Pack<double>>;

SSM_INLINE ModePack load_modes(const double* from, std::size_t stride) noexcept {
    return {simd::load_aligned(from), simd::load_aligned(from + stride)};
}
SSM_INLINE void store_modes(double* to, std::size_t stride, ModePack x) noexcept {
    simd::store_aligned(to, x.re);
    simd::store_aligned(to + stride, x.im);
}

}  // namespace ssm::detail
