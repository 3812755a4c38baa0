// What a first user writes: make a layer, run a sequence through it.

#include <cmath>
#include <cstdio>

#include <ssm/ssm.hpp>

int main() {
    const ssm::Linear<float> layer({.in = 3, .out = 2}, ssm::Rng(1));
    ssm::Batch<float> u(1, 5, 3);
    ssm::Batch<float> y(1, 5, 2);
    u(0, 4, 1) = 1.0F;

    ssm::Workspace workspace;
    layer.forward(u, y, workspace);

    const auto last = static_cast<double>(y(0, 4, 0));
    std::printf("ssm %d.%d.%d: %f\n", ssm::version.major, ssm::version.minor, ssm::version.patch,
                last);
    return std::isfinite(last) && last != 0.0 ? 0 : 1;
}
