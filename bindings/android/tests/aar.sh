#!/bin/sh
# aar.sh FOLDER JAVAC PYTHON [CMAKE-ARGUMENT...] packs an AAR with the libraries as stand_in.sh builds them: for x86_64, and
# for arm64 where third_party/arm64.sh has fetched its C library. Then it checks the AAR, and a program finds the headers
# and the library of its prefab package.
set -eu
export LC_ALL=C.UTF-8 # With POSIX's locale Java opens no file whose path is not ASCII.
folder=$1
javac=$2
python=$3
shift 3
android=bindings/android
rm -rf "$folder/classes" "$folder/stubs" "$folder/aar"
# shellcheck disable=SC2046
"$javac" -d "$folder/stubs" $(find $android/tests/stubs -name '*.java')
"$javac" --release 8 -Xlint:-options -d "$folder/classes" -cp "$folder/stubs" $android/java/dev/vkclip/*.java

libraries=
for abi in x86_64 arm64-v8a; do
    if [ $abi = arm64-v8a ] && [ ! -f build/arm64/complete ]; then
        echo "arm64-v8a is left out: it needs the folder build/arm64, which third_party/arm64.sh makes"
    else
        sh $android/tests/stand_in.sh $abi "$folder/$abi" "$@"
        libraries="$libraries $abi=$folder/$abi/$abi"
    fi
done
# shellcheck disable=SC2086
"$python" $android/aar.py --classes "$folder/classes" --libraries $libraries --output "$folder/aar"
"$python" $android/aar_check.py --glibc "$folder"/aar/*.aar
"$python" -m zipfile -e "$folder"/aar/*.aar "$folder/aar"
module=$folder/aar/prefab/modules/vkclip
clang -I"$module/include" tests/tree/consumer/main.c -o "$folder/consumer" "$module/libs/android.x86_64/libvkclip.so"
LD_LIBRARY_PATH=$module/libs/android.x86_64 "$folder/consumer" models/emoji-clip models/emoji-clip/samples/pizza.png \
    key pizza owl >"$folder/log"
grep '^best: pizza' "$folder/log" || { cat "$folder/log" && echo "FAILED: the program's answer" && exit 1; }
