#include <algorithm>
#include <cmath>
#include <cstddef>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/core/weights.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/kernel/krylov.hpp>
#include <ssm/model/lssl.hpp>

#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using ssm_test::check_conformance;
namespace tridiagonal = ssm::init::tridiagonal;

namespace {

/// A and B of the first copy of a structure.
template <class Init>
init::hippo::Transition transition_of(const Init& init, std::size_t N) {
    Rng rng(3);
    Workspace workspace;
    const InverseTridiagonalTransition<double, Init> transition(1, N, {.init = init}, rng);
    DenseSystem system({1, N, 1});
    transition.matrices(0, system.transition(0), system.input(0), workspace);
    return {system.transition(0), system.input(0).col(0)};
}

double distance(const init::hippo::Transition& a, const init::hippo::Transition& b) {
    return std::max((a.A - b.A).norm() / b.A.norm(), (a.B - b.B).norm() / b.B.norm());
}

/// Outputs of a small layer after `change` of its options.
template <class Change>
LSSL<double> make(const Change& change) {
    LSSL<double>::Options options{.channels = 3, .state = 4, .heads = 2, .bias = true};
    options.timescale = {.min = 0.02, .max = 0.2};
    change(options);
    return LSSL<double>(options, Rng(7));
}
LSSL<double> make() {
    return make([](auto&) {});
}

}  // namespace

static_assert(StreamingLayer<LSSL<float>> && TrainableLayer<LSSL<float>>);

TEST_CASE("an LSSL keeps every promise of a layer") {
    check_conformance(make());  // as it starts: noise on its transitions would make it unstable
}

TEST_CASE("inverse tridiagonal transitions contain HiPPO") {
    for (const std::size_t N : std::vector<std::size_t>{1, 2, 5, 8}) {
        CAPTURE(N);
        CHECK(distance(transition_of(tridiagonal::LegS{}, N), init::hippo::LegS::transition(N)) <
              1e-14);
        CHECK(distance(transition_of(tridiagonal::LagT{}, N), init::hippo::LagT{}.transition(N)) <
              1e-14);
    }
    for (const std::size_t N : std::vector<std::size_t>{2, 5, 8}) {
        init::hippo::Transition legt = init::hippo::LegT::transition(N);
        legt.A *= 2.0;
        legt.B *= 2.0;
        CHECK(distance(transition_of(tridiagonal::LegT{0.0}, N), legt) < 1e-14);
    }
    CHECK(transition_of(tridiagonal::Jacobi{}, 3)
              .B.isApprox(2.0 * Eigen::Vector3d(2.0, 4.0, 6.0).cwiseSqrt()));
    CHECK(transition_of(tridiagonal::Chebyshev{}, 4).A.allFinite());
}

TEST_CASE("tridiagonal systems are solved with pivots that are zero") {
    std::vector<double> lower{0.0, -0.5, -0.5, 2.0}, diagonal{0.0, 0.0, 1e-3, 1.0},
        upper{0.5, 0.5, 3.0, 0.0}, scratch(4);
    Eigen::Matrix4d T = Eigen::Matrix4d::Zero();
    for (Eigen::Index i = 0; i < 4; ++i) {
        T(i, i) = diagonal[static_cast<std::size_t>(i)];
        if (i > 0)
            T(i, i - 1) = lower[static_cast<std::size_t>(i)];
        if (i < 3)
            T(i, i + 1) = upper[static_cast<std::size_t>(i)];
    }
    DenseMatrix X = DenseMatrix::Identity(4, 4);
    math::solve_tridiagonal(lower, diagonal, upper, scratch, matrix_map(X.data(), 4, 4));
    CHECK((T * X - Eigen::Matrix4d::Identity()).norm() < 1e-14);
}

TEST_CASE("the Krylov sequence of LegS has the published numbers") {
    Rng rng;
    Lti<double, InverseTridiagonal<>, Bilinear>::Options options;
    options.channels = 1;
    options.state = 3;
    options.heads = 3;
    Lti<double, InverseTridiagonal<>, Bilinear> layer(options);
    layer.bank.set_steps({0.1});
    layer.bank.C.fill(0.0);
    for (std::size_t n = 0; n < 3; ++n)
        layer.bank.C[n * 3 + n] = 1.0;
    const Tensor<double> K = layer.kernel(4);
    const std::vector<double> expected{0.0952380952, 0.0861678005, 0.0779613433,  0.0705364534,
                                       0.1499611089, 0.1084134424, 0.0757800885,  0.0503107211,
                                       0.1599295749, 0.0570646315, -0.0047949419, -0.0392135994};
    for (std::size_t i = 0; i < expected.size(); ++i)
        CHECK(K[i] == Approx(expected[i]).margin(1e-10));
}

TEST_CASE("what an LSSL learns") {
    const auto copies = [](const LSSL<double>& layer) {
        return std::get<0>(layer.layers).bank.transition.d.extent(0);
    };
    const auto separate = make([](auto& o) { o.learning = LsslLearning::separate; });
    CHECK(copies(make()) == 1);
    CHECK(copies(separate) == 3);
    const auto fixed = make([](auto& o) { o.learning = LsslLearning::fixed; });
    visit(
        [](std::string_view name, const WeightTraits& traits, const auto&) {
            const bool is_transition =
                std::string(name).find("0.kernel.") == 0 && name != "0.kernel.C";
            CHECK((traits.role == WeightRole::frozen) == is_transition);
        },
        fixed);
    const auto shared = make();
    visit(
        [](std::string_view name, const WeightTraits& traits, const auto&) {
            if (name == "0.kernel.dl")
                CHECK(traits.learning_rate == 1e-4);
            if (name == "0.kernel.inv_dt")
                CHECK(traits.learning_rate == 1e-3);
        },
        shared);
}

TEST_CASE("how an LSSL starts") {
    const auto bank = [](const LSSL<double>& layer) { return std::get<0>(layer.layers).bank; };
    const auto grid = bank(make([](auto& o) { o.uniform_steps = true; }));
    CHECK(std::exp(grid.inv_dt[0]) == Approx(0.02));
    CHECK(std::exp(grid.inv_dt[2]) == Approx(0.2));
    CHECK(bank(make([](auto& o) { o.output = LsslOutput::constant; })).C[5] == 1.0);
    const auto uniform = bank(make([](auto& o) { o.output = LsslOutput::uniform; }));
    for (const double c : uniform.C.flat())
        CHECK((c >= 0.0 && c < 1.733));
}
