// The shapes that are measured give right numbers: float by the automatic choice against double step by step.

#include <algorithm>
#include <cmath>
#include <cstddef>

#include <ssm/layer/s4d.hpp>

#include "support/cases.hpp"
#include "support/catch.hpp"
#include "support/prebuilt_bank.hpp"

using namespace ssm;

// Weights rounded to float move the output by a few 1e-6 of its largest value; evaluations add less.
TEST_CASE("the measured shapes agree with double precision") {
    Workspace workspace;
    for (const ssm_test::S4DCase& c : ssm_test::s4d_cases) {
        if (c.length * c.batch > 16384)
            continue;  // the same code; too slow and too large in double for every run
        CAPTURE(c.length, c.batch);
        const S4D<float> layer({.channels = c.channels, .state = c.state}, Rng(2));
        const S4D<double, init::Lin, Zoh, evaluation::Recurrence> precise(
            {.channels = c.channels, .state = c.state}, Rng(2));
        Batch<float> u(c.batch, c.length, c.channels), y(u.shape());
        Batch<double> v(u.shape()), z(u.shape());
        Rng rng(1);
        for (std::size_t i = 0; i < u.size(); ++i) {
            u.data()[i] = static_cast<float>(rng.normal());
            v.data()[i] = static_cast<double>(u.data()[i]);
        }
        layer.forward(u, y, workspace);
        precise.forward(v, z, workspace);
        double error = 0.0;
        double largest = 0.0;
        for (std::size_t i = 0; i < u.size(); ++i) {
            error = std::max(error, std::abs(static_cast<double>(y.data()[i]) - z.data()[i]));
            largest = std::max(largest, std::abs(z.data()[i]));
        }
        CHECK(error < 1e-5 * largest);
    }
}
