#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm {

/// Rules of TimePool. One that adds makes `factor(count)` times the sum of `count` steps; one that
/// chooses makes the number of one step: the first, until a later `x` replaces it.
namespace pool {

struct Mean {
    static constexpr const char* name = "ssm::MeanPool";
    static constexpr bool adds = true;
    static double factor(std::size_t count) noexcept { return 1.0 / static_cast<double>(count); }
};

struct Sum {
    static constexpr const char* name = "ssm::SumPool";
    static constexpr bool adds = true;
    static double factor(std::size_t) noexcept { return 1.0; }
};

struct First {
    static constexpr const char* name = "ssm::FirstPool";
    static constexpr bool adds = false;
    static bool replaces(double, double) noexcept { return false; }
};

struct Last {
    static constexpr const char* name = "ssm::LastPool";
    static constexpr bool adds = false;
    static bool replaces(double, double) noexcept { return true; }
};

struct Max {
    static constexpr const char* name = "ssm::MaxPool";
    static constexpr bool adds = false;
    static bool replaces(double value, double x) noexcept { return x > value || std::isnan(x); }
};

}  // namespace pool

/// One row out of a sequence: the mean, sum, first, last or largest number of each channel over the valid
/// steps since the last reset; zeros when there are none.
///
/// Shapes    u (batch, L, channels) -> y (batch, 1, channels)
/// State     a row of doubles and a count for each stream: the output of a step or block is the pool over
///           everything so far
/// Errors    ValueError for zero channels; ShapeError for views and states that do not fit
/// Cost      one pass over u; sums in double
template <class T, class Rule>
class TimePool {
public:
    using value_type = T;
    using input_type = T;
    static constexpr bool reduces_time = true;

    struct Options {
        std::size_t channels = 0;
    };
    struct State {
        AlignedVector<double> values;
        std::vector<std::size_t> counts;

        friend bool operator==(const State&, const State&) = default;

        template <class Visitor, class... States>
        static void visit_numbers(Visitor&& visitor, States&... states) {
            visitor("values", states.values...);
            visitor("counts", states.counts...);
        }
    };
    struct Cache {};

    explicit TimePool(Options options) : channels_(options.channels) {
        require<ValueError>(channels_ > 0, Rule::name, ": channels must be positive");
    }

    [[nodiscard]] std::size_t in_channels() const noexcept { return channels_; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return channels_; }

    void forward(BatchView<const T> u, BatchView<T> y, const Context& context) const {
        require_forward(Rule::name, *this, u, y, context);
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<double> values = context.workspace.take<double>(u.batch() * channels_);
        const std::span<std::size_t> counts = context.workspace.take_zero<std::size_t>(u.batch());
        take_all(u, y, values.data(), counts.data(), context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, State& state, const Context& context) const {
        require_forward(Rule::name, *this, u, y, context);
        require<ShapeError>(
            state.counts.size() == u.batch() && state.values.size() == u.batch() * channels_,
            Rule::name, ": the state has ", state.counts.size(), " counts and ",
            state.values.size(), " values, expected ", u.batch(), " and ", u.batch(), " times ",
            channels_);
        take_all(u, y, state.values.data(), state.counts.data(), context);
    }
    void forward(BatchView<const T> u, BatchView<T> y, Cache&, const Context& context) const {
        forward(u, y, context);
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        State state;
        state.values.resize(batch * channels_);
        state.counts.resize(batch);
        return state;
    }

    void step(std::span<const T> u, std::span<T> y, State& state) const noexcept {
        for (std::size_t b = 0; b * channels_ < u.size(); ++b) {
            double* values = state.values.data() + b * channels_;
            take(u.data() + b * channels_, values, state.counts[b]++);
            write(values, state.counts[b], y.data() + b * channels_);
        }
    }

    void backward(BatchView<const T> u, BatchView<const T> dy, BatchView<T> du, const Cache&,
                  TimePool&, const Context& context) const {
        require_backward(Rule::name, *this, u, dy, du, context);
        if (du.empty())
            return;
        const Workspace::Frame frame = context.workspace.frame();
        const std::span<std::size_t> chosen =
            context.workspace.take<std::size_t>(u.batch() * channels_);
        parallel_for(u.batch(), [&](std::size_t b, std::size_t) {
            std::ranges::fill(du.sequence(b).flat(), T(0));
            const std::size_t begin = last_stretch(context, b, u.length());
            const std::size_t end = context.valid_length(b, u.length());
            if constexpr (Rule::adds)
                spread(dy.row(b, 0), du, b, begin, end);
            else if (begin < end)
                give_to_chosen(u, dy.row(b, 0), du, b, begin, end, chosen.data() + b * channels_);
        });
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&&, Layers&...) {}

private:
    /// First of the valid steps since the last reset.
    static std::size_t last_stretch(const Context& context, std::size_t b,
                                    std::size_t length) noexcept {
        std::size_t begin = context.valid_length(b, length);
        while (begin > 0 && !context.resets_at(b, begin - 1))
            --begin;
        return begin > 0 ? begin - 1 : 0;
    }

    void take_all(BatchView<const T> u, BatchView<T> y, double* values, std::size_t* counts,
                  const Context& context) const {
        parallel_for(u.batch(), [&](std::size_t b, std::size_t) {
            double* row = values + b * channels_;
            const std::size_t begin = last_stretch(context, b, u.length());
            const std::size_t end = context.valid_length(b, u.length());
            if (begin < end && context.resets_at(b, begin))
                counts[b] = 0;
            for (std::size_t l = begin; l < end; ++l)
                take(u.row(b, l).data(), row, counts[b]++);
            write(row, counts[b], y.row(b, 0).data());
        });
    }

    void take(const T* x, double* values, std::size_t count) const noexcept {
        for (std::size_t h = 0; h < channels_; ++h) {
            const double number = static_cast<double>(x[h]);
            if constexpr (Rule::adds)
                values[h] = count == 0 ? number : values[h] + number;
            else
                values[h] = count == 0 || Rule::replaces(values[h], number) ? number : values[h];
        }
    }

    void write(const double* values, std::size_t count, T* y) const noexcept {
        double factor = 1.0;
        if constexpr (Rule::adds)
            factor = count == 0 ? 0.0 : Rule::factor(count);
        for (std::size_t h = 0; h < channels_; ++h)
            y[h] = count == 0 ? T(0) : static_cast<T>(factor * values[h]);
    }

    void spread(std::span<const T> dy, BatchView<T> du, std::size_t b, std::size_t begin,
                std::size_t end) const noexcept {
        for (std::size_t l = begin; l < end; ++l) {
            const T factor = static_cast<T>(Rule::factor(end - begin));
            for (std::size_t h = 0; h < channels_; ++h)
                du(b, l, h) = factor * dy[h];
        }
    }

    void give_to_chosen(BatchView<const T> u, std::span<const T> dy, BatchView<T> du, std::size_t b,
                        std::size_t begin, std::size_t end, std::size_t* chosen) const noexcept {
        std::fill_n(chosen, channels_, begin);
        for (std::size_t l = begin + 1; l < end; ++l)
            for (std::size_t h = 0; h < channels_; ++h)
                if (Rule::replaces(static_cast<double>(u(b, chosen[h], h)),
                                   static_cast<double>(u(b, l, h))))
                    chosen[h] = l;
        for (std::size_t h = 0; h < channels_; ++h)
            du(b, chosen[h], h) = dy[h];
    }

    std::size_t channels_;
};

template <class T>
using MeanPool = TimePool<T, pool::Mean>;
template <class T>
using SumPool = TimePool<T, pool::Sum>;
template <class T>
using FirstPool = TimePool<T, pool::First>;
template <class T>
using LastPool = TimePool<T, pool::Last>;
template <class T>
using MaxPool = TimePool<T, pool::Max>;

}  // namespace ssm
