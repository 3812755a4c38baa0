# Sourced by the scripts beside it, which set $build.

jobs=$(nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)
export CMAKE_BUILD_PARALLEL_LEVEL="$jobs"

# quietly <what> <command...>: says what, shows the output only if the command fails.
quietly() {
    printf 'ssm: %s\n' "$1"
    shift
    "$@" >"$build/log.txt" 2>&1 || {
        tail -n 60 "$build/log.txt" >&2
        printf 'ssm: failed: %s\nssm: all of its output is in %s\n' "$*" "$build/log.txt" >&2
        exit 1
    }
}
