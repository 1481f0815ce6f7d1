#!/bin/sh
# example.sh BUILD CC NAME PROGRAM [COMMAND...] installs a build into an empty prefix, builds examples/NAME against it as
# its readers do, with warnings as errors, and runs COMMAND with the path of the example's PROGRAM and that of the
# installed command vkclip.
set -eu
build=$1
cc=$2
name=$3
program=$4
shift 4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
quietly() {
    "$@" >"$work/log" 2>&1 || { cat "$work/log" && echo "FAILED: $*" && exit 1; }
}
quietly cmake --install "$build" --prefix "$work/prefix"
quietly cmake -S "examples/$name" -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_PREFIX_PATH="$work/prefix" \
    -DCMAKE_C_FLAGS='-Wall -Wextra -Wshadow -Werror' -DCMAKE_CXX_FLAGS='-Wall -Wextra -Wshadow -Werror -pedantic'
quietly cmake --build "$work/build"
"$@" "$work/build/$program" "$work/prefix/bin/vkclip"
