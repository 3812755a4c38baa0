# ssm_dependency(<package> <target> <oldest version>)
#
# Makes <target> exist, in this order: a target that is already there, find_package, a download of
# the version pinned below. -DSSM_FIND_<package>=OFF and -DSSM_FETCH_<package>=OFF switch the last
# two off, FETCHCONTENT_SOURCE_DIR_<PACKAGE> makes the download a local folder.

include_guard(GLOBAL)
include(FetchContent)

# Pinned by commit, which fixes the content as a hash of an archive would.
set(SSM_PIN_Eigen3 https://gitlab.com/libeigen/eigen.git
                   bc3b39870ecb690a623a3f49149a358b95c5781d)  # 5.0.1
set(SSM_PIN_xsimd https://github.com/xtensor-stack/xsimd.git
                  e88a72831858123924f7118f345dfe5d70d95991)  # 14.3.0
set(SSM_PIN_nlohmann_json https://github.com/nlohmann/json.git
                          9cca280a4d0ccf0c08f47a99aa71d1b0e52f8d03)  # 3.11.3
set(SSM_PIN_Catch2 https://github.com/catchorg/Catch2.git
                   fa43b77429ba76c462b1898d6cd2f2d7a9416b14)  # 3.7.1
set(SSM_PIN_benchmark https://github.com/google/benchmark.git
                      192ef10025eb2c4cdd392bc502f0c852196baa48)  # 1.9.5

# Adds the pinned project: its library alone, no tests, no documentation, no install rules.
function(ssm_fetch package)
    list(GET SSM_PIN_${package} 0 repository)
    list(GET SSM_PIN_${package} 1 commit)
    set(CMAKE_POLICY_DEFAULT_CMP0077 NEW) # their option() calls keep the values set here
    foreach(unwanted IN ITEMS BUILD_TESTING CATCH_INSTALL_DOCS CATCH_INSTALL_EXTRAS JSON_Install
                              BENCHMARK_ENABLE_TESTING BENCHMARK_ENABLE_INSTALL
                              BENCHMARK_INSTALL_DOCS EIGEN_BUILD_TESTING EIGEN_BUILD_DOC
                              EIGEN_BUILD_DEMOS EIGEN_BUILD_BLAS EIGEN_BUILD_LAPACK
                              EIGEN_BUILD_CMAKE_PACKAGE EIGEN_BUILD_PKGCONFIG)
        set(${unwanted} OFF)
    endforeach()
    set(XSIMD_SKIP_INSTALL ON)
    set(CMAKE_MESSAGE_LOG_LEVEL WARNING)
    FetchContent_Declare(${package} GIT_REPOSITORY ${repository} GIT_TAG ${commit} SYSTEM)
    FetchContent_MakeAvailable(${package})
endfunction()

macro(ssm_dependency package target oldest)
    option(SSM_FIND_${package} "Look for an installed ${package}" ON)
    option(SSM_FETCH_${package} "Download ${package} when it is not installed" ON)
    mark_as_advanced(SSM_FIND_${package} SSM_FETCH_${package})

    if(NOT TARGET ${target} AND SSM_FIND_${package})
        # No version here: newer major versions work too, which some version files would deny.
        find_package(${package} CONFIG QUIET GLOBAL)
        if(${package}_FOUND AND ${package}_VERSION VERSION_LESS ${oldest})
            message(FATAL_ERROR
                    "ssm needs ${package} ${oldest} or later, found ${${package}_VERSION} in "
                    "${${package}_DIR}. Update it, or set SSM_FIND_${package}=OFF to download it.")
        endif()
        if(${package}_FOUND)
            message(STATUS "ssm: ${package} ${${package}_VERSION} in ${${package}_DIR}")
        endif()
    endif()
    if(NOT TARGET ${target} AND SSM_FETCH_${package})
        message(STATUS "ssm: ${package} is not installed, downloading it")
        ssm_fetch(${package})
    endif()
    if(NOT TARGET ${target})
        message(FATAL_ERROR
                "ssm needs ${package} ${oldest} or later: install it, or let SSM_FETCH_${package}=ON "
                "download it.")
    endif()
endmacro()
