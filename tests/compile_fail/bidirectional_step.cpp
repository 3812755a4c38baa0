// EXPECT: this layer is bidirectional, or its discretisation depends on the length of the sequence: it cannot run step by step

#include <ssm/layer/s4d.hpp>

using Layer = ssm::S4D<float, ssm::init::Lin, ssm::Zoh, ssm::evaluation::Auto, ssm::Bidirectional>;

void run(const Layer& layer, float* numbers) {
    layer.step(numbers, numbers);
}
