#!/bin/sh
# Installs what is missing, builds examples/quickstart.cpp and runs it: sh cmake/quickstart.sh
# Arguments are passed to the program.
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
build=$root/build/quickstart

sh "$root/cmake/setup.sh"
. "$root/cmake/quiet.sh"
mkdir -p "$build"
quietly "configuring" cmake -S "$root" -B "$build" -D CMAKE_BUILD_TYPE=Release -D SSM_ARCH=native \
    -D SSM_TESTS=OFF -D SSM_BENCH=OFF
quietly "compiling examples/quickstart.cpp" cmake --build "$build" --target example_quickstart
exec "$build/examples/quickstart" "$@"
