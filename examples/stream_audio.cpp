// Runs a small S4D network over sound the three ways a plug-in or a service needs: all at once, in blocks with a
// carried state, and sample by sample; checks that the block size does not change the output and reports speed in
// "times real time" and the latency of single samples.
//
// Quick run: --seconds 0.5 --width 8

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <exception>
#include <numbers>
#include <string>
#include <vector>

#include <ssm/ssm.hpp>

#include "support/options.hpp"
#include "support/wav.hpp"

using Block = ssm::Residual<ssm::RMSNorm<float>, ssm::SsmBlock<ssm::S4D<float>>>;
using Network = ssm::Sequential<ssm::Linear<float>, ssm::Repeat<Block>, ssm::Linear<float>>;
using Clock = std::chrono::steady_clock;

/// Sound in, sound out; the state space layers hear about a tenth of a second.
Network make_network(std::size_t width, std::size_t depth, std::size_t state, double sample_rate) {
    ssm::Rng rng(7);
    const auto block = [&](std::size_t) {
        const ssm::S4D<float> system(
            {.channels = width,
             .state = state,
             .timescale = {.min = 20.0 / sample_rate, .max = 2000.0 / sample_rate}},
            rng.split());
        return Block(ssm::RMSNorm<float>({.channels = width}),
                     ssm::SsmBlock<ssm::S4D<float>>(system, {}, rng.split()));
    };
    return Network{ssm::Linear<float>({.in = 1, .out = width}, rng.split()),
                   ssm::Repeat<Block>(depth, block),
                   ssm::Linear<float>({.in = width, .out = 1}, rng.split())};
}

/// A gliding tone, for those who have no WAV file at hand.
examples::Sound glide(double seconds) {
    examples::Sound sound{44100.0, {}};
    double phase = 0.0;
    for (double t = 0.0; t < seconds; t += 1.0 / sound.rate) {
        phase += 2.0 * std::numbers::pi * (110.0 + 440.0 * t / seconds) / sound.rate;
        sound.samples.push_back(static_cast<float>(0.5 * std::sin(phase)));
    }
    return sound;
}

double seconds_since(Clock::time_point start) {
    return std::chrono::duration<double>(Clock::now() - start).count();
}

double largest_difference(const ssm::Batch<float>& a, const ssm::Batch<float>& b) {
    double largest = 0.0;
    for (std::size_t i = 0; i < a.size(); ++i)
        largest = std::max(
            largest, std::abs(static_cast<double>(a.data()[i]) - static_cast<double>(b.data()[i])));
    return largest;
}

/// Blocks of `size` samples with a carried state: seconds it took. The first blocks warm up the workspace; after
/// them nothing is allocated.
double run_blocks(const Network& network, const ssm::Batch<float>& u, ssm::Batch<float>& y,
                  std::size_t size) {
    ssm::Workspace workspace;
    Network::State state = network.rest_state();
    const auto start = Clock::now();
    for (std::size_t t = 0; t < u.length(); t += size) {
        const std::size_t count = std::min(size, u.length() - t);
        network.forward(u.view().steps(t, count), y.view().steps(t, count), state, workspace);
    }
    return seconds_since(start);
}

/// Single samples; fills `latencies` with the seconds of each.
void run_samples(const Network& network, const ssm::Batch<float>& u, ssm::Batch<float>& y,
                 std::vector<double>& latencies) {
    Network::State state = network.rest_state();
    for (std::size_t t = 0; t < u.length(); ++t) {
        const auto start = Clock::now();
        network.step(u.view().row(0, t), y.view().row(0, t), state);
        latencies[t] = seconds_since(start);
    }
}

int run(const std::string& path, double seconds, const std::string& weights, std::size_t width,
        std::size_t depth, std::size_t state) {
    const examples::Sound sound = path.empty() ? glide(seconds) : examples::read_wav(path);
    const double duration = static_cast<double>(sound.samples.size()) / sound.rate;
    Network network = make_network(width, depth, state, sound.rate);
    if (!weights.empty())
        ssm::load(network, weights);
    std::printf(
        "%.2f s of sound at %.0f Hz; %zu blocks of width %zu, state %zu: %zu parameters\n\n",
        duration, sound.rate, depth, width, state, ssm::parameter_count(network));

    const ssm::Batch<float> u(
        ssm::BatchView<const float>(sound.samples.data(), {1, sound.samples.size(), 1}));
    ssm::Batch<float> whole(u.shape());
    ssm::Batch<float> y(u.shape());
    ssm::Workspace workspace;
    auto start = Clock::now();
    network.forward(u, whole, workspace);
    std::printf("%-22s %8.1f times real time\n", "whole sequence", duration / seconds_since(start));

    double worst = 0.0;
    for (const std::size_t size : {16U, 64U, 256U, 1024U}) {
        const double took = run_blocks(network, u, y, size);
        worst = std::max(worst, largest_difference(whole, y));
        std::printf("blocks of %-12zu %8.1f times real time, largest difference %.1e\n", size,
                    duration / took, largest_difference(whole, y));
    }
    std::vector<double> latencies(u.length());
    run_samples(network, u, y, latencies);
    worst = std::max(worst, largest_difference(whole, y));
    double sum = 0.0;
    for (const double latency : latencies)
        sum += latency;
    std::sort(latencies.begin(), latencies.end());
    std::printf("%-22s %8.1f times real time, largest difference %.1e\n", "single samples",
                duration / sum, largest_difference(whole, y));
    const auto quantile = [&](double q) {
        return 1e6 *
               latencies[static_cast<std::size_t>(q * static_cast<double>(latencies.size() - 1))];
    };
    std::printf(
        "\nlatency of a sample: median %.2f us, 99.9 %% below %.2f us, budget at %.0f Hz %.2f us\n",
        quantile(0.5), quantile(0.999), sound.rate, 1e6 / sound.rate);
    return worst < 1e-4 ? 0 : 1;
}

int main(int count, char** arguments) {
    try {
        examples::Options options(count, arguments, "Streams sound through a small S4D network.");
        const auto path =
            options.get<std::string>("wav", "", "16-bit WAV file; without, a gliding tone");
        const double seconds = options.get("seconds", 5.0, "length of the gliding tone");
        const auto weights =
            options.get<std::string>("weights", "", "safetensors file; without, random weights");
        const auto width = options.get<std::size_t>("width", 16, "channels");
        const auto depth = options.get<std::size_t>("depth", 2, "residual blocks");
        const auto state = options.get<std::size_t>("state", 64, "state size of each channel");
        options.done();
        const ssm::FlushSubnormals flush;  // as an audio thread should
        return run(path, seconds, weights, width, depth, state);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "error: %s\n", error.what());
        return 1;
    }
}
