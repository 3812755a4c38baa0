#pragma once

#include <concepts>
#include <cstddef>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/rng.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/lti_options.hpp>

namespace ssm {

/// What runs one discrete system, of all channels, as a recurrence in numbers of type T. Immutable once made from
/// a System: any number of streams share one.
///
///   Stream(system)   reset(system)                   prepares; reset keeps memory
///   shape()                                          as system.shape
///   step(u, skip, y, state)   noexcept               one step of all streams of `state`
///   forward(u, skip, y, state, context)              blocks; honours resets and lengths
///   State            regular; reset(shape, batch) puts `batch` streams to rest; fits(shape, batch)
///
/// Shapes    u (batch, L, H) -> y (batch, L, heads * H), head c of channel h at c * H + h; skip (heads, H) or empty
template <class S, class T, class System>
concept LinearStream = std::default_initializable<S> && std::constructible_from<S, const System&> &&
    std::regular<typename S::State> &&
    requires(S& stream, const S& fixed, const System& system, std::span<const T> in,
             std::span<T> out, BatchView<const T> u, BatchView<T> y, typename S::State& state,
             const Context& context) {
    stream.reset(system);
    state.reset(fixed.shape(), std::size_t(1));
    { state.fits(fixed.shape(), std::size_t(1)) } -> std::convertible_to<bool>;
    { fixed.step(in, in, out, state) }
    noexcept;
    fixed.forward(u, in, y, state, context);
};

/// The discrete system of all channels, which a structure produces, evaluations consume, and whose gradient has the
/// same type. In double, so that long sequences stay exact in float.
///
///   shape                      has members channels and heads
///   reset(shape)               takes these sizes and becomes zero
///   Stream<T>                  see `LinearStream`
///   convolution_kernel<T>(system, length, kernel, workspace)                       K[c, h, l] = C A_bar^l B_bar
///   convolution_kernel_adjoint<T>(system, length, dkernel, gradient, workspace)    adds to `gradient`
///
/// The two functions are found in the namespace of the system.
template <class S, class T>
concept LinearSystem = std::default_initializable<S> &&
    LinearStream<typename S::template Stream<T>, T, S> &&
    requires(S& system, const S& fixed, std::span<T> kernel, std::span<const T> dkernel,
             Workspace& workspace) {
    { fixed.shape.channels } -> std::convertible_to<std::size_t>;
    { fixed.shape.heads } -> std::convertible_to<std::size_t>;
    system.reset(fixed.shape);
    convolution_kernel<T>(fixed, std::size_t(1), kernel, workspace);
    convolution_kernel_adjoint<T>(fixed, std::size_t(1), dkernel, system, workspace);
};

/// A structure policy: what kind of matrix A is. Its `Bank<T>` holds the weights of all channels.
///
///   Options                                          of the structure; default: the paper's
///   Bank(sizes, kernels, timescale, training, options, rng)
///   sizes(), shape()                                 shape of the discrete system
///   can_stream<Discretization>                       whether one discrete system serves sequences of all lengths
///   discretize(method, rate, system, workspace)      at `rate` times the trained time step
///   adjoint(method, rate, system, upstream, gradient, workspace)    adds to the weights of `gradient`; `system` is
///                                                    what discretize gave, and `upstream`, its gradient, may be used up
///   visit_weights(visitor, banks...)
///
/// See `Diagonal` for one.
template <class S, class T, class Discretization>
concept LinearStructure = LinearSystem<typename S::template Bank<T>::System, T> &&
                          std::constructible_from < typename S::template Bank<T>,
const LtiSizes&, std::size_t, const Timescale&, const DynamicsTraining&, const typename S::Options&,
    Rng& > &&requires(const typename S::template Bank<T>& fixed,
                      typename S::template Bank<T>& gradient,
                      typename S::template Bank<T>::System& system, const Discretization& method,
                      Workspace& workspace) {
    { fixed.sizes() } -> std::convertible_to<LtiSizes>;
    system.reset(fixed.shape());
    fixed.discretize(method, 1.0, system, workspace);
    fixed.adjoint(method, 1.0, system, system, gradient, workspace);
};

}  // namespace ssm
