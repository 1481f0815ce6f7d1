#!/bin/sh
# Installs the missing packages of packages.txt with apt: those that building vkclip needs, and with --tests those that
# its tests need. If none is missing, it needs neither root nor network. On a system without apt it prints the names of
# the packages and changes nothing.
set -eu
cd "$(dirname "$0")"

case "${1-}" in
'') uses=build ;;
--tests) uses='build|test' ;;
*) echo "usage: $0 [--tests]" >&2 && exit 2 ;;
esac

if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    cat >&2 <<'NAMES'
This system has no apt, so nothing was installed. vkclip needs these packages:
  Fedora    cmake ninja-build gcc pkgconf glslang vulkan-headers vulkan-loader-devel
            mesa-vulkan-drivers jansson-devel utf8proc-devel gumbo-parser-devel stb_image-devel zlib-devel
            libzip-devel; tar shards of training data: libarchive-devel
            vkclip pull: libcurl-devel openssl-devel; vkclip index: sqlite-devel xxhash-devel libpq-devel
            vkclip serve: libmicrohttpd-devel
            more pictures: libjpeg-turbo-devel libspng-devel libexif-devel libwebp-devel libtiff-devel libavif-devel
            libheif-devel libjxl-devel
            tests: libcmocka-devel gcc-c++ clang compiler-rt vulkan-validation-layers python3-numpy
            python3-pillow python3-pytest python3-mypy python3-setuptools python3-wheel postgresql-server
            gtk4-devel xorg-x11-server-Xvfb xdotool
  Arch      cmake ninja gcc pkgconf glslang vulkan-headers vulkan-icd-loader vulkan-swrast
            jansson libutf8proc gumbo-parser stb zlib libzip; tar shards of training data: libarchive
            vkclip pull: curl openssl; vkclip index: sqlite xxhash postgresql-libs; vkclip serve: libmicrohttpd
            more pictures: libjpeg-turbo libspng libexif libwebp libtiff libavif libheif libjxl
            tests: cmocka clang compiler-rt vulkan-validation-layers python-numpy python-pillow python-pytest mypy
            python-setuptools python-wheel postgresql gtk4 xorg-server-xvfb xdotool
  Homebrew  cmake ninja pkgconf glslang vulkan-headers vulkan-loader molten-vk
            jansson utf8proc gumbo-parser zlib libzip; tar shards of training data: libarchive
            vkclip pull: curl openssl@3; vkclip index: sqlite xxhash libpq; vkclip serve: libmicrohttpd
            more pictures: jpeg-turbo libspng libexif webp libtiff libavif libheif jpeg-xl
            tests: cmocka llvm vulkan-validationlayers numpy postgresql
            Homebrew has no stb: -DStbImage_INCLUDE_DIR=FOLDER names a clone of https://github.com/nothings/stb
  Windows   the Vulkan SDK (headers, glslang, validation layer), CMake, and vcpkg, which takes the libraries from
            vcpkg.json; tests: cmocka
NAMES
    exit 0
fi

wanted=$(sed 's/#.*//' packages.txt | awk -v uses="^($uses)$" '$1 ~ uses { print $2 }')
# Lists of package names are split into words on purpose wherever SC2086 is disabled.
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
    echo "Packages are missing, and installing them needs root. Run as root: apt-get install" $missing >&2
    exit 0
fi
# shellcheck disable=SC2086
echo "Installing:" $missing
$root apt-get update -q
# shellcheck disable=SC2086
$root env DEBIAN_FRONTEND=noninteractive apt-get install -qy --no-install-recommends $missing
