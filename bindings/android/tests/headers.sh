#!/bin/sh
# headers.sh CC [CLANG] compiles the JNI files as for Android, with the headers of Android that Debian packages: for
# this processor, and with clang for arm64 where third_party/arm64.sh has fetched the headers of its C library.
set -eu
cc=$1
clang=${2-}
arm64=build/arm64/root
failed=0

# compile COMPILER... compiles each file. The macro of bionic that says since when a function is there is empty.
compile() {
    for file in bindings/android/jni/*.c; do
        "$@" -std=c11 -Wall -Wextra -Wshadow -Werror -fsyntax-only -D__ANDROID__ '-D__INTRODUCED_IN(x)=' -Iinclude \
            -isystem /usr/include/android -isystem /usr/include/android/nativehelper "$file" || {
            echo "FAILED: $file with $*"
            failed=1
        }
    done
}

compile "$cc"
[ -z "$clang" ] || compile "$clang"
if [ -n "$clang" ] && [ -d $arm64/usr/include ]; then
    compile "$clang" --target=aarch64-linux-gnu --sysroot=$arm64
else
    echo "arm64 is left out: it needs clang and the folder $arm64, which third_party/arm64.sh makes"
fi
[ $failed = 0 ] && echo "the JNI files compile with Android's headers"
exit $failed
