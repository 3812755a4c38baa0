// Blocks with gates around a state space layer; here a linear one, which is quick to compile and differentiate.

#include <cstddef>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/conv1d.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/math/activation.hpp>
#include <ssm/model/gated_block.hpp>
#include <ssm/model/self_gate.hpp>

#include "support/catch.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_selective.hpp"

using namespace ssm;

TEST_CASE("gated blocks keep the promises of layers") {
    const Linear<double> system({.in = 5, .out = 5}, Rng(1));
    ssm_test::check_conformance(half_glu1_block(system, 0.0, Rng(2)));
    ssm_test::check_conformance(half_glu2_block(system, 0.0, Rng(2)));
}

TEST_CASE("gated blocks are their formulae") {
    const Linear<double> system({.in = 3, .out = 3}, Rng(1));
    const math::GeluTanh gelu;
    const math::Sigmoid sigmoid;
    Workspace workspace;
    Batch<double> u(1, 1, 3), x(u.shape()), y(u.shape());
    Rng rng(3);
    for (double& number : u.view().flat())
        number = rng.normal();
    system.forward(u, x, workspace);
    const auto row = [&](const Linear<double>& linear, std::size_t i, auto&& input) {
        double sum = linear.bias[i];
        for (std::size_t j = 0; j < 3; ++j)
            sum += linear.weight[i * 3 + j] * input(j);
        return sum;
    };
    const auto g = [&](std::size_t j) { return gelu(x(0, 0, j)); };

    gelu_block(system).forward(u, y, workspace);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(y(0, 0, i) == Approx(g(i)));
    const auto half1 = half_glu1_block(system, 0.0, Rng(2));
    half1.forward(u, y, workspace);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(y(0, 0, i) == Approx(g(i) * sigmoid(row(std::get<3>(half1.layers).inner, i, g))));
    const auto half2 = half_glu2_block(system, 0.0, Rng(2));
    half2.forward(u, y, workspace);
    const auto& gate = std::get<2>(std::get<1>(half2.layers).inner.layers);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(y(0, 0, i) == Approx(x(0, 0, i) * sigmoid(row(gate, i, g))));
    const auto full = full_glu_block(system, 0.0, Rng(2));
    full.forward(u, y, workspace);
    const Linear<double>& both = std::get<3>(full.layers);
    for (std::size_t i = 0; i < 3; ++i)
        CHECK(y(0, 0, i) == Approx(row(both, i, g) * sigmoid(row(both, i + 3, g))));
}

TEST_CASE("a gate has the width of its input") {
    CHECK_THROWS_AS(SelfGate(Linear<double>({.in = 3, .out = 4})), ShapeError);
}

TEST_CASE("what a stream through a gate remembers has a name") {
    const SelfGate gate(Conv1d<double>({.channels = 3}));
    auto state = gate.rest_state();
    std::vector<std::string> names;
    const auto note = [&](std::string_view name, const auto& value) {
        static_assert(std::is_same_v<decltype(value), const Conv1d<double>::State&>);
        names.emplace_back(name);
    };
    decltype(state)::visit_numbers(note, state);
    CHECK(names == std::vector<std::string>{"inner"});
}
