#!/bin/sh
# symbols.sh LIBRARY [--private] compares the names that a shared or static library shows with src/api/vkclip.symbols, and
# these with the functions that the public headers declare. With --private the library may also show names for the command
# of its own build, see third_party/SharedCommand.cmake.
set -eu
library=$1
private=${2:+^vkclip_private_}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# same WHAT FILE says how the names of a file differ from the list.
same() {
    diff src/api/vkclip.symbols "$2" >"$work/differences" && return
    echo "FAILED: $1: expected the names of src/api/vkclip.symbols, which changes when the interface does:"
    sed -n 's/^</lacks/p; s/^>/has  /p' "$work/differences"
    failed=1
}

export LC_ALL=C
sort -c src/api/vkclip.symbols
cat include/*.h | tr '\n' ' ' | grep -oE 'VKCLIP_API [^;]*;' | grep -oE 'vkclip_[a-z0-9_]+\(' | tr -d '(' |
    sort -u >"$work/header"
same "include/*.h" "$work/header"
case $library in
*.a) nm -g --defined-only "$library" ;;
*) nm -D --defined-only "$library" ;;
esac | awk 'NF == 3 {print $3}' | grep -v "${private:-^$}" | sort -u >"$work/names"
same "$library" "$work/names"
[ $failed = 0 ] && echo "$library shows $(wc -l <"$work/names") names, those of the list"
exit $failed
