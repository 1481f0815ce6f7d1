#!/bin/sh
# source.sh FILE.tar[.xz] packs the source as it is in the work tree, the same bytes each time. `source.sh files` lists its
# files instead, each with a NUL behind it. Where there is no git, all files but builds are the source.
set -eu
cd "$(dirname "$0")/.."
files() { # The work tree may be another user's, as in containers.
    if [ -e .git ]; then
        git -c safe.directory='*' ls-files -z --cached --others --exclude-standard
    else
        find . -type d \( -name 'build*' -o -name '*.egg-info' -o -name __pycache__ \) -prune -o ! -type d -printf '%P\0'
    fi | LC_ALL=C sort --zero-terminated
}
[ $# = 1 ] || { sed -n '2,/^set/s/^# \?//p' "$0" && exit 2; }
pack='cat'
case $1 in
files) files && exit ;;
*.xz) pack=xz ;;
esac
version=$(sed -nE 's/.*VKCLIP_VERSION_(MAJOR|MINOR|PATCH) ([0-9]+).*/\2/p' include/vkclip.h | paste -sd.)
files | tar --create --null --files-from=- --transform="s|^|vkclip-$version/|" --format=gnu --owner=0 --group=0 \
    --numeric-owner --mode=u+rwX,go+rX,go-w --mtime="@${SOURCE_DATE_EPOCH:-0}" | $pack >"$1"
