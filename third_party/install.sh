#!/bin/sh
# Installs what is missing to build vkclip, and with --tests to test it: the packages of packages.txt
# through apt. Asks dpkg only, without root and network, when nothing is missing. On a system without
# apt it names the packages and changes nothing.
set -eu
cd "$(dirname "$0")"

case "${1-}" in
'') uses=build ;;
--tests) uses='build|test' ;;
*) echo "usage: $0 [--tests]" >&2 && exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    cat >&2 <<'NAMES'
This system has no apt. vkclip goes on with what is installed; it needs, under these names:
  Fedora    cmake ninja-build gcc pkgconf glslang vulkan-headers vulkan-loader-devel vulkan-volk-devel
            mesa-vulkan-drivers jansson-devel utf8proc-devel gumbo-parser-devel stb_image-devel zlib-devel
            libzip-devel; tar shards of training data: libarchive-devel
            vkclip pull: libcurl-devel openssl-devel
            tests: libcmocka-devel gcc-c++ clang compiler-rt vulkan-validation-layers python3-numpy
  Arch      cmake ninja gcc pkgconf glslang vulkan-headers vulkan-icd-loader volk vulkan-swrast
            jansson libutf8proc gumbo-parser stb zlib libzip; tar shards of training data: libarchive
            vkclip pull: curl openssl
            tests: cmocka clang compiler-rt vulkan-validation-layers python-numpy
  Homebrew  cmake ninja pkgconf glslang vulkan-headers vulkan-loader vulkan-volk molten-vk
            jansson utf8proc gumbo-parser stb zlib libzip; tar shards of training data: libarchive
            vkclip pull: curl openssl
            tests: cmocka llvm vulkan-validationlayers numpy
  Windows   the Vulkan SDK (headers, volk, glslang, validation layer), CMake, and from vcpkg:
            volk jansson utf8proc gumbo stb zlib libzip pkgconf; libarchive; vkclip pull: curl openssl; tests: cmocka
NAMES
    exit 0
fi

wanted=$(sed 's/#.*//' packages.txt | awk -v uses="^($uses)$" '$1 ~ uses { print $2 }')
# The lists of names are split into words on purpose, here and below.
# shellcheck disable=SC2086
installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' $wanted 2>/dev/null |
    sed -n 's/^installed //p') || true
# shellcheck disable=SC2086
missing=$(printf '%s\n' $wanted | grep -vxF "$installed") || exit 0

if [ "$(id -u)" = 0 ]; then
    root=
elif command -v sudo >/dev/null; then
    root=sudo
else
    # shellcheck disable=SC2086
    echo "These packages are missing, and installing them needs root: apt-get install" $missing >&2
    exit 0
fi
# shellcheck disable=SC2086
echo "Installing:" $missing
$root apt-get update -q
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
