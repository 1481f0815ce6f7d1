#!/bin/sh
# matrices.sh TEST_KERNELS CAP... runs the kernels that need one of the named capabilities, on the newest lavapipe and
# under the newest validation layer, which third_party/drivers.sh fetches. The drivers of Debian 12 have no cooperative
# matrices, and no kernel that reads memory by its address is made for them, so that this is where those kernels compute.
set -eu
program=$1
shift
drivers=$PWD/build/drivers
[ -f "$drivers/complete" ] || {
    echo "skipped: third_party/drivers.sh has not fetched the newest lavapipe"
    exit 77
}
export VK_DRIVER_FILES="$drivers/usr/share/vulkan/icd.d/lvp_icd.json" VK_ICD_FILENAMES=
export VK_LAYER_PATH="$drivers/usr/share/vulkan/explicit_layer.d" VK_INSTANCE_LAYERS=VK_LAYER_KHRONOS_validation
export VK_KHRONOS_VALIDATION_VALIDATE_SYNC=true
export VK_KHRONOS_VALIDATION_SYNCVAL_SHADER_ACCESSES_HEURISTIC=true
unset VK_LAYER_SETTINGS_PATH
for cap; do
    "$drivers/run" "$program" "$cap"
done
