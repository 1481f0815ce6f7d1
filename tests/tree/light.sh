#!/bin/sh
# light.sh FOLDER CC [CMAKE-ARGUMENT...] builds the preset `light`, for applications that only encode, and fails if its
# stripped library is larger or needs other libraries than it should, or names a picture wrongly. The same is done with
# search and the hub in it before. Then a program is linked with the same objects and the static form of the small
# libraries, and must need no others than the system's and zlib.
set -eu
folder=$1
cc=$2
shift 2
model=$PWD/models/emoji-clip

# needs FILE PATTERN fails if a file needs a library that does not match the pattern.
needs() {
    needed=$(readelf -d "$1" | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/\1/p')
    echo "$1 needs: $(echo "$needed" | tr '\n' ' ')"
    others=$(echo "$needed" | grep -vE "^($2)\.so" || true)
    [ -z "$others" ] || { echo "FAILED: $1 needs $others" && exit 1; }
}

# says PROGRAM checks that a program names a picture correctly.
says() {
    LD_LIBRARY_PATH=$folder "$1" "$model" "$model/samples/pizza.png" key pizza owl >"$folder.log"
    grep -q '^best: pizza' "$folder.log" || { cat "$folder.log" && echo "FAILED: $1: wrong answer" && exit 1; }
}

system='libc|libm|ld-linux.*|libpthread|libdl'
small='libz|libjansson|libutf8proc|libgumbo'

# build NAME BYTES LIBRARIES [CMAKE-ARGUMENT...] builds the library and checks it.
build() {
    name=$1
    limit=$2
    libraries=$3
    shift 3
    cmake --preset light -B "$folder" -DCMAKE_C_COMPILER="$cc" -DVKCLIP_STATIC_DEPS=OFF "$@" >"$folder.log" 2>&1 ||
        { tail -n 30 "$folder.log" && exit 1; }
    cmake --build "$folder" >"$folder.log" 2>&1 || { tail -n 30 "$folder.log" && exit 1; }
    strip -o "$folder/stripped.so" "$folder/libvkclip.so"
    size=$(wc -c <"$folder/stripped.so")
    echo "$name: the stripped library has $size bytes"
    [ "$size" -le "$limit" ] || { echo "FAILED: expected at most $limit bytes" && exit 1; }
    needs "$folder/stripped.so" "$system|$small$libraries"
    "$cc" -Iinclude -DVKCLIP_SHARED tests/tree/consumer/main.c -o "$folder/shared" "$folder/libvkclip.so"
    says "$folder/shared"
}

# Searching in PostgreSQL needs libpq, which is not small.
build "with search and the hub" 1500000 '|libsqlite3|libxxhash' "$@" \
    -DVKCLIP_WITH_SEARCH=ON -DVKCLIP_WITH_HUB=ON -DVKCLIP_WITH_POSTGRESQL=OFF
build light 1200000 '' "$@"

# The folder still has the objects of the build before, too.
sed -nE "s|.* -o (CMakeFiles/vkclip_objects[.]dir/[^ ]+) .*|\"$folder/\1\"|p" "$folder/compile_commands.json" \
    >"$folder/objects"
"$cc" -no-pie -Iinclude tests/tree/consumer/main.c -o "$folder/static" @"$folder/objects" -Wl,--gc-sections \
    -l:libjansson.a -l:libutf8proc.a -l:libgumbo.a -lz -lm -ldl -lpthread
needs "$folder/static" "$system|libz"
says "$folder/static"
strip -o "$folder/stripped" "$folder/static"
echo "a program with its small libraries inside has $(wc -c <"$folder/stripped") bytes"
