// EXPECT: ssm: this layer cannot stream (it is not causal, or a part of it is not)

#include <cstddef>

#include <ssm/core/batch.hpp>
#include <ssm/core/concepts.hpp>

struct TwoSided {
    using value_type = float;
    using input_type = float;
    [[nodiscard]] std::size_t in_channels() const { return 1; }
    [[nodiscard]] std::size_t out_channels() const { return 1; }
    void forward(ssm::BatchView<const float>, ssm::BatchView<float>, const ssm::Context&) const {}
    static void visit_weights(const auto&, auto&...) {}
};

static_assert(ssm::check_streaming<TwoSided>());
