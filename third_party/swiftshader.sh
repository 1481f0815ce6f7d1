#!/bin/sh
# SwiftShader, a second Vulkan driver for the tests: poorer than lavapipe (no 16-bit types, subgroups of
# four), as small GPUs are. Taken out of Debian's package chromium-common, which is downloaded and
# not installed, into build/swiftshader. Does nothing when it is there. Without it the tests
# run on the drivers that there are, so a failure here is told and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/swiftshader
[ ! -f "$folder/vk_swiftshader_icd.json" ] || exit 0

root=
[ "$(id -u)" = 0 ] || root=sudo
temp=$(mktemp -d)
trap 'rm -rf "$temp"' EXIT
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
    echo "SwiftShader is left out of the tests: it is taken from a Debian package." >&2
    exit 0
fi
echo "Fetching SwiftShader out of the package chromium-common (31 MB, once)"
# apt's own unprivileged user cannot write to a private folder: as root it has to stay root. The lists
# of packages may be missing or old.
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
