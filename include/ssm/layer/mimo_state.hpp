#pragma once

#include <cstddef>
#include <memory>

#include <ssm/core/aligned.hpp>
#include <ssm/core/tensor.hpp>
#include <ssm/layer/detail/mimo_intervals.hpp>
#include <ssm/layer/mimo_system.hpp>

namespace ssm {

/// What `batch` streams through one diagonal system with many inputs and outputs remember: a regular value.
template <class T>
struct MimoState {
    friend bool operator==(const MimoState& a, const MimoState& b) { return a.x == b.x; }

    /// What is remembered alone: the system is made anew from the weights.
    template <class Visitor, class... States>
    static void visit_numbers(Visitor&& visitor, States&... states) {
        visitor("x", states.x...);
    }

    /// Makes this a state of `batch` streams of P modes at rest.
    void reset(std::size_t P, std::size_t batch) {
        x.assign(batch * 2 * P, T(0));
        rows.assign(4 * P, T(0));
        numbers.assign(detail::interval_scratch * P, 0.0);
    }

    /// x as papers and other libraries have it, (batch, P, 2).
    [[nodiscard]] Tensor<T> values(std::size_t P) const {
        Tensor<T> result({x.size() / (2 * P), P, 2});
        for (std::size_t i = 0; i < x.size() / 2; ++i) {
            const std::size_t at = i / P * 2 * P + i % P;
            result[2 * i] = x[at];
            result[2 * i + 1] = x[at + P];
        }
        return result;
    }
    /// Errors  ShapeError for another shape; unchanged then
    void set_values(std::size_t P, const Tensor<T>& values) {
        require_extents("ssm::Mimo: state values", values.extents(), {x.size() / (2 * P), P, 2});
        for (std::size_t i = 0; i < x.size() / 2; ++i) {
            const std::size_t at = i / P * 2 * P + i % P;
            x[at] = values[2 * i];
            x[at + P] = values[2 * i + 1];
        }
    }

    std::shared_ptr<const MimoSystem<T>> system;  ///< shared by forks
    AlignedVector<T> x;                           ///< (batch, 2 P), real, then imaginary parts
    AlignedVector<T> rows;                        ///< room for steps
    AlignedVector<double> numbers;
};

}  // namespace ssm
