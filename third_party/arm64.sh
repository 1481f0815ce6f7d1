#!/bin/sh
# Makes the folder build/arm64 unless it is there already: Debian's libraries for arm64, with lavapipe and SwiftShader,
# and QEMU, which runs programs of that processor here. bindings/android/test.sh builds and tests vkclip with it. Nothing
# is installed: all is extracted from packages of the system's own release.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/arm64
[ ! -f "$folder/complete" ] || exit 0

# shellcheck source=/dev/null
release=$(. /etc/os-release && echo "${VERSION_CODENAME-sid}")
temp=$PWD/build/arm64.partial
trap 'rm -rf "$temp"' EXIT
# The tools among the packages run here and are this system's.
libraries=$(sed 's/#.*//' third_party/packages.txt |
    awk '($1 == "build" && $2 ~ /^(lib|zlib|mesa)/) || $2 == "libcmocka-dev" {print $2}')
echo "Fetching Debian's libraries and drivers for arm64, and QEMU (200 MB, once)"
# shellcheck disable=SC2086
third_party/unpack.sh "$release" arm64 "$temp/root" '^libgcc-[0-9]+-dev$' $libraries
third_party/unpack.sh --alone "$release" arm64 "$temp/chromium" chromium-common
third_party/unpack.sh --alone "$release" "$(dpkg --print-architecture)" "$temp/qemu" qemu-user-static
mkdir "$temp/swiftshader"
mv "$temp"/chromium/usr/lib/chromium/*vk_swiftshader* "$temp/swiftshader"
mv "$temp/qemu/usr/bin/qemu-aarch64-static" "$temp/qemu-aarch64"
rm -rf "$temp/chromium" "$temp/qemu"
touch "$temp/complete"
rm -rf "$folder"
mv "$temp" "$folder"
