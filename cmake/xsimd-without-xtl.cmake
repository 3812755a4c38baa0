# Debian's xsimd 8.1 asks its users to link a libxtl that does not exist: xtl has headers alone, and
# xsimd needs them only for xtl's own complex numbers. Installed too, for ssm-config.cmake.
get_target_property(ssm_xsimd_links xsimd INTERFACE_LINK_LIBRARIES)
if(ssm_xsimd_links STREQUAL "xtl" AND NOT TARGET xtl)
    set_property(TARGET xsimd PROPERTY INTERFACE_LINK_LIBRARIES "")
endif()
unset(ssm_xsimd_links)
