# ssm_dependency(<package> TARGET <target>)
#
# Makes <target> exist, in this order: a target that is already there, find_package, a download of
# the version pinned below. SSM_FIND_<package> and SSM_FETCH_<package> switch the last two ways off;
# FETCHCONTENT_SOURCE_DIR_<PACKAGE> points the download at a folder instead.

include_guard(GLOBAL)
include(FetchContent)

# Pins are commits, which name their content as firmly as a hash of an archive does.
set(SSM_PIN_Eigen3 https://gitlab.com/libeigen/eigen.git
                   bc3b39870ecb690a623a3f49149358b95c5781ca)  # 5.0.1
set(SSM_PIN_xsimd https://github.com/xtensor-stack/xsimd.git
                  e88a72831858123924f7118f345dfe5d70d95991)  # 14.3.0
set(SSM_PIN_nlohmann_json https://github.com/nlohmann/json.git
                          9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
set(SSM_PIN_Catch2 https://github.com/catchorg/Catch2.git
                   fa43b77429ba76c462b1898d6cd2f2d7a9416b14)  # 3.7.1
set(SSM_PIN_benchmark https://github.com/google/benchmark.git
                      192ef10025eb2c4cdd392bc502f0c852196baa48)  # 1.9.5

# The oldest versions that are tested; find_package would refuse a newer major version of some.
set(SSM_FLOOR_Eigen3 3.4.0)
set(SSM_FLOOR_xsimd 8.1.0)
set(SSM_FLOOR_nlohmann_json 3.11.0)
set(SSM_FLOOR_Catch2 2.13.8)
set(SSM_FLOOR_benchmark 1.7.0)

# Sets `name` for the projects we fetch, in the caller's scope only.
macro(ssm_preset name value)
    set(${name} ${value})
endmacro()

# Adds the pinned project without its tests, documentation and install rules.
function(ssm_fetch package)
    list(GET SSM_PIN_${package} 0 repository)
    list(GET SSM_PIN_${package} 1 commit)
    set(CMAKE_POLICY_DEFAULT_CMP0077 NEW)  # their option() keeps the values set here
    foreach(off IN ITEMS BUILD_TESTING EIGEN_BUILD_TESTING EIGEN_BUILD_DOC EIGEN_BUILD_DEMOS
                         EIGEN_BUILD_BLAS EIGEN_BUILD_LAPACK EIGEN_BUILD_PKGCONFIG
                         JSON_BuildTests JSON_Install CATCH_INSTALL_DOCS CATCH_INSTALL_EXTRAS
                         CATCH_DEVELOPMENT_BUILD BENCHMARK_ENABLE_TESTING
                         BENCHMARK_ENABLE_GTEST_TESTS BENCHMARK_ENABLE_INSTALL
                         BENCHMARK_INSTALL_DOCS XSIMD_SKIP_INSTALL_OFF)
        set(${off} OFF)
    endforeach()
    set(XSIMD_SKIP_INSTALL ON)
    message(STATUS "ssm: fetching ${package} from ${repository}")
    FetchContent_Declare(${package} GIT_REPOSITORY ${repository} GIT_TAG ${commit} SYSTEM)
    FetchContent_MakeAvailable(${package})
    set(${package}_SOURCE_DIR ${${package}_SOURCE_DIR} PARENT_SCOPE)
endfunction()
