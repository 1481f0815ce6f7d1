#!/bin/sh
# spirv.sh BUILD prints one line per kernel with its name and the hash of its SPIR-V. Two builds with equal lists run
# the same code on every device:
#     diff <(tests/tree/spirv.sh build-a) <(tests/tree/spirv.sh build-b)
set -eu
for header in "$1"/shaders/spirv_*.h; do
    # Only the words count, because the array's name and glslang's version comment are not part of the kernel.
    words=$(grep -oE '0x[0-9a-f]{8}' "$header")
    [ -n "$words" ] || {
        echo "$header: no SPIR-V in it" >&2
        exit 1
    }
    hash=$(printf '%s\n' "$words" | sha256sum | cut -d' ' -f1)
    echo "$(basename "$header" .h | sed 's/^spirv_//') $hash"
done
