// What a first user writes: build a layer, run a sequence through it.

#include <cmath>
#include <cstdio>

#include <ssm/ssm.hpp>

int main() {
    const ssm::Error error("an error of the library is an ordinary exception");
    std::printf("ssm %d.%d.%d\n", ssm::version.major, ssm::version.minor, ssm::version.patch);
    return std::isfinite(static_cast<double>(error.what()[0])) ? 0 : 1;
}
