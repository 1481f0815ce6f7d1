#!/bin/sh
# wheel.sh FOLDER PYTHON builds a wheel of vkclip for Python with the packages of the system and without network, for
# this machine and for others, and installs each into an environment of its own. The wheel must have no library but
# libvkclip, and the licences of all that is in it. A wheel for others is refused where libvkclip needs too much.
# libvkclip is built quickly: without optimisation, and without what changes the flags of all files, so that both wheels
# have most objects in common.
set -eu
folder=$1
python=$2
model=$PWD/models/emoji-clip
unset PYTHONPATH VKCLIP_LIBRARY
rm -rf "$folder/wheels" "$folder/environment"
mkdir -p "$folder/egg"
# What is built lies in the test's folder and not in the source.
printf '[build]\nbuild_base = %s/build\n[egg_info]\negg_base = %s/egg\n' "$folder" "$folder" >"$folder/setup.cfg"
export VKCLIP_CMAKE_ARGS="${VKCLIP_CMAKE_ARGS-} -DCMAKE_BUILD_TYPE=None -DCMAKE_C_FLAGS=-O0 \
    -DVKCLIP_WITH_POSTGRESQL=OFF -DVKCLIP_WITH_AVIF=OFF -DVKCLIP_WITH_JXL=OFF"
export DIST_EXTRA_CONFIG="$folder/setup.cfg" PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR="$folder/pip"
fail() {
    echo "FAILED: $*"
    exit 1
}
quietly() { "$@" >"$folder/log" 2>&1 || { tail -n 40 "$folder/log" && fail "$*"; }; }
quietly "$python" -m venv --system-site-packages "$folder/environment"
pip() { "$folder/environment/bin/python" -m pip "$@"; }
build() { pip wheel --no-build-isolation --no-deps -w "$folder/wheels" bindings/python; }

says() {
    cd "$folder"
    environment/bin/python - "$model" <<'PROGRAM'
import sys
import vkclip
assert vkclip.__file__.startswith(sys.prefix), vkclip.__file__
with vkclip.Model(sys.argv[1]) as model:
    probs = model.classify(sys.argv[1] + '/samples/robot.png', ['owl', 'pizza', 'robot'], 'a picture of {}')
from vkclip.sentence_transformers import util
print(vkclip.__version__, probs, *vkclip.build())
assert probs.argmax() == 2 and probs.max() > 0.99
PROGRAM
    cd "$OLDPWD"
}

# has_licences FILE compares the licences in a wheel with the libraries whose code is in it, by its bill of materials.
has_licences() {
    "$python" - "$1" <<'PROGRAM'
import json, sys, zipfile
from email import message_from_bytes
with zipfile.ZipFile(sys.argv[1]) as wheel:
    files = {name.partition('.dist-info/')[2]: wheel.read(name) for name in wheel.namelist() if '.dist-info/' in name}
metadata, bill = message_from_bytes(files['METADATA']), json.loads(files['sboms/libvkclip.spdx.json'])
named = {'licenses/' + name for name in metadata.get_all('License-File')}
assert named == {name for name in files if name.startswith('licenses/')}, named
static = {relation['relatedSpdxElement'] for relation in bill['relationships']
          if relation['relationshipType'] == 'STATIC_LINK'}
inside = {package['name']: package['licenseDeclared'] for package in bill['packages'] if package['SPDXID'] in static}
assert {'jansson', 'gumbo', 'libutf8proc'} <= set(inside), inside
expression = metadata['License-Expression']
for name, licence in inside.items():
    assert b'opyright' in files[f'licenses/libraries/{name}.txt'], name
    assert all(part in expression.split(' AND ') for part in licence.split(' AND ')), (name, expression)
assert b'Apache License' in files['licenses/libraries/Apache-2.0.txt'] and b'stb_image' in files['licenses/NOTICE']
print('it has the licences of', *sorted(inside))
PROGRAM
}

# check NAME-PATTERN looks at the wheel that was built, installs it and tries it.
check() {
    file=$(echo "$folder"/wheels/*.whl)
    echo "$(basename "$file"): $(wc -c <"$file") bytes"
    # The pattern is not quoted, so that the shell compares with it.
    # shellcheck disable=SC2254
    case $(basename "$file") in
    $1) ;;
    *) fail "the wheel's name should be $1" ;;
    esac
    content=$("$python" -m zipfile -l "$file")
    libraries=$(echo "$content" | awk '/\.(so|dylib|dll)/ {print $1}')
    [ "$(echo "$libraries" | wc -l)" = 1 ] || fail "the wheel has $libraries"
    echo "$content" | grep -q 'vkclip/py.typed'
    echo "$content" | grep -q 'vkclip/sentence_transformers/util.py'
    has_licences "$file"
    quietly pip install --no-deps "$file"
    says
    quietly pip uninstall -y vkclip
    rm -r "$folder/wheels"
}

if [ "$(uname)" = Linux ]; then
    export VKCLIP_MANYLINUX=2_99
    quietly build
    check 'vkclip-*-py3-none-manylinux_2_[0-9]*_*.whl'
    readelf -d "$folder"/build/lib*/vkclip/libvkclip.so | sed -nE 's/.*\(NEEDED\).*\[(.*)\]/it needs \1/p'
    is_refused() {
        if build >"$folder/log" 2>&1; then
            fail "a wheel was built that needs more than VKCLIP_MANYLINUX=$VKCLIP_MANYLINUX"
        fi
        grep -q "$1" "$folder/log" || { cat "$folder/log" && fail "expected the message $1"; }
    }
    VKCLIP_MANYLINUX=2_5
    is_refused 'needs glibc 2.[0-9]*: expected at most glibc 2.5 '
    VKCLIP_MANYLINUX=2_99
    arguments=${VKCLIP_CMAKE_ARGS-}
    export VKCLIP_CMAKE_ARGS="$arguments -DVKCLIP_STATIC_DEPS=OFF"
    is_refused 'needs .*libjansson.so.*: expected .* no library that not every system has'
    VKCLIP_CMAKE_ARGS=$arguments
    unset VKCLIP_MANYLINUX
fi
quietly build
check 'vkclip-*-py3-none-*.whl'
quietly pip install --no-build-isolation --no-deps ./bindings/python
says
[ ! -e bindings/python/vkclip.egg-info ] || fail "the build wrote into the source"
