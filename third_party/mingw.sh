#!/bin/sh
# Builds the libraries that vkclip needs on Windows into build/mingw, unless they are there already, with MinGW-w64
# (Debian's gcc-mingw-w64-x86-64-win32): as static libraries, from the source packages of Debian, which has none of them
# for Windows. Afterwards `cmake --preset mingw` builds vkclip, and tests/windows.sh tests it. Everything else works
# without this, so a failure is reported and is not an error.
set -eu
cd "$(dirname "$0")/.."
folder=$PWD/build/mingw
[ ! -f "$folder/complete" ] || exit 0

leave() {
    echo "Windows is left out of the tests: $1" >&2
    exit 0
}
triple=x86_64-w64-mingw32
command -v $triple-gcc >/dev/null || leave "there is no $triple-gcc (gcc-mingw-w64-x86-64-win32)."
command -v apt-get >/dev/null || leave "its libraries come from source packages of Debian, and this system has no apt."
mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Label: Debian' 2>/dev/null | head -n 1)
[ -n "$mirror" ] || leave "the system's sources of packages name no mirror of Debian."

mkdir -p build
temp=$(mktemp -d "$PWD/build/mingw.XXXXXX")
trap 'rm -rf "$temp"' EXIT
# As in drivers.sh, this configuration of apt reads and writes nothing of the system but its keys and proxies.
mkdir -p "$temp/lists/partial" "$temp/archives/partial"
: >"$temp/status"
cat >"$temp/apt.conf" <<EOF
APT::Sandbox::User "root";
Acquire::Check-Valid-Until "false";
Acquire::Languages "none";
Dir::Etc::SourceList "$temp/sources.list";
Dir::Etc::SourceParts "/dev/null";
Dir::Etc::Preferences "/dev/null";
Dir::Etc::PreferencesParts "/dev/null";
Dir::State "$temp";
Dir::State::Lists "$temp/lists";
Dir::State::Status "$temp/status";
Dir::Cache "$temp";
Dir::Cache::Archives "$temp/archives";
EOF
sources() {
    (cd "$temp" && APT_CONFIG="$temp/apt.conf" apt-get -qq "$@" >>"$temp/log" 2>&1)
}

# A mirror may lack the file of some version, so that releases are tried in turn. SQLite before 3.48, which Debian 12
# and 13 have, needs Tcl to be built, and is not taken.
echo "Fetching the sources of libraries for Windows from Debian (22 MB, once)"
missing="jansson utf8proc gumbo-parser zlib libzip sqlite3 xxhash libjpeg-turbo libspng cmocka"
for release in sid trixie bookworm; do
    echo "deb-src $mirror $release main" >"$temp/sources.list"
    sources update || continue
    left=
    for package in $missing; do
        case $release-$package in
        trixie-sqlite3 | bookworm-sqlite3) ;;
        *) if sources source --download-only --tar-only "$package"; then continue; fi ;;
        esac
        left="$left $package"
    done
    missing=$left
    [ -n "$missing" ] || break
done
[ -z "$missing" ] || leave "apt could not fetch the sources of$missing."

cd "$temp"
rm -f ./*orig-www*
mkdir build mingw mingw/include mingw/lib mingw/lib/pkgconfig
for file in *.orig.tar.*; do
    mkdir -p "source/${file%%_*}"
    tar -x -f "$file" -C "source/${file%%_*}" --strip-components=1
done

failed() {
    tail -n 20 "$temp/log" >&2
    leave "$1 could not be built."
}
# describe PACKAGE MODULE LIBRARY [FLAGS] writes MODULE.pc for pkg-config, with the version of the source package.
describe() {
    cat >"mingw/lib/pkgconfig/$2.pc" <<EOF
Name: $2
Description: built by third_party/mingw.sh
Version: $(ls "$1"_*.orig.tar.* | sed -E 's/^[^_]*_([0-9.]*[0-9]).*/\1/')
Requires: $(case $2 in spng | libzip) echo zlib ;; esac)
Libs: -L$folder/lib -l$3
Cflags: -I$folder/include ${4-}
EOF
}
# plain PACKAGE MODULE LIBRARY FLAGS HEADERS FILE... compiles a library of a few files. Words are split on purpose.
# shellcheck disable=SC2086
plain() {
    package=$1 module=$2 library=$3 flags=$4 headers=$5
    shift 5
    echo "  $library"
    mkdir "build/$library"
    for file in "$@"; do
        $triple-gcc -O2 -Imingw/include $flags -c "source/$package/$file" -o "build/$library/$(basename "$file" .c).o" ||
            failed "$library"
    done >>"$temp/log" 2>&1
    $triple-ar rcs "mingw/lib/lib$library.a" build/"$library"/*.o
    for file in $headers; do cp "source/$package/$file" mingw/include; done
    describe "$package" "$module" "$library" "$flags"
}
# with_cmake PACKAGE MODULE LIBRARY FLAGS [-D...]... builds a library by its CMake files.
with_cmake() {
    package=$1 module=$2 library=$3 flags=$4
    shift 4
    echo "  $library"
    { cmake -S "source/$package" -B "build/$library" -DCMAKE_TOOLCHAIN_FILE="$toolchain" \
        -DCMAKE_INSTALL_PREFIX="$temp/mingw" -DCMAKE_INSTALL_LIBDIR=lib -DCMAKE_FIND_ROOT_PATH="$temp/mingw" \
        -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DCMAKE_POLICY_VERSION_MINIMUM=3.5 "$@" &&
        cmake --build "build/$library" --parallel && cmake --install "build/$library"; } >>"$temp/log" 2>&1 ||
        failed "$library"
    describe "$package" "$module" "$library" "$flags"
}

toolchain=$OLDPWD/third_party/mingw.cmake
(cd source/zlib && ls ./*.c) >build/zlib.list
# shellcheck disable=SC2046
plain zlib zlib z "" "zlib.h zconf.h" $(cat build/zlib.list)
plain utf8proc libutf8proc utf8proc -DUTF8PROC_STATIC utf8proc.h utf8proc.c
plain xxhash libxxhash xxhash "" xxhash.h xxhash.c
plain libspng spng spng -DSPNG_STATIC spng/spng.h spng/spng.c
(cd source/gumbo-parser && ls src/*.c) >build/gumbo.list
# shellcheck disable=SC2046
plain gumbo-parser gumbo gumbo "" "src/gumbo.h src/tag_enum.h" $(cat build/gumbo.list)
# SQLite is made into one file by tools that it compiles for this machine.
(cd source/sqlite3 && ./configure && make sqlite3.c) >>"$temp/log" 2>&1 || failed sqlite3
plain sqlite3 sqlite3 sqlite3 "" sqlite3.h sqlite3.c
with_cmake jansson jansson jansson "" -DJANSSON_BUILD_DOCS=OFF -DJANSSON_WITHOUT_TESTS=ON -DJANSSON_EXAMPLES=OFF
with_cmake cmocka cmocka cmocka -DCMOCKA_STATIC -DWITH_EXAMPLES=OFF -DCMAKE_C_FLAGS=-D__USE_MINGW_ANSI_STDIO=1
with_cmake libjpeg-turbo libjpeg jpeg "" -DENABLE_SHARED=OFF -DWITH_TURBOJPEG=OFF -DWITH_SIMD=OFF
with_cmake libzip libzip zip -DZIP_STATIC -DBUILD_TOOLS=OFF -DBUILD_REGRESS=OFF -DBUILD_EXAMPLES=OFF -DBUILD_DOC=OFF \
    -DENABLE_BZIP2=OFF -DENABLE_LZMA=OFF -DENABLE_ZSTD=OFF -DENABLE_COMMONCRYPTO=OFF -DENABLE_GNUTLS=OFF \
    -DENABLE_MBEDTLS=OFF -DENABLE_OPENSSL=OFF -DENABLE_WINDOWS_CRYPTO=OFF
# These are header-only, and the same as on other systems.
for header in vulkan vk_video stb; do
    [ -d "/usr/include/$header" ] || leave "there is no /usr/include/$header: third_party/install.sh installs it."
    ln -s "/usr/include/$header" "mingw/include/$header"
done
touch mingw/complete
rm -rf "$folder"
mv mingw "$folder"
