#pragma once

#include <algorithm>
#include <cstddef>
#include <span>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/companion.hpp>
#include <ssm/discretize/discretization.hpp>
#include <ssm/discretize/unit_norm.hpp>
#include <ssm/init/companion.hpp>
#include <ssm/kernel/companion.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/scan/companion.hpp>

namespace ssm {

/// Options of a companion matrix.
template <class Init>
struct CompanionOptions {
    Init init{};                 ///< where a, b and c start
    RowNorm norm = RowNorm::l1;  ///< of a
    std::size_t group = 0;  ///< neighbouring channels that share a kernel; 0: channels / copies
};

/// Structure policy: A is a companion matrix in discrete time, a shift with its last column free,
///
///   x_i[t] = x_{i-1}[t-1] + a_i / |a| x_{d-1}[t-1] + b_i u[t]      y = c x
///
/// or, for initialisations without feedback, the shift alone: a finite impulse response. `copies` of a layer counts
/// different systems, c included: channel h uses number h / group mod copies.
///
/// `Bank<T>` holds the weights, under the names and shapes of SpaceTime:
///
///   a, b (copies, d)      c (kernels heads copies, d)
///
/// There is no continuous time: the layer's discretisation is `Discrete`, `rate` must be 1, and the options of time
/// steps are not read.
///
/// Source  arXiv:2303.09489 (SpaceTime); arXiv:2212.14052 (H3), whose shift has B for b and C for c
template <init::CompanionInit Init = init::NormalCompanion>
struct Companion {
    using Options = CompanionOptions<Init>;

    template <class T>
    class Bank;
};

template <init::CompanionInit Init>
template <class T>
class Companion<Init>::Bank {
public:
    using System = CompanionSystem;
    template <class Discretization>
    static constexpr bool can_stream = true;

    Bank(const LtiSizes& sizes, std::size_t kernels, const Timescale&,
         const DynamicsTraining& training, const Options& options, Rng& rng)
        : sizes_(sizes), kernels_(kernels), training_(training), options_(options) {
        if (sizes_.copies == 0)
            sizes_.copies = sizes_.channels;
        check();
        const std::size_t d = sizes_.state;
        a = Tensor<T>({Init::has_feedback ? sizes_.copies : 0, d});
        b = Tensor<T>({sizes_.copies, d});
        c = Tensor<T>({shape().heads * sizes_.copies, d});
        for (std::size_t k = 0; k < sizes_.copies; ++k)
            set(k, options.init(d, shape().heads, rng));
    }

    [[nodiscard]] const LtiSizes& sizes() const noexcept { return sizes_; }
    [[nodiscard]] CompanionShape shape() const noexcept {
        return {sizes_.channels, sizes_.state, kernels_ * sizes_.heads, sizes_.copies,
                options_.group == 0 ? sizes_.channels / sizes_.copies : options_.group};
    }

    void discretize(const Discrete&, double rate, CompanionSystem& system, Workspace&) const {
        require<ValueError>(rate == 1.0, "ssm::Companion: rate = ", rate,
                            ", but a system in discrete time has only its own, 1");
        system.reset(shape());
        std::copy(a.data(), a.data() + a.size(), system.a.begin());
        std::copy(b.data(), b.data() + b.size(), system.b.begin());
        std::copy(c.data(), c.data() + c.size(), system.c.begin());
        if (Init::has_feedback)
            normalize_rows(options_.norm, system.a, sizes_.state);
    }

    void adjoint(const Discrete&, double, const CompanionSystem&, CompanionSystem& upstream,
                 Bank& gradient, Workspace& workspace) const {
        if (Init::has_feedback) {
            const auto frame = workspace.frame();
            const std::span<double> rows = workspace.take<double>(a.size());
            std::copy(a.data(), a.data() + a.size(), rows.begin());
            normalize_rows_adjoint(options_.norm, rows, sizes_.state, upstream.a);
            add(upstream.a, gradient.a);
        }
        add(upstream.b, gradient.b);
        add(upstream.c, gradient.c);
    }

    /// The state x of each stream and channel, (batch, H, d).
    [[nodiscard]] Tensor<T> state_values(const Discrete&, double,
                                         const CompanionState<T>& state) const {
        return state.values();
    }
    void set_state_values(const Discrete&, double, CompanionState<T>& state,
                          const Tensor<T>& values) const {
        state.set_values(values);
    }

    template <class Visitor, class... Banks>
    static void visit_weights(Visitor&& visitor, Banks&... banks) {
        const Bank& first = first_of(banks...);
        if (Init::has_feedback)
            visitor("a", first.training_.traits_of_A(), banks.a...);
        visitor("b", first.training_.traits_of_B(), banks.b...);
        visitor("c", WeightTraits{}, banks.c...);
    }

    Tensor<T> a;  ///< empty without feedback
    Tensor<T> b;
    Tensor<T> c;

private:
    void check() const {
        sizes_.check();
        const std::size_t repeated = shape().kernels * shape().group;
        require<ValueError>(repeated > 0 && sizes_.channels % repeated == 0,
                            "ssm::Companion: copies = ", sizes_.copies, " in groups of ",
                            shape().group, " do not divide channels = ", sizes_.channels);
    }

    void set(std::size_t k, const init::Companion& system) {
        const std::size_t d = sizes_.state;
        require<ValueError>(system.a.size() == (Init::has_feedback ? d : 0) &&
                                system.b.size() == d && system.c.size() == shape().heads * d,
                            "ssm::Companion: the initialisation gave a, b, c of ", system.a.size(),
                            ", ", system.b.size(), " and ", system.c.size(),
                            " numbers for a state of ", d);
        const auto put = [d](std::span<const double> numbers, Tensor<T>& weight, std::size_t row) {
            for (std::size_t i = 0; i < numbers.size(); ++i)
                weight[row * d + i] = static_cast<T>(numbers[i]);
        };
        put(system.a, a, k);
        put(system.b, b, k);
        for (std::size_t head = 0; head < shape().heads; ++head)
            put(std::span(system.c).subspan(head * d, d), c, head * sizes_.copies + k);
    }

    static void add(std::span<const double> upstream, Tensor<T>& gradient) noexcept {
        for (std::size_t i = 0; i < gradient.size(); ++i)
            gradient[i] += static_cast<T>(upstream[i]);
    }

    LtiSizes sizes_;
    std::size_t kernels_;
    DynamicsTraining training_;
    Options options_;
};

}  // namespace ssm
