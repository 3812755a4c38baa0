// Banks of dense systems in all modes, and their discrete systems against plain doubles.

#include <cmath>
#include <cstddef>
#include <vector>

#include <ssm/core/concepts.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/dense.hpp>

#include "reference/dense.hpp"
#include "support/conformance.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;
using ssm_test::check_conformance;

namespace {

template <class T, class Evaluation = evaluation::Auto, class Discretization = GeneralizedBilinear,
          class Direction = Causal>
using DenseLayer = Lti<T, Dense<init::hippo::LegT>, Discretization, Evaluation, Direction>;

static_assert(StreamingLayer<DenseLayer<float>> && TrainableLayer<DenseLayer<float>>);
static_assert(LinearStructure<Dense<>, float, Bilinear>);

template <class L>
L make(std::size_t channels, std::size_t state, std::size_t heads = 1, std::size_t copies = 0) {
    typename L::Options options;
    options.channels = channels;
    options.state = state;
    options.heads = heads;
    options.copies = copies;
    options.timescale = {.min = 0.02, .max = 0.2};
    return L(options, Rng(7));
}

/// Error of a whole sequence and of one in two blocks against the convolution with the plain kernel.
template <class T>
double forward_error(std::size_t state, std::size_t length) {
    const auto precise = make<DenseLayer<double>>(18, state, 2, 3);
    const auto layer = make<DenseLayer<T, evaluation::Recurrence>>(18, state, 2, 3);
    Rng rng(5);
    Batch<T> u(2, length, 18);
    for (T& x : u.view().flat())
        x = static_cast<T>(rng.normal());
    const std::vector<double> K = ssm_test::dense_kernel(precise.system(), length);
    std::vector<double> expected(2 * length * 36);
    for (std::size_t b = 0; b < 2; ++b)
        for (std::size_t l = 0; l < length; ++l)
            for (std::size_t out = 0; out < 36; ++out) {
                double sum = precise.D[out] * static_cast<double>(u(b, l, out % 18));
                for (std::size_t j = 0; j <= l; ++j)
                    sum += K[out * length + j] * static_cast<double>(u(b, l - j, out % 18));
                expected[(b * length + l) * 36 + out] = sum;
            }
    Batch<T> y(2, length, 36);
    Workspace workspace;
    layer.forward(u, y, workspace);
    return ssm_test::relative_error(y.view().flat(), expected);
}

}  // namespace

TEST_CASE("dense layers keep every promise of a layer") {
    check_conformance(make<DenseLayer<double>>(4, 5, 2, 2));
    check_conformance(make<DenseLayer<double, evaluation::Recurrence>>(3, 4));
    check_conformance(make<DenseLayer<float, evaluation::Fft>>(3, 8));
}

TEST_CASE("bidirectional dense layers keep every promise except streaming") {
    check_conformance(
        make<DenseLayer<double, evaluation::Auto, GeneralizedBilinear, Bidirectional>>(3, 4));
}

TEST_CASE("so they do with a zero-order hold, whose exponential allocates") {
    testing::ConformanceOptions options;
    options.allocates_in_blocks = true;
    check_conformance(make<DenseLayer<double, evaluation::Auto, Zoh>>(4, 5, 2, 2), options);
}

// States of 3 to 64 numbers: chunks of 16 to 64 steps, calls that are cut into several panels, short ones that take
// single steps. In float the state is rounded once a chunk or step.
TEST_CASE("blocks in chunks are the convolution with the kernel") {
    for (const std::size_t state : {3U, 16U, 40U})
        for (const std::size_t length : {1U, 5U, 64U, 200U, 1100U}) {
            CAPTURE(state, length);
            CHECK(forward_error<double>(state, length) < 1e-12);
        }
    CHECK(forward_error<float>(16, 1100) < 1e-5);
}

TEST_CASE("the discrete system is the bilinear one of the dense weights") {
    const auto layer = make<DenseLayer<double>>(2, 4);
    const auto [A, B] = init::hippo::LegT::transition(4);
    const DenseSystem system = layer.system();
    for (std::size_t h = 0; h < 2; ++h) {
        const double dt = std::exp(layer.bank.inv_dt[h]);
        const Eigen::MatrixXd left = Eigen::MatrixXd::Identity(4, 4) - 0.5 * dt * A;
        const Eigen::MatrixXd right = Eigen::MatrixXd::Identity(4, 4) + 0.5 * dt * A;
        CHECK((left * system.transition(h) - right).norm() < 1e-14);
        CHECK((left * system.input(h) - dt * B).norm() < 1e-14);
    }
}

TEST_CASE("values of a dense state are x, and can be set") {
    const auto layer = make<DenseLayer<double>>(2, 3);
    auto state = layer.rest_state(2);
    const std::vector<double> u{1.0, -1.0, 0.5, 2.0};
    std::vector<double> y(4);
    layer.step(u, y, state);
    Tensor<double> values = layer.state_values(state);
    CHECK(values.extents() == Extents{2, 2, 3});
    CHECK(values[1] == Approx(layer.system().B[1]).epsilon(1e-14));
    CHECK(values[4] == Approx(-layer.system().B[4]).epsilon(1e-14));
    auto other = layer.rest_state(2);
    layer.set_state_values(other, values);
    CHECK(other == state);
    CHECK_THROWS_AS(layer.set_state_values(other, Tensor<double>({2, 3})), ShapeError);
}

TEST_CASE("options of dense layers out of their domain") {
    CHECK_THROWS_AS(make<DenseLayer<double>>(0, 4), ValueError);
    CHECK_THROWS_AS(make<DenseLayer<double>>(4, 0), ValueError);
    CHECK_THROWS_AS(make<DenseLayer<double>>(4, 4, 1, 3), ValueError);
    DenseLayer<double>::Options untied;
    untied.channels = 2;
    untied.timescale.tied = false;
    CHECK_THROWS_AS(DenseLayer<double>(untied), ValueError);
}
