#pragma once

#include <cstddef>

#include <ssm/layer/detail/row_norm.hpp>
#include <ssm/math/smooth_activations.hpp>
#include <ssm/simd/pack.hpp>
#include <ssm/simd/partial.hpp>

namespace ssm::detail {

/// One row of x and of z.
template <class T>
struct GatedRow {
    T* x = nullptr;
    T* z = nullptr;
};

/// Rows of x and z at strides of their own. Null x: no rows.
template <class T>
struct GatedRows {
    T* x = nullptr;
    T* z = nullptr;
    std::size_t x_stride = 0;
    std::size_t z_stride = 0;

    [[nodiscard]] GatedRow<T> at(std::size_t row, std::size_t channel) const noexcept {
        if (x == nullptr)
            return {};
        return {x + row * x_stride + channel, z + row * z_stride + channel};
    }
};

/// A group of n channels that is normalised together; weight and bias may be null.
template <class T>
struct GatedGroup {
    std::size_t n;
    T epsilon;
    bool norm_first;
    const T* weight;
    const T* bias;
};

/// y = x silu(z)
template <class T>
void gate_row(const T* x, const T* z, std::size_t n, T* y) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        lanes.store(y + i, lanes.load(x + i) * math::Silu{}(lanes.load(z + i)));
    });
}

/// y = norm(x) silu(z) or norm(x silu(z)).
template <bool centered, class T>
void gated_row(const GatedGroup<T>& group, GatedRow<const T> in, T* y) noexcept {
    const T* x = in.x;
    if (!group.norm_first) {
        gate_row(in.x, in.z, group.n, y);
        x = y;
    }
    const auto statistics = row_statistics<centered>(x, group.n, group.epsilon);
    normalise_row<centered>(x, group.n, statistics, group.weight, group.bias, y);
    if (group.norm_first)
        gate_row(y, in.z, group.n, y);
}

/// dz = d value silu'(z), and dx = d silu(z); dx may be d.
template <class T>
void gate_row_backward(const T* value, const T* z, const T* d, std::size_t n, T* dx,
                       T* dz) noexcept {
    simd::for_each_pack<T>(n, [&](auto lanes, std::size_t i) {
        const simd::Pack<T> gate = lanes.load(z + i);
        const simd::Pack<T> upstream = lanes.load(d + i);
        if (dz != nullptr)
            lanes.store(dz + i, upstream * lanes.load(value + i) * math::Silu{}.derivative(gate));
        lanes.store(dx + i, upstream * math::Silu{}(gate));
    });
}

/// Adjoint of `gated_row`: overwrites to.x and to.z (null: not wanted), adds to dw and db (may be null). `scratch`
/// has room for two rows of n.
template <bool centered, class T>
void gated_row_backward(const GatedGroup<T>& group, GatedRow<const T> in, const T* dy,
                        GatedRow<T> to, T* dw, T* db, T* scratch) noexcept {
    const std::size_t n = group.n;
    T* value = scratch;
    T* d = scratch + n;
    if (group.norm_first) {
        const auto statistics = row_statistics<centered>(in.x, n, group.epsilon);
        normalise_row<centered>(in.x, n, statistics, group.weight, group.bias, value);
        gate_row_backward(value, in.z, dy, n, d, to.z);
        normalise_row_backward<centered>(in.x, d, n, statistics, group.weight, to.x, dw, db);
    } else {
        gate_row(in.x, in.z, n, value);
        const auto statistics = row_statistics<centered>(value, n, group.epsilon);
        normalise_row_backward<centered>(value, dy, n, statistics, group.weight, d, dw, db);
        if (to.x != nullptr)
            gate_row_backward(in.x, in.z, d, n, to.x, to.z);
    }
}

}  // namespace ssm::detail
