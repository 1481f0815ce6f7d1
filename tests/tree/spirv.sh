#!/bin/sh
# spirv.sh BUILD: one line per kernel, its name and the hash of its SPIR-V. Two builds whose lists are
# equal run the same code on every device:
#     diff <(tests/tree/spirv.sh build-a) <(tests/tree/spirv.sh build-b)
set -eu
for header in "$1"/shaders/spirv_*.h; do
    # The words alone: the array's name and glslang's version comment are not the kernel's.
    words=$(grep -oE '0x[0-9a-f]{8}' "$header")
    [ -n "$words" ] || {
        echo "$header: no SPIR-V in it" >&2
        exit 1
    }
    hash=$(printf '%s\n' "$words" | sha256sum | cut -d' ' -f1)
    echo "$(basename "$header" .h | sed 's/^spirv_//') $hash"
done
