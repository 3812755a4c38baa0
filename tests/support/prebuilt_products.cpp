#define SSM_TEST_PREBUILT template
#include "support/prebuilt.hpp"
