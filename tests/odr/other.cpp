#include <ssm/ssm.hpp>

const void* version_of_the_other();

const void* version_of_the_other() {
    return &ssm::version;
}
