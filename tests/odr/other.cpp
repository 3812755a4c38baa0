#include "backwards.hpp"  // what <ssm/ssm.hpp> includes, in the opposite order

const void* version_of_the_other();

const void* version_of_the_other() {
    return &ssm::version;
}
