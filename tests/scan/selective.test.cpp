#include <ssm/scan/selective.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

#include "reference/selective.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_selective.hpp"

using namespace ssm;
using ssm_test::SelectiveCase;
using ssm_test::SelectiveReference;

namespace {

template <class To, class From>
std::vector<To> rounded(const std::vector<From>& values) {
    std::vector<To> result;
    for (const auto& value : values) {
        if constexpr (std::is_floating_point_v<To>)
            result.push_back(static_cast<To>(std::real(value)));
        else
            result.emplace_back(value);
    }
    return result;
}

constexpr double nan = std::numeric_limits<double>::quiet_NaN();

/// max |found - expected| / max(1, max |expected|); NaN counts as infinite.
template <class Found, class Expected>
double difference(const std::vector<Found>& found, const std::vector<Expected>& expected) {
    REQUIRE(found.size() == expected.size());
    double largest = 1.0;
    double error = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
        largest = std::max(largest, std::abs(std::complex<double>(expected[i])));
        const double e =
            std::abs(std::complex<double>(found[i]) - std::complex<double>(expected[i]));
        if (std::isnan(e))
            return nan;
        error = std::max(e, error);
    }
    return error / largest;
}

/// The library's scan on the numbers of a reference.
template <class Number, class Discretization>
struct Scan {
    using T = ssm::detail::RealOfNumber<Number>;

    explicit Scan(const SelectiveReference& r)
        : sizes(r.sizes),
          u(rounded<T>(r.u)),
          delta(rounded<T>(r.delta)),
          z(rounded<T>(r.z)),
          D(rounded<T>(r.D)),
          bias(rounded<T>(r.bias)),
          A(rounded<Number>(r.A)),
          B(rounded<Number>(r.B)),
          C(rounded<Number>(r.C)),
          first(rounded<Number>(r.first)),
          reference(r) {}

    [[nodiscard]] Shape shape() const { return {sizes.batch, sizes.length, sizes.channels}; }
    [[nodiscard]] SelectiveSystem<Number> system() const {
        return {sizes.channels, sizes.modes, A.data(),      false,
                D.data(),       bias.data(), sizes.softplus};
    }
    [[nodiscard]] SelectiveInput<Number> input() const {
        const auto view = [&](const std::vector<T>& v) {
            return BatchView<const T>(v.data(), shape());
        };
        return {view(u), view(delta), map(B, sizes.B_groups), map(C, sizes.C_groups),
                sizes.gate ? view(z) : BatchView<const T>()};
    }
    [[nodiscard]] SelectiveMap<const Number> map(const std::vector<Number>& numbers,
                                                 std::size_t groups) const {
        return {numbers.data(), groups, groups * sizes.modes};
    }
    [[nodiscard]] Context context() {
        Context result(workspace);
        return sizes.cut
                   ? result.with_resets({reference.resets.data(), {sizes.batch, sizes.length, 1}})
                         .with_lengths(reference.lengths)
                   : result;
    }
    [[nodiscard]] std::vector<T> forward(std::vector<Number>& state) {
        std::vector<T> y(u.size(), static_cast<T>(nan));
        state = first;
        selective_forward<Discretization>(system(), input(), BatchView<T>(y.data(), shape()),
                                          state.data(), &checkpoints, context());
        return y;
    }

    SelectiveCase sizes;
    std::vector<T> u, delta, z, D, bias;
    std::vector<Number> A, B, C, first;
    const SelectiveReference& reference;
    SelectiveCheckpoints<Number> checkpoints;
    Workspace workspace;
};

template <class Number, class Discretization>
void check_forward(const SelectiveCase& sizes, double tolerance) {
    CAPTURE(sizes.channels, sizes.modes, sizes.length, sizes.B_groups, sizes.C_groups);
    const SelectiveReference reference(sizes);
    std::vector<std::complex<double>> expected_state;
    const std::vector<double> expected = reference.forward(expected_state);
    Scan<Number, Discretization> scan(reference);
    std::vector<Number> state;
    const auto y = scan.forward(state);
    CHECK(difference(rounded<double>(y), expected) < tolerance);
    CHECK(difference(rounded<std::complex<double>>(state), expected_state) < tolerance);
    if (sizes.cut || sizes.batch > 1)
        return;
    // The same step by step, for one sequence: a step is a batch of length 1.
    std::vector<Number> running = scan.first;
    auto steps = y;
    const auto at = [&](auto& values, std::size_t l) { return values.data() + l * sizes.channels; };
    for (std::size_t l = 0; l < sizes.length; ++l) {
        const Shape one{1, 1, sizes.channels};
        SelectiveInput<Number> input = scan.input();
        input.u = {at(scan.u, l), one};
        input.delta = {at(scan.delta, l), one};
        if (sizes.gate)
            input.z = {at(scan.z, l), one};
        input.B.data += l * input.B.stride;
        input.C.data += l * input.C.stride;
        selective_step<Discretization>(
            scan.system(), input,
            BatchView<typename Scan<Number, Discretization>::T>(at(steps, l), one), running.data());
    }
    CHECK(difference(rounded<double>(steps), expected) < tolerance);
    CHECK(difference(rounded<std::complex<double>>(running), expected_state) < tolerance);
}

/// All gradients of sum(y g) + Re sum conj(g_last) last against central differences of the reference.
template <class Number, class Discretization>
void check_backward(const SelectiveCase& sizes) {
    using Complex = std::complex<double>;
    CAPTURE(sizes.is_complex, sizes.exact, sizes.B_groups, sizes.C_groups, sizes.gate, sizes.cut);
    SelectiveReference r(sizes);
    Rng rng(5);
    std::vector<double> g(r.u.size());
    for (double& value : g)
        value = rng.uniform(-1.0, 1.0);
    std::vector<Complex> g_last(r.first.size());
    for (Complex& value : g_last)
        value = {rng.uniform(-1.0, 1.0), sizes.is_complex ? rng.uniform(-1.0, 1.0) : 0.0};
    const auto loss = [&] {
        std::vector<Complex> last;
        const std::vector<double> y = r.forward(last);
        double sum = 0.0;
        for (std::size_t i = 0; i < y.size(); ++i)
            sum += y[i] * g[i];
        for (std::size_t i = 0; i < last.size(); ++i)
            sum += (std::conj(g_last[i]) * last[i]).real();
        return sum;
    };
    const auto slope = [&](double& at) {
        constexpr double h = 1e-5;
        const double before = at;
        at = before + h;
        const double above = loss();
        at = before - h;
        const double below = loss();
        at = before;
        return (above - below) / (2.0 * h);
    };
    const auto slopes = [&](std::vector<double>& values) {
        std::vector<double> result;
        for (double& value : values)
            result.push_back(slope(value));
        return result;
    };
    const auto slopes_of_pairs = [&](std::vector<Complex>& values) {
        std::vector<Complex> result;
        for (Complex& value : values) {
            auto& parts = reinterpret_cast<double(&)[2]>(value);
            result.emplace_back(slope(parts[0]), sizes.is_complex ? slope(parts[1]) : 0.0);
        }
        return result;
    };

    Scan<Number, Discretization> scan(r);
    std::vector<Number> state;
    static_cast<void>(scan.forward(state));
    const auto rows = [&] { return std::vector<double>(r.u.size(), nan); };
    std::vector<double> du = rows();
    std::vector<double> ddelta = rows();
    std::vector<double> dz = rows();
    std::vector<double> dD(r.D.size());
    std::vector<double> dbias(r.bias.size());
    std::vector<Number> dA(r.A.size());
    std::vector<Number> dB(r.B.size(), sizes.B_groups == 0 ? 0.0 : nan);
    std::vector<Number> dC(r.C.size(), sizes.C_groups == 0 ? 0.0 : nan);
    std::vector<Number> dstate = rounded<Number>(g_last);
    const auto view = [&](std::vector<double>& v) {
        return BatchView<double>(v.data(), scan.shape());
    };
    SelectiveGradient<Number> gradient{view(du),
                                       view(ddelta),
                                       {dB.data(), sizes.B_groups, sizes.B_groups * sizes.modes},
                                       {dC.data(), sizes.C_groups, sizes.C_groups * sizes.modes}};
    if (sizes.gate)
        gradient.z = view(dz);
    gradient.A = dA.data();
    gradient.D = dD.data();
    gradient.delta_bias = dbias.data();
    gradient.state = dstate.data();
    selective_backward<Discretization>(scan.system(), scan.input(),
                                       BatchView<const double>(g.data(), scan.shape()),
                                       scan.checkpoints, gradient, scan.context());

    constexpr double tolerance = 2e-8;  // of central differences with a step of 1e-5
    CHECK(difference(du, slopes(r.u)) < tolerance);
    CHECK(difference(ddelta, slopes(r.delta)) < tolerance);
    if (sizes.gate)
        CHECK(difference(dz, slopes(r.z)) < tolerance);
    CHECK(difference(dD, slopes(r.D)) < tolerance);
    CHECK(difference(dbias, slopes(r.bias)) < tolerance);
    CHECK(difference(dA, slopes_of_pairs(r.A)) < tolerance);
    CHECK(difference(dB, slopes_of_pairs(r.B)) < tolerance);
    CHECK(difference(dC, slopes_of_pairs(r.C)) < tolerance);
    CHECK(difference(dstate, slopes_of_pairs(r.first)) < tolerance);
}

}  // namespace

TEST_CASE("the selective scan equals the recurrence for all sizes, whole and in steps") {
    for (const std::size_t channels : {1U, 7U, 16U, 33U, 150U})
        for (const std::size_t modes : {1U, 4U, 5U, 16U})
            for (const std::size_t length : {1U, 16U, 50U}) {
                const bool cut = (channels + modes + length) % 2 == 0;
                const SelectiveCase sizes{.batch = cut ? 3U : 1U,
                                          .length = length,
                                          .channels = channels,
                                          .modes = modes,
                                          .cut = cut && length > 2};
                check_forward<double, SimplifiedZoh>(sizes, 1e-12);
                // float: inputs and decays rounded to 6e-8, summed over a memory of 1 / (1 - decay) steps
                check_forward<float, SimplifiedZoh>(sizes, 1e-5);
            }
}

TEST_CASE(
    "the selective scan knows constant and grouped maps, complex poles and exact zero-order hold") {
    const SelectiveCase constant{.batch = 1, .B_groups = 0, .C_groups = 0, .cut = false};
    const SelectiveCase mixed{
        .batch = 1, .channels = 12, .B_groups = 3, .C_groups = 2, .cut = false};
    for (SelectiveCase sizes : {constant, mixed}) {
        check_forward<double, SimplifiedZoh>(sizes, 1e-12);
        sizes.exact = true;
        check_forward<double, ExactZoh>(sizes, 1e-12);
        sizes.is_complex = true;
        check_forward<std::complex<double>, ExactZoh>(sizes, 1e-12);
        sizes.exact = false;
        sizes.softplus = false;
        check_forward<std::complex<double>, SimplifiedZoh>(sizes, 1e-12);
    }
}

TEST_CASE("gradients of the selective scan equal central differences") {
    SelectiveCase sizes{.B_groups = 3, .C_groups = 1};
    check_backward<double, SimplifiedZoh>(sizes);
    check_backward<double, SimplifiedZoh>(
        {.B_groups = 0, .C_groups = 2, .softplus = false, .gate = false});
    sizes.exact = true;
    check_backward<double, ExactZoh>(sizes);
    sizes.is_complex = true;
    check_backward<std::complex<double>, ExactZoh>(sizes);
    check_backward<std::complex<double>, SimplifiedZoh>(
        {.B_groups = 2, .C_groups = 0, .is_complex = true});
}

TEST_CASE("the selective scan gives the same bits for any number of threads") {
    const SelectiveReference reference({.batch = 2, .length = 70, .channels = 300, .modes = 4});
    const auto run = [&](std::size_t count) {
        set_threads(count);
        set_least_parallel_work(0.0);
        Scan<double, SimplifiedZoh> scan(reference);
        std::vector<double> state;
        std::vector<double> y = scan.forward(state);
        std::vector<double> dB(reference.B.size());
        SelectiveGradient<double> gradient{};
        gradient.B = {dB.data(), 1, 4};
        selective_backward(scan.system(), scan.input(),
                           BatchView<const double>(y.data(), scan.shape()), scan.checkpoints,
                           gradient, scan.context());
        y.insert(y.end(), dB.begin(), dB.end());
        y.insert(y.end(), state.begin(), state.end());
        set_least_parallel_work(1e6);
        set_threads(0);
        return y;
    };
    const std::vector<double> one = run(1);
    CHECK(run(2) == one);
    CHECK(run(5) == one);
}

TEST_CASE("the selective scan refuses what does not fit together") {
    const SelectiveReference reference({.channels = 6});
    Scan<double, SimplifiedZoh> scan(reference);
    std::vector<double> y(scan.u.size());
    std::vector<double> state = scan.first;
    const auto refuses = [&](SelectiveSystem<double> system, const SelectiveInput<double>& input,
                             Shape shape) {
        CHECK_THROWS_AS(selective_forward(system, input, BatchView<double>(y.data(), shape),
                                          state.data(), Context(scan.workspace)),
                        ShapeError);
    };
    refuses(scan.system(), scan.input(), {2, 20, 6});
    SelectiveSystem<double> system = scan.system();
    system.modes = 0;
    refuses(system, scan.input(), scan.shape());
    SelectiveInput<double> input = scan.input();
    input.B.groups = 4;
    refuses(scan.system(), input, scan.shape());
    input = scan.input();
    input.C.stride = 2;
    refuses(scan.system(), input, scan.shape());
    input = scan.input();
    input.delta = {};
    refuses(scan.system(), input, scan.shape());
    CHECK_THROWS_AS(selective_backward(scan.system(), scan.input(),
                                       BatchView<const double>(y.data(), scan.shape()),
                                       SelectiveCheckpoints<double>{}, SelectiveGradient<double>{},
                                       Context(scan.workspace)),
                    ShapeError);
}
