#include "support/prebuilt.hpp"
#undef SSM_TEST_PREBUILT
#define SSM_TEST_PREBUILT template
#include "support/prebuilt_scan.hpp"
