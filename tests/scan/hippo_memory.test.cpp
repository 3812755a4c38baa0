#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numbers>
#include <type_traits>
#include <vector>

#include <ssm/core/error.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/legs.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/scan/hippo_memory.hpp>

#include "support/allocation_counter.hpp"
#include "support/catch.hpp"

using namespace ssm;
namespace hippo = ssm::init::hippo;

namespace {

/// A smooth signal.
double signal(double t) {
    return std::sin(0.011 * t) + 0.5 * std::cos(0.023 * t + 1.0);
}

/// Largest error of what a memory says about the last `reach` of 1500 samples.
template <class Memory>
double reconstruction_error(Memory memory, std::size_t reach) {
    constexpr std::size_t count = 1500;
    using T = typename decltype(memory.coefficients())::value_type;
    for (std::size_t t = 0; t < count; ++t) {
        const T sample = static_cast<T>(signal(static_cast<double>(t)));
        memory.update({&sample, 1});
    }
    std::vector<double> steps_ago;
    for (std::size_t i = 0; i < reach; i += 7)
        steps_ago.push_back(static_cast<double>(i));
    std::vector<double> values(steps_ago.size());
    std::vector<std::remove_const_t<T>> found(steps_ago.size());
    memory.reconstruct(0, steps_ago, found);
    double error = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i)
        error = std::max(error, std::abs(static_cast<double>(found[i]) -
                                         signal(static_cast<double>(count - 1) - steps_ago[i])));
    return error;
}

template <class Method>
double legs_error(const Method& method, double alpha) {
    HippoMemory<double> memory({.state = 6, .alpha = alpha});
    Eigen::VectorXd x = Eigen::VectorXd::Zero(6);
    x(0) = signal(1.0);
    for (std::size_t k = 1; k < 40; ++k) {
        const double sample = signal(static_cast<double>(k));
        memory.update({&sample, 1});
        if (k > 1) {
            const DenseTransition step = legs_transition(method, 6, k);
            x = (step.A * x + step.B * sample).eval();
        }
    }
    double error = 0.0;
    for (std::size_t n = 0; n < 6; ++n)
        error =
            std::max(error, std::abs(memory.coefficients()[n] - x(static_cast<Eigen::Index>(n))));
    return error;
}

}  // namespace

// Four waves in the window: 40 polynomials of degree up to 39 leave what the steps of the samples leave.
TEST_CASE("what a memory gives back is the past") {
    CHECK(reconstruction_error(HippoMemory<double>({.state = 40}), 1500) < 0.05);
    CHECK(reconstruction_error(HippoMemory<double, hippo::LegT>({.state = 40}), 900) < 0.01);
    CHECK(reconstruction_error(HippoMemory<double, hippo::LMU>({.state = 40}), 900) < 0.01);
    CHECK(reconstruction_error(HippoMemory<double, hippo::LagT>({.state = 60, .window = 60.0}),
                               50) < 0.05);
    CHECK(reconstruction_error(HippoMemory<float, hippo::LegT>({.state = 32}), 900) < 0.01);
}

TEST_CASE("the two forms of Legendre windows give back the same") {
    const auto legt = reconstruction_error(HippoMemory<double, hippo::LegT>({.state = 12}), 900);
    const auto lmu = reconstruction_error(HippoMemory<double, hippo::LMU>({.state = 12}), 900);
    CHECK(legt == Approx(lmu).epsilon(1e-9));
}

TEST_CASE("Fourier memories give back a periodic signal") {
    const auto check = [](auto memory) {
        for (std::size_t t = 0; t < 4000; ++t) {
            const double sample = std::sin(2.0 * std::numbers::pi * static_cast<double>(t) / 250.0);
            memory.update({&sample, 1});
        }
        const std::vector<double> steps_ago{100.0, 300.0, 531.0, 800.0};
        std::vector<double> values(4);
        memory.reconstruct(0, steps_ago, values);
        for (std::size_t i = 0; i < 4; ++i)
            CHECK(values[i] ==
                  Approx(std::sin(2.0 * std::numbers::pi * (3999.0 - steps_ago[i]) / 250.0))
                      .margin(0.1));
    };
    check(HippoMemory<double, hippo::Fourier>({.state = 64}));
    check(HippoMemory<double, hippo::Fourier2>({.state = 64}));
}

TEST_CASE("the memory of the whole history takes the steps of HiPPO-LegS in linear time") {
    CHECK(legs_error(Bilinear{}, 0.5) < 1e-13);
    CHECK(legs_error(BackwardEuler{}, 1.0) < 1e-13);
    CHECK(legs_error(GeneralizedBilinear{0.25}, 0.25) < 1e-12);
}

TEST_CASE("time-varying steps of LegS: Euler and zero-order hold") {
    const auto [A, B] = hippo::LegS::transition(3);
    const DenseTransition euler = legs_transition(ForwardEuler{}, 3, 4);
    CHECK((euler.A - (DenseMatrix::Identity(3, 3) + 0.25 * A)).norm() < 1e-15);
    CHECK((euler.B - 0.25 * B).norm() < 1e-15);
    // exp(A log s) has s^{-(n+1)} on its diagonal, and a constant stays the constant.
    const DenseTransition hold = legs_transition(Zoh{}, 3, 4);
    CHECK(hold.A(0, 0) == Approx(4.0 / 5.0));
    CHECK(hold.A(1, 1) == Approx(std::pow(4.0 / 5.0, 2)));
    const Eigen::Vector3d constant(1.0, 0.0, 0.0);
    CHECK((hold.A * constant + hold.B - constant).norm() < 1e-14);
    CHECK_THROWS_AS(legs_transition(Zoh{}, 3, 0), ValueError);
    CHECK_THROWS_AS(legs_transition(Bilinear{}, 3, 0), ValueError);
}

TEST_CASE("a constant is remembered exactly, several signals apart") {
    HippoMemory<double> memory({.state = 5, .channels = 2});
    for (int i = 0; i < 10; ++i)
        memory.update(std::vector<double>{3.0, -1.0});
    CHECK(memory.coefficients(0)[0] == Approx(3.0));
    CHECK(memory.coefficients(1)[0] == Approx(-1.0));
    CHECK(std::abs(memory.coefficients(1)[4]) < 1e-14);
    CHECK(memory.count() == 10);
    memory.reset();
    CHECK(memory.count() == 0);
    CHECK(memory.coefficients(0)[0] == 0.0);
}

TEST_CASE("updates of a memory do not allocate") {
    HippoMemory<float> whole({.state = 16});
    HippoMemory<float, hippo::LegT> window({.state = 16, .channels = 2});
    const std::vector<float> u{1.0F, 2.0F};
    const ssm_test::AllocationCounter counter;
    for (int i = 0; i < 5; ++i) {
        whole.update(u);
        window.update(u);
    }
    if (ssm_test::AllocationCounter::available())
        CHECK(counter.count() == 0);
    static_assert(noexcept(whole.update(u))&& noexcept(window.update(u)));
}

TEST_CASE("questions that a memory cannot answer") {
    HippoMemory<double, hippo::LegT> memory({.state = 4, .window = 10.0});
    std::vector<double> values(1);
    CHECK_THROWS_AS(memory.reconstruct(0, std::vector<double>{-1.0}, values), ValueError);
    CHECK_THROWS_AS(memory.reconstruct(0, std::vector<double>{9.5}, values), ValueError);
    CHECK_THROWS_AS(memory.reconstruct(0, std::vector<double>{1.0, 2.0}, values), ShapeError);
    CHECK_THROWS_AS(memory.reconstruct(1, std::vector<double>{1.0}, values), ValueError);
    CHECK_THROWS_AS(memory.coefficients(1), ValueError);
    CHECK_THROWS_AS(HippoMemory<double>({.state = 0}), ValueError);
    CHECK_THROWS_AS(HippoMemory<double>({.state = 4, .alpha = 2.0}), ValueError);
    CHECK_THROWS_AS((HippoMemory<double, hippo::LegT>({.state = 4, .window = 0.0})), ValueError);
}
