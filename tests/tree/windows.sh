#!/bin/sh
# windows.sh CLANG HEADERS BUILD checks that the library and the command can be compiled for Windows, as far as that is
# possible without a C library of Windows: in the dialect of Visual Studio's compiler, which knows none of GNU C, with
# the headers of MinGW-w64. vkclip was never built with Visual Studio. What clang says of MinGW's headers in that
# dialect does not count. Other libraries' headers are those of this system, which come last, so that a header of POSIX
# is not found where Windows has one of that name.
set -eu
clang=$1 headers=$2 build=$3
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Functions and types that MinGW's headers or clang's have, and Visual Studio's do not.
cat >"$work/lacking.h" <<'EOF'
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#pragma clang poison aligned_alloc asprintf fseeko ftello max_align_t strcasecmp strncasecmp strtok_r vasprintf
EOF

# Visual Studio 2022 defines __STDC__ with /std:c11, which clang leaves out in its dialect. Unused parameters are found
# by other builds: clang does not know the pragma by which Visual Studio allows them.
compiler() {
    "$clang" --target=x86_64-pc-windows-msvc -fms-compatibility-version=19.38 -std=c11 -pedantic -Wall -Wextra -Wshadow \
        -Wno-unused-parameter -Wgnu -Wvla -fsyntax-only -ferror-limit=0 -fno-caret-diagnostics \
        -D_WIN32_WINNT=0x0A00 -DWIN32_LEAN_AND_MEAN -DNOMINMAX -D__STDC__=1 -DBUILD_WORDS='""' -Iinclude -Isrc -I. -I"$build/shaders" -I"$build/rows" \
        -isystem "$headers" -idirafter /usr/include -idirafter "/usr/include/$(uname -m)-linux-gnu" \
        -idirafter /usr/include/stb -idirafter /usr/include/postgresql -include "$work/lacking.h" "$@" 2>&1
}

# What Visual Studio lacks must be found, or nothing is checked.
cat >"$work/wrong.c" <<'EOF'
#include <stdlib.h>
int measure(int count);
int measure(int count)
{
    int values[count];
    return ({ (int)sizeof(values); }) + (realpath("", NULL) ? 1 : 0) + (int)sizeof(max_align_t);
}
EOF

# src/server has sockets: vkclip serve is left out on Windows.
find src -name '*.c' ! -path 'src/server/*' | sort >"$work/files"
# clang as a driver starts a process per file, which takes more time than the checks. The command that it would start
# takes any number of files. The wrong file is the last, so that finding its faults shows that the others were read.
command=$(compiler '-###' "$work/wrong.c" | tail -n 1 | sed 's/ "-disable-free"//')
# Paths of sources are relative, and have no blanks.
eval "${command% \"*} $(tr '\n' ' ' <"$work/files") \"\$work/wrong.c\"" >"$work/output" 2>&1 || true
grep -E '^[^:]+:[0-9]+:[0-9]+: (fatal error|error|warning):' "$work/output" >"$work/all" || true
grep '^[^/]' "$work/all" >"$work/found" || true
if [ -s "$work/found" ]; then
    cat "$work/found"
    echo "FAILED: Visual Studio could not compile this: expected C11 and the functions of src/base"
    exit 1
fi
for part in 'variable length array' 'GNU statement expression' "function 'realpath'" 'poisoned identifier'; do
    grep -F "$work/wrong.c:" "$work/all" | grep -q "$part" || {
        echo "FAILED: expected that this is found, so that files can be checked: $part"
        cat "$work/all"
        exit 1
    }
done
echo "$(wc -l <"$work/files") files are C11 without extensions for Windows, too"
