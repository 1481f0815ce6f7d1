#!/bin/sh
# Installs missing packages, builds the command, and lets it name the example pictures on the best Vulkan device of
# this machine. Arguments are passed to `vkclip classify`, as in: ./demo.sh --device 1
set -eu
cd "$(dirname "$0")"
third_party/install.sh
if command -v ninja >/dev/null; then export CMAKE_GENERATOR="${CMAKE_GENERATOR-Ninja}"; fi
cmake --log-level=NOTICE -S . -B build -DCMAKE_BUILD_TYPE=Release
cmake --build build --parallel --target vkclip_command
build/vkclip classify -m models/emoji-clip --labels models/emoji-clip/labels.txt \
    --template "a picture of {}" --top 3 "$@" models/emoji-clip/samples
