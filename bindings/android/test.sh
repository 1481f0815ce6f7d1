#!/bin/sh
# test.sh builds and tests vkclip for arm64, the processor of Android's devices, on this machine: with clang and lld
# against Debian's libraries for arm64, under QEMU, which third_party/arm64.sh fetches. It runs all tests that need no
# Vulkan device, and the command on arm64's lavapipe and SwiftShader, whose logits may differ by 1e-3 from those of the
# reference. Then it packs an AAR and lets a program run with its library for arm64. Nothing of it is Android itself:
# bindings/android/README.md says what was never run.
set -eu
cd "$(dirname "$0")/../.."
third_party/arm64.sh
arm64=$PWD/build/arm64
build=$PWD/build/build.arm64
lavapipe=/usr/share/vulkan/icd.d/lvp_icd.aarch64.json # in the root for arm64, where QEMU looks first
swiftshader=$arm64/swiftshader/vk_swiftshader_icd.json
export PYTHONDONTWRITEBYTECODE=1
# QEMU's own default has pointer authentication, with whose emulation SwiftShader takes ten times as long. This one, a
# processor of phones, is without it.
export QEMU_CPU="${QEMU_CPU-cortex-a76}"
echo "Programs for arm64 run on $QEMU_CPU of $("$arm64/qemu-aarch64" --version | head -n 1)"
if command -v ninja >/dev/null; then export CMAKE_GENERATOR="${CMAKE_GENERATOR-Ninja}"; fi

# A build for this machine has the same SPIR-V.
spirv=
[ ! -f build/shaders/kernels_packed.h ] || spirv=-DVKCLIP_SPIRV_FROM=$PWD/build/shaders
cmake -S . -B "$build" -DCMAKE_TOOLCHAIN_FILE=third_party/arm64.cmake -DCMAKE_BUILD_TYPE=Release \
    -DVKCLIP_WERROR=ON -DVKCLIP_BUILD_BENCH=OFF "-DVKCLIP_TEST_DRIVERS=lavapipe=$lavapipe;swiftshader=$swiftshader" $spirv

# The tests that CMake runs with the emulator and that need no device.
python3 - "$build" >"$build/host_tests" <<'PROGRAM'
import json, subprocess, sys
listing = subprocess.run(['ctest', '--test-dir', sys.argv[1], '--show-only=json-v1'], check=True, capture_output=True)
for test in json.loads(listing.stdout)['tests']:
    labels = [value for entry in test['properties'] if entry['name'] == 'LABELS' for value in entry['value']]
    command = test.get('command', [''])
    if command[0].endswith('qemu-aarch64') and 'device' not in labels:
        print(test['name'], next(word for word in command if '/test_' in word).rpartition('/')[2])
PROGRAM
# shellcheck disable=SC2046
cmake --build "$build" --parallel --target vkclip_command $(awk '{print $2}' "$build/host_tests" | sort -u)
names=$(awk '{print $1}' "$build/host_tests" | paste -sd '|')
ctest --test-dir "$build" --output-on-failure --no-tests=error --parallel "$(getconf _NPROCESSORS_ONLN)" -R "^($names)\$"

cat >"$build/emulated" <<WRAPPER
#!/bin/sh
exec $arm64/qemu-aarch64 -L $arm64/root $build/vkclip "\$@"
WRAPPER
chmod +x "$build/emulated"
export VKCLIP_TUNE=off VKCLIP_CHECK=off VKCLIP_CACHE_DIR="$build/cache"
# classify DRIVER PICTURES LABELS
classify() {
    export VK_ICD_FILENAMES="$1"
    "$build/emulated" devices
    python3 bindings/android/tests/logits.py "$build/emulated" "$2" "$3"
}
classify "$lavapipe" 12 60
classify "$swiftshader" 4 4

unset VK_ICD_FILENAMES
sh bindings/android/tests/aar.sh "$PWD/build/build.aar" javac python3 $spirv
abi=$PWD/build/build.aar/aar/jni/arm64-v8a
clang --target=aarch64-linux-gnu --sysroot="$arm64/root" -fuse-ld=lld -Iinclude tests/tree/consumer/main.c \
    -o "$build/consumer" "$abi/libvkclip.so"
VK_ICD_FILENAMES=$lavapipe "$arm64/qemu-aarch64" -L "$arm64/root" -E LD_LIBRARY_PATH="$abi" "$build/consumer" \
    models/emoji-clip models/emoji-clip/samples/pizza.png key pizza owl | tee "$build/answer"
grep -q '^best: pizza' "$build/answer" || { echo "FAILED: the library of the AAR for arm64" && exit 1; }
echo "arm64 works"
