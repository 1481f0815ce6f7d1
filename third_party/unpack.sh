#!/bin/sh
# unpack.sh [--alone] SUITE ARCHITECTURE FOLDER PACKAGE... extracts packages of Debian into a folder, with all that they
# need unless --alone is given. A name may be a regular expression in quotes, ^...$, of whose matches the one with the
# highest number is taken. Nothing is installed, and it needs no root: this configuration of apt reads nothing of the
# system but its keys, its proxies and the address of its mirror. An empty list of installed packages makes apt fetch
# everything that the named packages need. If something fails, it says what, and the folder is left as it was.
set -eu
fetch='install -y --download-only'
if [ "$1" = --alone ]; then
    fetch=download
    shift
fi
suite=$1
architecture=$2
folder=$3
shift 3

leave() {
    echo "$1" >&2
    exit 1
}
command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null ||
    leave "The files come from Debian packages, and this system has no apt."
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || leave "The system's sources of packages name no mirror of Debian."

mkdir -p "$(dirname "$folder")"
folder=$(cd "$(dirname "$folder")" && pwd)/$(basename "$folder")
temp=$(mktemp -d "$folder.XXXXXX")
trap 'rm -rf "$temp"' EXIT
# A mirror may lag behind, so that the date of its index is not checked. apt run by root must stay root, because its
# unprivileged user cannot write to a private folder.
mkdir -p "$temp/lists/partial" "$temp/archives/partial" "$temp/files"
: >"$temp/status"
echo "deb $mirror $suite main" >"$temp/sources.list"
cat >"$temp/apt.conf" <<CONFIG
APT::Architecture "$architecture";
APT::Architectures { "$architecture"; };
APT::Sandbox::User "root";
APT::Install-Recommends "false";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Dir::Etc::SourceList "$temp/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$temp";
Dir::State::Lists "$temp/lists";
Dir::State::Status "$temp/status";
Dir::Cache "$temp";
Dir::Cache::Archives "$temp/archives";
CONFIG
export APT_CONFIG="$temp/apt.conf"
try() {
    "$@" >"$temp/log" 2>&1 || {
        tail -n 5 "$temp/log" >&2
        leave "apt could not fetch $*"
    }
}
try apt-get -qq update
names=
for name in "$@"; do
    case $name in
    ^*) name=$(apt-cache pkgnames | grep -E "$name" | sort -V | tail -n 1) ;;
    esac
    names="$names $name"
done
cd "$temp/archives" # where `download` writes
# shellcheck disable=SC2086
try apt-get -qq $fetch $names
for package in "$temp"/archives/*.deb; do
    dpkg-deb --extract "$package" "$temp/files"
done
# An absolute link would lead into this system.
find "$temp/files" -type l -lname '/*' | while read -r link; do
    ln -srfn "$temp/files$(readlink "$link")" "$link"
done
# Documentation, translations and character sets would be a tenth of the folder.
rm -rf "$temp/files/usr/share/doc" "$temp/files/usr/share/man" "$temp/files"/usr/lib/*/gconv
rm -rf "$folder"
mv "$temp/files" "$folder"
