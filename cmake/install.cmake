# Install rules: headers, CMake package, pkg-config file.

include(CMakePackageConfigHelpers)
include(GNUInstallDirs)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/ssm)
set(SSM_USES_OPENMP ${OpenMP_CXX_FOUND})

install(TARGETS ssm EXPORT ssm-targets FILE_SET HEADERS)
install(EXPORT ssm-targets NAMESPACE ssm:: DESTINATION ${package_dir})

configure_package_config_file(cmake/ssm-config.cmake.in ssm-config.cmake
                              INSTALL_DESTINATION ${package_dir} NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file(ssm-config-version.cmake COMPATIBILITY SameMinorVersion
                                 ARCH_INDEPENDENT)
install(FILES ${PROJECT_BINARY_DIR}/ssm-config.cmake ${PROJECT_BINARY_DIR}/ssm-config-version.cmake
              cmake/xsimd-without-xtl.cmake
        DESTINATION ${package_dir})

set(pc_requires "eigen3 >= 3.4, xsimd >= 8.1")
if(SSM_IO)
    string(APPEND pc_requires ", nlohmann_json >= 3.11")
endif()
configure_file(cmake/ssm.pc.in ssm.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/ssm.pc DESTINATION ${CMAKE_INSTALL_DATADIR}/pkgconfig)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/licenses/ssm)
