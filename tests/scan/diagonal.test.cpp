#include <ssm/scan/diagonal.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <random>
#include <span>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>

#include "reference/diagonal.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/message.hpp"
#include "support/prebuilt_bank.hpp"

using ssm::Batch;
using ssm::Context;
using ssm::DiagonalSystem;
using ssm::Modes;
using ssm::ModeShape;
using ssm::Workspace;
using ssm_test::diagonal_tolerance;
using ssm_test::DiagonalProblem;
using ssm_test::DiagonalReference;
using ssm_test::relative_difference;
using ssm_test::state_difference;
using Sizes = std::vector<std::size_t>;

namespace {

/// Steps first .. last - 1 of all rows.
template <class T>
Batch<T> cut(const Batch<T>& batch, std::size_t first, std::size_t last) {
    Batch<T> result(batch.batch(), last - first, batch.channels());
    for (std::size_t b = 0; b < batch.batch(); ++b)
        for (std::size_t l = first; l < last; ++l)
            std::ranges::copy(batch.view().row(b, l), result.view().row(b, l - first).begin());
    return result;
}

template <class T>
void paste(const Batch<T>& part, Batch<T>& batch, std::size_t first) {
    for (std::size_t b = 0; b < part.batch(); ++b)
        for (std::size_t l = 0; l < part.length(); ++l)
            std::ranges::copy(part.view().row(b, l), batch.view().row(b, first + l).begin());
}

template <class T>
void step_through(const DiagonalProblem<T>& problem, const DiagonalSystem<T>& system, Batch<T>& y,
                  typename DiagonalSystem<T>::State& state) {
    for (std::size_t l = 0; l < y.length(); ++l) {
        const Batch<T> u = cut(problem.u, l, l + 1);
        Batch<T> out(y.batch(), 1, y.channels());
        system.step(u.view().flat(), problem.skip, out.view().flat(), state);
        paste(out, y, l);
    }
}

}  // namespace

TEMPLATE_TEST_CASE("steps and blocks equal the recurrence for all sizes", "[diagonal]", float,
                   double) {
    using T = TestType;
    for (const std::size_t channels : Sizes{1, 2, 3, 5, 8, 9, 15, 16, 17, 31, 40})
        for (const std::size_t modes : Sizes{1, 2, 3, 8, 16, 31, 32, 33})
            for (const std::size_t length : Sizes{1, 2, 33, 100}) {
                const std::size_t heads = 1 + (channels + modes + length) % 3;
                CAPTURE(channels, modes, heads, length);
                const DiagonalProblem<T> problem({channels, modes, heads}, 2, length,
                                                 length % 2 == 0, 7);
                const DiagonalSystem<T> system(problem.modes);
                DiagonalReference::State expected_state;
                const Batch<double> expected = problem.answer(expected_state);
                Workspace workspace;
                Batch<T> y = problem.output();

                auto state = system.rest_state(2);
                system.forward(problem.u, problem.skip, y, state, workspace);
                REQUIRE(relative_difference(y, expected) < diagonal_tolerance<T>);
                REQUIRE(state_difference(state, expected_state) < diagonal_tolerance<T>);

                state.reset();
                step_through(problem, system, y, state);
                REQUIRE(relative_difference(y, expected) < diagonal_tolerance<T>);
                REQUIRE(state_difference(state, expected_state) < diagonal_tolerance<T>);
            }
}

TEMPLATE_TEST_CASE("any split of a sequence into blocks and steps agrees with the whole",
                   "[diagonal]", float, double) {
    using T = TestType;
    for (const std::size_t channels : Sizes{1, 3, 16, 20}) {
        const DiagonalProblem<T> problem({channels, 9, 2}, 2, 300, true, 11);
        const DiagonalSystem<T> system(problem.modes);
        DiagonalReference::State expected_state;
        const Batch<double> expected = problem.answer(expected_state);
        Workspace workspace;
        std::mt19937 random(3);
        for (int repeat = 0; repeat < 5; ++repeat) {
            auto state = system.rest_state(2);
            Batch<T> y = problem.output();
            for (std::size_t first = 0; first < 300;) {
                const std::size_t last = std::min<std::size_t>(300, first + 1 + random() % 90);
                Batch<T> part(2, last - first, y.channels());
                const Batch<T> u = cut(problem.u, first, last);
                if (u.length() == 1)
                    system.step(u.view().flat(), problem.skip, part.view().flat(), state);
                else
                    system.forward(u, problem.skip, part, state, workspace);
                paste(part, y, first);
                first = last;
            }
            CHECK(relative_difference(y, expected) < diagonal_tolerance<T>);
            CHECK(state_difference(state, expected_state) < diagonal_tolerance<T>);
        }
    }
}

TEMPLATE_TEST_CASE("resets and lengths are honoured", "[diagonal]", float, double) {
    using T = TestType;
    for (const std::size_t channels : Sizes{1, 4, 16, 23})
        for (const unsigned period : {1U, 2U, 40U}) {
            DiagonalProblem<T> problem({channels, 5, 2}, 3, 150, true, 5);
            problem.interrupt(period);
            CAPTURE(channels, period);
            const DiagonalSystem<T> system(problem.modes);
            DiagonalReference::State expected_state;
            const Batch<double> expected = problem.answer(expected_state);
            Workspace workspace;
            auto state = system.rest_state(3);
            Batch<T> y = problem.output();
            y.fill(std::numeric_limits<T>::quiet_NaN());
            system.forward(problem.u, problem.skip, y, state, problem.context(workspace));
            CHECK(relative_difference(y, expected) < diagonal_tolerance<T>);
            CHECK(state_difference(state, expected_state) < diagonal_tolerance<T>);

            Batch<T> again = problem.output();
            ssm::diagonal_forward<T>(problem.modes, problem.skip, problem.u, again,
                                     problem.context(workspace));
            CHECK(again == y);
        }
}

TEST_CASE("a million steps in float stay near the recurrence in double", "[diagonal]") {
    // One system for each decay and frequency; the last mode of each pair of channels is real.
    const std::vector<double> decays{1e-4, 1e-3, 1e-2};
    const std::vector<double> angles{0.0, 1e-3, 0.3, 1.5, 3.1};
    const ModeShape shape{decays.size() * angles.size(), 1, 1};
    Modes modes(shape);
    for (std::size_t h = 0; h < shape.channels; ++h) {
        const std::complex<double> z =
            std::exp(std::complex<double>(-decays[h / angles.size()], angles[h % angles.size()]));
        modes.pole_re[h] = z.real();
        modes.pole_im[h] = z.imag();
        modes.residue_re[h] = 0.6;
        modes.residue_im[h] = -0.8;
    }
    const DiagonalSystem<float> system(modes);
    const DiagonalReference reference{modes};
    const bool is_constant = GENERATE(false, true);
    const std::size_t block = 10'000;
    auto state = system.rest_state(1);
    auto block_state = state;
    DiagonalReference::State exact = reference.rest(1);
    std::vector<double> error(shape.channels), block_error(shape.channels), largest(shape.channels);
    Workspace workspace;
    for (unsigned part = 0; part < 100; ++part) {
        Batch<float> u = ssm_test::random_batch<float>({1, block, shape.channels}, part);
        if (is_constant)
            u.fill(1.0F);
        Batch<float> y(u.shape());
        Batch<float> stepped(u.shape());
        system.forward(u, {}, y, block_state, workspace);
        for (std::size_t l = 0; l < block; ++l)
            system.step(u.view().row(0, l), {}, stepped.view().row(0, l), state);
        const Batch<double> expected =
            reference.forward(ssm_test::converted<double>(u), exact, workspace);
        for (std::size_t h = 0; h < shape.channels; ++h) {
            largest[h] = std::max(largest[h], std::abs(exact[h]));
            for (std::size_t l = 0; l < block; ++l) {
                const double truth = expected(0, l, h);
                error[h] =
                    std::max(error[h], std::abs(static_cast<double>(stepped(0, l, h)) - truth));
                block_error[h] =
                    std::max(block_error[h], std::abs(static_cast<double>(y(0, l, h)) - truth));
            }
        }
    }
    const double epsilon = static_cast<double>(std::numeric_limits<float>::epsilon());
    for (std::size_t h = 0; h < shape.channels; ++h) {
        const double decay = 1.0 - std::abs(reference.pole(h, 0));
        CAPTURE(h, decay, is_constant);
        CHECK(error[h] < epsilon / decay * largest[h]);
        CHECK(block_error[h] < epsilon / decay * largest[h]);
        if (!is_constant &&
            h % angles.size() < 2) {  // slow modes: a coefficient z would be wrong by eps / decay
            CHECK(error[h] < 0.05 * epsilon / decay * largest[h] + 10.0 * epsilon * largest[h]);
            CHECK(block_error[h] <
                  0.05 * epsilon / decay * largest[h] + 10.0 * epsilon * largest[h]);
        }
    }
}

TEST_CASE("a number that is not finite stays in its row", "[diagonal]") {
    DiagonalProblem<float> problem({18, 4, 1}, 3, 50, true, 2);
    const DiagonalSystem<float> system(problem.modes);
    Workspace workspace;
    Batch<float> clean = problem.output();
    auto state = system.rest_state(3);
    system.forward(problem.u, problem.skip, clean, state, workspace);
    problem.u(1, 10, 3) = std::numeric_limits<float>::quiet_NaN();
    Batch<float> y = problem.output();
    state.reset();
    system.forward(problem.u, problem.skip, y, state, workspace);
    CHECK(std::isnan(y(1, 49, 3)));
    for (std::size_t l = 0; l < 50; ++l)
        for (std::size_t h = 0; h < 18; ++h) {
            CHECK(y(0, l, h) == clean(0, l, h));
            CHECK(y(2, l, h) == clean(2, l, h));
            if (h != 3)
                CHECK(y(1, l, h) == clean(1, l, h));
        }
}

TEST_CASE("the number of threads does not change a bit", "[diagonal]") {
    const DiagonalProblem<float> problem({70, 6, 2}, 3, 200, true, 4);
    const DiagonalSystem<float> system(problem.modes);
    std::vector<Batch<float>> results;
    for (const std::size_t threads : Sizes{1, 2, 7}) {
        ssm::set_threads(threads);
        Workspace workspace;
        auto state = system.rest_state(3);
        results.push_back(problem.output());
        system.forward(problem.u, problem.skip, results.back(), state, workspace);
    }
    ssm::set_threads(0);
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

TEST_CASE("steps and warm blocks do not allocate", "[diagonal]") {
    const DiagonalProblem<float> problem({20, 6, 2}, 2, 40, true, 4);
    const DiagonalSystem<float> system(problem.modes);
    Workspace workspace;
    auto state = system.rest_state(2);
    Batch<float> y = problem.output();
    ssm::set_threads(1);
    system.forward(problem.u, problem.skip, y, state, workspace);
    ssm::diagonal_forward<float>(problem.modes, problem.skip, problem.u, y, workspace);
    const ssm_test::AllocationCounter allocations;
    system.step(problem.u.view().flat().first(40), problem.skip, y.view().flat().first(80), state);
    system.forward(problem.u, problem.skip, y, state, workspace);
    ssm::diagonal_forward<float>(problem.modes, problem.skip, problem.u, y, workspace);
    CHECK(allocations.count() == 0);
    ssm::set_threads(0);
}

TEST_CASE("a state is a value: copies run on independently", "[diagonal]") {
    const DiagonalProblem<float> problem({5, 3, 1}, 1, 20, false, 4);
    const DiagonalSystem<float> system(problem.modes);
    Workspace workspace;
    auto state = system.rest_state(1);
    Batch<float> y = problem.output();
    system.forward(problem.u, {}, y, state, workspace);
    auto fork = state;
    CHECK(fork == state);
    system.forward(problem.u, {}, y, fork, workspace);
    CHECK_FALSE(fork == state);
    Batch<float> again = problem.output();
    system.forward(problem.u, {}, again, state, workspace);
    CHECK(again == y);
    CHECK(fork == state);
    state.reset(0);
    CHECK(state == system.rest_state(1));
}

TEST_CASE("input and output may be the same numbers", "[diagonal]") {
    const DiagonalProblem<float> problem({18, 3, 1}, 2, 90, true, 4);
    const DiagonalSystem<float> system(problem.modes);
    Workspace workspace;
    auto state = system.rest_state(2);
    Batch<float> y = problem.output();
    system.forward(problem.u, problem.skip, y, state, workspace);
    Batch<float> both = problem.u;
    state.reset();
    system.forward(both, problem.skip, both, state, workspace);
    CHECK(both == y);
}

TEST_CASE("arguments of the wrong shape are refused", "[diagonal]") {
    const DiagonalProblem<float> problem({4, 3, 2}, 2, 5, true, 4);
    const DiagonalSystem<float> system(problem.modes);
    Workspace workspace;
    auto state = system.rest_state(2);
    Batch<float> y = problem.output();
    const Batch<float> wide(2, 5, 5);
    Batch<float> narrow(2, 5, 4);
    auto other = system.rest_state(3);
    const std::vector<float> skip(4);
    CHECK_THROWS_AS(system.forward(wide, problem.skip, y, state, workspace), ssm::ShapeError);
    CHECK_THROWS_AS(system.forward(problem.u, problem.skip, narrow, state, workspace),
                    ssm::ShapeError);
    CHECK(ssm_test::message_of<ssm::ShapeError>([&] {
              system.forward(problem.u, problem.skip, y, other, workspace);
          }) == "ssm::DiagonalSystem: the state has shape (3, 4, 3, 2), expected (2, 4, 3, 2)");
    CHECK_THROWS_AS(system.forward(problem.u, skip, y, state, workspace), ssm::ShapeError);
    CHECK_THROWS_AS(DiagonalSystem<float>(Modes({4, 0, 1})), ssm::ShapeError);
}
