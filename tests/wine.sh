#!/bin/sh
# wine.sh PROGRAM.exe [ARGUMENT...] runs a program for Windows by wine. The variable WINEPREFIX says where wine keeps its
# own files: build/wine, if it is not set. Where there is no wine, the program is skipped.
set -eu
for wine in /usr/lib/wine/wine64 "$(command -v wine64 || true)" "$(command -v wine || true)"; do
    [ ! -x "$wine" ] || break
done
[ -x "$wine" ] || {
    echo "skipped: there is no wine (Debian's package wine64)"
    exit 77
}
export WINEPREFIX="${WINEPREFIX-$(cd "$(dirname "$0")/.." && pwd)/build/wine}"
export WINEDEBUG="${WINEDEBUG--all}" WINEDLLOVERRIDES="${WINEDLLOVERRIDES-mscoree,mshtml=}"
mkdir -p "$WINEPREFIX"
exec "$wine" "$@"
