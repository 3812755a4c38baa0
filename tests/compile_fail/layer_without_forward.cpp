// EXPECT: ssm: a layer has forward(u, y, context) const

#include <cstddef>

#include <ssm/core/concepts.hpp>

struct Mute {
    using value_type = float;
    using input_type = float;
    [[nodiscard]] std::size_t in_channels() const { return 1; }
    [[nodiscard]] std::size_t out_channels() const { return 1; }
};

static_assert(ssm::check_layer<Mute>());
