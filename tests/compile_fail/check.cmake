# Compiles SOURCE with COMPILER and INCLUDES: it must fail, and say every expected sentence.

file(STRINGS ${SOURCE} expectations REGEX "// EXPECT: ")
if(NOT expectations)
    message(FATAL_ERROR "${SOURCE} has no line '// EXPECT: sentence'")
endif()

list(TRANSFORM INCLUDES PREPEND -I)
execute_process(COMMAND ${COMPILER} -std=c++20 -fsyntax-only ${INCLUDES} ${SOURCE}
                RESULT_VARIABLE failed ERROR_VARIABLE diagnostics)
if(NOT failed)
    message(FATAL_ERROR "${SOURCE} compiles, but must not")
endif()
foreach(line IN LISTS expectations)
    string(REGEX REPLACE ".*// EXPECT: " "" sentence "${line}")
    string(FIND "${diagnostics}" "${sentence}" position)
    if(position EQUAL -1)
        message(FATAL_ERROR "${SOURCE} fails without saying: ${sentence}\n${diagnostics}")
    endif()
endforeach()
