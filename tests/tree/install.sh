#!/bin/sh
# install.sh BUILD CC [--static] installs a build into an empty prefix, runs the installed command, and links a small
# program through pkg-config and through find_package. --static means that the build has a static library. A program
# that uses Vulkan itself is linked too, in two ways, and the example of a renderer is built, and with a static library
# the addon for Node, whose package is installed by npm where that is found.
set -eu
build=$1
cc=$2
static=${3-}
root=$PWD
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix
cmake --install "$build" --prefix "$prefix" >"$work/log" || { cat "$work/log" && exit 1; }
version=$("$build"/vkclip --version)

# says NAME COMMAND... checks that the consumer names a picture correctly.
says() {
    name=$1
    shift
    cd "$work"
    "$@" "$root/models/emoji-clip" "$root/models/emoji-clip/samples/pizza.png" key pizza owl >"$work/out" || {
        echo "FAILED: $name"
        exit 1
    }
    cat "$work/out"
    grep -q '^best: pizza' "$work/out" || { echo "FAILED: $name: wrong answer" && exit 1; }
    case $version in *"$(sed -n 's/^vkclip //p' "$work/out")"*) ;; *)
        echo "FAILED: $name: other version than '$version'"
        exit 1
        ;;
    esac
    echo "works: $name"
}

cd "$work"
folder=$(dirname "$(find "$prefix" -name 'libvkclip.*' -print -quit)")
[ "$(LD_LIBRARY_PATH=$folder "$prefix/bin/vkclip" --version)" = "$version" ] || { echo "FAILED: installed command" && exit 1; }

for file in man/man1/vkclip.1 bash-completion/completions/vkclip zsh/site-functions/_vkclip \
    fish/vendor_completions.d/vkclip.fish; do
    [ -s "$prefix/share/$file" ] || { echo "FAILED: share/$file is not installed" && exit 1; }
done

for header in vkclip.h vkclip_vulkan.h; do
    [ -s "$prefix/include/$header" ] || { echo "FAILED: include/$header is not installed" && exit 1; }
done

for file in LICENSE NOTICE; do
    [ -s "$(find "$prefix/share/doc" -name $file)" ] || { echo "FAILED: $file is not installed" && exit 1; }
done

pc=$(find "$prefix" -name vkclip.pc)
export PKG_CONFIG_PATH="${pc%/*}"
# link ARGUMENT... compiles a program with the flags of pkg-config, in which blanks are escaped as in the shell.
link() {
    eval "set -- \"\$@\" $(pkg-config --cflags --libs $static vkclip)"
    "$cc" -std=c11 -Wall -Wextra -Werror "$@"
}
link "$root/tests/tree/consumer/main.c" -o "$work/consumer"
library_dir=$(pkg-config --variable=libdir vkclip)
says "pkg-config $static" env LD_LIBRARY_PATH="$library_dir" "$work/consumer"
for form in '' -DPOINTERS; do
    # shellcheck disable=SC2046,SC2086
    link $form "$root/tests/tree/consumer/renderer.c" -o "$work/renderer" -ldl $([ "$form" ] || echo -lvulkan)
    LD_LIBRARY_PATH=$library_dir "$work/renderer" || { echo "FAILED: a program that uses Vulkan $form" && exit 1; }
    echo "works: a program that uses Vulkan $form $static"
done
case $(pkg-config --cflags --libs vkclip) in
*-D*) echo "FAILED: vkclip.pc hands down definitions of other libraries" && exit 1 ;;
esac
unset PKG_CONFIG_PATH

cmake -S "$root/tests/tree/consumer" -B "$work/build" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" || { cat "$work/log" && exit 1; }
cmake --build "$work/build" >"$work/log" || { cat "$work/log" && exit 1; }
says "find_package $static" "$work/build/consumer"

cmake -S "$root/examples/renderer" -B "$work/example" -DCMAKE_C_COMPILER="$cc" \
    -DCMAKE_PREFIX_PATH="$prefix" >"$work/log" || { cat "$work/log" && exit 1; }
cmake --build "$work/example" >"$work/log" || { cat "$work/log" && exit 1; }
cd "$root"
LD_LIBRARY_PATH=$library_dir sh tests/tree/renderer.sh "$work/example/renderer" || exit 1
echo "works: examples/renderer $static"

# The addon for Node contains a static library. With a shared one all of its tests run.
addon() {
    cmake -S "$root/examples/node" -B "$work/node" -DCMAKE_C_COMPILER="$cc" -DCMAKE_BUILD_TYPE=Release \
        -DNodeApi_ROOT="$root/build/node/node_modules/node-api-headers" -DCMAKE_PREFIX_PATH="$prefix" &&
        cmake --build "$work/node" && cp -R "$root/examples/node" "$work/package" &&
        cmake --install "$work/node" --strip --prefix "$work/package" && mkdir "$work/app" && cd "$work/app" &&
        npm pack --offline "$work/package" && npm install --offline --no-audit --no-fund ./vkclip-*.tgz
}
if [ "$static" ] && command -v npm >/dev/null && command -v node >/dev/null; then
    (addon) >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
    cp -R "$root/models/emoji-clip/samples" "$work/pictures"
    (cd "$work/app" && cp "$root/examples/node/search.mjs" . && sed -i "s|'./index.mjs'|'vkclip'|" search.mjs &&
        node search.mjs "$root/models/emoji-clip" "$work/pictures" 'a picture of pizza') | tee "$work/out"
    grep -A1 '^a picture of pizza' "$work/out" | grep -q 'pizza\.png' || { echo "FAILED: examples/node" && exit 1; }
    nm -D --defined-only "$(find "$work/app" -name vkclip.node)" | grep ' vkclip_' &&
        echo "FAILED: the addon shows names of the library" && exit 1
    echo "works: examples/node $static"
fi

# As a part of another project, vkclip has the target of the same name.
cmake -S "$root/tests/tree/consumer" -B "$work/part" -DCMAKE_C_COMPILER="$cc" -DVKCLIP_SOURCE="$root" \
    -DVKCLIP_SPIRV_FROM="$build/shaders" >"$work/log" 2>&1 || { cat "$work/log" && exit 1; }
echo "works: add_subdirectory"
