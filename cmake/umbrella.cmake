# Checks that <ssm/ssm.hpp> includes every public header, and with -D WRITE=ON before -P rewrites
# its list. Headers in folders called detail are not public.

cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH root)
file(GLOB_RECURSE headers RELATIVE ${root}/include ${root}/include/ssm/*.hpp)
list(FILTER headers EXCLUDE REGEX "/detail/|^ssm/ssm\\.hpp$")
list(SORT headers)

# io/ needs nlohmann/json, which a user may have left out (SSM_IO).
set(always ${headers})
set(io ${headers})
list(FILTER always EXCLUDE REGEX "^ssm/io/")
list(FILTER io INCLUDE REGEX "^ssm/io/")

set(text "#pragma once

/// Everything, for convenience. A program that cares for its compile time includes what it uses.
/// The list is written by cmake -D WRITE=ON -P cmake/umbrella.cmake.

")
foreach(header IN LISTS always)
    string(APPEND text "#include <${header}>\n")
endforeach()
if(io)
    string(APPEND text "\n#if __has_include(<nlohmann/json.hpp>)\n")
    foreach(header IN LISTS io)
        string(APPEND text "#include <${header}>\n")
    endforeach()
    string(APPEND text "#endif\n")
endif()

set(umbrella ${root}/include/ssm/ssm.hpp)
set(found "")
if(EXISTS ${umbrella})
    file(READ ${umbrella} found)
endif()
if(found STREQUAL text)
    return()
endif()
if(WRITE)
    file(WRITE ${umbrella} "${text}")
else()
    message(FATAL_ERROR "include/ssm/ssm.hpp is not up to date: "
                        "run cmake -D WRITE=ON -P cmake/umbrella.cmake")
endif()
