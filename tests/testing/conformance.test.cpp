// The checkers find what is wrong with layers that break one promise each.

#include <cstddef>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/testing/conformance.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using namespace ssm;

namespace {

enum class Fault {
    none,
    step_differs,
    forgets_resets,
    ignores_lengths,
    mixes_rows,
    skips_an_element,
    overwrites_gradient,
    wrong_weight_gradient,
    wrong_input_gradient,
    allocates_in_step,
    shares_state,
};

std::vector<double> sink;  // keeps the allocation of a faulty step from being optimised away

/// x_t = x_{t-1} + w u_t, y_t = x_t: a running sum, with a fault on request.
class RunningSum {
public:
    using value_type = double;
    using input_type = double;
    struct State {
        std::vector<double> sums;
    };
    struct Cache {};

    explicit RunningSum(Fault fault) : weight({1}, 0.5), fault_(fault) {}

    [[nodiscard]] std::size_t in_channels() const noexcept { return 1; }
    [[nodiscard]] std::size_t out_channels() const noexcept { return 1; }

    void forward(BatchView<const double> u, BatchView<double> y, const Context& context) const {
        State state = rest_state(u.batch());
        forward(u, y, state, context);
    }
    void forward(BatchView<const double> u, BatchView<double> y, State& state,
                 const Context& context) const {
        require_forward("RunningSum", *this, u, y, context);
        for (std::size_t b = 0; b < u.batch(); ++b) {
            const bool mixes = fault_ == Fault::mixes_rows && b > 0;
            double& sum = fault_ == Fault::shares_state ? shared_ : state.sums[b];
            if (fault_ == Fault::shares_state)
                sum = state.sums[b];
            for (std::size_t l = 0; l < u.length(); ++l) {
                if (fault_ != Fault::forgets_resets && context.resets_at(b, l))
                    sum = 0.0;
                const bool counts =
                    fault_ == Fault::ignores_lengths || l < context.valid_length(b, u.length());
                if (counts)
                    sum += weight[0] * u(b, l, 0);
                if (fault_ != Fault::skips_an_element || l != 2)
                    y(b, l, 0) = sum + (mixes ? 1e-3 * u(b - 1, l, 0) : 0.0);
            }
            state.sums[b] = sum;
        }
    }
    void forward(BatchView<const double> u, BatchView<double> y, Cache&,
                 const Context& context) const {
        forward(u, y, context);
    }

    [[nodiscard]] State rest_state(std::size_t batch = 1) const {
        return {std::vector<double>(batch)};
    }
    void step(std::span<const double> u, std::span<double> y, State& state) const noexcept {
        for (std::size_t b = 0; b < u.size(); ++b) {
            double& sum = fault_ == Fault::shares_state ? shared_ : state.sums[b];
            sum += weight[0] * u[b];
            y[b] = sum * (fault_ == Fault::step_differs ? 1.0 + 1e-6 : 1.0);
            if (fault_ == Fault::mixes_rows && b > 0)
                y[b] += 1e-3 * u[b - 1];
        }
        if (fault_ == Fault::allocates_in_step)
            sink = std::vector<double>(3);
    }

    void backward(BatchView<const double> u, BatchView<const double> dy, BatchView<double> du,
                  const Cache&, RunningSum& gradient, const Context& context) const {
        double total = 0.0;
        for (std::size_t b = 0; b < u.batch(); ++b) {
            double later = 0.0;
            for (std::size_t l = u.length(); l-- > 0;) {
                const bool counts = l < context.valid_length(b, u.length());
                later += dy(b, l, 0);
                total += counts ? later * u(b, l, 0) : 0.0;
                if (!du.empty())
                    du(b, l, 0) = counts ? weight[0] * later : 0.0;
                if (!du.empty() && fault_ == Fault::wrong_input_gradient)
                    du(b, l, 0) *= 1.0 + 1e-5;
                if (context.resets_at(b, l))
                    later = 0.0;
            }
        }
        if (fault_ == Fault::wrong_weight_gradient)
            total *= 1.0 + 1e-5;
        gradient.weight[0] =
            total + (fault_ == Fault::overwrites_gradient ? 0.0 : gradient.weight[0]);
    }

    template <class Visitor, class... Layers>
    static void visit_weights(Visitor&& visitor, Layers&... layers) {
        visitor("weight", WeightTraits{}, layers.weight...);
    }

    Tensor<double> weight;

private:
    Fault fault_;
    static inline double shared_ = 0.0;
};

static_assert(StreamingLayer<RunningSum> && TrainableLayer<RunningSum>);

/// What the checker says of a layer with this fault; empty when it finds nothing.
std::string verdict(Fault fault) {
    const ssm_test::AllocationCounter counter;
    ssm::testing::ConformanceOptions options;
    options.allocates_in_blocks = true;
    if (ssm_test::AllocationCounter::available())
        options.allocations = [&] { return counter.count(); };
    Rng rng(11);
    try {
        (void)check_layer_conformance(RunningSum(fault), options, rng);
    } catch (const ssm::testing::ConformanceError& error) {
        return error.what();
    }
    return "";
}

bool says(Fault fault, const std::string& sentence) {
    const std::string found = verdict(fault);
    INFO(found);
    CHECK(found.find(sentence) != std::string::npos);
    return true;
}

}  // namespace

TEST_CASE("a layer that keeps its promises passes") {
    CHECK(verdict(Fault::none).empty());
}

TEST_CASE("each broken promise is found and named") {
    says(Fault::step_differs, "steps against whole sequences");
    says(Fault::forgets_resets, "forward with resets against fresh starts");
    says(Fault::ignores_lengths, "step behind a padded block");
    says(Fault::mixes_rows, "of a sequence in a batch and alone");
    says(Fault::skips_an_element, "was not written");
    says(Fault::overwrites_gradient, "gradient added to ones: weight");
    says(Fault::wrong_weight_gradient, "gradient of weight");
    says(Fault::wrong_input_gradient, "gradient of the input");
    says(Fault::shares_state, "against whole sequences");
    if (ssm_test::AllocationCounter::available())
        says(Fault::allocates_in_step, "step allocates 1 times");
}
