/* SPDX-License-Identifier: MIT
 *
 * The choice of devices and the quirks of drivers, on machines that are made up: descriptions of
 * devices are all that both depend on.
 */
#include "base/array.h"
#include "base/settings.h"
#include "support/testing.h"
#include "vulkan/internal.h"

#define GIB ((uint64_t)1 << 30)
#define NVK ((VkDriverId)24)
#define NONE 99
#define DISCRETE VKCLIP_DEVICE_DISCRETE
#define INTEGRATED VKCLIP_DEVICE_INTEGRATED

static const struct settings defaults;

/* ---- Which device ---------------------------------------------------------------------------- */

struct made_up {
    const char *name;
    enum vkclip_device_type type;
    uint64_t gib;
    VkDriverId driver;
    bool not_conformant, not_usable;
    uint8_t uuid, luid; /* the first byte; 0: the driver gives none */
};

#define DEVICES 4

static const struct machine {
    const char *title;
    struct made_up devices[DEVICES];
    struct {
        const char *wanted;
        uint32_t chosen; /* NONE: an error */
    } choices[4];
    uint32_t all[DEVICES], all_count;
} machines[] = {
    {"a laptop with two GPUs",
     {{"Arc 140V", VKCLIP_DEVICE_INTEGRATED, 16, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, .uuid = 1},
      {"GeForce RTX 5060", VKCLIP_DEVICE_DISCRETE, 8, VK_DRIVER_ID_NVIDIA_PROPRIETARY, .uuid = 2},
      {"llvmpipe", VKCLIP_DEVICE_CPU, 64, VK_DRIVER_ID_MESA_LLVMPIPE}},
     {{NULL, 1}, {"2", 2}, {"arc", 0}, {"3", NONE}},
     {0, 1},
     2},
    {"a small and a large card",
     {{"GeForce GT 1030", VKCLIP_DEVICE_DISCRETE, 2, VK_DRIVER_ID_NVIDIA_PROPRIETARY, .uuid = 1},
      {"GeForce RTX 4090", VKCLIP_DEVICE_DISCRETE, 24, VK_DRIVER_ID_NVIDIA_PROPRIETARY, .uuid = 2}},
     {{NULL, 1}, {"geforce", NONE}, {"gt 1030", 0}, {"0", 0}},
     {0, 1},
     2},
    {"two drivers of one card",
     {{"Radeon RX 7900 XTX", VKCLIP_DEVICE_DISCRETE, 25, VK_DRIVER_ID_AMD_OPEN_SOURCE, .uuid = 7},
      {"Radeon RX 7900 XTX (RADV)", VKCLIP_DEVICE_DISCRETE, 24, VK_DRIVER_ID_MESA_RADV, .uuid = 7}},
     {{NULL, 1}, {"radeon", 1}, {"0", 0}, {"radv", 1}},
     {1},
     1},
    {"Dozen on Windows",
     {{"Microsoft Direct3D12 (GeForce RTX 3060)", VKCLIP_DEVICE_DISCRETE, 48,
       VK_DRIVER_ID_MESA_DOZEN, .uuid = 3, .luid = 5},
      {"GeForce RTX 3060", VKCLIP_DEVICE_DISCRETE, 12, VK_DRIVER_ID_NVIDIA_PROPRIETARY, .uuid = 4,
       .luid = 5},
      {"Microsoft Direct3D12 (UHD)", VKCLIP_DEVICE_DISCRETE, 48, VK_DRIVER_ID_MESA_DOZEN, .uuid = 6,
       .luid = 8}},
     {{NULL, 1}, {"rtx", 1}, {"direct3d12 (g", 0}, {"0", 0}},
     {1},
     1},
    {"a driver that is not conformant beside a CPU",
     {{"NVIDIA (NVK)", VKCLIP_DEVICE_DISCRETE, 8, NVK, .not_conformant = true, .uuid = 1},
      {"llvmpipe", VKCLIP_DEVICE_CPU, 64, VK_DRIVER_ID_MESA_LLVMPIPE}},
     {{NULL, 1}, {"nvk", 0}, {"1", 1}, {"0", 0}},
     {1},
     1},
    {"nothing but a driver that is not conformant",
     {{"Apple M2", VKCLIP_DEVICE_INTEGRATED, 16, VK_DRIVER_ID_MOLTENVK, .not_conformant = true}},
     {{NULL, 0}, {"apple", 0}, {"0", 0}, {"1", NONE}},
     {0},
     1},
    {"two CPUs without identifiers",
     {{"SwiftShader", VKCLIP_DEVICE_CPU, 2, VK_DRIVER_ID_GOOGLE_SWIFTSHADER},
      {"llvmpipe", VKCLIP_DEVICE_CPU, 2, VK_DRIVER_ID_MESA_LLVMPIPE}},
     {{NULL, 0}, {"llvm", 1}, {"1", 1}, {"", NONE}},
     {0, 1},
     2},
    {"a card that is not usable",
     {{"Tesla", VKCLIP_DEVICE_DISCRETE, 8, .not_usable = true},
      {"Iris", VKCLIP_DEVICE_INTEGRATED, 1, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, .uuid = 1}},
     {{NULL, 1}, {"tesla", NONE}, {"0", NONE}, {"1", 1}},
     {1},
     1},
    {"no device", {{0}}, {{NULL, NONE}, {"0", NONE}, {"x", NONE}, {"", NONE}}, {0}, 0},
};

static uint32_t make_up(const struct machine *machine, struct description *devices)
{
    uint32_t count = 0;
    for (; count < DEVICES && machine->devices[count].name; count++) {
        const struct made_up *device = &machine->devices[count];
        devices[count] = (struct description){.info = {.index = count,
                                                       .type = device->type,
                                                       .memory = device->gib * GIB,
                                                       .usable = !device->not_usable,
                                                       .uuid = {device->uuid},
                                                       .has_luid = device->luid != 0,
                                                       .luid = {device->luid}},
                                              .driver = device->driver,
                                              .conformant = !device->not_conformant};
        strcpy(devices[count].info.name, device->name);
    }
    return count;
}

static void best_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(machines); i++) {
        const struct machine *machine = &machines[i];
        struct description devices[DEVICES];
        uint32_t all[DEVICES];
        const uint32_t count = make_up(machine, devices);
        for (size_t j = 0; j < ARRAY_COUNT(machine->choices); j++) {
            uint32_t chosen = NONE;
            print_message("%s: %s\n", machine->title,
                          machine->choices[j].wanted ? machine->choices[j].wanted : "(none)");
            int error = choose_one(devices, count, machine->choices[j].wanted, &chosen);
            assert_int_equal(error ? NONE : chosen, machine->choices[j].chosen);
            if (error)
                assert_int_equal(error, VKCLIP_ENODEVICE);
        }
        assert_int_equal(choose_all(devices, count, all), machine->all_count);
        assert_memory_equal(all, machine->all, machine->all_count * sizeof(*all));
    }
}

/* ---- Quirks ---------------------------------------------------------------------------------- */

static void quirks_of_drivers(void **state)
{
    (void)state;
    static const struct {
        const char *title;
        uint32_t vendor;
        VkDriverId driver;
        uint32_t version;
        enum vkclip_device_type type;
        uint32_t subgroup_min, subgroup_max;
        bool mixed_dot;
        uint32_t caps;  /* not to be used, besides CAP_ADDRESS */
        bool addressed; /* CAP_ADDRESS is used */
        bool refused, separate_memory, compute_queue;
        uint32_t stored_rows;
    } cases[] = {
        {"MoltenVK 1.2.11", 0x106b, VK_DRIVER_ID_MOLTENVK, 10211, INTEGRATED, 32, 32,
         .caps = CAP_COOPMAT16, .refused = true},
        {"MoltenVK 1.3.0", 0x106b, VK_DRIVER_ID_MOLTENVK, 10300, INTEGRATED, 32, 32,
         .caps = CAP_COOPMAT16},
        {"PowerVR", 0x1010, VK_DRIVER_ID_IMAGINATION_PROPRIETARY, 1, INTEGRATED, 32, 32,
         .caps = CAP_COOPMAT16 | CAP_F16 | CAP_F16MATH, .separate_memory = true},
        {"Strix Point on Windows", 0x1002, VK_DRIVER_ID_AMD_PROPRIETARY, 1, INTEGRATED, 32, 64,
         true, .caps = CAP_COOPMAT16, .compute_queue = true},
        {"RX 7900 on Windows", 0x1002, VK_DRIVER_ID_AMD_PROPRIETARY, 1, DISCRETE, 32, 64, true,
         .compute_queue = true},
        {"RX 6800 on Windows", 0x1002, VK_DRIVER_ID_AMD_PROPRIETARY, 1, DISCRETE, 32, 64,
         .caps = CAP_COOPMAT16, .compute_queue = true},
        {"Vega with AMDVLK", 0x1002, VK_DRIVER_ID_AMD_OPEN_SOURCE, 1, DISCRETE, 64, 64, true,
         .caps = CAP_COOPMAT16, .compute_queue = true},
        {"RADV", 0x1002, VK_DRIVER_ID_MESA_RADV, 1, INTEGRATED, 32, 64, .compute_queue = true},
        {"NVIDIA", 0x10de, VK_DRIVER_ID_NVIDIA_PROPRIETARY, 1, DISCRETE, 32, 32,
         .compute_queue = true},
        {"NVK", 0x10de, NVK, 1, DISCRETE, 32, 32, .compute_queue = true},
        {"Arc A770", 0x8086, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 1, DISCRETE, 8, 32,
         .caps = CAP_COOPMAT16},
        {"Arc B580", 0x8086, VK_DRIVER_ID_INTEL_OPEN_SOURCE_MESA, 1, DISCRETE, 16, 32},
        {"Meteor Lake on Windows", 0x8086, VK_DRIVER_ID_INTEL_PROPRIETARY_WINDOWS, 1, INTEGRATED, 8,
         32},
        {"Adreno 840", 0x5143, VK_DRIVER_ID_QUALCOMM_PROPRIETARY, 1, INTEGRATED, 64, 128,
         .caps = CAP_COOPMAT16},
        {"llvmpipe of Mesa 25", 0x10005, VK_DRIVER_ID_MESA_LLVMPIPE, VK_MAKE_VERSION(25, 3, 9),
         VKCLIP_DEVICE_CPU, 8, 8, .caps = CAP_COOPMAT16, .stored_rows = 1},
        {"llvmpipe of Mesa 26", 0x10005, VK_DRIVER_ID_MESA_LLVMPIPE, VK_MAKE_VERSION(26, 0, 0),
         VKCLIP_DEVICE_CPU, 8, 8, .caps = CAP_COOPMAT16, .addressed = true, .stored_rows = 4},
        {"a driver that does not tell", 0x1010, 0, 1, INTEGRATED,
         .caps = CAP_COOPMAT16 | CAP_F16 | CAP_F16MATH, .separate_memory = true},
    };
    const struct settings off = {.quirks = "off"};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const struct description device = {
            .info = {.vendor_id = cases[i].vendor, .type = cases[i].type},
            .driver = cases[i].driver,
            .driver_version = cases[i].version,
            .subgroup_min = cases[i].subgroup_min,
            .subgroup_max = cases[i].subgroup_max,
            .mixed_dot = cases[i].mixed_dot,
        };
        const struct quirks quirks = quirks_find(&defaults, &device);
        const struct quirks none = quirks_find(&off, &device);
        print_message("%s\n", cases[i].title);
        assert_int_equal(quirks.caps, cases[i].caps | (cases[i].addressed ? 0 : CAP_ADDRESS));
        assert_int_equal(quirks.refusal != NULL, cases[i].refused);
        assert_int_equal(quirks.separate_memory, cases[i].separate_memory);
        assert_int_equal(quirks.compute_queue, cases[i].compute_queue);
        assert_int_equal(quirks.stored_rows, cases[i].stored_rows);
        assert_true(!none.caps && !none.refusal && !none.separate_memory && !none.compute_queue &&
                    !none.stored_rows);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(best_device),
        cmocka_unit_test(quirks_of_drivers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
