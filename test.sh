#!/bin/sh
# Installs missing packages, builds, and runs all tests. With --quick it runs only those that take a few minutes in
# total. Other arguments are passed to ctest, as in: ./test.sh -R safetensors
set -eu
cd "$(dirname "$0")"
if [ "${1-}" = --quick ]; then
    shift
    set -- -LE 'long|slow' "$@"
fi
third_party/install.sh --tests
third_party/swiftshader.sh
third_party/drivers.sh
third_party/readers.sh
third_party/pglite.sh
if command -v ninja >/dev/null; then export CMAKE_GENERATOR="${CMAKE_GENERATOR-Ninja}"; fi
cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DVKCLIP_WERROR=ON
cmake --build build --parallel
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(getconf _NPROCESSORS_ONLN)" "$@"
