#include <cstddef>
#include <string>
#include <vector>

#include <ssm/core/weights.hpp>

#include "support/catch.hpp"

using namespace ssm;

namespace {

struct Part {
    template <class Visitor, class... Parts>
    static void visit_weights(Visitor&& visitor, Parts&... parts) {
        visitor("weight", WeightTraits{}, parts.weight...);
        visitor("rate", WeightTraits{.learning_rate = 0.001, .weight_decay = 0.0}, parts.rate...);
        visitor("fixed", WeightTraits{.role = WeightRole::frozen}, parts.fixed...);
    }
    Tensor<float> weight{{2, 3}};
    Tensor<double> rate{{4}};
    Tensor<float> fixed{{5}};
};

struct Whole {
    template <class Visitor, class... Wholes>
    static void visit_weights(Visitor&& visitor, Wholes&... wholes) {
        Part::visit_weights(nested(visitor, "left"), wholes.left...);
        Part::visit_weights(nested(visitor, "right"), wholes.right...);
    }
    Part left;
    Part right;
};

}  // namespace

TEST_CASE("a visit names all weights in order, with their traits") {
    const Whole whole;
    std::vector<std::string> names;
    std::size_t slow = 0;
    visit(
        [&](std::string_view name, const WeightTraits& traits, const auto&) {
            names.emplace_back(name);
            slow += traits.learning_rate.has_value() ? 1U : 0U;
        },
        whole);
    CHECK(names == std::vector<std::string>{"left.weight", "left.rate", "left.fixed",
                                            "right.weight", "right.rate", "right.fixed"});
    CHECK(slow == 2);
}

TEST_CASE("values are visited side by side") {
    Whole weights;
    Whole gradient = zeros_like(weights);
    visit([](std::string_view, const WeightTraits&, auto& g) { g.fill(1); }, gradient);
    const Whole& const_gradient = gradient;
    visit(
        [](std::string_view, const WeightTraits&, auto& w, const auto& g) {
            for (std::size_t i = 0; i < w.size(); ++i)
                w[i] -= 2 * g[i];
        },
        weights, const_gradient);
    CHECK(weights.right.rate[3] == -2.0);
    set_zero(weights);
    CHECK(weights.right.rate[3] == 0.0);
}

TEST_CASE("values whose weights differ in shape are not visited together") {
    Whole one;
    Whole other;
    other.right.weight = Tensor<float>({3, 2});
    CHECK_THROWS_AS(visit([](std::string_view, const WeightTraits&, auto&, auto&) {}, one, other),
                    ShapeError);
}

TEST_CASE("only trained weights count as parameters") {
    CHECK(parameter_count(Whole{}) == 2 * (6 + 4));
}
