#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/layer/s4d.hpp>

#include "support/conformance.hpp"
#include "support/message.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using ssm_test::check_conformance;
using ssm_test::has;

static_assert(check_streaming<S4D<float>>() && check_trainable<S4D<float>>());
static_assert(check_streaming<S4D<double>>() && check_trainable<S4D<double>>());

namespace {

/// Options whose memory is about as long as the sequences of the checks, so that carried states matter.
template <class L>
typename L::Options small(std::size_t channels, std::size_t state) {
    typename L::Options options;
    options.channels = channels;
    options.state = state;
    options.timescale = {.min = 0.02, .max = 0.3};
    return options;
}

Batch<double> noise(const Shape& shape, std::uint64_t seed) {
    Rng rng(seed);
    Batch<double> batch(shape);
    for (double& x : batch.view().flat())
        x = rng.normal();
    return batch;
}

std::string message_of(const typename S4D<double>::Options& options) {
    return ssm_test::message_of<ValueError>([&] { static_cast<void>(S4D<double>(options)); });
}

}  // namespace

TEST_CASE("S4D keeps every promise of a layer in double") {
    using L = S4D<double>;
    check_conformance(L(small<L>(5, 8)));

    auto heads = small<L>(3, 6);
    heads.heads = 2;
    heads.skip = false;
    check_conformance(L(heads));

    auto tied = small<L>(4, 4);
    tied.copies = 2;
    tied.timescale.tied = false;
    tied.timescale.transform = Transform::softplus;
    tied.timescale.fast = true;
    tied.structure.real_transform = Transform::sigmoid;
    tied.structure.imag_transform = Transform::exp;
    check_conformance(L(tied));

    auto real = small<L>(17, 3);
    real.structure.real = true;
    real.rate = 1.5;
    check_conformance(L(real));
}

TEST_CASE("S4D keeps every promise of a layer in float") {
    using L = S4D<float>;
    check_conformance(L(small<L>(19, 16)));
    check_conformance(L(small<L>(1, 2)));
}

TEST_CASE("options out of their domain say which and what was expected") {
    CHECK(has(message_of({.channels = 0}), "channels = 0"));
    CHECK(has(message_of({.channels = 4, .state = 7}), "state = 7"));
    CHECK(has(message_of({.channels = 4, .state = 0}), "state = 0"));
    CHECK(has(message_of({.channels = 4, .heads = 0}), "heads = 0"));
    CHECK(has(message_of({.channels = 4, .copies = 3}), "copies = 3"));
    CHECK(has(message_of({.channels = 4, .rate = 0.0}), "rate = 0"));
    CHECK(has(message_of({.channels = 4, .rate = std::numeric_limits<double>::quiet_NaN()}),
              "rate = nan"));
    CHECK(has(message_of({.channels = 4, .timescale = {.min = 0.0}}), "time steps from 0"));
    CHECK(has(message_of({.channels = 4, .timescale = {.min = 0.2, .max = 0.1}}), "to 0.1"));
}

TEST_CASE("views and states that do not fit are refused before anything changes") {
    const S4D<double> layer(small<S4D<double>>(3, 4));
    Workspace workspace;
    const Batch<double> u = noise({2, 5, 3}, 1);
    Batch<double> y(2, 5, 3);
    y.fill(7.0);
    const Batch<double> before = y;
    Batch<double> narrow(2, 5, 2);
    auto one = layer.rest_state(1);
    S4D<double>::State none;
    CHECK_THROWS_AS(layer.forward(narrow, y, workspace), ShapeError);
    CHECK_THROWS_AS(layer.forward(u, narrow, workspace), ShapeError);
    CHECK_THROWS_AS(layer.forward(u, y, one, workspace), ShapeError);
    CHECK_THROWS_AS(layer.forward(u, y, none, workspace), ShapeError);
    const Batch<double> intervals(2, 5, 1);
    CHECK_THROWS_AS(layer.forward(u, y, Context(workspace).with_intervals(intervals)), ValueError);
    CHECK(y == before);
    CHECK(one == layer.rest_state(1));
}

TEST_CASE("a rate of 2 is twice the time step") {
    auto options = small<S4D<double>>(3, 6);
    S4D<double> layer(options);
    S4D<double> slow = layer;
    slow.set_rate(2.0);
    const auto poles = layer.system().poles();
    const auto squares = slow.system().poles();
    for (std::size_t p = 0; p < poles.size(); ++p)
        CHECK(std::abs(squares[p] - poles[p] * poles[p]) < 1e-14);
    CHECK_THROWS_AS(slow.set_rate(-1.0), ValueError);
    CHECK(slow.rate() == 2.0);
}

TEST_CASE("prepare brings the system of a state up to date and keeps what the stream remembers") {
    S4D<double> layer(small<S4D<double>>(2, 4));
    auto state = layer.rest_state();
    const std::vector<double> u = {1.0, -2.0};
    std::vector<double> y(2);
    layer.step(u, y, state);
    const auto before = state;
    layer.set_rate(3.0);
    layer.prepare(state);
    CHECK(state == before);

    auto fresh = layer.rest_state();
    layer.set_state_values(fresh, layer.state_values(state));
    std::vector<double> z(2);
    layer.step(u, y, state);
    layer.step(u, z, fresh);
    CHECK(y[0] == Approx(z[0]).epsilon(1e-12));
}

TEST_CASE("state values go in and out") {
    const S4D<double> layer(small<S4D<double>>(3, 8));
    auto state = layer.rest_state(2);
    Workspace workspace;
    Batch<double> y(2, 20, 3);
    layer.forward(noise({2, 20, 3}, 3), y, state, workspace);
    const Tensor<double> values = layer.state_values(state);
    CHECK(values.extents() == Extents{2, 3, 4, 2});
    auto other = layer.rest_state(2);
    layer.set_state_values(other, values);
    const Tensor<double> again = layer.state_values(other);
    for (std::size_t i = 0; i < values.size(); ++i)
        CHECK(again[i] == Approx(values[i]).margin(1e-13));
    CHECK_THROWS_AS(layer.set_state_values(other, Tensor<double>({2, 3, 4})), ShapeError);

    S4D<double> deaf = layer;
    deaf.bank.B.fill(0.0);
    auto silent = deaf.rest_state(2);
    CHECK_THROWS_AS(deaf.set_state_values(silent, values), ValueError);
    CHECK(silent == deaf.rest_state(2));
}

TEST_CASE("A, B and dt have their own learning rate and no decay, or stay") {
    auto options = small<S4D<double>>(2, 4);
    options.training = {.A = true, .B = false, .dt = true, .learning_rate = 2e-3};
    const S4D<double> layer(options);
    std::size_t special = 0;
    visit(
        [&](std::string_view name, const WeightTraits& traits, const Tensor<double>&) {
            const bool is_dynamics = name != "D" && name != "kernel.C";
            CHECK(traits.weight_decay.has_value() == is_dynamics);
            CHECK((traits.learning_rate == 2e-3) == is_dynamics);
            CHECK((traits.role == WeightRole::frozen) == (name == "kernel.B"));
            special += is_dynamics ? 1U : 0U;
        },
        layer);
    CHECK(special == 4);
}

namespace {

/// What a user writes for an initialisation of their own: slow real decays.
struct SlowReal {
    [[nodiscard]] init::Diagonal operator()(std::size_t modes, Rng&) const {
        init::Diagonal system;
        for (std::size_t n = 0; n < modes; ++n) {
            system.A.emplace_back(-0.1 / static_cast<double>(n + 1), -0.5);
            system.B.emplace_back(1.0);
        }
        return system;
    }
};

/// And for a discretisation: forward Euler, z = 1 + dt lambda, b = dt.
struct ForwardEuler {
    using In = std::span<const double>;
    using Out = std::span<double>;
    static void forward(In re, In im, In dt, Out z_re, Out z_im, Out b_re, Out b_im) {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            z_re[i] = 1.0 + dt[i] * re[i];
            z_im[i] = dt[i] * im[i];
            b_re[i] = dt[i];
            b_im[i] = 0.0;
        }
    }
    static void adjoint(In re, In im, In dt, In dz_re, In dz_im, In db_re, In, Out dre, Out dim,
                        Out ddt) {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            dre[i] = dt[i] * dz_re[i];
            dim[i] = dt[i] * dz_im[i];
            ddt[i] = re[i] * dz_re[i] + im[i] * dz_im[i] + db_re[i];
        }
    }
};

}  // namespace

TEST_CASE("a user's initialisation and discretisation plug in and keep every promise") {
    using L = S4D<double, SlowReal, ForwardEuler>;
    const L layer(small<L>(3, 6));
    CHECK(layer.bank.continuous_system().A[2].real() == Approx(-0.1 / 3.0));
    check_conformance(layer);
}
