#!/bin/sh
# Fetches SwiftShader, a second Vulkan driver for the tests, into build/swiftshader unless it is there already. It has
# no 16-bit types and subgroups of four, as small GPUs do, where lavapipe has more. It is extracted from Debian's
# package chromium-common, which is downloaded and not installed. The tests also run without SwiftShader, so a failure
# is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/swiftshader
[ ! -f "$folder/vk_swiftshader_icd.json" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root=sudo
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "SwiftShader is left out of the tests: it comes from a Debian package, and this system has no apt." >&2
    exit 0
fi
echo "Fetching SwiftShader from the package chromium-common (31 MB, once)"
# apt run by root must stay root, because its unprivileged user cannot write to a private folder. If the download
# fails, the lists of packages may be missing or outdated, so it is tried again after an update.
download() {
    (cd "$temp" && apt-get -q -o APT::Sandbox::User=root download chromium-common)
}
if ! download && ! { $root apt-get update -q && download; }; then
    echo "SwiftShader is left out of the tests: chromium-common could not be downloaded." >&2
    exit 0
fi
mkdir "$temp/swiftshader"
dpkg-deb --fsys-tarfile "$temp"/chromium-common_*.deb |
    tar -x -C "$temp/swiftshader" --strip-components=4 \
        ./usr/lib/chromium/libvk_swiftshader.so ./usr/lib/chromium/vk_swiftshader_icd.json
mkdir -p build
rm -rf "$folder"
mv "$temp/swiftshader" "$folder"
