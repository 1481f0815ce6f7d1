#!/bin/sh
# debian.sh FOLDER [ARGUMENT...] builds the Debian packages: copies the source to FOLDER/vkclip-VERSION, with
# packaging/debian as its folder debian, and runs dpkg-buildpackage there, with the programs of the system alone. Without
# arguments it is `-us -uc`, which makes source and binary packages; `-us -uc -b` makes only binary ones, and
# `-us -uc -S` only the source.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \?//p' "$0" && exit 2; }
folder=$1
shift
version=$(sed -nE 's/.*VKCLIP_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+).*/\2/p' include/vkclip.h | paste -sd.)
tree=$folder/vkclip-$version
rm -rf "$tree"
mkdir -p "$tree"
packaging/source.sh files | tar --create --null --files-from=- | tar --extract --directory="$tree"
case " $* " in
*" -b "* | *" -A "* | *" -B "*) ;;
*) packaging/source.sh "$folder/vkclip_$version.orig.tar.xz" ;;
esac
cp -R packaging/debian "$tree/debian"
cd "$tree"
[ $# -gt 0 ] || set -- -us -uc
PATH=/usr/sbin:/usr/bin:/sbin:/bin dpkg-buildpackage "$@"
