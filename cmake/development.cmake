# What tests, benchmarks and examples are built with and consumers never see.

# ssm_development: the library with our warnings and architecture.
add_library(ssm_development INTERFACE)
target_link_libraries(ssm_development INTERFACE ssm::ssm)
if(MSVC)
    target_compile_options(ssm_development INTERFACE /W4 /permissive- /Zc:__cplusplus
                                                     /Zc:preprocessor /utf-8 /bigobj)
else()
    target_compile_options(
        ssm_development
        INTERFACE -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wsign-conversion
                  -Wdouble-promotion -Wold-style-cast -Wcast-align -Wundef -Wnon-virtual-dtor
                  -Wextra-semi)
endif()
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" AND CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # False alarms in its own headers: AVX-512 intrinsics (GCC bug 105593), "text" + std::string
    # and moved strings (105651).
    target_compile_options(
        ssm_development INTERFACE -Wno-uninitialized -Wno-maybe-uninitialized -Wno-restrict
                                  -Wno-stringop-overflow -Wno-array-bounds)
endif()
if(SSM_WARNINGS_AS_ERRORS)
    target_compile_options(ssm_development INTERFACE $<IF:$<BOOL:${MSVC}>,/WX,-Werror>)
endif()
if(SSM_ARCH)
    target_compile_options(ssm_development INTERFACE -march=${SSM_ARCH})
endif()
