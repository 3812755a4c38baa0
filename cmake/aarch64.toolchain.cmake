# 64-bit ARM from another Linux machine: Debian's cross compiler, and QEMU to run what it builds.

set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static -L /usr/aarch64-linux-gnu)

# Header-only dependencies of the build machine serve as they are, wherever it keeps their files.
file(GLOB package_dirs /usr/lib/*-linux-gnu/cmake)
list(APPEND CMAKE_PREFIX_PATH ${package_dirs})
