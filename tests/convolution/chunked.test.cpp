#include <ssm/convolution/chunked.hpp>

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <limits>
#include <random>
#include <vector>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/scan/diagonal.hpp>

#include "reference/diagonal.hpp"
#include "support/allocation_counter.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_bank.hpp"

using ssm::Batch;
using ssm::DiagonalState;
using ssm::Modes;
using ssm::ModeShape;
using ssm::Workspace;
using ssm_test::diagonal_tolerance;
using ssm_test::DiagonalProblem;
using ssm_test::DiagonalReference;
using ssm_test::relative_difference;
using ssm_test::state_difference;
using Sizes = std::vector<std::size_t>;

TEMPLATE_TEST_CASE("chunks equal the recurrence for all sizes", "[chunked]", float, double) {
    using T = TestType;
    for (const std::size_t channels : Sizes{1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 40})
        for (const std::size_t modes : Sizes{1, 2, 3, 8, 16, 31, 32, 33})
            for (const std::size_t length : Sizes{1, 2, 15, 16, 17, 31, 32, 33, 64, 100, 1000}) {
                if (length == 1000 && channels * modes > 200)
                    continue;
                const std::size_t heads = 1 + (channels + modes + length) % 3;
                CAPTURE(channels, modes, heads, length);
                const DiagonalProblem<T> problem({channels, modes, heads}, 2, length,
                                                 length % 2 == 0, 7);
                DiagonalReference::State expected_state;
                const Batch<double> expected = problem.answer(expected_state);
                Workspace workspace;
                Batch<T> y = problem.output();
                DiagonalState<T> state(problem.modes.shape, 2);
                ssm::chunked_forward<T>(problem.modes, problem.skip, problem.u, y, state,
                                        workspace);
                REQUIRE(relative_difference(y, expected) < diagonal_tolerance<T>);
                REQUIRE(state_difference(state, expected_state) < diagonal_tolerance<T>);
            }
}

TEMPLATE_TEST_CASE("chunked blocks, recurrent blocks and steps continue each other", "[chunked]",
                   float, double) {
    using T = TestType;
    const DiagonalProblem<T> problem({19, 9, 2}, 1, 2000, true, 11);
    const ssm::DiagonalSystem<T> system(problem.modes);
    DiagonalReference::State expected_state;
    const Batch<double> expected = problem.answer(expected_state);
    Workspace workspace;
    std::mt19937 random(3);
    for (int repeat = 0; repeat < 5; ++repeat) {
        auto state = system.rest_state(1);
        Batch<T> y = problem.output();
        for (std::size_t first = 0; first < 2000;) {
            const std::size_t count = std::min<std::size_t>(2000 - first, 1 + random() % 300);
            const auto u = problem.u.view().steps(first, count);
            const auto part = y.view().steps(first, count);
            if (random() % 2 == 0)
                ssm::chunked_forward<T>(problem.modes, problem.skip, u, part, state, workspace);
            else if (random() % 2 == 0)
                system.forward(u, problem.skip, part, state, workspace);
            else
                for (std::size_t l = 0; l < count; ++l)
                    system.step(u.row(0, l), problem.skip, part.row(0, l), state);
            first += count;
        }
        CHECK(relative_difference(y, expected) < diagonal_tolerance<T>);
        CHECK(state_difference(state, expected_state) < diagonal_tolerance<T>);
    }
}

TEMPLATE_TEST_CASE("chunks honour resets and lengths", "[chunked]", float, double) {
    using T = TestType;
    for (const std::size_t channels : Sizes{1, 16, 23})
        for (const unsigned period : {1U, 3U, 50U, 400U}) {
            DiagonalProblem<T> problem({channels, 5, 2}, 3, 1000, true, 5);
            problem.interrupt(period);
            CAPTURE(channels, period);
            DiagonalReference::State expected_state;
            const Batch<double> expected = problem.answer(expected_state);
            Workspace workspace;
            DiagonalState<T> state(problem.modes.shape, 3);
            Batch<T> y = problem.output();
            y.fill(std::numeric_limits<T>::quiet_NaN());
            ssm::chunked_forward<T>(problem.modes, problem.skip, problem.u, y, state,
                                    problem.context(workspace));
            CHECK(relative_difference(y, expected) < diagonal_tolerance<T>);
            CHECK(state_difference(state, expected_state) < diagonal_tolerance<T>);

            Batch<T> again = problem.output();
            ssm::chunked_forward<T>(problem.modes, problem.skip, problem.u, again,
                                    problem.context(workspace));
            CHECK(again == y);
        }
}

TEST_CASE("half a million steps in float keep the accuracy of a thousand", "[chunked]") {
    // Memory of 10,000 steps at all frequencies: where a recurrence in float gathers rounding
    //        errors.
    const std::vector<double> angles{0.0, 1e-3, 0.3, 1.5, 3.1};
    const ModeShape shape{angles.size(), 1, 1};
    Modes modes(shape);
    for (std::size_t h = 0; h < shape.channels; ++h) {
        const std::complex<double> z = std::exp(std::complex<double>(-1e-4, angles[h]));
        modes.pole_re[h] = z.real();
        modes.pole_im[h] = z.imag();
        modes.residue_re[h] = 0.6;
        modes.residue_im[h] = -0.8;
    }
    const DiagonalReference reference{modes};
    DiagonalReference::State exact = reference.rest(1);
    DiagonalState<float> state(shape, 1);
    Workspace workspace;
    for (unsigned part = 0; part < 5; ++part) {
        const Batch<float> u = ssm_test::random_batch<float>({1, 100'000, shape.channels}, part);
        Batch<float> y(u.shape());
        ssm::chunked_forward<float>(modes, {}, u, y, state, workspace);
        const Batch<double> expected =
            reference.forward(ssm_test::converted<double>(u), exact, workspace);
        // One rounding of the state each 16 or 32 steps, some 300 to 600 of them in memory, at
        // random: 25 eps.
        CHECK(relative_difference(y, expected) < 1e-5);
    }
}

TEST_CASE("a number that is not finite stays in its row and channel of chunks", "[chunked]") {
    DiagonalProblem<float> problem({18, 4, 1}, 3, 100, true, 2);
    Workspace workspace;
    Batch<float> clean = problem.output();
    ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, clean, workspace);
    problem.u(1, 70, 3) = std::numeric_limits<float>::quiet_NaN();
    Batch<float> y = problem.output();
    ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, y, workspace);
    CHECK(std::isnan(y(1, 99, 3)));
    for (std::size_t l = 0; l < 100; ++l)
        for (std::size_t h = 0; h < 18; ++h) {
            CHECK(y(0, l, h) == clean(0, l, h));
            CHECK(y(2, l, h) == clean(2, l, h));
            if (h != 3 || l < 32)
                CHECK(y(1, l, h) == clean(1, l, h));
        }
}

TEST_CASE("chunks give the same bits for any number of threads", "[chunked]") {
    const DiagonalProblem<float> problem({70, 6, 2}, 20, 900, true, 4);
    std::vector<Batch<float>> results;
    for (const std::size_t threads : Sizes{1, 2, 7}) {
        ssm::set_threads(threads);
        Workspace workspace;
        results.push_back(problem.output());
        ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, results.back(),
                                    workspace);
    }
    ssm::set_threads(0);
    CHECK(results[0] == results[1]);
    CHECK(results[0] == results[2]);
}

TEST_CASE("scratch memory of chunks does not grow with the length, and warm calls do not allocate",
          "[chunked]") {
    ssm::set_threads(1);
    Workspace workspace;
    const DiagonalProblem<float> problem({20, 6, 1}, 2, 1000, true, 4);
    Batch<float> y = problem.output();
    ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, y, workspace);
    const std::size_t capacity = workspace.capacity();
    const DiagonalProblem<float> longer({20, 6, 1}, 2, 5000, true, 4);
    Batch<float> longer_y = longer.output();
    const ssm_test::AllocationCounter allocations;
    ssm::chunked_forward<float>(longer.modes, longer.skip, longer.u, longer_y, workspace);
    CHECK(allocations.count() == 0);
    CHECK(workspace.capacity() == capacity);
    ssm::set_threads(0);
}

TEST_CASE("chunks may write over their input", "[chunked]") {
    const DiagonalProblem<float> problem({18, 3, 1}, 2, 900, true, 4);
    Workspace workspace;
    Batch<float> y = problem.output();
    ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, y, workspace);
    Batch<float> both = problem.u;
    ssm::chunked_forward<float>(problem.modes, problem.skip, both, both, workspace);
    CHECK(both == y);
}

TEST_CASE("chunks refuse arguments of the wrong shape and take empty ones", "[chunked]") {
    const DiagonalProblem<float> problem({4, 3, 2}, 2, 5, true, 4);
    Workspace workspace;
    Batch<float> y = problem.output();
    const Batch<float> wide(2, 5, 5);
    DiagonalState<float> other(problem.modes.shape, 3);
    CHECK_THROWS_AS(ssm::chunked_forward<float>(problem.modes, problem.skip, wide, y, workspace),
                    ssm::ShapeError);
    CHECK_THROWS_AS(
        ssm::chunked_forward<float>(problem.modes, problem.skip, problem.u, y, other, workspace),
        ssm::ShapeError);
    const Batch<float> nothing(2, 0, 4);
    Batch<float> no_output(2, 0, 8);
    CHECK_NOTHROW(
        ssm::chunked_forward<float>(problem.modes, problem.skip, nothing, no_output, workspace));
}
