#!/bin/sh
# packages.sh FOLDER CC SPIRV [CMAKE-ARGUMENT...] builds a static library without pkg-config, with CMake packages of
# the names and targets that vcpkg's ports have. They are made here over the system's libraries. Then it installs the
# library, and builds a program with it in the same way. A package that is too old must be refused, and vcpkg.json must
# have a feature for each option that needs a library.
set -eu
folder=$1
cc=$2
spirv=$3
shift 3
prefix=$folder/prefix
rm -rf "$folder"

package() {
    sh tests/tree/package.sh "$prefix" "$@"
}
package jansson jansson::jansson jansson
package utf8proc utf8proc::utf8proc utf8proc
package unofficial-gumbo unofficial::gumbo::gumbo gumbo
package libzip libzip::zip zip
package xxhash xxHash::xxhash xxhash
package spng spng::spng_static spng
package unofficial-libexif unofficial::libexif::libexif exif
package libheif heif heif
package libavif avif avif 0.1
package webp WebP::webp webp
package webp WebP::webpdemux webpdemux

fail() {
    tail -n 40 "$folder.log"
    echo "FAILED: $1"
    exit 1
}
set -- "$@" -DCMAKE_C_COMPILER="$cc" -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON -DCMAKE_PREFIX_PATH="$prefix"
cmake -S . -B "$folder" "$@" -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 -DBUILD_SHARED_LIBS=OFF \
    -DVKCLIP_SPIRV_FROM="$spirv" -DVKCLIP_BUILD_TESTS=OFF -DVKCLIP_BUILD_BENCH=OFF -DVKCLIP_BUILD_COMMAND=OFF \
    >"$folder.log" 2>&1 || fail "configuration without pkg-config"
! grep 'by pkg-config' "$folder.log" || fail "pkg-config was asked"
grep -q '^-- libheif will read AVIF pictures' "$folder.log" || fail "a package that is too old was taken"
# vcpkg's libjxl has no CMake package.
for name in jansson libutf8proc gumbo libzip libarchive sqlite3 libxxhash libjpeg spng libexif libwebp libwebpdemux \
    libtiff-4 libheif; do
    grep -q "^-- Found $name .*by the CMake package" "$folder.log" || fail "$name was not found"
done
features=$(sed -nE 's/^    "([a-z]+)": \{/\1/p' vcpkg.json | sort)
options=$(sed -nE 's/^VKCLIP_WITH_([A-Z]+):.*/\1/p' "$folder/CMakeCache.txt" | grep -vE '^(HUB|TRAINING)$' |
    tr '[:upper:]' '[:lower:]' | sort)
[ "$features" = "$options" ] || fail "vcpkg.json has the features $features, expected those of the options: $options"
# What is built needs few libraries, so that it takes less time.
cmake -S . -B "$folder" "$@" -DVKCLIP_WITH_TRAINING=OFF -DVKCLIP_WITH_SEARCH=OFF -DVKCLIP_WITH_JPEG=OFF \
    -DVKCLIP_WITH_PNG=OFF -DVKCLIP_WITH_TIFF=OFF -DVKCLIP_WITH_HEIF=OFF >"$folder.log" 2>&1 || fail "second configuration"
cmake --build "$folder" --target vkclip >"$folder.log" 2>&1 || fail "build"
cmake --install "$folder" --prefix "$prefix" >"$folder.log" 2>&1 || fail "installation"
cmake -S tests/tree/consumer -B "$folder/consumer" "$@" >"$folder.log" 2>&1 || fail "configuration of a program"
cmake --build "$folder/consumer" >"$folder.log" 2>&1 || fail "build of a program"
"$folder/consumer/consumer" models/emoji-clip models/emoji-clip/samples/pizza.png key pizza owl >"$folder.log" ||
    fail "the program"
grep -q '^best: pizza' "$folder.log" || fail "the program's answer"
echo "works: a static library and a program without pkg-config"
