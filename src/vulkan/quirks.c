/* SPDX-License-Identifier: MIT
 *
 * Lists what is known to be wrong with drivers, or better done differently on them, and where that
 * was found. A driver that gives wrong results and cannot be helped is refused.
 */
#include "vulkan/internal.h"

#include "base/array.h"
#include "base/log.h"
#include "base/settings.h"

#include <string.h>

static bool is_rdna3(const struct description *device)
{
    return device->subgroup_min == 32 && device->subgroup_max == 64 && device->mixed_dot;
}

/* Intel's earlier GPUs have subgroups of 8. */
static bool is_xe2(const struct description *device)
{
    return device->subgroup_min == 16;
}

/* A row applies to a device that has all that the row names; 0 and NULL name nothing. The first row
 * that applies and names a capability decides it. */
static const struct quirk {
    uint32_t vendor;
    VkDriverId driver;
    uint32_t fixed; /* the first version of the driver without the quirk */
    enum vkclip_device_type type;
    bool (*generation)(const struct description *device);
    uint32_t use, avoid; /* capabilities */
    bool separate_memory, compute_queue;
    uint32_t stored_rows; /* see struct gpu_limits */
    const char *refusal;
    const char *source;
} table[] = {
    /* Its shaders have arrays whose lengths are specialization constants. Older versions give such
     * an array its default length, whatever the constant, and report no error. */
    {.driver = VK_DRIVER_ID_MOLTENVK,
     .fixed = 10300,
     .refusal = "MoltenVK before 1.3.0 computes wrong results: update it",
     .source = "KhronosGroup/MoltenVK#231, #2423"},

    /* Three generations corrupt results where memory of one tensor is used again for another,
     * although barriers separate the uses. */
    {.vendor = VENDOR_IMAGINATION, .separate_memory = true, .source = "Tencent/ncnn#6935"},
    {.vendor = VENDOR_IMAGINATION,
     .avoid = CAP_F16 | CAP_F16MATH,
     .source = "pytorch/executorch#17299, #17323: linear layers in fp16 are off by 0.5"},

    /* The query of shapes crashes the process on Windows. */
    {.vendor = VENDOR_AMD,
     .driver = VK_DRIVER_ID_AMD_PROPRIETARY,
     .type = VKCLIP_DEVICE_INTEGRATED,
     .avoid = CAP_COOPMAT16,
     .source = "GPUOpen-Drivers/AMDVLK#422, ggml-org/llama.cpp#22750"},

    /* Cooperative matrices are used where they are known to be units of the hardware. Elsewhere
     * they are ordinary code, slower than the other kernels and sometimes wrong. */
    {.vendor = VENDOR_NVIDIA,
     .use = CAP_COOPMAT16,
     .source = "Mesa docs/features.txt: from Turing on, as in NVIDIA's own driver"},
    {.vendor = VENDOR_AMD,
     .driver = VK_DRIVER_ID_MESA_RADV,
     .use = CAP_COOPMAT16,
     .source = "Mesa docs/features.txt: from RDNA 3 on"},
    {.vendor = VENDOR_AMD,
     .generation = is_rdna3,
     .use = CAP_COOPMAT16,
     .source = "ggml-org/llama.cpp#11074: AMD's drivers list them on all GPUs"},
    {.vendor = VENDOR_INTEL,
     .generation = is_xe2,
     .use = CAP_COOPMAT16,
     .source = "ggml-org/llama.cpp#10597: slow on the Arc A-series"},
    {.vendor = VENDOR_INTEL,
     .driver = VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS,
     .type = VKCLIP_DEVICE_INTEGRATED,
     .use = CAP_COOPMAT16,
     .source = "ggml-org/llama.cpp, ggml_vk_khr_cooperative_matrix_support"},
    {.avoid = CAP_COOPMAT16, .source = "ggml-org/llama.cpp#24404, Tencent/ncnn#6972"},

    /* LLVM 15, with which Debian 12's lavapipe compiles, takes time by the square of a shader's
     * branches, and 40 times as long where a turn of the loop stores two rows. LLVM 22 of Mesa
     * 26.2.6 takes twice as long for unrolled stores, and a tenth longer for turns of four rows,
     * which save a quarter of a product's time where K is 64. Others were not measured. */
    {.driver = VK_DRIVER_ID_MESA_LLVMPIPE,
     .fixed = VK_MAKE_VERSION(26, 0, 0),
     .avoid = CAP_ADDRESS,
     .stored_rows = 1,
     .source = "vkclip-bench kernels, Mesa 22.3.6"},
    {.driver = VK_DRIVER_ID_MESA_LLVMPIPE,
     .use = CAP_ADDRESS,
     .stored_rows = 4,
     .source = "vkclip-bench kernels, Mesa 26.2.6"},

    /* What reads memory by its address is made for the code of one driver. */
    {.avoid = CAP_ADDRESS, .source = "shaders/matmul/matmul_address.comp"},

    /* On the queue for graphics a long dispatch stops the desktop. */
    {.vendor = VENDOR_AMD, .compute_queue = true, .source = "ggml-org/llama.cpp#20599"},
    {.vendor = VENDOR_NVIDIA, .compute_queue = true, .source = "ggml-org/llama.cpp#20599"},
};

static bool applies(const struct quirk *quirk, const struct description *device)
{
    return (!quirk->vendor || quirk->vendor == device->info.vendor_id) &&
           (!quirk->driver || quirk->driver == device->driver) &&
           (!quirk->fixed || device->driver_version < quirk->fixed) &&
           (!quirk->type || quirk->type == device->info.type) &&
           (!quirk->generation || quirk->generation(device));
}

struct quirks quirks_find(const struct settings *settings, const struct description *device)
{
    struct quirks quirks = {0};
    uint32_t decided = 0;
    if (settings->quirks && !strcmp(settings->quirks, "off"))
        return quirks;
    for (size_t i = 0; i < ARRAY_COUNT(table); i++) {
        const struct quirk *quirk = &table[i];
        if (!applies(quirk, device))
            continue;
        const uint32_t avoided = quirk->avoid & ~decided;
        quirks.caps |= avoided;
        decided |= quirk->avoid | quirk->use;
        quirks.separate_memory |= quirk->separate_memory;
        quirks.compute_queue |= quirk->compute_queue;
        quirks.stored_rows = quirks.stored_rows ? quirks.stored_rows : quirk->stored_rows;
        quirks.refusal = quirks.refusal ? quirks.refusal : quirk->refusal;
        if (avoided || quirk->separate_memory || quirk->compute_queue || quirk->stored_rows ||
            quirk->refusal)
            log_message(VKCLIP_LOG_DEBUG, "device %u: has a quirk, see %s", device->info.index,
                        quirk->source);
    }
    return quirks;
}
