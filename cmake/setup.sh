#!/bin/sh
# Installs what building ssm needs and this machine lacks: sh cmake/setup.sh [package...]
# The packages are named as Debian and Ubuntu name them; without apt, CMake downloads the libraries.

say() { printf 'ssm: %s\n' "$*"; }
fail() {
    say "$*" >&2
    exit 1
}

missing=
if command -v apt-get >/dev/null; then
    for package in g++ cmake make libeigen3-dev libxsimd-dev nlohmann-json3-dev "$@"; do
        case $(dpkg-query --show --showformat='${db:Status-Status}' "$package" 2>/dev/null) in
            installed) ;;
            *) missing="$missing $package" ;;
        esac
    done
fi
# A compiler and a CMake of the user's own are as good as the packaged ones.
command -v c++ >/dev/null && missing=$(printf '%s' "$missing" | sed 's/ g++\( \|$\)/\1/')
command -v cmake >/dev/null && missing=$(printf '%s' "$missing" | sed 's/ cmake\( \|$\)/\1/')
command -v make >/dev/null && missing=$(printf '%s' "$missing" | sed 's/ make\( \|$\)/\1/')

if [ -n "$missing" ]; then
    if [ "$(id -u)" = 0 ]; then
        as_root=env
    elif command -v sudo >/dev/null && { sudo -n true 2>/dev/null || [ -t 0 ]; }; then
        as_root=sudo
    else
        as_root=
    fi
    if [ -n "$as_root" ]; then
        say "installing$missing"
        log=$(mktemp)
        # shellcheck disable=SC2086  # a list of words
        { $as_root apt-get update && $as_root env DEBIAN_FRONTEND=noninteractive \
            apt-get install --yes --no-install-recommends $missing; } >"$log" 2>&1 || {
            tail -n 20 "$log" >&2
            fail "apt-get could not install$missing (the end of its output is above)"
        }
        rm -f "$log"
    else
        say "not installed:$missing"
        say "best done by: sudo apt-get install$missing"
    fi
fi

command -v c++ >/dev/null || fail "no C++ compiler: install GCC 12, Clang 14 or a later one"
command -v cmake >/dev/null || fail "no CMake: install version 3.25 or later"
version=$(cmake --version | sed -n '1s/[^0-9]*\([0-9]*\)\.\([0-9]*\).*/\1 \2/p')
# shellcheck disable=SC2086  # two words
set -- $version
[ "$1" -gt 3 ] || [ "$2" -ge 25 ] || fail "CMake is $1.$2, but 3.25 or later is needed"
