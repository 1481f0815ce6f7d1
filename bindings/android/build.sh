#!/bin/sh
# build.sh [CMAKE-ARGUMENT...] builds the AAR and its POM into build/android, for arm64-v8a and x86_64, with the NDK in
# ANDROID_NDK_HOME (r26 or later), vcpkg in VCPKG_ROOT, and a JDK. This machine's own compiler and zlib pack the shaders.
# The script was never run with an NDK: see bindings/android/README.md.
set -eu
cd "$(dirname "$0")/../.."
toolchain=${ANDROID_NDK_HOME:?must name the folder of the Android NDK}/build/cmake/android.toolchain.cmake
vcpkg=${VCPKG_ROOT:?must name the folder of vcpkg}/scripts/buildsystems/vcpkg.cmake
strip=$(echo "$ANDROID_NDK_HOME"/toolchains/llvm/prebuilt/*/bin/llvm-strip)
android=bindings/android
output=$PWD/build/android
rm -rf "$output/classes" "$output/stubs" "$output/libraries"

libraries=
for abi in arm64-v8a x86_64; do
    case $abi in
    arm64-v8a) preset=android triplet=arm64-android ;;
    x86_64) preset=android-x86_64 triplet=x64-android ;;
    esac
    cmake --preset $preset -B "$output/$abi" -DCMAKE_TOOLCHAIN_FILE="$vcpkg" \
        -DVCPKG_CHAINLOAD_TOOLCHAIN_FILE="$toolchain" -DVCPKG_TARGET_TRIPLET=$triplet \
        -DVCPKG_OVERLAY_TRIPLETS="$PWD/third_party/vcpkg" -DVCPKG_MANIFEST_NO_DEFAULT_FEATURES=ON \
        "-DVCPKG_MANIFEST_FEATURES=exif;jpeg;search;webp" "$@"
    cmake --build "$output/$abi" --parallel
    mkdir -p "$output/libraries/$abi"
    for library in libvkclip.so bindings/android/jni/libvkclip_jni.so; do
        "$strip" -o "$output/libraries/$abi/${library##*/}" "$output/$abi/$library"
    done
    libraries="$libraries $abi=$output/libraries/$abi"
done

# The stubs stand for android.jar. They are not packed.
# shellcheck disable=SC2046
javac -d "$output/stubs" $(find $android/tests/stubs -name '*.java')
javac --release 8 -Xlint:-options -d "$output/classes" -cp "$output/stubs" $android/java/dev/vkclip/*.java
ndk=$(sed -nE 's/^Pkg.Revision *= *([0-9]+).*/\1/p' "$ANDROID_NDK_HOME/source.properties")
# shellcheck disable=SC2086
python3 $android/aar.py --classes "$output/classes" --libraries $libraries --ndk "$ndk" --output "$output" \
    --notices "$output"/arm64-v8a/vcpkg_installed/arm64-android/share/*/copyright
python3 $android/aar_check.py "$output"/*.aar
