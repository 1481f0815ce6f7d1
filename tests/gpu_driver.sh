#!/bin/sh
# gpu_driver.sh NAME [PROGRAM...] starts a program on the driver of a GPU that is not there. The driver compiles as for
# the GPU, and submissions return at once and compute nothing. It ends with 77 where the driver is missing, which
# third_party/drivers.sh fetches, and does nothing else without a program. `gpu_driver.sh list` prints the names.
set -eu

# name, manifest of the driver, what stands in for the kernel's driver, and the variable that names the GPU
devices='
polaris10 radeon    amdgpu    AMDGPU_GPU_ID=polaris10
vega10    radeon    amdgpu    AMDGPU_GPU_ID=vega10
rdna2     radeon    amdgpu    AMDGPU_GPU_ID=navi21
rdna3     radeon    amdgpu    AMDGPU_GPU_ID=navi31
rdna4     radeon    amdgpu    AMDGPU_GPU_ID=gfx1201
ampere    nouveau   nouveau   NOUVEAU_CHIPSET=0x176
ada       nouveau   nouveau   NOUVEAU_CHIPSET=0x196
adreno660 freedreno freedreno FD_GPU_ID=660
adreno740 freedreno freedreno FD_GPU_ID=740
m1        asahi     asahi     unused=
rdna2-system system  none     RADV_FORCE_FAMILY=navi21
'
name=$1 && shift
[ "$name" != list ] || { echo "$devices" | awk 'NF { print $1 }' && exit; }
# The four words of a device are separated here.
# shellcheck disable=SC2046
set -- $(echo "$devices" | awk -v name="$name" '$1 == name { print $2, $3, $4 }') "$@"
[ "${3-}" ] || { echo "$name: expected a name of \`gpu_driver.sh list\`" >&2 && exit 2; }
drivers=$(cd "$(dirname "$0")/.." && pwd)/build/drivers
source=$1 shim=$2
export "${3?}"
shift 3
if [ "$source" = system ]; then # the system's own RADV, which needs no stand-in
    manifest=$(find /usr/share/vulkan/icd.d -name 'radeon_icd*.json' 2>/dev/null | head -n 1)
    starter='env'
else
    manifest=$drivers/usr/share/vulkan/icd.d/${source}_icd.json
    starter=$drivers/run
    export PRELOAD="lib${shim}_noop_drm_shim.so"
fi
[ -f "$manifest" ] || { echo "$name: no such driver" >&2 && exit 77; }
[ $# != 0 ] || exit 0
export VK_DRIVER_FILES="$manifest" VK_ICD_FILENAMES="$manifest"
# A kernel that computes nothing would fail the self-test, and could not be measured.
export VKCLIP_CACHE_DIR='' VKCLIP_TUNE=off VKCLIP_CHECK=off MESA_SHADER_CACHE_DISABLE=true
exec "$starter" "$@"
