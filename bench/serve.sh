#!/bin/sh
# SPDX-License-Identifier: MIT
# serve.sh [OPTION...]: measures `vkclip serve` with wrk on this machine against `vkclip embed`, and prints the table of
# README.md. It takes vkclip from the folder of --build (build). `bench/serve.sh --help` lists the options.
set -eu
cd "$(dirname "$0")/.."
for program in python3 wrk; do
    command -v $program >/dev/null || { echo "bench/serve.sh: $program is missing (Debian's package $program)" >&2; exit 2; }
done
exec python3 bench/serve.py "$@"
