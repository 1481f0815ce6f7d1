#!/bin/sh
# SPDX-License-Identifier: MIT
# gpu.sh [OPTION...]: checks and measures vkclip on a GPU of this machine in at most six minutes, and writes
# bench/gpus/NAME.json and NAME.md, where NAME is the device's. It takes the programs from the folder of --build
# (build) and builds them there if they are missing. `bench/gpu.sh --help` lists the options.
set -eu
cd "$(dirname "$0")/.."
build=build
previous=
for argument; do
    case $previous in --build) build=$argument ;; esac
    case $argument in --build=*) build=${argument#--build=} ;; esac
    previous=$argument
done
case " $* " in *' --help '* | *' -h '*) exec python3 bench/gpu.py --help ;; esac
if ! { [ -x "$build/vkclip" ] && [ -x "$build/vkclip-bench" ]; }; then
    third_party/install.sh --tests
    if command -v ninja >/dev/null; then export CMAKE_GENERATOR="${CMAKE_GENERATOR-Ninja}"; fi
    cmake --log-level=NOTICE -S . -B "$build" -DCMAKE_BUILD_TYPE=Release
    cmake --build "$build" --parallel
fi
exec python3 bench/gpu.py "$@"
