#pragma once

#include <cstddef>
#include <span>

#include <ssm/convolution/kernel.hpp>
#include <ssm/core/parallel.hpp>
#include <ssm/core/workspace.hpp>

namespace ssm::detail {

/// A gradient of kernels that several tasks add to at the same time: each has terms of its own, which are
/// added up in a fixed order at the end. A single task adds to the gradient itself.
template <class T>
class KernelSums {
public:
    KernelSums(const ConvolutionKernel<T>& gradient, std::size_t tasks, Workspace& workspace)
        : gradient_(gradient), tasks_(tasks) {
        if (tasks_ == 1)
            return;
        causal_ = workspace.take_zero<T>(tasks * gradient.causal.size());
        anticausal_ = workspace.take_zero<T>(tasks * gradient.anticausal.size());
        skip_ = workspace.take_zero<T>(tasks * gradient.skip.size());
    }

    /// Where task `index` adds.
    [[nodiscard]] ConvolutionKernel<T> term(std::size_t index) const noexcept {
        if (tasks_ == 1)
            return gradient_;
        return {gradient_.shape, part(causal_, gradient_.causal, index),
                part(anticausal_, gradient_.anticausal, index), part(skip_, gradient_.skip, index)};
    }
    /// Adds all terms to the gradient.
    void finish() const {
        if (tasks_ == 1)
            return;
        add(causal_, gradient_.causal);
        add(anticausal_, gradient_.anticausal);
        add(skip_, gradient_.skip);
    }

private:
    [[nodiscard]] static std::span<T> part(std::span<T> terms, std::span<T> whole,
                                           std::size_t index) noexcept {
        return terms.subspan(index * whole.size(), whole.size());
    }
    void add(std::span<const T> terms, std::span<T> sum) const {
        constexpr std::size_t grain = 4096;
        parallel_ranges(sum.size(), grain, [&](std::size_t begin, std::size_t end, std::size_t) {
            for (std::size_t task = 0; task < tasks_; ++task)
                for (std::size_t i = begin; i < end; ++i)
                    sum[i] += terms[task * sum.size() + i];
        });
    }

    ConvolutionKernel<T> gradient_;
    std::size_t tasks_;
    std::span<T> causal_, anticausal_, skip_;
};

}  // namespace ssm::detail
