#!/bin/sh
# debian.sh FOLDER SPIRV JOBS builds the Debian packages as packaging/debian.sh does, but quickly: without optimisation,
# debug information and their tests, and with the SPIR-V of another build. lintian must find no error in them, and their
# own tests must pass on their files, which are unpacked and not installed.
set -eu
folder=$1
spirv=$2
export DEB_BUILD_OPTIONS="nocheck noopt noautodbgsym parallel=$3" VKCLIP_CMAKE_ARGS="-DVKCLIP_SPIRV_FROM=$spirv"
export DEB_CFLAGS_APPEND=-g0
fail() { echo "FAILED: $1" && exit 1; }
rm -rf "$folder"
mkdir -p "$folder/root" "$folder/tmp"
packaging/debian.sh "$folder" -us -uc -b >"$folder/log" 2>&1 || { tail -n 40 "$folder/log" | cut -c1-300 && fail "dpkg-buildpackage"; }

# No bug of Debian's asks for the packages, and there is no published address yet.
lintian --allow-root --fail-on error --suppress-tags initial-upload-closes-no-bugs,no-homepage-field \
    "$folder"/*.changes || fail "lintian"
for package in "$folder"/*.deb; do
    echo "$(basename "$package"): $(wc -c <"$package") bytes; needs $(dpkg-deb -f "$package" Depends)"
    dpkg-deb -c "$package" | awk '!/^d/ {print $6}' >>"$folder/files"
    dpkg-deb -x "$package" "$folder/root"
done
[ -z "$(sort "$folder/files" | uniq -d)" ] || fail "two packages have the same file"

# The command shares the library, and of the functions that it has for itself none has variables that the library's copy
# should share: the number in names of temporary files and the terminal that is asked need not be.
root=$folder/root/usr
libraries=$root/lib/$(dpkg-architecture -qDEB_HOST_MULTIARCH)
[ "$(wc -c <"$root/bin/vkclip")" -lt 1500000 ] || fail "the command contains the library"
variables=$(nm "$folder"/vkclip-*/obj-*/libvkclip_internals.a | awk 'NF == 3 && $2 ~ /[bB]/ && $3 !~ /^(opened|asked)/ {print $3}')
[ -z "$variables" ] || fail "the command has variables of its own: $variables: third_party/SharedCommand.cmake"
sh tests/tree/symbols.sh "$libraries/libvkclip.so" --private
python3 tests/tree/sbom.py third_party/libraries.txt \
    "$root/share/doc/libvkclip0.1/libvkclip.spdx.json" "$(realpath "$libraries/libvkclip.so")" \
    "$root/share/doc/vkclip/vkclip.spdx.json" "$root/bin/vkclip"

export AUTOPKGTEST_TMP="$folder/tmp" PATH="$root/bin:$PATH" LD_LIBRARY_PATH="$libraries" CMAKE_PREFIX_PATH="$root"
export PKG_CONFIG_PATH="$libraries/pkgconfig" PYTHONPATH="$root/lib/python3/dist-packages" PYTHONDONTWRITEBYTECODE=1
for name in command library python; do
    packaging/debian/tests/$name >"$folder/log" 2>&1 || { cat "$folder/log" && fail "packaging/debian/tests/$name"; }
    echo "works: packaging/debian/tests/$name"
done
rm -rf "$folder"/vkclip-* "$folder/root"
