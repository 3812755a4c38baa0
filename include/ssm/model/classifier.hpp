#pragma once

#include <cstddef>
#include <type_traits>

#include <ssm/core/concepts.hpp>
#include <ssm/core/error.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/layer/identity.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/layer/norm.hpp>
#include <ssm/layer/pool.hpp>
#include <ssm/model/repeat.hpp>
#include <ssm/model/residual.hpp>
#include <ssm/model/sequential.hpp>
#include <ssm/model/ssm_block.hpp>

namespace ssm {

/// Sizes of a `Classifier`.
template <class SystemOptions>
struct ClassifierOptions {
    std::size_t inputs = 1;     ///< channels of the input
    std::size_t classes = 0;    ///< numbers put out
    std::size_t width = 64;     ///< H, channels between encoder and decoder
    std::size_t depth = 4;      ///< residual blocks
    double dropout = 0.0;       ///< in every place where the original has one
    bool tied_dropout = false;  ///< drop a channel at all steps of a sequence alike
    SystemOptions system{};     ///< of each state space layer; its channels are set to `width`
};

namespace detail {

template <class System, class Norm, class Pool, NormOrder order>
using ClassifierBase =
    Sequential<Linear<value_t<System>>, Repeat<Residual<Norm, SsmBlock<System>>>,
               std::conditional_t<order == NormOrder::pre, Norm, Identity<value_t<System>>>, Pool,
               Linear<value_t<System>>>;

}  // namespace detail

/// A classifier of sequences: encoder, residual blocks, pooling over time, decoder.
///
///   x = W_in u + b;   depth times x = x + dropout(block(norm(x)));   y = W_out pool(norm(x)) + b
///
/// or with the norm behind each sum (`NormOrder::post`), and then none before the pooling.
///
///   Classifier<S4D<float>> model({.classes = 10, .width = 64, .depth = 4}, Rng(1));
///
/// A layer like any other: its output is one row of logits for each sequence; as a stream it puts out the
/// logits of all steps so far at each step.
///
/// Shapes    u (batch, L, inputs) -> logits (batch, 1, classes)
/// Errors    ValueError for sizes of zero
/// Source    SequenceModel of the released S4 code
template <Layer System, class Norm = LayerNorm<value_t<System>>,
          class Pool = MeanPool<value_t<System>>, NormOrder order = NormOrder::pre>
class Classifier : public detail::ClassifierBase<System, Norm, Pool, order> {
    using T = value_t<System>;
    using Base = detail::ClassifierBase<System, Norm, Pool, order>;
    using Block = Residual<Norm, SsmBlock<System>>;

public:
    using Options = ClassifierOptions<typename System::Options>;

    // In braces, because they promise that random numbers are drawn from left to right.
    explicit Classifier(const Options& options, Rng rng = Rng())
        : Base{Linear<T>({.in = options.inputs, .out = options.width}, rng.split()),
               Repeat<Block>(options.depth,
                             [&](std::size_t) { return block(options, rng.split()); }),
               FinalNorm({.channels = options.width}), Pool({.channels = options.width}),
               Linear<T>({.in = options.width, .out = options.classes}, rng.split())} {}

private:
    using FinalNorm = std::conditional_t<order == NormOrder::pre, Norm, Identity<T>>;

    static Block block(const Options& options, Rng rng) {
        typename System::Options system = options.system;
        system.channels = options.width;
        const System layer(system, rng.split());
        return Block(
            Norm({.channels = options.width}),
            SsmBlock<System>(layer,
                             {.dropout = options.dropout, .tied_dropout = options.tied_dropout},
                             rng.split()),
            {.order = order, .dropout = options.dropout, .tied_dropout = options.tied_dropout});
    }
};

}  // namespace ssm
