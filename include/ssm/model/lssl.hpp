#pragma once

#include <cstddef>

#include <ssm/core/rng.hpp>
#include <ssm/discretize/bilinear.hpp>
#include <ssm/evaluation/automatic.hpp>
#include <ssm/init/timescale.hpp>
#include <ssm/init/tridiagonal.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/head_order.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/lti.hpp>
#include <ssm/layer/structure/tridiagonal.hpp>
#include <ssm/model/sequential.hpp>

namespace ssm {

/// What an LSSL learns of its transitions.
enum class LsslLearning {
    fixed,     ///< C and D alone ("LSSL-fixed")
    shared,    ///< one A and B for all features, and the time steps
    separate,  ///< an A and B for each feature
};
/// How its C starts.
enum class LsslOutput {
    normal,    ///< standard normal
    constant,  ///< ones
    uniform,   ///< uniform in [0, sqrt 3)
};

/// Linear state space layer: one dense real system for each feature, read out M times, and a mixing of all.
///
///   y = W dropout(gelu(C x + D u + E)) + b        x[t] = A_bar x[t-1] + B_bar u[t], bilinear
///
///   LSSL<float> layer({.channels = 64, .state = 64});
///   LSSL<float, Dense<init::hippo::LegT>> full({.channels = 64, .state = 64});
///
/// All modes have the same numbers; the original has no step.
///
/// Shapes    u (batch, L, d) -> y (batch, L, d); W (d, M d) with the M outputs of a feature next to each other
/// Weights   `0.*` of the bank, `1.E` (d, M), `4.weight`, `4.bias`; the transition learns at 1e-4, time steps at 1e-3
/// Cost      that of dense systems: N^2 numbers a feature. Diagonal layers (S4D) do as well for N
/// Errors    ValueError for sizes that are zero
/// Source    arXiv:2110.13985 and its code
template <class T, class Structure = InverseTridiagonal<>, class Function = math::Gelu,
          class Evaluation = evaluation::Auto>
class LSSL : public Sequential<Lti<T, Structure, Bilinear, Evaluation>, HeadOrder<T>,
                               Activation<T, Function>, Dropout<T>, Linear<T>> {
public:
    using System = Lti<T, Structure, Bilinear, Evaluation>;

    struct Options {
        std::size_t channels = 0;  ///< d: features
        std::size_t state = 256;   ///< N
        std::size_t heads = 1;     ///< M: outputs of each feature, "channels" in the paper
        LsslLearning learning = LsslLearning::shared;
        LsslOutput output = LsslOutput::normal;
        bool bias = false;  ///< E
        bool uniform_steps =
            false;  ///< time steps on a geometric grid over the features, else random
        double dropout = 0.0;
        Timescale timescale{};
        typename Structure::Options structure{.learning_rate = 1e-4};
    };

    explicit LSSL(const Options& options, Rng rng = Rng())
        : Sequential<System, HeadOrder<T>, Activation<T, Function>, Dropout<T>, Linear<T>>(
              system(options, rng),
              HeadOrder<T>(
                  {.channels = options.channels, .heads = options.heads, .bias = options.bias}),
              Activation<T, Function>({.channels = options.channels * options.heads}),
              Dropout<T>({.channels = options.channels * options.heads, .p = options.dropout}),
              Linear<T>({.in = options.channels * options.heads, .out = options.channels}, rng)) {}

private:
    static System system(const Options& options, Rng& rng) {
        const bool learns = options.learning != LsslLearning::fixed;
        System result({.channels = options.channels,
                       .state = options.state,
                       .heads = options.heads,
                       .copies = options.learning == LsslLearning::separate ? options.channels : 1,
                       .timescale = options.timescale,
                       .training = {.A = learns, .B = learns, .dt = learns},
                       .structure = options.structure},
                      rng.split());
        if (options.uniform_steps)
            result.bank.set_steps(init::Geometric{options.timescale.min, options.timescale.max}(
                options.channels, rng));
        if (options.output == LsslOutput::constant)
            result.bank.C.fill(T(1));
        if (options.output == LsslOutput::uniform)
            for (T& c : result.bank.C.flat())
                c = static_cast<T>(rng.uniform(0.0, 1.732));
        return result;
    }
};

}  // namespace ssm
