#pragma once

#include <algorithm>
#include <complex>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/workspace.hpp>
#include <ssm/kernel/detail/generating_nodes.hpp>
#include <ssm/math/fft.hpp>
#include <ssm/math/right_angle_fft.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::detail {

/// Where the values of real kernels at the L-th roots of unity, bins 0 .. L / 2, are in memory, for one channel:
/// [head][re, im][bins padded].
template <class T>
struct HalfSpectrum {
    std::size_t length;
    std::size_t heads;

    [[nodiscard]] std::size_t bins() const noexcept { return length / 2 + 1; }
    [[nodiscard]] std::size_t size() const noexcept { return heads * 2 * padded<T>(bins()); }
    [[nodiscard]] T* re(T* values, std::size_t head) const noexcept {
        return values + head * 2 * padded<T>(bins());
    }
    [[nodiscard]] T* im(T* values, std::size_t head) const noexcept {
        return re(values, head) + padded<T>(bins());
    }
    /// body(bin, cos, sin of theta / 2) at theta = 0 and, for even L, pi.
    template <class Body>
    void for_each_end(Body&& body) const {
        body(std::size_t{0}, 1.0, 0.0);
        if (length % 2 == 0)
            body(length / 2, 0.0, 1.0);
    }
};

/// Taps K_l of kernels from their half spectra, and the adjoint. For lengths that `RightAngleFft` has, a register of
/// channels at once, else one channel.
template <class T>
class GeneratingTaps {
    using Transform = UnityTransform<T>;
    using Fft = math::RightAngleFft<T>;

public:
    static constexpr std::size_t lanes = Fft::lanes;

    /// For kernels of `length` numbers of `channels` channels, zero behind the first `count`.
    GeneratingTaps(const HalfSpectrum<T>& spectrum, std::size_t channels, std::size_t length,
                   std::size_t count, Workspace& workspace)
        : spectrum_(spectrum),
          channels_(channels),
          L_(spectrum.length),
          length_(length),
          count_(std::min(count, L_)) {
        if (Transform::has_size(L_)) {
            fft_ = &workspace.table<Fft>(L_);
            transform_ = &workspace.table<Transform>(L_);
        }
    }

    /// What one thread needs: x of `numbers()`.
    struct Scratch {
        T* x;  ///< [L][re, im][lanes]
        math::Fft<T>* fft;
        std::vector<std::complex<T>>* bins;
    };
    [[nodiscard]] std::size_t numbers() const noexcept {
        return fft_ == nullptr ? L_ : fft_->numbers();
    }

    /// Of `head` of a few channels from `first` on, whose spectra `values` has one after the other.
    void forward(const Scratch& scratch, T* values, std::size_t head, std::size_t first,
                 std::size_t channels, std::span<T> kernel) const {
        const std::size_t used = std::min(length_, count_);
        if (fft_ == nullptr) {
            for (std::size_t i = 0; i < channels; ++i) {
                T* const of_channel = values + i * spectrum_.size();
                scratch.bins->resize(spectrum_.bins());
                for (std::size_t k = 0; k < spectrum_.bins(); ++k)
                    (*scratch.bins)[k] = {spectrum_.re(of_channel, head)[k],
                                          spectrum_.im(of_channel, head)[k]};
                scratch.fft->irfft(*scratch.bins, {scratch.x, L_});
                std::copy_n(scratch.x, used, kernel.data() + first_tap(head, first + i));
            }
        } else {
            for (std::size_t i = 0; i < channels; ++i) {
                T* const re = spectrum_.re(values + i * spectrum_.size(), head);
                T* const im = spectrum_.im(values + i * spectrum_.size(), head);
                T* to = scratch.x + i;
                for (std::size_t point = 0; point < L_; ++point, to += 2 * lanes) {
                    const std::size_t k = transform_->node[point];
                    const bool upper = 2 * k > L_;
                    const std::size_t bin = upper ? L_ - k : k;
                    to[0] = re[bin];
                    to[lanes] = upper ? -im[bin] : im[bin];
                }
            }
            fft_->inverse(scratch.x);
            const T scale = T(1) / static_cast<T>(L_);
            for (std::size_t l = 0; l < used; ++l) {
                const T re = scale * transform_->turn_re[l];
                const T im = scale * transform_->turn_im[l];
                const T* const x = scratch.x + 2 * l * lanes;
                for (std::size_t i = 0; i < channels; ++i)
                    kernel[first_tap(head, first + i) + l] = re * x[i] + im * x[lanes + i];
            }
        }
        for (std::size_t i = 0; i < channels; ++i)
            std::fill_n(kernel.data() + first_tap(head, first + i) + used, length_ - used, T(0));
    }

    /// The gradients of the bins: 2 / L sum_l dK_l w^l, half of it at the ends.
    void adjoint(const Scratch& scratch, T* values, std::size_t head, std::size_t first,
                 std::size_t channels, std::span<const T> dkernel) const {
        const std::size_t used = std::min(length_, count_);
        const T scale = T(2) / static_cast<T>(L_);
        if (fft_ == nullptr) {
            for (std::size_t i = 0; i < channels; ++i) {
                const T* const taps = dkernel.data() + first_tap(head, first + i);
                std::fill(std::copy_n(taps, used, scratch.x), scratch.x + L_, T(0));
                scratch.bins->resize(spectrum_.bins());
                scratch.fft->rfft({scratch.x, L_}, *scratch.bins);
                T* const of_channel = values + i * spectrum_.size();
                for (std::size_t k = 0; k < spectrum_.bins(); ++k) {
                    spectrum_.re(of_channel, head)[k] = scale * (*scratch.bins)[k].real();
                    spectrum_.im(of_channel, head)[k] = scale * (*scratch.bins)[k].imag();
                }
            }
        } else {
            std::fill_n(scratch.x, fft_->numbers(), T(0));
            for (std::size_t l = 0; l < used; ++l) {
                const T re = scale * transform_->turn_re[l];
                const T im = scale * transform_->turn_im[l];
                T* const x = scratch.x + 2 * l * lanes;
                for (std::size_t i = 0; i < channels; ++i) {
                    const T tap = dkernel[first_tap(head, first + i) + l];
                    x[i] = re * tap;
                    x[lanes + i] = im * tap;
                }
            }
            fft_->forward(scratch.x);
            for (std::size_t i = 0; i < channels; ++i) {
                T* const re = spectrum_.re(values + i * spectrum_.size(), head);
                T* const im = spectrum_.im(values + i * spectrum_.size(), head);
                const T* from = scratch.x + i;
                for (std::size_t point = 0; point < L_; ++point, from += 2 * lanes) {
                    const std::size_t k = transform_->node[point];
                    if (2 * k > L_)
                        continue;
                    re[k] = from[0];
                    im[k] = from[lanes];
                }
            }
        }
        for (std::size_t i = 0; i < channels; ++i)
            spectrum_.for_each_end([&](std::size_t bin, double, double) {
                spectrum_.re(values + i * spectrum_.size(), head)[bin] *= T(0.5);
                spectrum_.im(values + i * spectrum_.size(), head)[bin] *= T(0.5);
            });
    }

private:
    [[nodiscard]] std::size_t first_tap(std::size_t head, std::size_t h) const noexcept {
        return (head * channels_ + h) * length_;
    }

    HalfSpectrum<T> spectrum_;
    std::size_t channels_;
    std::size_t L_, length_, count_;
    const Fft* fft_ = nullptr;
    const Transform* transform_ = nullptr;
};

}  // namespace ssm::detail
