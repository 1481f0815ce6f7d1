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
# The build needs none of what is fetched here, so that it runs meanwhile. Each script reports what it could not fetch.
for name in swiftshader drivers readers pglite node openai browser; do third_party/$name.sh & done
if command -v ninja >/dev/null; then export CMAKE_GENERATOR="${CMAKE_GENERATOR-Ninja}"; fi
build() {
    cmake -S . -B build -DCMAKE_BUILD_TYPE=Release -DVKCLIP_WERROR=ON
    cmake --build build --parallel
}
build
wait
build # CMake declares the tests for which something was fetched.
ctest --test-dir build --output-on-failure --no-tests=error --parallel "$(getconf _NPROCESSORS_ONLN)" "$@"
