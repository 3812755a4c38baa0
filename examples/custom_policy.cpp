// Puts three policies into the library that it does not have, without touching it: an initialisation (poles of given
// periods), a discretisation (impulse invariance) and a whole structure with a recurrence of its own (resonators, in
// support/resonators.hpp). A model of them learns to say next year's sunspots, and then runs as a stream.
//
// Quick run: --epochs 20 --target 0

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <numbers>
#include <span>
#include <string>
#include <vector>

#include <ssm/ssm.hpp>

#include "support/options.hpp"
#include "support/resonators.hpp"
#include "support/series.hpp"

/// Initialisation: modes that swing with periods from 2 to 24 years, evenly spaced in their logarithm, and fade within
/// one of them. Any call (modes, rng) -> ssm::init::Diagonal is one.
struct Periods {
    double shortest = 2.0, longest = 24.0;

    [[nodiscard]] ssm::init::Diagonal operator()(std::size_t modes, ssm::Rng&) const {
        ssm::init::Diagonal system;
        for (std::size_t n = 0; n < modes; ++n) {
            const double place = (static_cast<double>(n) + 0.5) / static_cast<double>(modes);
            const double period = shortest * std::pow(longest / shortest, place);
            system.A.emplace_back(-1.0 / period, -2.0 * std::numbers::pi / period);
            system.B.emplace_back(1.0);
        }
        return system;
    }
};

/// Discretisation: the sampled impulse response, z = e^{dt lambda} and b = dt, and its adjoint. Anything that models
/// ssm::Discretization is one.
struct ImpulseInvariance {
    using In = std::span<const double>;
    using Out = std::span<double>;
    using Number = std::complex<double>;

    static void forward(In re, In im, In dt, Out z_re, Out z_im, Out b_re, Out b_im) {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const Number z = std::exp(dt[i] * Number(re[i], im[i]));
            z_re[i] = z.real();
            z_im[i] = z.imag();
            b_re[i] = dt[i];
            b_im[i] = 0.0;
        }
    }
    static void adjoint(In re, In im, In dt, In dz_re, In dz_im, In db_re, In, Out dlambda_re,
                        Out dlambda_im, Out ddt) {
        for (std::size_t i = 0; i < dt.size(); ++i) {
            const Number lambda(re[i], im[i]);
            const Number dx = std::conj(std::exp(dt[i] * lambda)) * Number(dz_re[i], dz_im[i]);
            dlambda_re[i] = dt[i] * dx.real();
            dlambda_im[i] = dt[i] * dx.imag();
            ddt[i] = (std::conj(lambda) * dx).real() + db_re[i];
        }
    }
};

using Swings = ssm::S4D<float, Periods, ImpulseInvariance>;
using Resonators = ssm::Lti<float, examples::Resonators, ssm::Discrete>;
using Gelu = ssm::Activation<float, ssm::math::Gelu>;
using Model =
    ssm::Sequential<ssm::Linear<float>, Resonators, Gelu, Swings, Gelu, ssm::Linear<float>>;

Model make_model(std::size_t width, ssm::Rng rng) {
    return Model{ssm::Linear<float>({.in = 1, .out = width}, rng.split()),
                 Resonators({.channels = width}, rng.split()),
                 Gelu({.channels = width}),
                 Swings({.channels = width, .state = 16, .timescale = {.min = 1.0, .max = 1.0}},
                        rng.split()),
                 Gelu({.channels = width}),
                 ssm::Linear<float>({.in = width, .out = 1}, rng.split())};
}

/// Windows of the square roots of a series, and the same one step later.
struct Windows {
    Windows(const std::vector<double>& series, std::size_t first, std::size_t length,
            std::size_t count)
        : now(count, length, 1), next(now.shape()) {
        for (std::size_t i = 0; i < count; ++i)
            for (std::size_t l = 0; l < length; ++l) {
                now(i, l, 0) = static_cast<float>(std::sqrt(series[first + i + l]) / 7.0 - 1.0);
                next(i, l, 0) =
                    static_cast<float>(std::sqrt(series[first + i + l + 1]) / 7.0 - 1.0);
            }
    }
    static double sunspots(float y) { return std::pow(7.0 * (static_cast<double>(y) + 1.0), 2.0); }

    ssm::Batch<float> now, next;
};

int run(examples::Options options) {
    const auto data = options.get<std::string>("data", SSM_EXAMPLES_DATA "/sunspots.csv",
                                               "yearly sunspot numbers");
    const auto epochs =
        options.get<std::size_t>("epochs", 100, "times through the training windows");
    const auto target = options.get(
        "target", 0.9, "fails if the error over that of persistence is above; 0: never");
    const auto seed = options.get("seed", 1U, "random numbers");
    options.done();

    const std::vector<double> years = examples::read_series(data).value;
    const std::size_t split = years.size() - 50;
    const std::size_t length = 128;
    const Windows training(years, 0, length, split - length);
    Model model = make_model(16, ssm::Rng(seed));
    ssm::TrainState state(model, ssm::AdamW<Model>(model, {.learning_rate = 3e-3}));
    ssm::fit(model, state, ssm::Examples(training.now, training.next), ssm::loss::MSE<float>{},
             {.epochs = epochs, .batch_size = 32});

    // All years as one stream, against the whole sequence at once.
    const Windows all(years, 0, years.size() - 1, 1);
    ssm::Workspace workspace;
    ssm::Batch<float> whole(all.now.shape());
    model.forward(all.now, whole, workspace);
    Model::State stream = model.rest_state();
    double difference = 0.0, square = 0.0, persistence = 0.0;
    for (std::size_t t = 0; t + 1 < years.size(); ++t) {
        float y = 0.0F;
        model.step(all.now.view().row(0, t), {&y, 1}, stream);
        difference = std::max(difference, static_cast<double>(std::abs(y - whole(0, t, 0))));
        if (t + 1 >= split) {
            square += std::pow(Windows::sunspots(y) - years[t + 1], 2.0);
            persistence += std::pow(years[t] - years[t + 1], 2.0);
        }
    }
    std::printf(
        "root mean square error one year ahead, in 50 years not seen in training:\n"
        "  own policies %.1f   last value %.1f\n"
        "streamed year by year, outputs differ from those at once by at most %.1e\n",
        std::sqrt(square / 50.0), std::sqrt(persistence / 50.0), difference);
    const bool agrees = difference < 1e-4;
    return agrees && (target == 0.0 || std::sqrt(square) <= target * std::sqrt(persistence)) ? 0
                                                                                             : 1;
}

int main(int count, char** arguments) {
    try {
        return run(examples::Options(count, arguments,
                                     "Trains a model of policies that are not in the library."));
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
