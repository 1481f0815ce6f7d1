#!/bin/sh
# reproducible.sh FOLDER [light SPIRV] builds everything twice, in different folders, at different times, by different
# numbers of jobs, with another umask, locale, time zone and order of files, and fails unless all that is shipped has the
# same bytes: the shared library and the command with their bills of materials, the static library, the wheel, the Debian
# packages and the source. With `light` and the folder of another build's SPIR-V it builds only the smallest library
# without optimisation, the source, and the wheel without a library.
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || { sed -n '2,/^set/s/^# \?//p' "$0" && exit 2; }
mkdir -p "$1"
folder=$(realpath "$1")
light=${2-}
spirv=${3-}
[ ! -e .git ] || SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH-$(git -c safe.directory='*' log -1 --format=%ct)}
export SOURCE_DATE_EPOCH="${SOURCE_DATE_EPOCH-0}"
unset DEB_BUILD_OPTIONS VKCLIP_CMAKE_ARGS CFLAGS LDFLAGS
fail() { echo "FAILED: $1" && exit 1; }
python=python3
$python -c 'import pip, setuptools, wheel' 2>/dev/null || python=/usr/bin/python3
quietly() { "$@" >"$folder/log" 2>&1 || { tail -n 40 "$folder/log" && fail "$*"; }; }

# build JOBS ARGUMENT... configures and builds the folder `build` of the current tree, which keeps the compiled kernels.
build() {
    jobs=$1
    shift
    quietly cmake -S . -B build -G Ninja -DVKCLIP_BUILD_TESTS=OFF -DVKCLIP_BUILD_BENCH=OFF "$@"
    quietly cmake --build build --parallel "$jobs"
}

# make TREE OUT JOBS ORDER copies the source to a tree, its files in that order, and puts what is made there into OUT.
make() {
    tree=$1
    out=$2
    jobs=$3
    rm -rf "$tree" "$out"
    mkdir -p "$tree" "$out"
    packaging/source.sh files | sort --zero-terminated "--$4" | tar --create --null --files-from=- |
        tar --extract --touch --directory="$tree"
    cd "$tree"
    packaging/source.sh "$out/source.tar"
    if [ "$light" ]; then
        quietly cmake --preset light -B build -DCMAKE_BUILD_TYPE=None -DVKCLIP_SPIRV_FROM="$spirv"
        quietly cmake --build build --parallel "$jobs"
        cp build/libvkclip.so build/libvkclip.spdx.json "$out"
        export VKCLIP_BUNDLE=OFF
    else
        build "$jobs" -DCMAKE_BUILD_TYPE=Release
        cp build/libvkclip.so build/vkclip build/vkclip.1 build/*.spdx.json "$out"
        build "$jobs" -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF
        cp build/libvkclip.a "$out"
        DEB_BUILD_OPTIONS="nocheck parallel=$jobs" quietly packaging/debian.sh "$tree.debian" -us -uc -b
        cp "$tree.debian"/*.deb "$out"
    fi
    quietly $python -m pip wheel --no-build-isolation --no-deps -w "$out" bindings/python
    cd "$OLDPWD"
}

other_locale=$(locale -a | grep -vE -m1 '^(C|POSIX)$' || echo C)
(umask 022 && LC_ALL=C TZ=UTC make "$folder/one" "$folder/first" 1 unique)
(umask 077 && LC_ALL="$other_locale" TZ=Asia/Kolkata make "$folder/another/tree" "$folder/second" 2 reverse)
(cd "$folder/first" && find . -type f -exec sha256sum {} +) | LC_ALL=C sort -k2 >"$folder/first.sums"
(cd "$folder/second" && find . -type f -exec sha256sum {} +) | LC_ALL=C sort -k2 >"$folder/second.sums"
cat "$folder/first.sums"
diff "$folder/first.sums" "$folder/second.sums" || fail "these differ: diffoscope $folder/first $folder/second shows how"
echo "the same bytes twice: $(wc -l <"$folder/first.sums") files"
rm -rf "$folder/one" "$folder/one.debian" "$folder/another"
