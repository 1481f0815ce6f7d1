#!/bin/sh
# headers.sh CC CXX checks that the public headers compile alone as C11 and as C++17, and that each internal header
# includes everything that it needs.
set -eu
cc=$1
cxx=$2
failed=0
flags="-Wall -Wextra -Wshadow -Werror -fsyntax-only -Iinclude -Isrc -I. $(pkg-config --cflags libpq 2>/dev/null || :)"

# compile COMPILER FLAGS HEADER compiles a file that only includes the header, twice.
compile() {
    # shellcheck disable=SC2086
    printf '#include "%s"\n#include "%s"\n' "$3" "$3" | "$1" $2 $flags - || {
        echo "FAILED: $3 with $1 $2"
        failed=1
    }
}
for header in vkclip.h vkclip_vulkan.h; do
    compile "$cc" '-std=c11 -pedantic-errors -x c' $header
    if command -v "$cxx" >/dev/null; then
        compile "$cxx" '-std=c++17 -pedantic-errors -Wold-style-cast -x c++' $header
    else
        echo "C++17 is left out: there is no C++ compiler"
    fi
done
for header in $(find src -name '*.h' | sort); do
    compile "$cc" '-std=c11 -x c' "${header#src/}"
done
[ $failed = 0 ] && echo "all headers compile alone"
exit $failed
