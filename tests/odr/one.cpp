#include <ssm/ssm.hpp>

const void* version_of_the_other();

int main() {
    return version_of_the_other() == &ssm::version ? 0 : 1;
}
