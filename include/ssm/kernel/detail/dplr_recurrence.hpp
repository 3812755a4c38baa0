#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/dplr_system.hpp>
#include <ssm/scan/dplr_block.hpp>
#include <ssm/scan/dplr_tile.hpp>
#include <ssm/simd/pack.hpp>

namespace ssm::detail {

/// K[l] = Re c A_bar^l b by running the recurrence, in double, a line of channels at a time.
template <class T, class Arch = simd::Arch>
class DplrKernel {
    static constexpr std::size_t lanes = line<double>;
    static constexpr std::size_t block = 64;

public:
    /// `is_done` (H): channels whose kernels are there already.
    DplrKernel(const DplrBank<double>& bank, std::size_t length, std::span<T> kernel,
               std::span<const char> is_done)
        : bank_(bank), shape_(bank.shape()), length_(length), kernel_(kernel), is_done_(is_done) {}

    /// Steps beyond `count` are zero.
    void run(std::size_t count, Workspace& workspace) const {
        const auto frame = workspace.frame();
        const std::size_t scratch = (2 * shape_.modes + shape_.heads * block) * lanes;
        double* const memory = workspace.take<double>(threads() * scratch).data();
        parallel_for(
            bank_.tiles(),
            [&](std::size_t tile, std::size_t worker) {
                const auto done = is_done_.subspan(tile * lanes, bank_.channels_of(tile));
                if (std::find(done.begin(), done.end(), 0) != done.end())
                    run_tile(tile, count, memory + worker * scratch);
            },
            TaskCost{1.5 *
                     static_cast<double>(length_ * shape_.modes * (shape_.rank + shape_.heads))});
    }

private:
    void run_tile(std::size_t tile, std::size_t count, double* memory) const noexcept {
        double* const state = memory;
        double* const y = memory + 2 * shape_.modes * lanes;
        std::fill_n(state, 2 * shape_.modes * lanes, 0.0);
        alignas(alignment) double impulse[lanes];
        std::fill_n(impulse, lanes, 1.0);
        for (std::size_t first = 0; first < count; first += block) {
            const std::size_t steps = std::min(block, count - first);
            const std::size_t driven = first == 0 ? 1 : 0;
            dplr_steps<double, true>(bank_, tile, impulse, driven, y, block * lanes, state);
            dplr_steps<double, false>(bank_, tile, nullptr, steps - driven, y + driven * lanes,
                                      block * lanes, state);
            for (std::size_t head = 0; head < shape_.heads; ++head)
                for (std::size_t i = 0; i < bank_.channels_of(tile); ++i) {
                    if (is_done_[tile * lanes + i] != 0)
                        continue;
                    T* const to = taps(head, tile, i) + first;
                    const double* const from = y + head * block * lanes + i;
                    for (std::size_t t = 0; t < steps; ++t)
                        to[t] = static_cast<T>(from[t * lanes]);
                }
        }
        for (std::size_t head = 0; head < shape_.heads; ++head)
            for (std::size_t i = 0; i < bank_.channels_of(tile); ++i)
                std::fill_n(taps(head, tile, i) + count, length_ - count, T(0));
    }

    [[nodiscard]] T* taps(std::size_t head, std::size_t tile, std::size_t i) const noexcept {
        return kernel_.data() + (head * shape_.channels + tile * lanes + i) * length_;
    }

    const DplrBank<double>& bank_;
    const DplrShape& shape_;
    std::size_t length_;
    std::span<T> kernel_;
    std::span<const char> is_done_;
};

}  // namespace ssm::detail
