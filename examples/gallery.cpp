// Draws what state space models are made of: signals remembered in a few numbers, what each state of an initialisation
// listens to, eigenvalues of initialisations, and where discretisations put the poles. Pictures are SVG files in --out.
//
// Quick run: --samples 600

#include <algorithm>
#include <cmath>
#include <complex>
#include <cstddef>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <numbers>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <ssm/core/rng.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/discretize/dense.hpp>
#include <ssm/discretize/zoh.hpp>
#include <ssm/init/diagonal.hpp>
#include <ssm/init/hippo.hpp>
#include <ssm/init/legs.hpp>
#include <ssm/init/ptd.hpp>
#include <ssm/scan/hippo_memory.hpp>

#include "support/figure.hpp"
#include "support/options.hpp"

namespace hippo = ssm::init::hippo;
using examples::Figure;
using examples::palette;
using Numbers = std::vector<double>;
using Poles = std::vector<std::complex<double>>;

namespace {

void save(const Figure& figure, const std::filesystem::path& file) {
    if (!figure.save(file.string()))
        throw std::runtime_error("cannot write " + file.string());
    std::printf("%s\n", file.string().c_str());
}

/// Some waves of slowly changing height and pitch.
Numbers wavy_signal(std::size_t samples) {
    Numbers signal;
    for (std::size_t i = 0; i < samples; ++i) {
        const double t = static_cast<double>(i) / static_cast<double>(samples);

        const double rise = 0.5 + 0.5 * std::tanh(30.0 * (t - 0.4));
        signal.push_back(std::sin(2.0 * std::numbers::pi * (2.0 + 4.0 * t) * t) *
                             (0.6 + 0.4 * std::cos(5.0 * t)) +
                         0.35 * std::sin(2.0 * std::numbers::pi * 11.0 * t + 1.0) * rise);
    }
    return signal;
}

/// A signal and what a memory still knows of it at the end.
template <class Memory>
void draw_memory(Figure& figure, const examples::Box& box, const std::string& title,
                 const Numbers& signal, Memory memory, std::size_t reach,
                 const std::string& colour) {
    for (const double sample : signal)
        memory.update({&sample, 1});
    Numbers steps_ago, values(reach), times, all;
    const std::size_t last = signal.size() - 1;
    for (std::size_t i = 0; i < reach; ++i) {
        steps_ago.push_back(static_cast<double>(reach - 1 - i));
        times.push_back(static_cast<double>(last) - steps_ago.back());
    }
    memory.reconstruct(0, steps_ago, values);
    for (std::size_t i = 0; i <= last; ++i)
        all.push_back(static_cast<double>(i));
    auto panel = figure.panel(box, title, {0.0, static_cast<double>(last)}, {-1.6, 1.6});
    panel.y_ticks({{-1.0, ""}, {0.0, ""}, {1.0, ""}});
    panel.line(all, signal, "#b9bcc8", 3.5);
    panel.line(times, values, colour, 1.8);
}

void draw_memories(const std::filesystem::path& folder, std::size_t samples) {
    const Numbers signal = wavy_signal(samples);
    const std::size_t window = samples / 2;
    Figure figure(
        1080, 600, "The past of a signal, kept in N numbers",
        "Grey: the signal. Coloured: what the state of a HiPPO system says about it after the "
        "last sample.");
    std::size_t row = 0;
    for (const std::size_t N : {8U, 24U, 64U}) {
        const double y = 90.0 + 180.0 * static_cast<double>(row);
        const std::string size = ", N = " + std::to_string(N);
        draw_memory(figure, {24, y, 500, 130}, "LegS, the whole history" + size, signal,
                    ssm::HippoMemory<double>({.state = N}), samples, palette[0]);
        const double length = static_cast<double>(window);
        draw_memory(figure, {556, y, 500, 130}, "LegT, the second half" + size, signal,
                    ssm::HippoMemory<double, hippo::LegT>({.state = N, .window = length}), window,
                    palette[1]);
        ++row;
    }
    save(figure, folder / "memory.svg");
}

/// Responses of the first states of x' = A x + B u to an impulse, drawn against the age of the impulse.
template <class Measure>
void draw_responses(Figure& figure, const examples::Box& box, const std::string& title,
                    const Measure& measure, double duration) {
    constexpr std::size_t N = 64;
    constexpr std::size_t steps = 500;
    constexpr std::size_t shown = 5;
    const auto [A, B] = measure.transition(N);
    const ssm::DenseTransition step =
        ssm::discretize(ssm::Zoh{}, A, B, duration / static_cast<double>(steps));
    std::vector<Numbers> responses(shown);
    Numbers ages;
    Eigen::VectorXd x = B;
    double low = 0.0;
    double high = 0.0;
    for (std::size_t t = 0; t <= steps; ++t, x = (step.A * x).eval()) {
        ages.push_back(duration * static_cast<double>(t) / static_cast<double>(steps));
        for (std::size_t n = 0; n < shown; ++n) {
            responses[n].push_back(x(static_cast<Eigen::Index>(n)));
            low = std::min(low, responses[n].back());
            high = std::max(high, responses[n].back());
        }
    }
    const double margin = 0.06 * (high - low);
    auto panel = figure.panel(box, title, {0.0, duration}, {low - margin, high + margin});
    panel.y_ticks({{0.0, "0"}});
    panel.x_ticks({{0.0, "0"},
                   {duration / 2.0, ""},
                   {duration, "t = " + std::to_string(static_cast<int>(duration))}});
    for (std::size_t n = shown; n-- > 0;)
        panel.line(ages, responses[n], palette[n], 1.7);
}

/// The same for modes of a diagonal system: Re(B e^(A t)).
template <class Init>
void draw_modes(Figure& figure, const examples::Box& box, const std::string& title,
                const Init& init, double duration) {
    ssm::Rng rng;
    const ssm::init::Diagonal system = init(32, rng);
    // Slow ones first, which the initialisations store at different ends.
    std::vector<std::size_t> order(system.A.size());
    for (std::size_t j = 0; j < order.size(); ++j)
        order[j] = j;
    std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return std::abs(system.A[a]) < std::abs(system.A[b]);
    });
    auto panel = figure.panel(box, title, {0.0, duration}, {-1.1, 1.1});
    panel.y_ticks({{0.0, "0"}});
    panel.x_ticks({{0.0, "0"},
                   {duration / 2.0, ""},
                   {duration, "t = " + std::to_string(static_cast<int>(duration))}});
    for (std::size_t n = 5; n-- > 0;) {
        Numbers ages, values;
        for (std::size_t t = 0; t <= 500; ++t) {
            ages.push_back(duration * static_cast<double>(t) / 500.0);
            values.push_back(std::exp(system.A[order[n]] * ages.back()).real());
        }
        panel.line(ages, values, palette[n], 1.7);
    }
}

void draw_kernels(const std::filesystem::path& folder) {
    Figure figure(
        1080, 620, "What the states of an initialisation listen to",
        "Impulse responses of the first five states, N = 64, over the age of the impulse. "
        "Above: dense HiPPO systems. Below: the five slowest modes of diagonal ones.");
    const auto box = [](std::size_t column, double y) {
        return examples::Box{40.0 + 262.0 * static_cast<double>(column), y, 228.0, 180.0};
    };
    draw_responses(figure, box(0, 95), "LegS: all the past, fading", hippo::LegS{}, 4.0);
    draw_responses(figure, box(1, 95), "LegT: a window", hippo::LegT{}, 4.0);
    draw_responses(figure, box(2, 95), "LagT: fading polynomials", hippo::LagT{}, 20.0);
    draw_responses(figure, box(3, 95), "FouT: waves in a window", hippo::Fourier{}, 4.0);
    draw_modes(figure, box(0, 365), "S4D-Lin", ssm::init::Lin{}, 4.0);
    draw_modes(figure, box(1, 365), "S4D-Inv", ssm::init::Inv{}, 4.0);
    draw_modes(figure, box(2, 365), "S4D-LegS", ssm::init::LegS{}, 4.0);
    draw_modes(figure, box(3, 365), "S4-PTD", ssm::init::Ptd<>{}, 4.0);
    for (std::size_t n = 0; n < 5; ++n)
        figure.text(60.0 + 90.0 * static_cast<double>(n), 600, "state " + std::to_string(n + 1),
                    "start", 12, palette[n]);
    save(figure, folder / "kernels.svg");
}

/// A scale on which 0 and both signs of large numbers have room.
double squeezed(double value) {
    return std::asinh(value);
}

void draw_spectra(const std::filesystem::path& folder) {
    constexpr std::size_t modes = 32;
    Figure figure(1080, 560, "Eigenvalues of initialisations, N = 64",
                  "Left: frequencies |Im| of one of each conjugate pair; nearly all decay at Re = "
                  "-1/2. Right: "
                  "LegS on its way from HiPPO to its normal part.");
    ssm::Rng rng;
    const std::vector<examples::Tick> frequencies = {{squeezed(0.0), "0"},
                                                     {squeezed(1.0), "1"},
                                                     {squeezed(10.0), "10"},
                                                     {squeezed(100.0), "100"},
                                                     {squeezed(1000.0), "1000"}};
    const auto poles_of = [&](const auto& init) { return init(modes, rng).A; };
    const std::vector<std::pair<std::string, Poles>> columns = {
        {"Lin", poles_of(ssm::init::Lin{})},   {"Inv", poles_of(ssm::init::Inv{})},
        {"Inv2", poles_of(ssm::init::Inv2{})}, {"Quad", poles_of(ssm::init::Quad{})},
        {"LegS", poles_of(ssm::init::LegS{})}, {"LegT", poles_of(ssm::init::LegT{})},
        {"LagT", poles_of(ssm::init::LagT{})}, {"FouT", poles_of(ssm::init::Fourier{})}};
    auto strip = figure.panel({60, 90, 560, 420}, "", {-0.6, 7.6}, {-0.3, squeezed(2500.0)});
    strip.y_ticks(frequencies);
    std::vector<examples::Tick> names;
    for (std::size_t i = 0; i < columns.size(); ++i)
        names.push_back({static_cast<double>(i), columns[i].first});
    strip.x_ticks(names);
    for (std::size_t i = 0; i < columns.size(); ++i) {
        Numbers xs, ys;
        for (const std::complex<double>& pole : columns[i].second) {
            xs.push_back(static_cast<double>(i));
            ys.push_back(squeezed(std::abs(pole.imag())));
        }
        strip.points(xs, ys, palette[i], 4.0);
    }
    auto plane = figure.panel({690, 90, 360, 420}, "Re: decay. Im: frequency",
                              {-squeezed(4000.0), 0.0}, {-0.3, squeezed(2500.0)});
    plane.y_ticks(frequencies);
    plane.x_ticks({{-squeezed(1000.0), "-1000"},
                   {-squeezed(100.0), "-100"},
                   {-squeezed(10.0), "-10"},
                   {-squeezed(1.0), "-1"},
                   {0.0, "0"}});
    std::size_t colour = 0;
    for (const double share : {0.01, 0.1, 0.5, 1.0}) {
        Numbers xs, ys;
        for (const std::complex<double>& pole : ssm::init::Ptd<>{share}.modes(2 * modes).W) {
            xs.push_back(-squeezed(-pole.real()));
            ys.push_back(squeezed(-pole.imag()));
        }
        plane.points(xs, ys, palette[colour], 3.6);
        const std::string label = share == 1.0 ? "normal part (S4D-LegS)"
                                               : "PTD, share " + std::to_string(share).substr(0, 4);
        plane.note(0.04, 0.62 + 0.06 * static_cast<double>(colour), label, palette[colour]);
        ++colour;
    }
    save(figure, folder / "spectra.svg");
}

/// Poles of S4D-LegS in discrete time, with conjugates.
template <class Method>
void draw_poles(Figure& figure, const examples::Box& box, const std::string& title,
                const Method& method, double dt, const std::string& colour) {
    ssm::Rng rng;
    const ssm::init::Diagonal system = ssm::init::LegS{}(32, rng);
    Numbers xs, ys;
    for (const std::complex<double>& lambda : system.A) {
        const double re[] = {lambda.real()}, im[] = {lambda.imag()}, step[] = {dt};
        double z_re[1], z_im[1], b_re[1], b_im[1];
        method.forward(re, im, step, z_re, z_im, b_re, b_im);
        for (const double sign : {1.0, -1.0}) {
            xs.push_back(z_re[0]);
            ys.push_back(sign * z_im[0]);
        }
    }
    auto panel = figure.panel(box, title, {-1.2, 1.2}, {-1.2, 1.2});
    panel.circle(1.0);
    panel.x_ticks({{-1.0, "-1"}, {0.0, "0"}, {1.0, "1"}});
    panel.y_ticks({{-1.0, "-i"}, {0.0, "0"}, {1.0, "i"}});
    panel.points(xs, ys, colour, 4.0);
}

void draw_discretizations(const std::filesystem::path& folder) {
    Figure figure(
        1080, 440, "Where a discretisation puts the poles",
        "S4D-LegS, N = 64, dt = 0.01. Zero-order hold wraps fast modes around the unit circle, the "
        "bilinear transform pushes them to -1, backward Euler forgets them.");
    draw_poles(figure, {44, 90, 310, 310}, "Zero-order hold", ssm::Zoh{}, 0.01, palette[0]);
    draw_poles(figure, {394, 90, 310, 310}, "Bilinear", ssm::Bilinear{}, 0.01, palette[1]);
    draw_poles(figure, {744, 90, 310, 310}, "Backward Euler", ssm::BackwardEuler{}, 0.01,
               palette[3]);
    save(figure, folder / "poles.svg");
}

}  // namespace

int main(int count, char** arguments) try {
    examples::Options options(count, arguments,
                              "Pictures of HiPPO memories, kernels, spectra and discretisations");
    const auto folder = options.get<std::string>("out", "gallery", "folder of the pictures");
    const auto samples = options.get<std::size_t>("samples", 2000, "length of the signal");
    options.done();
    if (samples < 100)
        throw std::runtime_error("--samples must be at least 100");
    std::filesystem::create_directories(folder);
    draw_memories(folder, samples);
    draw_kernels(folder);
    draw_spectra(folder);
    draw_discretizations(folder);
} catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
}
