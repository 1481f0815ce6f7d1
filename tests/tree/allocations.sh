#!/bin/sh
# allocations.sh LIST checks the library's object files, whose paths stand in a file: only base/memory.c allocates and
# frees by the C library, so that an application's allocator gives all memory. realpath allocates too; its result goes
# to memory_adopt.
set -eu
work=$(mktemp)
trap 'rm -f "$work"' EXIT
tr '\n' '\0' <"$1" | xargs -0 nm -A -u | sed -E 's/: +[A-Za-z] /: /' >"$work"
functions='malloc|calloc|realloc|reallocarray|free|aligned_alloc|memalign|posix_memalign|valloc'
functions="$functions|(__)?strn?dup|v?asprintf|__v?asprintf_chk|getline|(__)?getdelim|open_memstream|scandir|getcwd"
functions="$functions|json_dumps"
if grep -E " ($functions)\$" "$work" | grep -v '/base/memory\.c\.o: '; then
    echo "FAILED: these objects allocate by the C library: expected memory_alloc, memory_free and the like"
    exit 1
fi
grep -q '/base/memory\.c\.o: malloc$' "$work" || {
    echo "FAILED: among the objects of $1 is no base/memory.c.o that calls malloc, so that nothing was checked"
    exit 1
}
echo "only base/memory.c allocates by the C library, of $(wc -l <"$1") objects"
