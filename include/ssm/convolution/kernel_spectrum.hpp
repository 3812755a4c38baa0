#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/convolution/detail/interleave.hpp>
#include <ssm/convolution/detail/lane_group.hpp>
#include <ssm/convolution/kernel.hpp>
#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/math/right_angle_fft.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm {

/// A bank of convolution kernels ready for `fft_convolution`: its spectra, in the order in which the
/// convolution reads them, and a copy of its taps for pieces of sequences that need a smaller transform. A
/// regular value; made again in the same place it does not allocate.
///
/// Storage   2 n heads H numbers, n = RightAngleFft<T>::size_for(L), and the taps
/// Threads   const: shared by any number of calls
template <class T, class Arch = simd::Arch>
class KernelSpectrum {
public:
    using Fft = math::RightAngleFft<T>;

    KernelSpectrum() = default;
    KernelSpectrum(ConvolutionKernel<const T> kernel, std::size_t length, Workspace& workspace) {
        prepare(kernel, length, workspace);
    }

    /// Transforms `kernel` for sequences of `length` steps. Longer ones are an error later, much shorter ones
    /// slower than they could be. Taps that no such sequence reaches are ignored.
    ///
    /// Cost      one transform of each kernel, about half of the convolution of one sequence
    /// Errors    ShapeError for taps that do not fit their shape
    void prepare(ConvolutionKernel<const T> kernel, std::size_t length, Workspace& workspace);

    [[nodiscard]] const KernelShape& shape() const noexcept { return shape_; }
    /// Points of the prepared spectra: the longest sequence.
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    /// Groups of channels, one register each.
    [[nodiscard]] std::size_t groups() const noexcept { return groups_; }
    [[nodiscard]] detail::LaneGroup group(std::size_t index) const noexcept {
        return detail::LaneGroup::of(shape_.channels, Fft::lanes, index);
    }

    /// Numbers of scratch memory that `at` needs for a transform of `numbers` numbers.
    [[nodiscard]] static constexpr std::size_t scratch_numbers(std::size_t numbers) noexcept {
        return numbers + numbers / 2;
    }
    /// The spectrum of a head and a group at the points of `fft`, divided by their number: the prepared one if
    /// the size is the same, else it is computed in `scratch`.
    [[nodiscard]] const T* at(const Fft& fft, std::size_t head, std::size_t group,
                              T* scratch) const {
        if (fft.size() == size_)
            return spectra_.data() + (head * groups_ + group) * fft.numbers();
        transform(fft, head, group, scratch, scratch);
        return scratch;
    }

private:
    /// The spectrum of the polynomial sum_l causal[l] x^l - i sum_l anticausal[l] x^(n - 1 - l), where skip is part
    /// of causal[0]. The transform runs in `scratch`, which stays in the cache from one kernel to the next, and
    /// causal kernels are real.
    void transform(const Fft& fft, std::size_t head, std::size_t index, T* scratch,
                   T* spectrum) const;

    void add_skip(std::size_t head, std::size_t index, T scale, T* first) const {
        if (skip_.empty())
            return;
        const detail::LaneGroup channels = group(index);
        for (std::size_t i = 0; i < channels.lanes(); ++i)
            first[i] += scale * skip_[head * shape_.channels + channels.channel(i)];
    }

    /// Where the taps of each lane are, as many as the transform has points.
    [[nodiscard]] detail::LaneSpans<const T> lane_taps(const AlignedVector<T>& taps, const Fft& fft,
                                                       std::size_t head, std::size_t index) const {
        detail::LaneSpans<const T> spans;
        const detail::LaneGroup channels = group(index);
        for (std::size_t i = 0; i < channels.lanes() && !taps.empty(); ++i)
            spans.of[i] = {taps.data() + shape_.first(head, channels.channel(i)),
                           std::min(shape_.length, fft.size())};
        return spans;
    }

    KernelShape shape_{};
    std::size_t size_ = 0;
    std::size_t groups_ = 0;
    AlignedVector<T> causal_, anticausal_, skip_;
    AlignedVector<T> spectra_;  // (heads, groups, n, 2, lanes)
};

template <class T, class Arch>
void KernelSpectrum<T, Arch>::prepare(ConvolutionKernel<const T> kernel, std::size_t length,
                                      Workspace& workspace) {
    kernel.check("ssm::KernelSpectrum");
    const Fft& fft = workspace.template table<Fft>(Fft::size_for(length));
    shape_ = kernel.shape;
    size_ = fft.size();
    causal_.assign(kernel.causal.begin(), kernel.causal.end());
    anticausal_.assign(kernel.anticausal.begin(), kernel.anticausal.end());
    skip_.assign(kernel.skip.begin(), kernel.skip.end());
    groups_ = detail::LaneGroup::groups(shape_.channels, Fft::lanes);
    spectra_.resize(shape_.heads * groups_ * fft.numbers());
    const auto frame = workspace.frame();
    const std::size_t scratch = scratch_numbers(fft.numbers());
    T* const memory = workspace.template take<T>(threads() * scratch).data();
    parallel_for(
        shape_.heads * groups_,
        [&](std::size_t task, std::size_t worker) {
            transform(fft, task / groups_, task % groups_, memory + worker * scratch,
                      spectra_.data() + task * fft.numbers());
        },
        TaskCost{0.5 * static_cast<double>(fft.numbers())});
}

template <class T, class Arch>
void KernelSpectrum<T, Arch>::transform(const Fft& fft, std::size_t head, std::size_t index,
                                        T* scratch, T* spectrum) const {
    constexpr std::ptrdiff_t step = 2 * Fft::lanes;
    const T scale = T(1) / static_cast<T>(fft.size());
    const detail::LaneSpans<const T> causal = lane_taps(causal_, fft, head, index);
    if (anticausal_.empty()) {
        T* const rows = scratch + fft.numbers();
        const std::size_t length = std::max<std::size_t>(1, causal.longest());
        std::fill(rows, rows + Fft::lanes, T(0));
        detail::interleave<T>(causal, scale, rows, Fft::lanes);
        add_skip(head, index, scale, rows);
        fft.open({rows, Fft::lanes, length}, scratch);
    } else {
        std::fill(scratch, scratch + fft.numbers(), T(0));
        detail::interleave<T>(causal, scale, scratch, step);
        detail::interleave<T>(lane_taps(anticausal_, fft, head, index), -scale,
                              scratch + fft.numbers() - Fft::lanes, -step);
        add_skip(head, index, scale, scratch);
        fft.open(scratch);
    }
    fft.finish(scratch, spectrum);
}

}  // namespace ssm
