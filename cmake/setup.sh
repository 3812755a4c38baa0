#!/bin/sh
# Installs what building ssm needs and this machine lacks: sh cmake/setup.sh [package...]
# Packages are named as Debian and Ubuntu name them; where they cannot be installed, CMake downloads
# the libraries.
set -eu

say() { printf 'ssm: %s\n' "$*"; }
fail() {
    say "$*" >&2
    exit 1
}

# A compiler, CMake or make of the user's own is as good as the packaged one.
is_there() {
    case $1 in
        g++) command -v c++ >/dev/null ;;
        cmake | make | git) command -v "$1" >/dev/null ;;
        *) dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null | grep -q '^installed' ;;
    esac
}

missing=
if command -v apt-get >/dev/null; then
    for package in g++ cmake make git libeigen3-dev libxsimd-dev nlohmann-json3-dev "$@"; do
        is_there "$package" || missing="$missing $package"
    done
fi

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root=
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        as_root=nobody
    fi
    if [ "$as_root" = nobody ]; then
        say "these packages are missing, and only root can install them: sudo apt-get install$missing"
        say "going on without; CMake downloads the libraries it does not find"
    else
        say "installing$missing"
        log=$(mktemp)
        # shellcheck disable=SC2086  # lists of words
        { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            fail "apt-get could not install$missing; its last lines are above"
        }
        rm -f "$log"
    fi
fi

command -v c++ >/dev/null || fail "there is no C++ compiler: install GCC 12, Clang 14 or later"
command -v cmake >/dev/null || fail "there is no CMake: install version 3.25 or later"
version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
major=${version% *}
minor=${version#* }
[ "$major" -gt 3 ] || [ "$minor" -ge 25 ] ||
    fail "CMake is $major.$minor, but 3.25 or later is needed (pip install cmake has it)"
