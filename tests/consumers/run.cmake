# Installs ssm to a scratch folder where the consumer NAME needs that, then configures, builds and
# runs the consumer.

set(work ${WORK_DIR}/${NAME})
set(prefix ${work}/prefix)
file(REMOVE_RECURSE ${work})

function(run)
    execute_process(COMMAND ${ARGN} RESULT_VARIABLE failed OUTPUT_VARIABLE output
                    ERROR_VARIABLE output)
    if(failed)
        list(JOIN ARGN " " command)
        message(FATAL_ERROR "${command}\n${output}")
    endif()
endfunction()

if(NAME MATCHES "installed|pkg_config")
    run(${CMAKE_COMMAND} --install ${SSM_BINARY_DIR} --prefix ${prefix})
endif()
set(ENV{PKG_CONFIG_PATH} ${prefix}/share/pkgconfig:$ENV{PKG_CONFIG_PATH})

run(${CMAKE_COMMAND} -S ${SOURCE_DIR}/${NAME} -B ${work}/build -G ${GENERATOR}
    -D CMAKE_CXX_COMPILER=${COMPILER} -D CMAKE_CXX_FLAGS=${FLAGS} -D CMAKE_PREFIX_PATH=${prefix}
    -D SSM_SOURCE_DIR=${SSM_SOURCE_DIR} -C ${CACHE})
run(${CMAKE_COMMAND} --build ${work}/build)
run(${work}/build/consumer)
