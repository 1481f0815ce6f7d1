#!/bin/sh
# light.sh FOLDER CC [CMAKE-ARGUMENT...] builds the preset `light`, for applications that only encode, and fails if its
# stripped library has more than 1.5 MB, needs other libraries than it should, or names a picture wrongly. Then a
# program is linked with the same objects and the static form of the small libraries, and must need no others than the
# system's and zlib.
set -eu
folder=$1
cc=$2
shift 2
model=$PWD/models/emoji-clip
limit=1500000
cmake --preset light -B "$folder" -DCMAKE_C_COMPILER="$cc" -DVKCLIP_STATIC_DEPS=OFF "$@" >"$folder.log" 2>&1 ||
    { tail -n 30 "$folder.log" && exit 1; }
cmake --build "$folder" >"$folder.log" 2>&1 || { tail -n 30 "$folder.log" && exit 1; }

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
strip -o "$folder/stripped.so" "$folder/libvkclip.so"
size=$(wc -c <"$folder/stripped.so")
echo "the stripped library has $size bytes"
[ "$size" -le $limit ] || { echo "FAILED: expected at most $limit bytes" && exit 1; }
needs "$folder/stripped.so" "$system|libz|libjansson|libutf8proc|libgumbo"
"$cc" -Iinclude -DVKCLIP_SHARED tests/tree/consumer/main.c -o "$folder/shared" "$folder/libvkclip.so"
says "$folder/shared"

find "$folder/CMakeFiles/vkclip_objects.dir" -name '*.o' >"$folder/objects"
"$cc" -no-pie -Iinclude tests/tree/consumer/main.c -o "$folder/static" @"$folder/objects" -Wl,--gc-sections \
    -l:libjansson.a -l:libutf8proc.a -l:libgumbo.a -lz -lm -ldl -lpthread
needs "$folder/static" "$system|libz"
says "$folder/static"
strip -o "$folder/stripped" "$folder/static"
echo "a program with its small libraries inside has $(wc -c <"$folder/stripped") bytes"
