#!/bin/sh
# components.sh BUILD CC installs the files of a build with shared libraries as packagers do, into a folder DESTDIR, with
# folders of their own choice, component by component. It fails if a file is anywhere else or in no component or in two,
# if the manifest does not list what was installed, or if the installed files do not work in another place.
set -eu
build=$1
cc=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
fail() { echo "FAILED: $1" && exit 1; }
files() { (cd "$1" && find . ! -type d | sed 's/^\.//' | LC_ALL=C sort); }

# A configuration of its own has other folders. Its library and command are those of the build.
prefix=/opt/vkclip
cmake -S . -B "$work/build" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release -DVKCLIP_BUILD_TESTS=OFF \
    -DVKCLIP_BUILD_BENCH=OFF -DVKCLIP_SPIRV_FROM="$build/shaders" -DCMAKE_INSTALL_PREFIX=$prefix \
    -DCMAKE_INSTALL_LIBDIR=lib/here -DCMAKE_INSTALL_INCLUDEDIR=headers -DCMAKE_INSTALL_BINDIR=programs \
    -DCMAKE_INSTALL_DATADIR=data -DVKCLIP_SYSTEMD_DIR=units -DCMAKE_INSTALL_MANDIR=data/manual -DCMAKE_INSTALL_DOCDIR=text >"$work/log" 2>&1 ||
    { cat "$work/log" && exit 1; }
cp -P "$build"/libvkclip.so* "$build"/vkclip "$build"/vkclip.1 "$build"/completion.* "$work/build"

# install DESTDIR [ARGUMENT...] installs and compares the manifest with what is there.
install() {
    place=$1
    shift
    DESTDIR=$place cmake --install "$work/build" "$@" >"$work/log" || { cat "$work/log" && exit 1; }
}
install "$work/all"
LC_ALL=C sort "$work/build/install_manifest.txt" >"$work/manifest"
files "$work/all" | diff - "$work/manifest" || fail "install_manifest.txt differs from the installed files"
! files "$work/all" | grep -v "^$prefix/" || fail "these files are outside of $prefix"
! files "$work/all" | grep -vE "^$prefix/(lib/here|headers|programs|data|text|units)/" ||
    fail "these files are not in the folders that were chosen"

for component in runtime development command; do
    install "$work/$component" --component $component
    files "$work/$component" >"$work/files.$component"
    echo "$component: $(wc -l <"$work/files.$component") files"
done
cat "$work"/files.* | LC_ALL=C sort | diff - "$work/manifest" || fail "the components are not all files, each once"
expect() { grep -qx "$prefix/$2" "$work/files.$1" || fail "$2 is not in the component $1"; }
expect runtime "lib/here/libvkclip\.so\.[0-9.]*"
expect runtime text/LICENSE
expect runtime text/libvkclip.spdx.json
expect development headers/vkclip.h
expect development lib/here/libvkclip.so
expect development lib/here/cmake/vkclip/vkclipConfig.cmake
expect command programs/vkclip
expect command data/manual/man1/vkclip.1

# The files are found where they were moved to, and say nothing of the place where they were installed.
mv "$work/all$prefix" "$work/moved"
! grep -rlF -e "$work/all" -e "$work/build" -e "$PWD" "$work/moved/lib/here/cmake" "$work/moved/lib/here/pkgconfig" \
    "$work/moved/text" || fail "these files name a folder of the build"
export PKG_CONFIG_PATH="$work/moved/lib/here/pkgconfig"
eval "set -- $(pkg-config --cflags --libs vkclip)" # Blanks are escaped as in the shell.
case "$*" in
*"-I$work/moved/lib/here/pkgconfig/"*) ;;
*) fail "pkg-config does not find the moved files: $(pkg-config --cflags --libs vkclip)" ;;
esac
cmake -S tests/tree/consumer -B "$work/consumer" -DCMAKE_C_COMPILER="$cc" \
    -Dvkclip_DIR="$work/moved/lib/here/cmake/vkclip" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
cmake --build "$work/consumer" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
readelf -d "$work/consumer/consumer" | grep -q 'libvkclip\.so\.' || fail "the consumer does not need libvkclip"
echo "works: DESTDIR, components, manifest, moved files"
