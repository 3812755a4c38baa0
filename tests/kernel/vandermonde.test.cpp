#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include <ssm/core/aligned.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/kernel/vandermonde.hpp>

#include "reference/vandermonde.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;

namespace {

/// Modes as S4D-Lin has them after discretisation: slow and fast, up to the Nyquist frequency and beyond.
Modes lin_modes(ModeShape shape) {
    Rng rng(shape.modes + 100 * shape.channels);
    Modes modes(shape);
    for (std::size_t i = 0; i < shape.poles(); ++i) {
        const double dt = std::exp(rng.uniform(std::log(1e-3), std::log(1e-1)));
        const double frequency = 3.141592653589793 * static_cast<double>(i % shape.modes);
        const std::complex<double> z = std::polar(std::exp(-0.5 * dt), dt * frequency);
        modes.pole_re[i] = z.real();
        modes.pole_im[i] = z.imag();
    }
    for (std::size_t i = 0; i < shape.residues(); ++i) {
        modes.residue_re[i] = rng.normal();
        modes.residue_im[i] = rng.normal();
    }
    return modes;
}

template <class T>
std::vector<T> noise(std::size_t count) {
    Rng rng(5);
    std::vector<T> values(count);
    for (T& value : values)
        value = static_cast<T>(rng.normal());
    return values;
}

template <class T>
std::vector<T> kernel_of(const Modes& modes, std::size_t length) {
    Workspace workspace;
    std::vector<T> K(modes.shape.heads * modes.shape.channels * length);
    vandermonde<T>(modes, length, K, workspace);
    return K;
}

template <class T>
Modes gradient_of(const Modes& modes, std::size_t length, const std::vector<T>& upstream) {
    Workspace workspace;
    Modes gradient(modes.shape);
    vandermonde_adjoint<T>(modes, length, upstream, gradient, workspace);
    return gradient;
}

/// max |a - b| / max |b|
template <class A, class B>
double distance(const A& a, const B& b) {
    double error = 0.0;
    double size = std::numeric_limits<double>::min();
    for (std::size_t i = 0; i < a.size(); ++i) {
        error = std::max(error, std::abs(static_cast<double>(a[i]) - b[i]));
        size = std::max(size, std::abs(b[i]));
    }
    return error / size;
}

double distance_of_modes(const Modes& a, const Modes& b) {
    return std::max({distance(a.pole_re, b.pole_re), distance(a.pole_im, b.pole_im),
                     distance(a.residue_re, b.residue_re), distance(a.residue_im, b.residue_im)});
}

}  // namespace

TEMPLATE_TEST_CASE(
    "Vandermonde kernels are sums of powers, for any numbers of modes, heads and steps", "", float,
    double) {
    // Float: rounded tables, products and sums of 2 n terms; the phase does not drift with L. Double:
    // powers are products, whose relative error grows with the exponent.
    const double tolerance = std::is_same_v<TestType, float> ? 4e-7 : 1e-13;
    for (const std::size_t n : std::vector<std::size_t>{1, 2, 7, 8, 9, 16, 32, 33})
        for (const std::size_t length :
             std::vector<std::size_t>{0, 1, 2, 31, 32, 33, 63, 64, 65, 200, 449, 1024}) {
            const Modes modes = lin_modes({3, n, 2});
            const std::vector<double> expected =
                ssm_test::VandermondeReference{modes, length}.kernel();
            INFO("n = " << n << ", L = " << length);
            CHECK(distance(kernel_of<TestType>(modes, length), expected) < tolerance);
        }
}

TEMPLATE_TEST_CASE(
    "The Vandermonde adjoint is that of the sum, for any numbers of modes, heads and steps", "",
    float, double) {
    // Float: sums of 64 terms in float, everything after in double.
    const double tolerance = std::is_same_v<TestType, float> ? 1e-6 : 1e-13;
    for (const std::size_t n : std::vector<std::size_t>{1, 2, 7, 16, 17, 32})
        for (const std::size_t length :
             std::vector<std::size_t>{1, 2, 33, 64, 65, 200, 449, 1024}) {
            const Modes modes = lin_modes({3, n, 2});
            const auto upstream = noise<TestType>(6 * length);
            const Modes expected = ssm_test::VandermondeReference{modes, length}.gradient(upstream);
            INFO("n = " << n << ", L = " << length);
            CHECK(distance_of_modes(gradient_of<TestType>(modes, length, upstream), expected) <
                  tolerance);
        }
}

TEST_CASE("The Vandermonde adjoint agrees with central differences") {
    const std::size_t length = 150;
    Modes modes = lin_modes({2, 3, 2});
    const auto upstream = noise<double>(2 * 2 * length);
    const Modes gradient = gradient_of<double>(modes, length, upstream);
    const auto loss = [&] {
        const auto K = kernel_of<double>(modes, length);
        double sum = 0.0;
        for (std::size_t i = 0; i < K.size(); ++i)
            sum += K[i] * upstream[i];
        return sum;
    };
    const auto check = [&](AlignedVector<double>& values, const AlignedVector<double>& found) {
        const double step = 1e-6;  // truncation L^3 step^2, rounding 1e-16 / step
        for (std::size_t i = 0; i < values.size(); ++i) {
            const double kept = values[i];
            values[i] = kept + step;
            const double above = loss();
            values[i] = kept - step;
            const double below = loss();
            values[i] = kept;
            CHECK(found[i] == Approx((above - below) / (2.0 * step)).epsilon(1e-5).margin(1e-5));
        }
    };
    check(modes.pole_re, gradient.pole_re);
    check(modes.pole_im, gradient.pole_im);
    check(modes.residue_re, gradient.residue_re);
    check(modes.residue_im, gradient.residue_im);
}

TEST_CASE("The phase of a float kernel is exact after a hundred thousand steps") {
    Modes modes(ModeShape{1, 1, 1});
    const std::complex<double> z = std::polar(1.0, 2.9);
    modes.pole_re[0] = z.real();
    modes.pole_im[0] = z.imag();
    modes.residue_re[0] = 1.0;
    const std::size_t length = 100003;
    const auto K = kernel_of<float>(modes, length);
    double error = 0.0;
    for (std::size_t l = 0; l < length; ++l)
        error = std::max(
            error, std::abs(static_cast<double>(K[l]) - std::cos(2.9 * static_cast<double>(l))));
    CHECK(error < 4e-7);
}

TEMPLATE_TEST_CASE("Poles at zero, growing and vanishing poles have finite kernels and gradients",
                   "", float, double) {
    // z = 0 stands for a mode that forgets at once, 1e-200 underflows, e^{2} overflows behind the end.
    Modes modes(ModeShape{1, 3, 1});
    modes.pole_re = {0.0, 1e-200, std::exp(2.0)};
    modes.residue_re = {1.0, 1.0, std::exp(-60.0)};
    modes.residue_im = {0.5, 0.5, 0.0};
    const std::size_t length = 31;
    const double tolerance = std::is_same_v<TestType, float> ? 1e-6 : 1e-13;
    const ssm_test::VandermondeReference reference{modes, length};
    CHECK(distance(kernel_of<TestType>(modes, length), reference.kernel()) < tolerance);
    const auto upstream = noise<TestType>(length);
    CHECK(distance_of_modes(gradient_of<TestType>(modes, length, upstream),
                            reference.gradient(upstream)) < tolerance);
}

TEST_CASE("Gradients are added") {
    const Modes modes = lin_modes({2, 5, 1});
    const auto upstream = noise<float>(2 * 70);
    const Modes once = gradient_of<float>(modes, 70, upstream);
    Workspace workspace;
    Modes twice = once;
    vandermonde_adjoint<float>(modes, 70, upstream, twice, workspace);
    for (std::size_t i = 0; i < once.pole_re.size(); ++i)
        CHECK(twice.pole_re[i] == Approx(2.0 * once.pole_re[i]).epsilon(1e-12));
}

TEST_CASE("Vandermonde kernels and gradients are the same bits for any number of threads") {
    const Modes modes = lin_modes({7, 12, 2});
    const auto upstream = noise<float>(14 * 300);
    set_threads(1);
    const auto kernel = kernel_of<float>(modes, 300);
    const Modes gradient = gradient_of<float>(modes, 300, upstream);
    for (const std::size_t count : std::vector<std::size_t>{2, 3, 8}) {
        set_threads(count);
        CHECK(kernel_of<float>(modes, 300) == kernel);
        CHECK(gradient_of<float>(modes, 300, upstream).pole_re == gradient.pole_re);
        CHECK(gradient_of<float>(modes, 300, upstream).residue_im == gradient.residue_im);
    }
    set_threads(0);
}

TEST_CASE("A warm workspace makes Vandermonde kernels without allocating") {
    const Modes modes = lin_modes({4, 32, 1});
    std::vector<float> K(4 * 500);
    Modes gradient(modes.shape);
    Workspace workspace;
    set_threads(1);
    for (int repeat = 0; repeat < 2; ++repeat) {
        const ssm_test::AllocationCounter allocations;
        vandermonde<float>(modes, 500, K, workspace);
        vandermonde_adjoint<float>(modes, 500, K, gradient, workspace);
        if (repeat > 0)
            CHECK(allocations.count() == 0);
    }
    set_threads(0);
}

TEST_CASE("Kernels and gradients of another size are refused") {
    const Modes modes = lin_modes({4, 3, 1});
    Workspace workspace;
    std::vector<float> K(4 * 10 - 1);
    CHECK_THROWS_AS(vandermonde<float>(modes, 10, K, workspace), ShapeError);
    Modes gradient(modes.shape);
    CHECK_THROWS_AS(vandermonde_adjoint<float>(modes, 10, K, gradient, workspace), ShapeError);
    K.resize(40);
    Modes other(ModeShape{4, 2, 1});
    CHECK_THROWS_AS(vandermonde_adjoint<float>(modes, 10, K, other, workspace), ShapeError);
}
