#pragma once

#include <cstddef>
#include <initializer_list>
#include <span>

#include <ssm/core/batch.hpp>
#include <ssm/core/workspace.hpp>
#include <ssm/layer/detail/row_sums.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/math/matrix_vector.hpp>
#include <ssm/math/product.hpp>
#include <ssm/math/weight_product.hpp>

/// Some neighbouring outputs of a Linear, as sequences of their own: layers that project to several things at once get
/// each of them contiguous, without copies. `first` is the first output; there are as many as the rows are wide.
namespace ssm::detail {

/// y = W u + b
template <class T, class Stored>
void linear_part(const Linear<T, Stored>& linear, std::size_t first, BatchView<const T> u,
                 BatchView<T> y, Workspace& workspace) {
    if (y.empty())
        return;
    math::weight_product<T>(u.matrix(), linear.weight.data() + first * linear.in_channels(),
                            linear.bias.empty() ? nullptr : linear.bias.data() + first, y.matrix(),
                            workspace);
}

/// One step of `linear_part` for every stream.
template <class T, class Stored>
void linear_part_step(const Linear<T, Stored>& linear, std::size_t first, std::span<const T> u,
                      std::span<T> y) noexcept {
    const std::size_t in = linear.in_channels();
    const std::size_t batch = u.size() / in;
    if (!y.empty())
        math::matrix_vector<T>(linear.weight.data() + first * in, y.size() / batch, in, u.data(),
                               batch, linear.bias.empty() ? nullptr : linear.bias.data() + first,
                               y.data());
}

/// Adjoint of `linear_part`: adds to the gradient, and overwrites du or adds to it; an empty du is not wanted.
template <class T>
void linear_part_backward(const Linear<T>& linear, std::size_t first, BatchView<const T> u,
                          BatchView<const T> dy, BatchView<T> du, bool adds, Linear<T>& gradient,
                          Workspace& workspace) {
    if (dy.empty())
        return;
    const std::size_t in = linear.in_channels();
    const std::size_t out = dy.channels();
    math::add_product_of_transpose<T>(dy.matrix(), u.matrix(),
                                      matrix_map(gradient.weight.data() + first * in, out, in),
                                      workspace);
    if (!linear.bias.empty())
        sum_over_rows<T>(dy.shape().rows(), out, workspace, gradient.bias.data() + first,
                         [&](std::size_t begin, std::size_t end, T* sums, std::size_t) {
                             for (std::size_t row = begin; row < end; ++row)
                                 add_row(dy.data() + row * out, out, sums);
                         });
    if (du.empty())
        return;
    const MatrixMap<const T> weight = matrix_map(linear.weight.data() + first * in, out, in);
    if (adds)
        math::add_product<T>(dy.matrix(), weight, du.matrix());
    else
        math::product<T>(dy.matrix(), weight, du.matrix());
}

/// The outputs of a Linear cut into neighbouring parts, which may be empty.
template <class T, class Stored>
void linear_parts(const Linear<T, Stored>& linear, BatchView<const T> u,
                  std::initializer_list<BatchView<T>> parts, Workspace& workspace) {
    std::size_t first = 0;
    for (const BatchView<T>& part : parts) {
        linear_part<T>(linear, first, u, part, workspace);
        first += part.channels();
    }
}
/// One step of them for every stream.
template <class T, class Stored>
void linear_parts_step(const Linear<T, Stored>& linear, std::span<const T> u,
                       std::initializer_list<BatchView<T>> parts) noexcept {
    std::size_t first = 0;
    for (const BatchView<T>& part : parts) {
        linear_part_step<T>(linear, first, u, part.flat());
        first += part.channels();
    }
}
/// Adjoint of all of them: adds to the gradient, overwrites du; an empty du is not wanted.
template <class T>
void linear_parts_backward(const Linear<T>& linear, BatchView<const T> u,
                           std::initializer_list<BatchView<T>> dparts, BatchView<T> du,
                           Linear<T>& gradient, Workspace& workspace) {
    std::size_t first = 0;
    for (const BatchView<T>& part : dparts) {
        linear_part_backward<T>(linear, first, u, part, du, first > 0, gradient, workspace);
        first += part.channels();
    }
}

}  // namespace ssm::detail
