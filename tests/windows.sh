#!/bin/sh
# windows.sh [BUILD] builds vkclip for Windows with MinGW-w64 in the folder BUILD, build-mingw if it is not given, and
# tests it by wine on this machine's lavapipe: the tests that need no driver, then the command and the device. Needs the
# packages gcc-mingw-w64-x86-64-win32, wine64 and xvfb; without them it says so and leaves with the status 77.
set -eu
cd "$(dirname "$0")/.."
build=${1-build-mingw}
leave() {
    echo "Windows is NOT tested: $*"
    exit 77
}
third_party/mingw.sh
[ -f build/mingw/complete ] || leave "third_party/mingw.sh could not build its libraries"
command -v Xvfb >/dev/null || leave "wine finds Vulkan only with an X server, and there is no Xvfb (package xvfb)"
tests/wine.sh --version >/dev/null || leave "there is no wine (package wine64)"
icd=$(find /usr/share/vulkan/icd.d -name 'lvp_icd*.json' | head -n 1)
[ -n "$icd" ] || leave "there is no lavapipe (package mesa-vulkan-drivers)"

[ ! -f build/shaders/kernels_packed.h ] || spirv=-DVKCLIP_SPIRV_FROM=$PWD/build/shaders
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server"; rm -rf "$work"' EXIT
quietly() { "$@" >"$work/log" || { tail -n 20 "$work/log" && exit 1; }; }
quietly cmake --preset mingw -B "$build" ${spirv-}
quietly cmake --build "$build" --parallel

# Xvfb chooses a display that is free, and tells its number.
mkfifo "$work/display"
Xvfb -displayfd 3 -screen 0 640x480x24 3>"$work/display" >/dev/null 2>&1 &
server=$!
read -r number <"$work/display"
export DISPLAY=":$number" VK_ICD_FILENAMES="$icd" VK_DRIVER_FILES="$icd" WINEPREFIX="$PWD/build/wine"
export VKCLIP_TUNE=off VKCLIP_CHECK=off
tests/wine.sh wineboot -i >/dev/null 2>&1

ctest --test-dir "$build" --output-on-failure --no-tests=error

# ---- The library ----------------------------------------------------------------------------------------
failed=0
fail() {
    echo "FAILED: $*"
    failed=1
}
x86_64-w64-mingw32-objdump -p "$build/libvkclip.dll" >"$work/table"
sed -n '/Ordinal\/Name Pointer/,/^$/p' "$work/table" | awk 'NF >= 3 && $NF ~ /^[a-z]/ {print $NF}' |
    LC_ALL=C sort >"$work/exports"
diff src/api/vkclip.symbols "$work/exports" || fail "libvkclip.dll exports other names than those of vkclip.symbols"
needed=$(sed -n 's/.*DLL Name: //p' "$work/table" | sort | tr '\n' ' ')
others=$(echo "$needed" | tr ' ' '\n' | grep -viE '^(ADVAPI32|KERNEL32|msvcrt|SHELL32)\.dll$|^$' || true)
[ -z "$others" ] || fail "libvkclip.dll needs $others"
x86_64-w64-mingw32-strip -o "$work/stripped.dll" "$build/libvkclip.dll"
echo "libvkclip.dll: $(wc -c <"$work/stripped.dll") bytes stripped, $(wc -l <"$work/exports") names; needs $needed"

# ---- The command ----------------------------------------------------------------------------------------
model=models/emoji-clip
vkclip() {
    tests/wine.sh "$build/vkclip.exe" "$@" 2>"$work/errors"
}
# expect WHAT TEXT COMMAND... fails unless the command succeeds and prints the text, which may be "".
expect() {
    what=$1 text=$2
    shift 2
    if vkclip "$@" >"$work/output" && { [ -z "$text" ] || grep -qF -- "$text" "$work/output"; }; then
        echo "ok: $what"
    else
        fail "$what: expected \"$text\", found:"
        cat "$work/output" "$work/errors"
    fi
}
# refuse WHAT TEXT COMMAND... fails unless the command fails and its last line of errors has the text.
refuse() {
    what=$1 text=$2
    shift 2
    if vkclip "$@" >"$work/output"; then
        fail "$what: expected an error"
    elif tail -n 1 "$work/errors" | grep -qF -- "$text"; then
        echo "ok: $what: $(tail -n 1 "$work/errors" | tr -d '\r')"
    else
        fail "$what: expected \"$text\", found:"
        cat "$work/errors"
    fi
}
expect "the device" llvmpipe devices
expect "token ids" "2238 320 79 643 89 320 2239" tokenize -m $model "a pizza"
# Without these digits: the last ones differ from processor to processor.
expect "logits" '"label":"pizza","prob":0.99999' classify -m $model --label pizza --label owl --json \
    $model/samples/pizza.png
logit=$(sed -nE 's/.*"label":"pizza","prob":[^,]*,"logit":([0-9.]+).*/\1/p' "$work/output")
echo "$logit" | awk '{exit !($1 > 19.768 && $1 < 19.769)}' || fail "logits: expected 19.7686, found $logit"

refuse "a model that is not there" "no such file or folder" classify -m "$work/nothing" --label owl $model/samples/owl.png
refuse "a folder without a model" "$work" classify -m "$work" --label owl $model/samples/owl.png
refuse "a picture that is not there" "$work/nothing.png" classify -m $model --label owl "$work/nothing.png"
head -c 300 $model/samples/owl.png >"$work/cut.png"
refuse "a picture that is cut off" "cut.png" classify -m $model --label owl "$work/cut.png"
echo "no picture" >"$work/text.jpg"
refuse "a picture that is none" "text.jpg" classify -m $model --label owl "$work/text.jpg"
: >"$work/empty.gguf"
refuse "an empty model" "empty.gguf" classify -m "$work/empty.gguf" --label owl $model/samples/owl.png

# Names that no code page has, and a path of more than 260 characters.
strange="$work/Bücher_写真"
longer="$strange/$(printf 'a long name %080d' 1)/$(printf 'a longer name %080d' 2)/$(printf 'the longest name %080d' 3)"
mkdir -p "$longer"
cp -r $model "$strange/modell_ü"
cp $model/samples/pizza.png $model/samples/owl.png "$longer"
[ ${#longer} -gt 270 ] || fail "expected a path of more than 270 characters, found ${#longer}"
windows() {
    printf 'Z:%s\n' "$1" | tr / '\\'
}
expect "a model and pictures with any names" "pizza" classify -m "$(windows "$strange/modell_ü")" \
    --label pizza --label owl "$longer/pizza.png"
expect "a long path with backslashes" "owl" classify -m "$strange/modell_ü" --label pizza --label owl \
    "$(windows "$longer/owl.png")"
expect "a converted model" "" convert "$strange/modell_ü" "$longer/neu_写.gguf" --type f16
expect "a converted model again, over itself" "" convert "$strange/modell_ü" "$longer/neu_写.gguf" --type f16
expect "which names pictures" "pizza" classify -m "$longer/neu_写.gguf" --label pizza --label owl "$longer/pizza.png"
mkdir "$longer/index"
expect "an index" "2 indexed: 2 new" index --index "$(windows "$longer/index/index.db")" -m "$strange/modell_ü" "$longer"
expect "the same index again" "2 indexed: 0 new" index --index "$longer/index/index.db" -m "$strange/modell_ü"
expect "a search" "owl.png" search --index "$longer/index/index.db" -m "$strange/modell_ü" -k 1 owl
expect "embeddings" "" embed -m "$strange/modell_ü" --output "$longer/embeddings.safetensors" "$longer/owl.png"
[ -s "$longer/embeddings.safetensors" ] || fail "embeddings: the file was not written"

[ $failed = 0 ] || exit 1
echo "vkclip.exe and libvkclip.dll work by wine"
