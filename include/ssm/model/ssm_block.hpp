#pragma once

#include <cstddef>

#include <ssm/core/concepts.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/activation.hpp>
#include <ssm/layer/dropout.hpp>
#include <ssm/layer/glu.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>

namespace ssm {

/// What surrounds a linear state space layer in S4: nonlinearity, and mixing of the channels.
///
///   y = GLU(W dropout(gelu(dropout(system(u)))) + b)
///
/// Shapes    u (batch, L, H) -> y (batch, L, H); the system maps H channels to heads * H, W is (2 H, heads * H)
/// Weights   `0.*` of the system, `4.weight` and `4.bias`
/// Source    S4Block of the released S4 code, with its defaults
template <Layer System, class Function = math::Gelu>
class SsmBlock : public Sequential<System, Dropout<value_t<System>>,
                                   Activation<value_t<System>, Function>, Dropout<value_t<System>>,
                                   Linear<value_t<System>>, SigmoidGlu<value_t<System>>> {
    using T = value_t<System>;
    using Base = Sequential<System, Dropout<T>, Activation<T, Function>, Dropout<T>, Linear<T>,
                            SigmoidGlu<T>>;

public:
    struct Options {
        double dropout = 0.0;       ///< of each of the two
        bool tied_dropout = false;  ///< drop a channel at all steps of a sequence alike
    };

    explicit SsmBlock(const System& system, const Options& options = Options(), Rng rng = Rng())
        : Base(system, drop(system, options),
               Activation<T, Function>({.channels = system.out_channels()}), drop(system, options),
               Linear<T>({.in = system.out_channels(), .out = 2 * system.in_channels()}, rng),
               SigmoidGlu<T>({.channels = system.in_channels()})) {}

private:
    static Dropout<T> drop(const System& system, const Options& options) {
        return Dropout<T>({.channels = system.out_channels(),
                           .p = options.dropout,
                           .tied = options.tied_dropout});
    }
};

}  // namespace ssm
