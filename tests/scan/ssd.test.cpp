#include <ssm/scan/ssd.hpp>

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>

#include "reference/ssd.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_selective.hpp"

using namespace ssm;

namespace {

struct Case {
    std::size_t batch, length, heads, channels, modes, groups;
    double decay = 1.0;  ///< largest -A
    bool D_per_channel = false;
    bool log_A = false;
    bool resets = false;
    bool lengths = false;
    bool rest = false;
    bool limits = false;
};

/// Numbers of a scan, B and C in one row behind x as a Mamba-2 block has them.
template <class T>
struct Problem {
    Case c;
    std::vector<T> rows, delta, A, D, bias, rest, g;
    std::vector<double> state, dstate;
    std::vector<std::uint8_t> mask;
    std::vector<std::size_t> valid;
    Workspace workspace;

    explicit Problem(const Case& sizes) : c(sizes) {
        Rng rng(7);
        const auto fill = [&](auto& to, std::size_t count, double low, double high) {
            to.resize(count);
            for (auto& value : to)
                value =
                    static_cast<std::remove_reference_t<decltype(value)>>(rng.uniform(low, high));
        };
        const std::size_t steps = c.batch * c.length;
        fill(rows, steps * stride(), -1.0, 1.0);
        fill(delta, steps * c.heads, -3.0, 1.0);
        fill(A, c.heads, c.log_A ? -1.0 : -c.decay, c.log_A ? std::log(c.decay) : -0.1);
        fill(D, c.D_per_channel ? width() : c.heads, -1.0, 1.0);
        fill(bias, c.heads, -1.0, 1.0);
        fill(rest, c.rest ? c.heads * c.modes * c.channels : 0, -1.0, 1.0);
        fill(g, steps * width(), -1.0, 1.0);
        fill(state, c.batch * c.heads * c.modes * c.channels, -1.0, 1.0);
        fill(dstate, state.size(), -1.0, 1.0);
        mask.resize(steps);
        for (auto& reset : mask)
            reset = c.resets && rng.uniform() < 0.2 ? 1 : 0;
        for (std::size_t b = 0; b < c.batch; ++b)
            valid.push_back(c.lengths ? c.length - (b + 1) % 3 * c.length / 4 : c.length);
    }
    [[nodiscard]] std::size_t width() const { return c.heads * c.channels; }
    [[nodiscard]] std::size_t maps() const { return c.groups * c.modes; }
    [[nodiscard]] std::size_t stride() const { return width() + 2 * maps() + 1; }
    [[nodiscard]] SsdSystem<T> system() const {
        SsdSystem<T> s{.heads = c.heads,
                       .channels = c.channels,
                       .modes = c.modes,
                       .groups = c.groups,
                       .A = A.data(),
                       .log_A = c.log_A,
                       .D = D.data(),
                       .D_per_channel = c.D_per_channel,
                       .dt_bias = bias.data(),
                       .rest = rest.empty() ? nullptr : rest.data()};
        if (c.limits) {
            s.dt_min = 0.2;
            s.dt_max = 0.7;
        }
        return s;
    }
    /// Steps first .. first + count - 1 of a batch of one, or all of them.
    [[nodiscard]] SsdInput<T> input(std::size_t first = 0, std::size_t count = 0) const {
        const T* at = rows.data() + first * stride();
        return {c.batch,
                count == 0 ? c.length : count,
                {at, stride()},
                {delta.data() + first * c.heads, c.heads},
                {at + width(), stride()},
                {at + width() + maps(), stride()}};
    }
    [[nodiscard]] Context context() {
        return Context(workspace)
            .with_resets({mask.data(), {c.batch, c.length, 1}})
            .with_lengths(valid);
    }
    [[nodiscard]] std::vector<T> start() const { return {state.begin(), state.end()}; }
};

template <class T>
double largest_difference(const std::vector<T>& found, const std::vector<double>& expected) {
    double largest = 0.0;
    double scale = 1.0;
    for (const double e : expected)
        scale = std::max(scale, std::abs(e));
    for (std::size_t i = 0; i < expected.size(); ++i)
        if (!(std::abs(static_cast<double>(found[i]) - expected[i]) <= largest))
            largest = std::abs(static_cast<double>(found[i]) - expected[i]);
    return largest / scale;
}

// Sums of some hundred products, relative to the largest: well below a thousand rounding units.
template <class T>
constexpr double tolerance = 200 * static_cast<double>(std::numeric_limits<T>::epsilon());

template <class T>
void check_forward(const Case& c) {
    INFO("L " << c.length << " heads " << c.heads << " P " << c.channels << " N " << c.modes
              << " decay " << c.decay);
    Problem<T> problem(c);
    std::vector<double> expected;
    std::vector<double> last = problem.state;
    ssm_test::reference_ssd(problem.system(), problem.input(), expected, last, problem.context());
    std::vector<T> y(expected.size(), std::numeric_limits<T>::quiet_NaN());
    std::vector<T> state = problem.start();
    ssd_forward<T>(problem.system(), problem.input(), {y.data(), problem.width()}, state.data(),
                   problem.context());
    CHECK(largest_difference(y, expected) < tolerance<T>);
    CHECK(largest_difference(state, last) < tolerance<T>);
}

/// What the adjoint of sum(y g) + sum(state dstate) gives, for weights whose gradients begin with a number.
template <class T>
struct Gradients {
    std::vector<T> rows, delta, A, D, bias, rest, state;

    Gradients(Problem<T>& problem, double begin)
        : rows(problem.rows.size(), std::numeric_limits<T>::quiet_NaN()),
          delta(problem.delta.size(), std::numeric_limits<T>::quiet_NaN()),
          A(problem.A.size(), static_cast<T>(begin)),
          D(problem.D.size(), static_cast<T>(begin)),
          bias(problem.bias.size(), static_cast<T>(begin)),
          rest(problem.rest.size(), static_cast<T>(begin)) {
        for (const double value : problem.dstate)
            state.push_back(static_cast<T>(value));
        const std::size_t stride = problem.stride();
        const std::size_t width = problem.width();
        const std::vector<T> start = problem.start();
        ssd_backward<T>(problem.system(), problem.input(), {problem.g.data(), width}, start.data(),
                        {.x = {rows.data(), stride},
                         .delta = {delta.data(), problem.c.heads},
                         .B = {rows.data() + width, stride},
                         .C = {rows.data() + width + problem.maps(), stride},
                         .A = A.data(),
                         .D = D.data(),
                         .dt_bias = bias.data(),
                         .rest = rest.empty() ? nullptr : rest.data(),
                         .state = state.data()},
                        problem.context());
    }
};

/// Gradients against central differences of the plain recurrence.
void check_gradients(const Case& c) {
    constexpr double step = 3e-6;
    INFO("L " << c.length << " heads " << c.heads << " P " << c.channels << " N " << c.modes);
    Problem<double> problem(c);
    const auto loss = [&] {
        std::vector<double> y;
        std::vector<double> state = problem.state;
        ssm_test::reference_ssd(problem.system(), problem.input(), y, state, problem.context());
        double sum = 0.0;
        for (std::size_t i = 0; i < y.size(); ++i)
            sum += y[i] * problem.g[i];
        for (std::size_t i = 0; i < state.size(); ++i)
            sum += state[i] * problem.dstate[i];
        return sum;
    };
    const Gradients<double> d(problem, 1.0);
    const auto compare = [&](const std::string& name, std::vector<double>& weights,
                             const std::vector<double>& found, double added,
                             std::size_t skipped_column = 0) {
        INFO(name);
        double largest = 0.0;
        for (std::size_t i = 0; i < weights.size(); ++i) {
            if (skipped_column != 0 && i % skipped_column == skipped_column - 1)
                continue;
            const double before = weights[i];
            weights[i] = before + step;
            const double above = loss();
            weights[i] = before - step;
            const double difference = (above - loss()) / (2 * step);
            weights[i] = before;
            const double error = std::abs(found[i] - added - difference);
            if (!(error <= largest))
                largest = error;
        }
        // Of differences: rounding of the loss, a sum of thousands, over the step; and the step squared.
        CHECK(largest < 4e-8);
    };
    compare("x, B, C", problem.rows, d.rows, 0.0, problem.stride());
    compare("delta", problem.delta, d.delta, 0.0);
    compare("A", problem.A, d.A, 1.0);
    compare("D", problem.D, d.D, 1.0);
    compare("dt_bias", problem.bias, d.bias, 1.0);
    compare("rest", problem.rest, d.rest, 1.0);
    compare("state", problem.state, d.state, 0.0);
}

}  // namespace

TEMPLATE_TEST_CASE("the SSD scan equals its plain recurrence", "", float, double) {
    check_forward<TestType>({1, 1, 1, 1, 1, 1});
    check_forward<TestType>({2, 70, 4, 5, 7, 2});
    check_forward<TestType>({1, 33, 2, 64, 16, 1});
    check_forward<TestType>({1, 40, 10, 20, 9, 5, 16.0, true, true});
    check_forward<TestType>({3, 67, 3, 4, 4, 1, 1.0, false, false, true, true});
    check_forward<TestType>({2, 50, 2, 3, 6, 2, 1.0, false, false, true, false, true, true});
}

TEMPLATE_TEST_CASE("decays that leave the range of numbers are right too", "", float, double) {
    check_forward<TestType>({1, 100, 3, 4, 5, 1, 60.0});
    check_forward<TestType>({1, 100, 3, 4, 5, 1, 3000.0});
}

TEST_CASE("gradients of the SSD scan equal differences of its plain recurrence") {
    check_gradients({1, 1, 1, 1, 1, 1});
    check_gradients({2, 35, 2, 3, 2, 1});
    check_gradients({1, 36, 4, 2, 3, 2, 90.0, true});
    check_gradients({1, 270, 1, 2, 1, 1});
    check_gradients({1, 300, 1, 1, 2, 1, 1.0, false, false, true});
    check_gradients({2, 12, 2, 3, 4, 1, 1.0, false, true, true, true, true});
    check_gradients({1, 10, 2, 3, 4, 1, 1.0, false, false, true, false, false, true});
}

TEST_CASE("gradients of the SSD scan are right where its last block of steps is not full") {
    for (const std::size_t heads : {1U, 8U})
        for (const std::size_t length : {97U, 100U, 127U, 230U})
            check_gradients({1, length, heads, 1, 1, 1});
}

TEST_CASE("gradients of the SSD scan in float are those in double") {
    // The numbers themselves are rounded to float, and sums of some hundred products of them.
    const Case c =
        GENERATE(Case{1, 300, 4, 20, 24, 2, 16.0, true, true}, Case{1, 140, 2, 5, 6, 1, 400.0});
    Problem<float> narrow(c);
    Problem<double> wide(c);
    Gradients<float> found(narrow, 0.0);
    Gradients<double> expected(wide, 0.0);
    for (std::size_t i = wide.stride() - 1; i < found.rows.size(); i += wide.stride())
        found.rows[i] = 0.0F, expected.rows[i] = 0.0;  // belongs to nobody
    CHECK(largest_difference(found.rows, expected.rows) < 2e-5);
    CHECK(largest_difference(found.delta, expected.delta) < 2e-5);
    CHECK(largest_difference(found.A, expected.A) < 2e-5);
    CHECK(largest_difference(found.D, expected.D) < 2e-5);
    CHECK(largest_difference(found.bias, expected.bias) < 2e-5);
    CHECK(largest_difference(found.state, expected.state) < 2e-5);
}

TEST_CASE("the SSD scan continues from a state, at any split and step by step") {
    Problem<double> problem({1, 75, 4, 21, 6, 2});
    const std::size_t width = problem.width();
    std::vector<double> whole(75 * width);
    std::vector<double> last = problem.start();
    ssd_forward<double>(problem.system(), problem.input(), {whole.data(), width}, last.data(),
                        problem.workspace);
    const std::size_t split = GENERATE(1U, 32U, 50U, 74U);
    std::vector<double> y(whole.size());
    std::vector<double> state = problem.start();
    ssd_forward<double>(problem.system(), problem.input(0, split), {y.data(), width}, state.data(),
                        problem.workspace);
    for (std::size_t l = split; l < 75; ++l)
        ssd_step<double>(problem.system(), problem.input(l, 1), {y.data() + l * width, width},
                         state.data());
    CHECK(largest_difference(y, whole) < tolerance<double>);
    CHECK(largest_difference(state, last) < tolerance<double>);
}

TEST_CASE("the SSD scan and its adjoint give the same bits for any number of threads") {
    Problem<float> problem({2, 70, 8, 6, 5, 2});
    const std::size_t width = problem.width();
    const double before = least_parallel_work();
    set_least_parallel_work(1.0);
    const auto run = [&](std::size_t count) {
        set_threads(count);
        std::vector<float> all(140 * width + problem.rows.size() + 8);
        ssd_forward<float>(problem.system(), problem.input(), {all.data(), width}, nullptr,
                           problem.workspace);
        float* const rows = all.data() + 140 * width;
        const std::size_t stride = problem.stride();
        ssd_backward<float>(problem.system(), problem.input(), {problem.g.data(), width}, nullptr,
                            {.x = {rows, stride},
                             .B = {rows + width, stride},
                             .C = {rows + width + problem.maps(), stride},
                             .A = rows + problem.rows.size()},
                            problem.workspace);
        return all;
    };
    const std::vector<float> one = run(1);
    CHECK(run(2) == one);
    CHECK(run(7) == one);
    set_threads(0);
    set_least_parallel_work(before);
}

TEST_CASE("the SSD scan refuses what does not fit") {
    Problem<float> problem({1, 4, 4, 2, 3, 2});
    std::vector<float> y(4 * problem.width());
    const StridedRows<float> rows{y.data(), problem.width()};
    SsdSystem<float> system = problem.system();
    SsdInput<float> input = problem.input();
    input.B.stride = 5;
    CHECK_THROWS_AS(ssd_forward<float>(system, input, rows, nullptr, problem.workspace),
                    ShapeError);
    system.groups = 3;
    CHECK_THROWS_AS(ssd_forward<float>(system, problem.input(), rows, nullptr, problem.workspace),
                    ValueError);
    CHECK_THROWS_AS(ssd_forward<float>(problem.system(), problem.input(), {y.data(), 3}, nullptr,
                                       problem.workspace),
                    ShapeError);
}
