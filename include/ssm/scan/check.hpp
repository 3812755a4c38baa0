#pragma once

#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/context.hpp>
#include <ssm/core/error.hpp>
#include <ssm/discretize/modes.hpp>
#include <ssm/scan/diagonal_state.hpp>

namespace ssm::detail {

/// Raises ShapeError unless input, output, D (`skip` numbers), state and context fit a bank of systems of this shape,
/// which has members channels and heads.
template <class T, class SystemShape, class State>
void check_stream(const char* what, const SystemShape& shape, BatchView<const T> u,
                  std::size_t skip, BatchView<T> y, const State& state, const Context& context) {
    const std::size_t outputs = shape.heads * shape.channels;
    require<ShapeError>(u.channels() == shape.channels, what, ": input has shape ", u.shape(),
                        ", expected ", shape.channels, " channels");
    require<ShapeError>(y.shape() == Shape{u.batch(), u.length(), outputs}, what,
                        ": output has shape ", y.shape(), ", expected ",
                        Shape{u.batch(), u.length(), outputs});
    require<ShapeError>(skip == 0 || skip == outputs, what, ": D has ", skip, " numbers, expected ",
                        outputs);
    if (!state.fits(shape, u.batch()))
        raise<ShapeError>(what, ": the state has shape ", state.extents(), ", expected ",
                          State::extents_of(shape, u.batch()));
    context.check(u.shape());
}

/// The same for a bank of diagonal systems, which has modes and heads.
template <class T>
void check_diagonal(const char* what, const ModeShape& shape, BatchView<const T> u,
                    std::size_t skip, BatchView<T> y, const DiagonalState<T>& state,
                    const Context& context) {
    require<ShapeError>(shape.modes > 0 && shape.heads > 0, what, ": ", shape.modes, " modes and ",
                        shape.heads, " heads, expected at least 1");
    check_stream(what, shape, u, skip, y, state, context);
}

}  // namespace ssm::detail
