#!/bin/sh
# Installs what is missing, builds the tests and runs them: sh cmake/test.sh [preset] [ctest options]
set -eu

root=$(CDPATH= cd -- "$(dirname -- "$0")/.." && pwd)
preset=test
case ${1-} in
    '' | -*) ;;
    *)
        preset=$1
        shift
        ;;
esac
build=$root/build/$preset

sh "$root/cmake/setup.sh" catch2 libbenchmark-dev pkg-config
. "$root/cmake/quiet.sh"
mkdir -p "$build"
cd "$root"
quietly "configuring" cmake --preset "$preset"
quietly "compiling the tests (some minutes)" \
    cmake --build --preset "$preset" --target ssm_tests --parallel "$jobs"
exec ctest --preset "$preset" --parallel "$jobs" "$@"
