// EXPECT: ssm: this layer cannot stream (it is not causal, or a part of it is not)

#include <span>

#include <ssm/layer/group_norm.hpp>
#include <ssm/layer/linear.hpp>
#include <ssm/model/residual.hpp>

using Block = ssm::Residual<ssm::GroupNorm<float>, ssm::Linear<float>>;

void run(const Block& block, std::span<const float> u, std::span<float> y, Block::State& state) {
    block.step(u, y, state);
}
