/* SPDX-License-Identifier: MIT
 *
 * What drivers are asked, and what is asked of vkCreateDevice. While Vulkan is open its functions
 * lie in a table, where this test puts those of a made-up driver of several devices. Its devices
 * cannot be opened: vkCreateDevice notes what it was asked for and fails.
 */
#include "base/array.h"
#include "base/settings.h"
#include "support/testing.h"
#include "vulkan/internal.h"

/* ---- The made-up driver ---------------------------------------------------------------------- */

enum { CARD, OLD, CPU, DEVICES };

struct fake {
    const char *name;
    uint32_t vendor, api, driver_version;
    VkDriverId driver;
    VkPhysicalDeviceType type;
    uint32_t subgroup_min, subgroup_max;
    VkShaderStageFlags required_stages;
    const char *extensions[8];
};

#define MODERN                                                                                  \
    "VK_EXT_subgroup_size_control", "VK_KHR_shader_float16_int8", "VK_KHR_vulkan_memory_model", \
        "VK_KHR_cooperative_matrix", "VK_KHR_shader_integer_dot_product"

static const struct fake originals[DEVICES] = {
    [CARD] = {"Card",
              0x10de,
              VK_API_VERSION_1_3,
              1,
              VK_DRIVER_ID_NVIDIA_PROPRIETARY,
              VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU,
              32,
              32,
              VK_SHADER_STAGE_COMPUTE_BIT,
              {MODERN}},
    [OLD] = {"Old",
             0x106b,
             VK_API_VERSION_1_1,
             10211,
             VK_DRIVER_ID_MOLTENVK,
             VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU,
             32,
             32,
             0,
             {"VK_KHR_driver_properties", "VK_KHR_portability_subset"}},
    [CPU] = {"CPU",
             0x10005,
             VK_API_VERSION_1_3,
             1,
             VK_DRIVER_ID_MESA_LLVMPIPE,
             VK_PHYSICAL_DEVICE_TYPE_CPU,
             8,
             8,
             VK_SHADER_STAGE_COMPUTE_BIT,
             {MODERN}},
};
static struct fake fakes[DEVICES];

/* What was asked of a device. */
static struct asked {
    uint32_t features, formats, matrices;
    VkStructureType structs[16]; /* of the features */
    uint32_t struct_count;
} asked[DEVICES];

/* What vkCreateDevice was asked for. */
static struct {
    uint32_t calls, family, true_features;
    char extensions[512];
    float priority;
    VkQueueGlobalPriorityKHR global_priority; /* 0: none */
    VkResult results[2];                      /* of the first two calls */
} created;
static bool grown; /* vkEnumeratePhysicalDevices says that there are more devices */

static uint32_t number_of(VkPhysicalDevice physical)
{
    return (uint32_t)((uintptr_t)physical - 1);
}

static VkResult list_devices(VkInstance instance, uint32_t *count, VkPhysicalDevice *devices)
{
    (void)instance;
    *count = DEVICES;
    for (uintptr_t i = 0; devices && i < DEVICES; i++)
        devices[i] = (VkPhysicalDevice)(i + 1);
    return devices && grown ? VK_INCOMPLETE : VK_SUCCESS;
}

static VkResult list_extensions(VkPhysicalDevice physical, const char *layer, uint32_t *count,
                                VkExtensionProperties *listed)
{
    const struct fake *fake = &fakes[number_of(physical)];
    (void)layer;
    for (*count = 0; *count < ARRAY_COUNT(fake->extensions) && fake->extensions[*count]; ++*count)
        if (listed)
            strcpy(listed[*count].extensionName, fake->extensions[*count]);
    return VK_SUCCESS;
}

static void get_properties(VkPhysicalDevice physical, VkPhysicalDeviceProperties *properties)
{
    const struct fake *fake = &fakes[number_of(physical)];
    *properties = (VkPhysicalDeviceProperties){.apiVersion = fake->api,
                                               .driverVersion = fake->driver_version,
                                               .vendorID = fake->vendor,
                                               .deviceType = fake->type};
    strcpy(properties->deviceName, fake->name);
}

static void get_properties2(VkPhysicalDevice physical, VkPhysicalDeviceProperties2 *core)
{
    const struct fake *fake = &fakes[number_of(physical)];
    get_properties(physical, &core->properties);
    for (VkBaseOutStructure *next = core->pNext; next; next = next->pNext) {
        VkPhysicalDeviceIDProperties *id = (void *)next;
        VkPhysicalDeviceSubgroupProperties *subgroup = (void *)next;
        VkPhysicalDeviceSubgroupSizeControlPropertiesEXT *control = (void *)next;
        switch ((int)next->sType) {
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_DRIVER_PROPERTIES:
            ((VkPhysicalDeviceDriverProperties *)next)->driverID = fake->driver;
            ((VkPhysicalDeviceDriverProperties *)next)->conformanceVersion.major = 1;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_ID_PROPERTIES:
            memset(id->deviceUUID, fake->name[0], sizeof(id->deviceUUID));
            memset(id->driverUUID, fake->name[1], sizeof(id->driverUUID));
            memset(id->deviceLUID, fake->name[2], sizeof(id->deviceLUID));
            id->deviceLUIDValid = number_of(physical) == CARD;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_PROPERTIES:
            subgroup->supportedStages = VK_SHADER_STAGE_COMPUTE_BIT;
            subgroup->supportedOperations = ~0u;
            break;
        case VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_PROPERTIES_EXT:
            control->minSubgroupSize = fake->subgroup_min;
            control->maxSubgroupSize = fake->subgroup_max;
            control->requiredSubgroupSizeStages = fake->required_stages;
        }
    }
}

/* Sizes of the structs of features that the library may ask for. */
static size_t struct_bytes(VkStructureType type)
{
    static const struct {
        uint32_t type, bytes;
    } sizes[] = {
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES,
         sizeof(VkPhysicalDevice16BitStorageFeatures)},
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SUBGROUP_SIZE_CONTROL_FEATURES_EXT,
         sizeof(VkPhysicalDeviceSubgroupSizeControlFeaturesEXT)},
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_FLOAT16_INT8_FEATURES,
         sizeof(VkPhysicalDeviceShaderFloat16Int8Features)},
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_VULKAN_MEMORY_MODEL_FEATURES,
         sizeof(VkPhysicalDeviceVulkanMemoryModelFeatures)},
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_SHADER_INTEGER_DOT_PRODUCT_FEATURES_KHR,
         sizeof(VkPhysicalDeviceShaderIntegerDotProductFeaturesKHR)},
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
        {VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_COOPERATIVE_MATRIX_FEATURES_KHR,
         sizeof(VkPhysicalDeviceCooperativeMatrixFeaturesKHR)},
#endif
    };
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (sizes[i].type == (uint32_t)type)
            return sizes[i].bytes;
    fail_msg("features of unknown type %d", (int)type);
    return 0;
}

/* Returns the flags of a struct of features, and how many there are. */
static VkBool32 *feature_flags(VkBaseOutStructure *features, size_t *count)
{
    *count = (struct_bytes(features->sType) - sizeof(*features)) / sizeof(VkBool32);
    return (VkBool32 *)(features + 1);
}

/* The devices have every feature that they are asked for. */
static void get_features(VkPhysicalDevice physical, VkPhysicalDeviceFeatures2 *core)
{
    struct asked *a = &asked[number_of(physical)];
    core->features.robustBufferAccess = VK_TRUE;
    a->features++;
    a->struct_count = 0;
    for (VkBaseOutStructure *next = core->pNext; next; next = next->pNext) {
        size_t count;
        VkBool32 *flags = feature_flags(next, &count);
        a->structs[a->struct_count++] = next->sType;
        for (size_t i = 0; i < count; i++)
            flags[i] = VK_TRUE;
    }
}

static void get_families(VkPhysicalDevice physical, uint32_t *count,
                         VkQueueFamilyProperties *families)
{
    static const VkQueueFlags flags[] = {VK_QUEUE_TRANSFER_BIT,
                                         VK_QUEUE_GRAPHICS_BIT | VK_QUEUE_COMPUTE_BIT,
                                         VK_QUEUE_COMPUTE_BIT, VK_QUEUE_COMPUTE_BIT};
    (void)physical;
    *count = ARRAY_COUNT(flags);
    for (size_t i = 0; i < ARRAY_COUNT(flags); i++)
        families[i] = (VkQueueFamilyProperties){.queueFlags = flags[i], .queueCount = 1};
}

static void get_memory(VkPhysicalDevice physical, VkPhysicalDeviceMemoryProperties *memory)
{
    (void)physical;
    *memory = (VkPhysicalDeviceMemoryProperties){
        .memoryHeapCount = 1, .memoryHeaps = {{1 << 30, VK_MEMORY_HEAP_DEVICE_LOCAL_BIT}}};
}

static void get_format(VkPhysicalDevice physical, VkFormat format, VkFormatProperties *properties)
{
    (void)format;
    asked[number_of(physical)].formats++;
    *properties = (VkFormatProperties){0};
}

static VkResult create_device(VkPhysicalDevice physical, const VkDeviceCreateInfo *info,
                              const VkAllocationCallbacks *allocator, VkDevice *device)
{
    const VkPhysicalDeviceFeatures2 *core = info->pNext;
    (void)physical, (void)allocator, (void)device;
    const VkDeviceQueueGlobalPriorityCreateInfoKHR *global = info->pQueueCreateInfos->pNext;
    const VkResult result = created.calls < 2 ? created.results[created.calls] : VK_SUCCESS;
    created.calls++;
    created.family = info->pQueueCreateInfos->queueFamilyIndex;
    created.priority = info->pQueueCreateInfos->pQueuePriorities[0];
    created.global_priority = global ? global->globalPriority : 0;
    assert_int_equal(core->features.robustBufferAccess, VK_FALSE);
    for (VkBaseOutStructure *next = core->pNext; next; next = next->pNext) {
        size_t count;
        const VkBool32 *flags = feature_flags(next, &count);
        for (size_t i = 0; i < count; i++)
            created.true_features += flags[i];
    }
    for (uint32_t i = 0; i < info->enabledExtensionCount; i++) {
        strcat(created.extensions, " ");
        strcat(created.extensions, info->ppEnabledExtensionNames[i]);
    }
    return result ? result : VK_ERROR_FEATURE_NOT_PRESENT;
}

#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
static VkResult list_matrices(VkPhysicalDevice physical, uint32_t *count,
                              VkCooperativeMatrixPropertiesKHR *listed)
{
    asked[number_of(physical)].matrices++;
    *count = 1;
    *listed = (VkCooperativeMatrixPropertiesKHR){
        .sType = listed->sType,
        .MSize = 16,
        .NSize = 16,
        .KSize = 16,
        .AType = VK_COMPONENT_TYPE_FLOAT16_KHR,
        .BType = VK_COMPONENT_TYPE_FLOAT16_KHR,
        .CType = VK_COMPONENT_TYPE_FLOAT32_KHR,
        .ResultType = VK_COMPONENT_TYPE_FLOAT32_KHR,
        .scope = VK_SCOPE_SUBGROUP_KHR,
    };
    return VK_SUCCESS;
}
#endif

static const struct settings defaults;

/* Returns the table of the open instance for this test to change. The library itself does not
 * change it while it is open. */
static struct instance_functions *changeable_functions(void)
{
    return (struct instance_functions *)instance_functions();
}

/* Puts the driver behind Vulkan's functions. This test keeps Vulkan open, so they stay. */
static int begin(void **state)
{
    (void)state;
    if (gpu_loader_open())
        fail_msg("%s", vkclip_last_error());
    memcpy(fakes, originals, sizeof(fakes));
    memset(asked, 0, sizeof(asked));
    memset(&created, 0, sizeof(created));
    grown = false;
    struct instance_functions *vk = changeable_functions();
    vk->EnumeratePhysicalDevices = list_devices;
    vk->EnumerateDeviceExtensionProperties = list_extensions;
    vk->GetPhysicalDeviceProperties = get_properties;
    vk->GetPhysicalDeviceProperties2 = get_properties2;
    vk->GetPhysicalDeviceFeatures2 = get_features;
    vk->GetPhysicalDeviceQueueFamilyProperties = get_families;
    vk->GetPhysicalDeviceMemoryProperties = get_memory;
    vk->GetPhysicalDeviceFormatProperties = get_format;
    vk->CreateDevice = create_device;
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
    vk->GetPhysicalDeviceCooperativeMatrixPropertiesKHR = list_matrices;
#endif
    return 0;
}

static int end(void **state)
{
    (void)state;
    gpu_loader_close();
    return 0;
}

static void open_device(const struct settings *settings, const char *name)
{
    struct gpu *gpu = NULL;
    assert_int_equal(gpu_open(settings, name, &gpu), VKCLIP_EDEVICE);
    assert_non_null(strstr(vkclip_last_error(), "vkCreateDevice"));
    assert_null(gpu);
}

static bool was_asked(uint32_t device, VkStructureType type)
{
    for (uint32_t i = 0; i < asked[device].struct_count; i++)
        if (asked[device].structs[i] == type)
            return true;
    return false;
}

/* ---- The tests ------------------------------------------------------------------------------- */

static bool is_filled(const uint8_t *bytes, size_t size, char value)
{
    size_t i = 0;
    while (i < size && bytes[i] == (uint8_t)value)
        i++;
    return i == size;
}

/* Other programs know a device by what its driver gives to it. */
static void identifiers(void **state)
{
    struct vkclip_device_info infos[DEVICES] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    (void)state;
    assert_int_equal(gpu_list(&defaults, infos, DEVICES, &count), 0);
    for (uint32_t i = 0; i < DEVICES; i++) {
        const char *name = fakes[i].name;
        assert_true(is_filled(infos[i].uuid, sizeof(infos[i].uuid), name[0]));
        assert_true(is_filled(infos[i].driver_uuid, sizeof(infos[i].driver_uuid), name[1]));
        assert_int_equal(infos[i].has_luid, i == CARD);
    }
    assert_true(is_filled(infos[CARD].luid, sizeof(infos[CARD].luid), 'r'));
}

/* A list names capabilities and never asks for the shapes of matrices. */
static void listing(void **state)
{
    struct vkclip_device_info infos[DEVICES] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    (void)state;
    assert_int_equal(gpu_list(&defaults, infos, DEVICES, &count), 0);
    assert_int_equal(count, DEVICES);
    assert_string_equal(infos[CARD].name, "Card");
    assert_int_equal(infos[CARD].vendor_id, 0x10de);
    assert_non_null(strstr(infos[CARD].caps, "subgroup"));
    assert_null(strstr(infos[CPU].caps, "coopmat"));
    for (int i = 0; i < DEVICES; i++)
        assert_int_equal(asked[i].matrices, 0);
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
    assert_non_null(strstr(infos[CARD].caps, "coopmat16"));
#endif
}

/* A driver that quirks refuse is found by Vulkan 1.1's extension, and is not asked for more. */
static void refused_driver(void **state)
{
    const struct settings off = {.quirks = "off"};
    struct vkclip_device_info infos[DEVICES] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    (void)state;
    assert_int_equal(gpu_list(&defaults, infos, DEVICES, &count), 0);
    assert_false(infos[OLD].usable);
    assert_non_null(strstr(infos[OLD].why, "MoltenVK"));
    assert_int_equal(asked[OLD].features, 0);
    assert_int_equal(gpu_list(&off, infos, DEVICES, &count), 0);
    assert_true(infos[OLD].usable);
    fakes[OLD].driver_version = 10300;
    assert_int_equal(gpu_list(&defaults, infos, DEVICES, &count), 0);
    assert_true(infos[OLD].usable);
}

/* Only the device that is opened is asked for features, and only what kernels use is enabled. */
static void opening(void **state)
{
    (void)state;
    open_device(&defaults, NULL);
    assert_int_equal(created.calls, 1);
    assert_int_equal(created.family, 2); /* the first without graphics */
    assert_int_equal(asked[CARD].features, 1);
    assert_int_equal(asked[OLD].features + asked[CPU].features, 0);
    assert_int_equal(asked[OLD].matrices + asked[CPU].matrices, 0);
    /* 16-bit storage, two of subgroups, fp16, and two for matrices. */
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
    assert_int_equal(asked[CARD].matrices, 1);
    assert_int_equal(created.true_features, 6);
    assert_non_null(strstr(created.extensions, "VK_KHR_cooperative_matrix"));
#else
    assert_int_equal(created.true_features, 4);
    assert_null(strstr(created.extensions, "VK_KHR_vulkan_memory_model"));
#endif
    /* The device's integer dot products are not fast, so they stay unused. */
    assert_null(strstr(created.extensions, "VK_KHR_shader_integer_dot_product"));
    memset(&created, 0, sizeof(created));
    open_device(&defaults, "CPU");
    assert_int_equal(created.family, 1);
    assert_int_equal(created.true_features, 4);
    assert_null(strstr(created.extensions, "matrix"));
    assert_int_equal(asked[CPU].matrices, 0);
    memset(&created, 0, sizeof(created));
    open_device(&(struct settings){.quirks = "off"}, "Old");
    assert_string_equal(created.extensions, " VK_KHR_portability_subset");
}

/* A capability that is disabled is not asked for. */
static void disabled_caps(void **state)
{
    char list[] = "texel,f16math,coopmat16,dot,subgroup";
    (void)state;
    open_device(&(struct settings){.disabled_caps = list}, "Card");
    assert_int_equal(asked[CARD].struct_count, 1);
    assert_true(was_asked(CARD, VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_16BIT_STORAGE_FEATURES));
    assert_int_equal(asked[CARD].formats + asked[CARD].matrices, 0);
    assert_string_equal(created.extensions, "");
    assert_int_equal(created.true_features, 1);
    /* Whoever enables matrices that a quirk takes away has them asked for. */
    char enabled[] = "coopmat16";
    open_device(&(struct settings){.enabled_caps = enabled}, "CPU");
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
    assert_int_equal(asked[CPU].matrices, 1);
    assert_non_null(strstr(created.extensions, "VK_KHR_cooperative_matrix"));
#endif
}

/* Queues in the background have the lowest priorities that the driver offers, and the device is
 * opened without one among all programs where the system refuses it. */
static void background_queues(void **state)
{
    const struct settings background = {.background = true};
    (void)state;
    open_device(&defaults, "Card");
    assert_true(created.priority == 1);
    assert_int_equal(created.global_priority, 0);
    memset(&created, 0, sizeof(created));
    open_device(&(struct settings){.background = true, .quirks = "off"}, "Old");
    assert_int_equal(created.calls, 1);
    assert_true(created.priority == 0);
    assert_int_equal(created.global_priority, 0);
    for (int i = 0; i < 2; i++) {
        const char *const name = i ? "VK_EXT_global_priority" : "VK_KHR_global_priority";
        fakes[CARD].extensions[5] = name;
        memset(&created, 0, sizeof(created));
        open_device(&background, "Card");
        assert_int_equal(created.calls, 1);
        assert_true(created.priority == 0);
        assert_int_equal(created.global_priority, VK_QUEUE_GLOBAL_PRIORITY_LOW_KHR);
        assert_non_null(strstr(created.extensions, name));
    }
    memset(&created, 0, sizeof(created));
    created.results[0] = VK_ERROR_NOT_PERMITTED_KHR;
    open_device(&background, "Card");
    assert_int_equal(created.calls, 2);
    assert_true(created.priority == 0);
    assert_int_equal(created.global_priority, 0);
    const char *again = strstr(created.extensions, "global_priority");
    assert_non_null(again);
    assert_null(strstr(again + 1, "global_priority"));
}

/* A width is required of pipelines only where there are several, and no driver needs to know how to
 * require the only one. */
static void subgroup_widths(void **state)
{
    static const struct {
        uint32_t min, max;
        VkShaderStageFlags stages;
        bool usable;
        uint32_t width, required;
    } cases[] = {
        {32, 32, 0, true, 32, 0},
        {64, 64, VK_SHADER_STAGE_COMPUTE_BIT, true, 64, 0},
        {8, 32, VK_SHADER_STAGE_COMPUTE_BIT, true, 16, 16},
        {32, 64, VK_SHADER_STAGE_COMPUTE_BIT, true, 32, 32},
        {32, 64, VK_SHADER_STAGE_FRAGMENT_BIT, false, 32, 32},
        {2, 2, 0, false, 2, 0},
        {128, 128, 0, false, 128, 0},
        {0, 0, 0, false, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct description device;
        struct features features;
        fakes[CARD].subgroup_min = cases[i].min;
        fakes[CARD].subgroup_max = cases[i].max;
        fakes[CARD].required_stages = cases[i].stages;
        probe_describe(
            &defaults,
            (struct physical){(VkPhysicalDevice)(uintptr_t)(CARD + 1), instance_functions()}, CARD,
            &device);
        assert_int_equal(probe_features(&defaults, &device, &features), 0);
        assert_int_equal((features.caps & CAP_SUBGROUP) != 0, cases[i].usable);
        if (!cases[i].usable)
            continue;
        assert_int_equal(features.subgroup_width, cases[i].width);
        assert_int_equal(features.required_subgroup, cases[i].required);
    }
}

/* A list that grows between counting and reading it is no error. */
static void device_plugged_in(void **state)
{
    struct vkclip_device_info infos[DEVICES] = {{.size = sizeof(infos[0])}};
    size_t count = 0;
    (void)state;
    grown = true;
    assert_int_equal(gpu_list(&defaults, infos, DEVICES, &count), 0);
    assert_int_equal(count, DEVICES);
}

/* Neither an old loader nor an old driver has the function that lists matrices. */
static void no_function(void **state)
{
    (void)state;
#ifdef VK_KHR_COOPERATIVE_MATRIX_EXTENSION_NAME
    changeable_functions()->GetPhysicalDeviceCooperativeMatrixPropertiesKHR = NULL;
#endif
    open_device(&defaults, "Card");
    assert_null(strstr(created.extensions, "matrix"));
    assert_int_equal(created.true_features, 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(identifiers, begin, end),
        cmocka_unit_test_setup_teardown(listing, begin, end),
        cmocka_unit_test_setup_teardown(refused_driver, begin, end),
        cmocka_unit_test_setup_teardown(opening, begin, end),
        cmocka_unit_test_setup_teardown(disabled_caps, begin, end),
        cmocka_unit_test_setup_teardown(background_queues, begin, end),
        cmocka_unit_test_setup_teardown(subgroup_widths, begin, end),
        cmocka_unit_test_setup_teardown(device_plugged_in, begin, end),
        cmocka_unit_test_setup_teardown(no_function, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
