#!/bin/sh
# wheel.sh FOLDER PYTHON MODEL builds a wheel of vkclip for Python with the packages of the system and without network,
# wheel.sh FOLDER PYTHON builds a wheel of vkclip for Python with the packages of the system and without network,
# library but libvkclip.
set -eu
folder=$1
python=$2
model=$PWD/models/emoji-clip
unset PYTHONPATH VKCLIP_LIBRARY
rm -rf "$folder/wheels" "$folder/environment"
mkdir -p "$folder/egg"
# What is built lies in the test's folder and not in the source.
printf '[build]\nbuild_base = %s/build\n[egg_info]\negg_base = %s/egg\n' "$folder" "$folder" >"$folder/setup.cfg"
export DIST_EXTRA_CONFIG="$folder/setup.cfg" PIP_NO_INDEX=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_CACHE_DIR="$folder/pip"
quietly() { "$@" >"$folder/log" 2>&1 || { tail -n 40 "$folder/log" && echo "FAILED: $*" && exit 1; }; }
quietly "$python" -m venv --system-site-packages "$folder/environment"
pip="$folder/environment/bin/python -m pip"

says() {
    cd "$folder"
    environment/bin/python - "$model" <<'PROGRAM'
import sys
import vkclip
assert vkclip.__file__.startswith(sys.prefix), vkclip.__file__
with vkclip.Model(sys.argv[1]) as model:
    probs = model.classify(sys.argv[1] + '/samples/robot.png', ['owl', 'pizza', 'robot'], 'a picture of {}')
print(vkclip.__version__, probs)
assert probs.argmax() == 2 and probs.max() > 0.99
PROGRAM
    cd "$OLDPWD"
}

quietly $pip wheel --no-build-isolation --no-deps -w "$folder/wheels" bindings/python
set -- "$folder"/wheels/*.whl
echo "$(basename "$1"): $(wc -c <"$1") bytes"
case $(basename "$1") in
vkclip-*-py3-none-linux_*.whl | vkclip-*-py3-none-manylinux*.whl | vkclip-*-py3-none-macosx_*.whl) ;;
*) echo "FAILED: the wheel's name should have py3-none-PLATFORM" && exit 1 ;;
esac
libraries=$("$python" -m zipfile -l "$1" | awk '/\.(so|dylib|dll)/ {print $1}')
[ "$(echo "$libraries" | wc -l)" = 1 ] || { echo "FAILED: the wheel has $libraries" && exit 1; }
"$python" -m zipfile -l "$1" | grep -q 'vkclip/py.typed'
quietly $pip install --no-deps "$1"
says
quietly $pip uninstall -y vkclip
quietly $pip install --no-build-isolation --no-deps ./bindings/python
says
[ ! -e bindings/python/vkclip.egg-info ] || { echo "FAILED: the build wrote into the source" && exit 1; }
