// EXPECT: ssm: this layer cannot stream (it is not causal, or a part of it is not)

#include <ssm/layer/group_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/sequential.hpp>

int main() {
    const ssm::Sequential model(ssm::Linear<float>({.in = 1, .out = 2}),
                                ssm::GroupNorm<float>({.channels = 2}));
    auto state = model.rest_state(1);
}
