// S5 against a plain reference and its promises, with regular and irregular sampling.

#include <cmath>
#include <complex>
#include <cstddef>
#include <span>
#include <string_view>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/async.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/layer/lti_options.hpp>
#include <ssm/layer/s5.hpp>

#include "reference/mimo.hpp"
#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_scan.hpp"
#include "support/prebuilt_systems.hpp"

using namespace ssm;

namespace {

using Complex = std::complex<double>;
using Unit = S5<double>;

static_assert(StreamingLayer<Unit> && TrainableLayer<Unit>);
static_assert(!StreamingLayer<S5<double, Zoh, Bidirectional>> &&
              TrainableLayer<S5<double, Zoh, Bidirectional>>);

template <class T>
Batch<T> random_batch(Shape shape, Rng& rng) {
    Batch<T> result(shape);
    for (std::size_t i = 0; i < result.size(); ++i)
        result.data()[i] = static_cast<T>(rng.normal());
    return result;
}

/// Steps between 0 and 2 time steps, some of them none at all: two samples at the same time.
Batch<double> random_intervals(std::size_t batch, std::size_t length, Rng& rng) {
    Batch<double> result(batch, length, 1);
    for (std::size_t i = 0; i < result.size(); ++i)
        result.data()[i] = i % 5 == 3 ? 0.0 : rng.uniform(0.0, 2.0);
    return result;
}

/// The layer by its formulae; step t of the sequence takes intervals[t] time steps, input weights those of
/// weight_interval(interval).
template <class L, class Weight>
ssm_test::MimoReference reference(const L& layer, std::vector<double> intervals,
                                  Weight&& weight_interval) {
    const auto lambda = ssm_test::pairs_of(layer.bank.Lambda);
    const auto dt = [&layer](std::size_t p) {
        return layer.rate() * std::exp(layer.bank.log_step[p]);
    };
    return ssm_test::reference_of(
        layer, layer.bank.output_factor(),
        [=](std::size_t t, std::size_t p) { return std::exp(intervals[t] * dt(p) * lambda[p]); },
        [=](std::size_t t, std::size_t p) {
            const Complex x = weight_interval(intervals[t]) * dt(p) * lambda[p];
            return x == 0.0 ? 0.0 : (std::exp(x) - 1.0) / lambda[p];
        });
}

/// Whole sequences, blocks, and steps against the reference.
template <class L, class Weight>
void check_intervals(const L& layer, Weight&& weight_interval) {
    Rng rng(4);
    Workspace workspace;
    const std::size_t L_ = 23;
    const Batch<double> u = random_batch<double>({2, L_, layer.in_channels()}, rng);
    const Batch<double> intervals = random_intervals(2, L_, rng);
    Batch<double> y(u.shape()), blocks(u.shape()), steps(u.shape());
    layer.forward(u, y, Context(workspace).with_intervals(intervals));

    for (std::size_t b = 0; b < 2; ++b) {
        const auto own = intervals.view().sequence(b).flat();
        const auto system = reference(layer, {own.begin(), own.end()}, weight_interval);
        std::vector<Complex> x(layer.modes());
        const auto input = u.view().sequence(b);
        const auto expected = system.run({input.flat().begin(), input.flat().end()}, x);
        auto state = layer.rest_state();
        layer.forward(
            input.steps(0, 9), blocks.view().sequence(b).steps(0, 9), state,
            Context(workspace).with_intervals(Intervals(intervals.view()).sequence(b).steps(0, 9)));
        for (std::size_t l = 9; l < L_; ++l)
            layer.step(input.row(0, l), own.subspan(l, 1), blocks.view().row(b, l), state);
        for (std::size_t i = 0; i < expected.size(); ++i) {
            const std::size_t at = b * expected.size() + i;
            CHECK(std::abs(y.data()[at] - expected[i]) < 1e-12);
            CHECK(std::abs(blocks.data()[at] - expected[i]) < 1e-12);
        }
        const Tensor<double> values = layer.state_values(state);
        for (std::size_t p = 0; p < x.size(); ++p)
            CHECK(std::abs(Complex(values[2 * p], values[2 * p + 1]) - x[p]) < 1e-12);
    }
}

/// Gradients of sum(y g) against central differences, for all weights and the input.
template <class L>
void check_gradients(const L& layer, const Context& context, const Shape& shape) {
    Rng rng(8);
    Batch<double> u = random_batch<double>(shape, rng);
    const Batch<double> g = random_batch<double>(shape, rng);
    const auto loss = [&](const L& l) {
        Batch<double> y(shape);
        l.forward(u, y, context);
        double sum = 0.0;
        for (std::size_t i = 0; i < y.size(); ++i)
            sum += y.data()[i] * g.data()[i];
        return sum;
    };
    typename L::Cache cache;
    L gradient = zeros_like(layer);
    Batch<double> y(shape), du(shape);
    layer.forward(u, y, cache, context);
    layer.backward(u, g, du, cache, gradient, context);

    constexpr double step = 1e-5;
    // differences are right to about step^2 and 1e-16 / step
    const auto compare = [](double found, double up, double down) {
        const double expected = (up - down) / (2.0 * step);
        CHECK(std::abs(found - expected) < 1e-7 * (1.0 + std::abs(expected)));
    };
    L moved = layer;
    visit(
        [&](std::string_view name, const WeightTraits&, auto& weight, const auto& slope) {
            CAPTURE(name);
            for (std::size_t i = 0; i < weight.size(); i += 3) {
                const double before = weight[i];
                weight[i] = before + step;
                const double up = loss(moved);
                weight[i] = before - step;
                compare(slope[i], up, loss(moved));
                weight[i] = before;
            }
        },
        moved, gradient);
    for (std::size_t i = 0; i < u.size(); i += 7) {
        const double before = u.data()[i];
        u.data()[i] = before + step;
        const double up = loss(layer);
        u.data()[i] = before - step;
        compare(du.data()[i], up, loss(layer));
        u.data()[i] = before;
    }
}

}  // namespace

TEST_CASE("S5 keeps the promises of a layer") {
    ssm_test::check_conformance(
        ssm_test::with_noise(Unit({.channels = 5, .state = 6, .dynamics = {.clip_poles = true}})));
    ssm_test::check_conformance(
        Unit({.channels = 3, .state = 9, .skip = false, .dynamics = {.conjugate = false}}));
    ssm_test::check_conformance(
        S5<double, Zoh, Bidirectional>({.channels = 5, .state = 8, .dynamics = {.blocks = 2}}));
    ssm_test::check_conformance(Unit({.channels = 4, .state = 6, .liquid = true}));
}

TEST_CASE("S5 is its formulae, regular and irregular") {
    const auto own = [](double interval) { return interval; };
    const auto one = [](double) { return 1.0; };
    check_intervals(Unit({.channels = 3, .state = 10, .rate = 1.5}, Rng(2)), own);
    check_intervals(Unit({.channels = 3, .state = 4, .dynamics = {.conjugate = false}}, Rng(2)),
                    own);
    check_intervals(S5<double, Async>({.channels = 3, .state = 10}, Rng(2)), one);

    // intervals of 1 are no intervals
    Rng rng(3);
    Workspace workspace;
    const Unit layer({.channels = 3, .state = 10}, Rng(2));
    const Batch<double> u = random_batch<double>({2, 600, 3}, rng);
    Batch<double> y(u.shape()), z(u.shape()), intervals(2, 600, 1);
    intervals.fill(1.0);
    layer.forward(u, y, workspace);
    layer.forward(u, z, Context(workspace).with_intervals(intervals));
    for (std::size_t i = 0; i < y.size(); ++i)
        CHECK(std::abs(y.data()[i] - z.data()[i]) < 1e-12);
}

TEST_CASE("gradients of irregular sequences are right, resets and lengths included") {
    Rng rng(6);
    Workspace workspace;
    const Shape shape{2, 11, 3};
    const Batch<double> intervals = random_intervals(2, 11, rng);
    Batch<std::uint8_t> mask(2, 11, 1);
    mask(0, 4, 0) = mask(1, 7, 0) = 1;
    const std::vector<std::size_t> lengths{11, 9};
    const Context context =
        Context(workspace).with_intervals(intervals).with_resets(mask).with_lengths(lengths);
    const auto check = [&]<class L>(std::type_identity<L>, bool liquid) {
        const L layer({.channels = 3, .state = 8, .liquid = liquid, .rate = 0.7}, Rng(2));
        check_gradients(layer, context, shape);
    };
    check(std::type_identity<Unit>{}, false);
    check(std::type_identity<Unit>{}, true);
    check(std::type_identity<S5<double, Async>>{}, false);
    check(std::type_identity<S5<double, Zoh, Bidirectional>>{}, false);
}

TEST_CASE("S5 in float keeps slow modes over long sequences") {
    // 1 - |z| of 1e-5 to 1e-3: rounding z to float would change such decays by up to 0.6 %
    const std::size_t length = 20000;
    const S5<float> layer({.channels = 2, .state = 8, .rate = 0.01}, Rng(2));
    const Unit precise({.channels = 2, .state = 8, .rate = 0.01}, Rng(2));
    Rng rng(3);
    Workspace workspace;
    const Batch<float> u = random_batch<float>({1, length, 2}, rng);
    Batch<float> y(u.shape());
    Batch<double> v(u.shape()), z(u.shape());
    for (std::size_t i = 0; i < u.size(); ++i)
        v.data()[i] = static_cast<double>(u.data()[i]);
    layer.forward(u, y, workspace);
    precise.forward(v, z, workspace);
    double error = 0.0;
    double largest = 0.0;
    for (std::size_t i = 0; i < u.size(); ++i) {
        error = std::max(error, std::abs(static_cast<double>(y.data()[i]) - z.data()[i]));
        largest = std::max(largest, std::abs(z.data()[i]));
    }
    CHECK(error < 3e-5 * largest);
}

TEST_CASE("S5 says what is wrong") {
    CHECK_THROWS_AS(Unit({.channels = 0}), ValueError);
    CHECK_THROWS_AS(Unit({.channels = 2, .state = 6, .dynamics = {.blocks = 4}}), ValueError);
    CHECK_THROWS_AS(Unit({.channels = 2, .state = 6, .dynamics = {.blocks = 2}}), ValueError);
    CHECK_THROWS_AS(Unit({.channels = 2, .rate = 0.0}), ValueError);
    CHECK_THROWS_AS(Unit({.channels = 2, .dynamics = {.dt_min = 0.0}}), ValueError);
    const Unit layer({.channels = 2, .state = 4});
    Workspace workspace;
    const Batch<double> u(1, 3, 2), intervals(1, 4, 1);
    Batch<double> y(1, 3, 2);
    CHECK_THROWS_AS(layer.forward(u, y, Context(workspace).with_intervals(intervals)), ShapeError);
    auto state = layer.rest_state(2);
    CHECK_THROWS_AS(layer.forward(u, y, state, workspace), ShapeError);
    CHECK_THROWS_AS(layer.set_state_values(state, Tensor<double>({1, 2, 2})), ShapeError);
}
