#pragma once

#include <algorithm>
#include <cstddef>
#include <span>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/kernel/companion.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/companion.hpp>

namespace ssm {

struct DetrendingOptions {
    std::size_t order = 4;       ///< differences of order 0 .. order - 1
    std::size_t averages = 4;    ///< moving averages
    std::size_t min_window = 4;  ///< their windows are drawn from min_window .. state - 1
    std::size_t group = 1;       ///< neighbouring channels with the same filter
};

/// Structure policy: fixed filters that take the trend out of a series, as shift registers. Of each `order` +
/// `averages` channels in a row the first give differences, the others what a moving average leaves:
///
///   (1), (1, -1), (1, -2, 1), ...      u[t] - (u[t] + ... + u[t-w+1]) / w
///
/// `Bank<T>` holds the filters of all repetitions r, under the names and shapes of SpaceTime; nothing is trained:
///
///   diff_kernel (r order, order)      ma_r_kernel (r averages, d)
///
/// Source  the preprocessing of arXiv:2303.09489 (SpaceTime)
struct Detrending {
    using Options = DetrendingOptions;

    template <class T>
    class Bank;
};

template <class T>
class Detrending::Bank {
public:
    using System = CompanionSystem;
    template <class Discretization>
    static constexpr bool can_stream = true;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale&, const DynamicsTraining&,
         const Options& options, Rng& rng)
        : sizes_(sizes), options_(options) {
        check(kernels);
        diff_kernel = Tensor<T>({repeats() * options.order, options.order});
        ma_r_kernel = Tensor<T>({repeats() * options.averages, sizes.state});
        for (std::size_t r = 0; r < repeats(); ++r) {
            for (std::size_t k = 0; k < options.order; ++k)
                set_difference(k, diff_kernel.data() + (r * options.order + k) * options.order);
            for (std::size_t k = 0; k < options.averages; ++k)
                set_residual(options.min_window + rng.below(sizes.state - options.min_window),
                             ma_r_kernel.data() + (r * options.averages + k) * sizes.state);
        }
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] CompanionShape shape() const noexcept {
        return {sizes_.channels, sizes_.state, 1, repeats() * filters(), options_.group};
    }

    void discretize(const Discrete&, double rate, CompanionSystem& system, Workspace&) const {
        require<ValueError>(rate == 1.0, "ssm::Detrending: rate = ", rate,
                            ", but filters in discrete time have only their own, 1");
        system.reset(shape());
        for (std::size_t kernel = 0; kernel < shape().kernels; ++kernel) {
            system.b[kernel * sizes_.state] = 1.0;
            const std::span<const T> taps = filter(*this, kernel);
            std::copy(taps.begin(), taps.end(), system.c.data() + kernel * sizes_.state);
        }
    }
    void adjoint(const Discrete&, double, const CompanionSystem&, CompanionSystem& upstream,
                 Bank& gradient, Workspace&) const {
        for (std::size_t kernel = 0; kernel < shape().kernels; ++kernel) {
            const std::span<T> taps = filter(gradient, kernel);
            for (std::size_t l = 0; l < taps.size(); ++l)
                taps[l] += static_cast<T>(upstream.c[kernel * sizes_.state + l]);
        }
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const WeightTraits fixed{.role = WeightRole::frozen, .weight_decay = 0.0};
        visitor("diff_kernel", fixed, banks.diff_kernel...);
        visitor("ma_r_kernel", fixed, banks.ma_r_kernel...);
    }

    Tensor<T> diff_kernel;
    Tensor<T> ma_r_kernel;

private:
    [[nodiscard]] std::size_t filters() const noexcept {
        return options_.order + options_.averages;
    }
    [[nodiscard]] std::size_t repeats() const noexcept {
        return sizes_.channels / (filters() * options_.group);
    }

    void check(std::size_t kernels) const {
        const std::size_t channels = filters() * options_.group;
        require<ValueError>(channels > 0 && sizes_.channels > 0 && sizes_.channels % channels == 0,
                            "ssm::Detrending: ", options_.order, " differences and ",
                            options_.averages, " averages for ", options_.group,
                            " channels each do not divide channels = ", sizes_.channels);
        require<ValueError>(kernels == 1 && sizes_.heads == 1 && sizes_.copies == 0,
                            "ssm::Detrending: filters are causal, with one head, and have copies "
                            "by their own plan");
        require<ValueError>(sizes_.state >= options_.order && options_.min_window > 0 &&
                                (options_.averages == 0 || options_.min_window < sizes_.state),
                            "ssm::Detrending: state = ", sizes_.state,
                            ", expected at least the order, ", options_.order,
                            ", and more than the smallest window, ", options_.min_window);
    }

    /// Binomial coefficients with alternating signs.
    static void set_difference(std::size_t order, T* taps) noexcept {
        double coefficient = 1.0;
        for (std::size_t l = 0; l <= order; ++l) {
            taps[l] = static_cast<T>(coefficient);
            coefficient *= -static_cast<double>(order - l) / static_cast<double>(l + 1);
        }
    }
    static void set_residual(std::size_t window, T* taps) noexcept {
        std::fill_n(taps, window, static_cast<T>(-1.0 / static_cast<double>(window)));
        taps[0] += T(1);
    }

    /// Filter number `kernel` of a bank, which may be const.
    template <class B>
    [[nodiscard]] static auto filter(B& bank, std::size_t kernel) noexcept {
        const std::size_t r = kernel / bank.filters();
        const std::size_t k = kernel % bank.filters();
        const std::size_t order = bank.options_.order;
        if (k < order)
            return std::span(bank.diff_kernel.data() + (r * order + k) * order, order);
        const std::size_t row = r * bank.options_.averages + k - order;
        return std::span(bank.ma_r_kernel.data() + row * bank.sizes_.state, bank.sizes_.state);
    }

    LtiSizes sizes_;
    Options options_;
};

}  // namespace ssm
