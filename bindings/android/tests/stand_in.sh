#!/bin/sh
# stand_in.sh ABI FOLDER [CMAKE-ARGUMENT...] builds libvkclip and libvkclip_jni as for Android with stand_in.cmake into
# FOLDER/ABI, with stubs of the libraries of Android that they need in FOLDER/lib.
set -eu
abi=$1
folder=$2
shift 2
processor=x86_64
root=
if [ "$abi" = arm64-v8a ]; then
    processor=aarch64
    root=$PWD/build/arm64/root
fi
compile() {
    clang --target=$processor-linux-gnu --sysroot="$root/" -x c - "$@"
}
rm -rf "${folder:?}/share" "${folder:?}/lib"
mkdir -p "$folder/lib" "$folder/$abi"
folder=$(cd "$folder" && pwd)
for name in libandroid libjnigraphics liblog; do
    awk -v library=$name '$1 == library {print "void " $2 "(void);\nvoid " $2 "(void) {}"}' bindings/android/symbols.txt |
        compile -fuse-ld=lld -nostdlib -shared -Wl,-soname,$name.so -o "$folder/lib/$name.so"
done
package() {
    sh tests/tree/package.sh "$folder" "$@"
}
package jansson jansson::jansson libjansson.a
package utf8proc utf8proc::utf8proc libutf8proc.a
package unofficial-gumbo unofficial::gumbo::gumbo libgumbo.a
package xxhash xxHash::xxhash libxxhash.a
# Debian's jansson is not made for shared libraries: it compares with stdin in a way for which the symbol must be in the
# same file. The variable stays NULL.
echo 'void *stdin __attribute__((visibility("hidden")));' |
    compile -fPIC -c -o "$folder/stdin.o"

# What nothing reaches stays in the libraries, so that all that the NDK would compile is checked.
log=$folder/log
cmake --preset android -B "$folder" -DCMAKE_TOOLCHAIN_FILE="$PWD/bindings/android/stand_in.cmake" \
    -DANDROID_ABI="$abi" -DVKCLIP_STAND_IN="$folder" -DCMAKE_PREFIX_PATH="$folder" \
    -DCMAKE_C_STANDARD_LIBRARIES="$folder/stdin.o -Wl,--no-gc-sections" -DSQLite3_LIBRARY="$root/usr/lib/$processor-linux-gnu/libsqlite3.a" \
    -DVKCLIP_WITH_JPEG=OFF -DVKCLIP_WITH_EXIF=OFF -DVKCLIP_WITH_WEBP=OFF -DVKCLIP_WERROR=ON "$@" >"$log" 2>&1 || { tail -n 30 "$log" && exit 1; }
cmake --build "$folder" >"$log" 2>&1 || { tail -n 30 "$log" && exit 1; }
cp "$folder/libvkclip.so" "$folder/bindings/android/jni/libvkclip_jni.so" "$folder/$abi"
