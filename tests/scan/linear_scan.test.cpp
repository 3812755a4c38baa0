// The recurrence x[t] = a[t] x[t-1] + b[t] and its adjoint against plain double references.

#include <complex>
#include <cstddef>
#include <cstdint>
#include <span>
#include <type_traits>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/scan/linear_scan.hpp>
#include <ssm/scan/linear_scan_adjoint.hpp>

#include "reference/linear_scan.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_scan.hpp"

using namespace ssm;

namespace {

using Complex = std::complex<double>;

template <class Form>
constexpr double stored(double a) {
    return std::is_same_v<Form, ComplexIncrements> ? a - 1.0 : a;
}

/// Random coefficients (as complex numbers and as the form stores them), inputs, resets, and initial states.
template <class Form>
struct Problem {
    Problem(std::size_t batch, std::size_t length, std::size_t columns_, double resets)
        : columns(columns_),
          a(batch, length, Form::parts * columns),
          b(a.shape()),
          mask(batch, length, 1),
          state(batch * Form::parts * columns) {
        Rng rng(length + columns);
        for (std::size_t row = 0; row < a.shape().rows(); ++row)
            for (std::size_t i = 0; i < columns; ++i) {
                double* const at = a.data() + row * a.channels() + i;
                at[0] = stored<Form>(rng.uniform(0.3, 0.9));
                if (Form::parts == 2)
                    at[columns] = rng.uniform(-0.4, 0.4);
            }
        for (std::size_t i = 0; i < b.size(); ++i)
            b.data()[i] = rng.normal();
        for (double& s : state)
            s = rng.normal();
        for (std::size_t i = 0; i < mask.size(); ++i)
            mask.data()[i] = rng.uniform() < resets ? 1 : 0;
    }

    /// Number i of row t of sequence q.
    [[nodiscard]] Complex at(const Batch<double>& rows, std::size_t q, std::size_t t,
                             std::size_t i) const {
        return {rows(q, t, i), Form::parts == 2 ? rows(q, t, i + columns) : 0.0};
    }
    [[nodiscard]] Complex at(const std::vector<double>& row, std::size_t q, std::size_t i) const {
        const double* const p = row.data() + q * Form::parts * columns + i;
        return {p[0], Form::parts == 2 ? p[columns] : 0.0};
    }
    [[nodiscard]] Complex factor(std::size_t q, std::size_t t, std::size_t i) const {
        return at(a, q, t, i) + Complex(1.0 - stored<Form>(1.0));
    }

    std::size_t columns;
    Batch<double> a, b;
    Batch<std::uint8_t> mask;
    std::vector<double> state;
};

/// One column of one sequence, in the order in which it is scanned; `fixed`: the first step's coefficient.
template <class Form>
struct Column {
    Column(const Problem<Form>& problem, const Batch<double>& d, std::size_t q, std::size_t i,
           std::size_t valid, bool fixed, TimeDirection direction) {
        state = problem.at(problem.state, q, i);
        for (std::size_t n = 0; n < valid; ++n) {
            const bool onward = direction == TimeDirection::forward;
            const std::size_t t = onward ? n : valid - 1 - n;
            order.push_back(t);
            a.push_back(problem.factor(fixed ? 0 : q, fixed ? 0 : t, i));
            b.push_back(problem.at(problem.b, q, t, i));
            gradient.push_back(problem.at(d, q, t, i));
            // backward in time the boundary before step t + 1 is crossed on the way to step t
            reset.push_back(onward ? problem.mask(q, t, 0) != 0
                                   : n > 0 && problem.mask(q, t + 1, 0) != 0);
        }
    }
    std::vector<std::size_t> order;
    std::vector<Complex> a, b, gradient;
    std::vector<bool> reset;
    Complex state;
};

/// The scan and its adjoint against the references; all lengths, resets, and with an initial state.
template <class Form, bool fixed>
void check(std::size_t batch, std::size_t length, std::size_t columns, double resets, bool cut,
           TimeDirection direction) {
    CAPTURE(batch, length, columns, resets, cut, fixed, Form::parts);
    const Problem<Form> problem(batch, length, columns, resets);
    Workspace workspace;
    std::vector<std::size_t> lengths(batch, length);
    for (std::size_t q = 0; cut && q < batch; ++q)
        lengths[q] = q * length / batch;
    const Context context = Context(workspace).with_resets(problem.mask).with_lengths(lengths);
    Batch<double> x = problem.b;
    std::vector<double> state = problem.state;
    Batch<double> g(problem.b.shape());
    Rng rng(9);
    for (std::size_t i = 0; i < g.size(); ++i)
        g.data()[i] = rng.normal();
    const Batch<double> d = g;
    Batch<double> da(problem.a.shape());
    std::vector<double> sum(Form::parts * columns), d_state(state.size());
    if constexpr (fixed) {
        const std::span<const double> a(problem.a.data(), Form::parts * columns);
        linear_scan<Form>(a, x.view(), state, context, direction);
        linear_scan_adjoint<Form>(a, x, g.view(), std::span<double>(sum), problem.state, d_state,
                                  context, direction);
    } else {
        linear_scan<Form>(problem.a.view(), x.view(), state, context, direction);
        linear_scan_adjoint<Form>(problem.a.view(), x, g.view(), da.view(), problem.state, d_state,
                                  context, direction);
    }
    double error = 0.0;
    const auto compare = [&error](Complex found, Complex expected) {
        error = std::max(error, std::abs(found - expected) / (1.0 + std::abs(expected)));
    };
    for (std::size_t i = 0; i < columns; ++i) {
        Complex total = 0.0;
        for (std::size_t q = 0; q < batch; ++q) {
            const Column<Form> column(problem, d, q, i, lengths[q], fixed, direction);
            const auto expected =
                ssm_test::linear_scan_reference(column.a, column.b, column.reset, column.state);
            const auto gradient = ssm_test::linear_scan_gradient_reference(
                column.a, expected, column.reset, column.state, column.gradient);
            for (std::size_t n = 0; n < column.order.size(); ++n) {
                const std::size_t t = column.order[n];
                compare(problem.at(x, q, t, i), expected[n]);
                compare(problem.at(g, q, t, i), gradient.b[n]);
                if (!fixed)
                    compare(problem.at(da, q, t, i), gradient.a[n]);
                total += gradient.a[n];
            }
            for (std::size_t t = lengths[q]; t < length; ++t) {
                compare(problem.at(x, q, t, i), 0.0);
                compare(problem.at(g, q, t, i), 0.0);
            }
            compare(problem.at(state, q, i), expected.empty() ? column.state : expected.back());
            compare(problem.at(d_state, q, i), gradient.state);
        }
        if (fixed)
            compare({sum[i], Form::parts == 2 ? sum[i + columns] : 0.0}, total);
    }
    // sums of some hundred numbers of size 1 to 10
    CHECK(error < 1e-12);
}

template <class Form>
void check_shapes() {
    for (const TimeDirection direction : {TimeDirection::forward, TimeDirection::backward}) {
        for (const std::size_t columns : {1U, 4U, 7U, 16U, 37U, 70U})
            check<Form, true>(2, 41, columns, 0.0, false, direction);
        check<Form, true>(3, 70, 9, 0.1, true, direction);
        check<Form, false>(2, 41, 19, 0.0, false, direction);
        check<Form, false>(3, 70, 9, 0.1, true, direction);
        check<Form, true>(1, 1, 3, 0.0, false, direction);
    }
}

}  // namespace

TEST_CASE("a linear scan and its adjoint are what they should be") {
    check_shapes<RealFactors>();
    check_shapes<ComplexIncrements>();
}

TEST_CASE(
    "a scan that is cut over time is the uncut one, with the same bits for any number of threads") {
    using Form = ComplexIncrements;
    Workspace workspace;
    const std::size_t length = 4 * ssm::detail::scan_chunk + 77;
    const std::size_t before = threads();
    // three columns run as chunks side by side, 40 do not
    for (const std::size_t columns : {3U, 40U})
        for (const TimeDirection direction : {TimeDirection::forward, TimeDirection::backward}) {
            const Problem<Form> problem(1, length, columns, 0.0);
            const auto cut = [&](auto fixed, Batch<double>& x, std::vector<double>& state) {
                const ssm::detail::Scan<Form, double> scan{
                    problem.a.data(), fixed ? 0 : x.channels(), x.view(), state.data(), direction};
                const Workspace::Frame frame = workspace.frame();
                ssm::detail::ScanInChunks<Form, fixed(), double>(scan, state.data(), workspace)
                    .run();
            };
            for (const bool fixed : {true, false}) {
                std::vector<Batch<double>> x;
                std::vector<std::vector<double>> states;
                for (const std::size_t count : {1U, 2U, 7U}) {
                    set_threads(count);
                    x.push_back(problem.b);
                    states.push_back(problem.state);
                    if (fixed)
                        cut(std::true_type{}, x.back(), states.back());
                    else
                        cut(std::false_type{}, x.back(), states.back());
                }
                set_threads(before);
                CHECK(x[0] == x[1]);
                CHECK(x[0] == x[2]);
                // from any part of the sequence it is the uncut recurrence; 1e-12: rounding of numbers of size 5
                const bool onward = direction == TimeDirection::forward;
                const std::vector<bool> none(length);
                double error = 0.0;
                for (std::size_t i = 0; i < columns; i += 13) {
                    const Column<Form> one(problem, problem.b, 0, i, length, fixed, direction);
                    const auto z = ssm_test::linear_scan_reference(one.a, one.b, none, one.state);
                    for (std::size_t n = 0; n < length; ++n) {
                        const std::size_t t = onward ? n : length - 1 - n;
                        error = std::max(error, std::abs(problem.at(x[0], 0, t, i) - z[n]));
                    }
                    error = std::max(error, std::abs(problem.at(states[0], 0, i) - z.back()));
                }
                CHECK(error < 1e-12);
            }
        }
}

TEST_CASE("a very long sequence is cut, a shorter one is not") {
    Workspace workspace;
    for (const std::size_t length : {40'000U, 1U << 20U}) {
        Batch<float> x(1, length, 4);
        x.fill(1.0F);
        const std::vector<float> a(4, 0.5F);
        std::vector<float> state(4);
        CHECK(ssm::detail::is_cut(ssm::detail::Scan<RealFactors, float>{
                  a.data(), 0, x.view(), state.data(), TimeDirection::forward}) ==
              (length == 1U << 20U));
        linear_scan<RealFactors>(a, x.view(), state, workspace);
        // 1 + 1/2 + 1/4 + ...
        CHECK(x(0, 2, 1) == 1.75F);
        CHECK(x(0, length / 2, 3) == 2.0F);
        CHECK(state == std::vector<float>(4, 2.0F));
    }
}

TEST_CASE("elements of stretches compose to the element of all, resets included") {
    using Form = ComplexFactors;
    Workspace workspace;
    const Problem<Form> problem(1, 23, 5, 0.1);
    const auto element = [&](std::size_t first, std::size_t count, bool fixed) {
        const Context context =
            Context(workspace).with_resets(ResetMask(problem.mask).steps(first, count));
        const auto b = problem.b.view().steps(first, count);
        if (fixed)
            return scan_element<Form>(std::span<const double>(problem.a.data(), 10), b, context);
        return scan_element<Form>(problem.a.view().steps(first, count), b, context);
    };
    for (const bool fixed : {true, false}) {
        const auto all = element(0, 23, fixed);
        for (const std::size_t cut : {0U, 1U, 11U, 23U}) {
            const auto parts = compose(element(0, cut, fixed), element(cut, 23 - cut, fixed));
            for (std::size_t i = 0; i < 10; ++i) {
                CHECK(std::abs(parts.a[i] - all.a[i]) < 1e-13);
                CHECK(std::abs(parts.b[i] - all.b[i]) < 1e-13);
            }
        }
        // b of all is the last state from rest
        Batch<double> x = problem.b;
        std::vector<double> state(10);
        const Context context = Context(workspace).with_resets(problem.mask);
        if (fixed)
            linear_scan<Form>(std::span<const double>(problem.a.data(), 10), x.view(), state,
                              context);
        else
            linear_scan<Form>(problem.a.view(), x.view(), state, context);
        for (std::size_t i = 0; i < 10; ++i)
            CHECK(std::abs(state[i] - all.b[i]) < 1e-13);
    }
}

TEST_CASE("a linear scan says what does not fit") {
    Workspace workspace;
    Batch<float> x(2, 5, 6);
    const std::vector<float> a(6), b(5);
    std::vector<float> state(11);
    CHECK_THROWS_AS(linear_scan<ComplexFactors>(b, x.view(), {}, workspace), ShapeError);
    CHECK_THROWS_AS(linear_scan<ComplexFactors>(a, x.view(), state, workspace), ShapeError);
    CHECK_NOTHROW(linear_scan<ComplexFactors>(a, x.view(), {}, workspace));
    Batch<float> odd(1, 2, 5);
    CHECK_THROWS_AS(linear_scan<ComplexFactors>(b, odd.view(), {}, workspace), ShapeError);
    CHECK_THROWS_AS(compose(ScanElement<RealFactors, float>(2), ScanElement<RealFactors, float>(3)),
                    ShapeError);
}
