#!/bin/sh
# SPDX-License-Identifier: MIT
# fullsize.sh TEST_PROGRAM SCRATCH ARCH=ITEMS,STORAGES... makes the weights of each full-size model with the script of
# the reference data, compares ITEMS of its embeddings with the reference's, computed from weights stored as the first
# STORAGES of f32, f16, q8 and q4, and removes the weights.
set -eu
program=$1 scratch=$2
shift 2
golden=${VKCLIP_GOLDEN:-../shared/golden}
python=
for candidate in python3 /usr/bin/python3; do
    if "$candidate" -c 'import numpy' 2>/dev/null; then python=$candidate; fi
done
if [ ! -f "$golden/fullsize/make_weights.py" ] || [ -z "$python" ]; then
    echo "skipped: no reference data at $golden, or no python3 with numpy"
    exit 77
fi
mkdir -p "$scratch"
trap 'rm -rf "$scratch"' EXIT
for model; do
    arch=${model%=*} numbers=${model#*=}
    echo "== $arch"
    "$python" "$golden/fullsize/make_weights.py" "$arch" "$scratch" --seed 1
    "$program" "$scratch/$arch.safetensors" "$golden/fullsize/$arch.safetensors" "${numbers%,*}" "${numbers#*,}"
    rm -f "$scratch/$arch.safetensors"
done
