#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/stateless.hpp>

namespace ssm {

namespace detail {

/// Random decisions for a row of channels, a function of (key, position) alone: the backward draws
/// the same ones again instead of remembering them, and threads need no common generator.
class DropoutRow {
public:
    DropoutRow(std::uint64_t seed, std::uint64_t row, double p) noexcept
        : key_(static_cast<std::uint32_t>(Rng(seed + row)() >> 32U)),
          threshold_(static_cast<std::uint32_t>(p * 0x1p32)) {}

    /// out = scale * in where the channel is kept, else 0. Written so that compilers vectorise it: no calls,
    /// no members, and one type of index.
    template <class T>
    void apply(const T* in, T scale, T* out, std::uint32_t channels) const noexcept {
        const std::uint32_t key = key_;
        const std::uint32_t threshold = threshold_;
        for (std::uint32_t h = 0; h < channels; ++h) {
            const T kept = mix(h * 0x9e3779b9U + key) >= threshold ? scale : T(0);
            out[h] = kept * in[h];
        }
    }

private:
    // An invertible mixing of 32 bits that vectorises: shifts and two products.
    static std::uint32_t mix(std::uint32_t x) noexcept {
        x = (x ^ (x >> 16U)) * 0x7feb352dU;
        x = (x ^ (x >> 15U)) * 0x846ca68bU;
        return x ^ (x >> 16U);
    }

    std::uint32_t key_;
    std::uint32_t threshold_;
};

}  // namespace detail

/// In training, y = u / (1 - p) with probability 1 - p and 0 else, for each number on its own or,
/// `tied`, for each channel of a sequence at all steps alike. In inference y = u.
///
/// Shapes    u (batch, L, channels) -> y the same
/// Aliasing  y may be u exactly, du may be dy exactly
/// Errors    ValueError unless 0 <= p < 1, and when the training forward has p > 0 but context.rng is null
/// Cost      the mask is drawn twice instead of stored: about ten integer operations a number each time
/// Source    Srivastava et al. 2014; tied: the DropoutNd of the S4 code
template <class T>
class Dropout : public StatelessLayer<Dropout<T>, T> {
    using Base = StatelessLayer<Dropout<T>, T>;

public:
    using typename Base::State;
    static constexpr bool runs_in_place = true;
    static constexpr bool forgets_input = true;
    struct Options {
        std::size_t channels = 0;
        double p = 0.0;
        bool tied = false;  ///< one decision for all steps
    };
    /// Seed of the mask.
    struct Cache {
        std::uint64_t seed = 0;
    };

    explicit Dropout(Options options) : options_(options) {
        require<ValueError>(options.channels > 0, "ssm::Dropout: channels must be positive");
        require<ValueError>(options.p >= 0.0 && options.p < 1.0, "ssm::Dropout: p = ", options.p,
                            ", expected 0 <= p < 1");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return options_.channels; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return options_.channels; }
    [[nodiscard]] double p() const noexcept { return options_.p; }

    using Base::forward;
    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward("ssm::Dropout", *this, u, y, context);
        copy(u.flat(), y.flat());
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache& cache, const Context& context) const {
        require_forward("ssm::Dropout", *this, u, y, context);
        if (options_.p > 0.0) {
            require<ValueError>(
                context.rng != nullptr, "ssm::Dropout: p = ", options_.p,
                " needs random numbers: give the training forward a context.with_rng(rng)");
            cache.seed = (*context.rng)();
        }
        mask(u, y, cache.seed);
    }
    void step(std::span<const T> u, std::span<T> y, State&) const noexcept { copy(u, y); }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache& cache,
                  Dropout&, const Context& context) const {
        require_backward("ssm::Dropout", *this, u, dy, du, context);
        if (!du.empty())
            mask(dy, du, cache.seed);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&&, Layers&...) {}

private:
    static void copy(std::span<const T> u, std::span<T> y) noexcept {
        if (u.data() != y.data())
            std::copy(u.begin(), u.end(), y.begin());
    }

    void mask(BatchView<const T> u, BatchView<T> y, std::uint64_t seed) const {
        if (options_.p == 0.0)
            return copy(u.flat(), y.flat());
        const T scale = static_cast<T>(1.0 / (1.0 - options_.p));
        const std::size_t channels = options_.channels;
        parallel_ranges(u.shape().rows(), 64, [&](std::size_t begin, std::size_t end, std::size_t) {
            for (std::size_t r = begin; r < end; ++r) {
                const std::size_t row = options_.tied ? r / u.length() : r;
                const detail::DropoutRow decisions(seed, row, options_.p);
                const T* in = u.data() + r * channels;
                T* out = y.data() + r * channels;
                decisions.apply(in, scale, out, static_cast<std::uint32_t>(channels));
            }
        });
    }

    Options options_;
};

}  // namespace ssm
