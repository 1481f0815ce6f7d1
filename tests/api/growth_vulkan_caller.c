/* SPDX-License-Identifier: MIT
 *
 * GROWTH_CALL is the name of the function, and the build's flags say which vkclip_vulkan.h is
 * included. No member of a struct has the value that it would have if it was left out, and what
 * fills the structs up has the bytes of the guards: a program need not set it.
 */
#include "api/growth_vulkan_caller.h"
#include "api/growth_guards.h"

#include <math.h>
#include <vkclip_vulkan.h>

enum { D = 128 };

struct locks {
    int depth, count;
};

static void lock_queue(void *user)
{
    struct locks *locks = user;
    locks->depth++;
    locks->count++;
}

static void unlock_queue(void *user)
{
    struct locks *locks = user;
    locks->depth--;
}

static const char *check_wants(const struct growth_vulkan *made,
                               const struct vkclip_vulkan_device *lent)
{
    GUARDED(vkclip_vulkan_wants, wants);
    EXPECT(!vkclip_get_vulkan_wants(lent, &wants.value) && INTACT(wants));
    EXPECT(wants.value.queue_family == made->queue_family);
    for (uint32_t i = 0; i < 16; i++)
        EXPECT(!wants.value.extensions[i] == (i >= wants.value.extension_count));
    const unsigned char *features = (const void *)wants.value.features;
    const unsigned char *memory = (const void *)wants.value.memory;
    EXPECT(features >= memory && features < memory + sizeof(wants.value.memory));
    EXPECT(wants.value.features->sType == VK_STRUCTURE_TYPE_PHYSICAL_DEVICE_FEATURES_2);
    return NULL;
}

static const char *open_model(const struct growth_vulkan *made, struct locks *locks,
                              struct vkclip_device **device, struct vkclip_model **model)
{
    GUARDED(vkclip_vulkan_device, lent);
    memset(&lent.value, GUARD, sizeof(lent.value));
    lent.value.size = sizeof(lent.value);
    lent.value.get_instance_proc_addr = made->get_instance_proc_addr;
    lent.value.instance = made->instance;
    lent.value.api_version = made->api_version;
    lent.value.physical_device = made->physical_device;
    lent.value.device = made->device;
    lent.value.queue = made->queue;
    lent.value.queue_family = made->queue_family;
    lent.value.queue_index = 0;
    lent.value.extensions = NULL;
    lent.value.extension_count = 0;
    lent.value.features = made->features;
    lent.value.lock_queue = lock_queue;
    lent.value.unlock_queue = unlock_queue;
    lent.value.user = locks;
#ifdef GROWTH_NEWER
    memset(lent.value.newer, 0, sizeof(lent.value.newer));
#endif
    const char *failure = check_wants(made, &lent.value);
    if (failure)
        return failure;
    GUARDED(vkclip_device_params, params);
    params.value.cache_dir = "";
    EXPECT(!vkclip_open_vulkan_device(&params.value, &lent.value, device) && INTACT(lent));
    EXPECT(!vkclip_open_model(*device, "models/emoji-clip", NULL, model));
    GUARDED(vkclip_device_info, info);
    EXPECT(!vkclip_get_device_info(*device, &info.value));
    EXPECT(*info.value.caps); /* They come from the features. */
    return NULL;
}

static int is_equal(const float *embeds, const float *expected)
{
    size_t i = 0;
    while (i < LENT_PICTURES * D && fabsf(embeds[i] - expected[i]) < 1e-5F)
        i++;
    return i == LENT_PICTURES * D;
}

static const char *encode_images(const struct growth_vulkan *made, struct vkclip_model *model,
                                 const float *expected)
{
    struct vkclip_vulkan_image images[LENT_PICTURES];
    float embeds[LENT_PICTURES * D] = {0};
    uint64_t value = 0;
    memset(images, GUARD, sizeof(images));
    for (uint32_t i = 0; i < LENT_PICTURES; i++) {
        images[i].size = sizeof(images[i]);
        images[i].image = made->images[i];
        images[i].format = made->format;
        images[i].x = made->x;
        images[i].y = made->y;
        images[i].width = made->width;
        images[i].height = made->height;
        images[i].mip_level = made->mip_level;
        images[i].array_layer = made->array_layer;
        images[i].layout = made->layout;
        images[i].queue_family = VK_QUEUE_FAMILY_IGNORED;
        images[i].wait = made->wait;
        images[i].wait_value = made->wait_value;
        images[i].signal = made->signal;
        images[i].signal_value = 41 + i;
#ifdef GROWTH_NEWER
        memset(images[i].newer, 0, sizeof(images[i].newer));
#endif
    }
    EXPECT(!vkclip_encode_vulkan_images(model, images, LENT_PICTURES, NULL, embeds));
    EXPECT(is_equal(embeds, expected));
    EXPECT(!made->get_counter(made->device, made->signal, &value));
    EXPECT(value == 40 + LENT_PICTURES);
    return NULL;
}

static const char *encode_buffers(const struct growth_vulkan *made, struct vkclip_model *model,
                                  const float *expected)
{
    struct vkclip_vulkan_buffer buffers[LENT_PICTURES];
    float embeds[LENT_PICTURES * D] = {0};
    uint64_t value = 0;
    memset(buffers, GUARD, sizeof(buffers));
    for (uint32_t i = 0; i < LENT_PICTURES; i++) {
        buffers[i].size = sizeof(buffers[i]);
        buffers[i].buffer = made->buffers[i];
        buffers[i].offset = made->offset;
        buffers[i].pitch = made->pitch;
        buffers[i].format = made->format;
        buffers[i].width = made->width;
        buffers[i].height = made->height;
        buffers[i].queue_family = VK_QUEUE_FAMILY_IGNORED;
        buffers[i].wait = made->wait;
        buffers[i].wait_value = made->wait_value;
        buffers[i].signal = made->signal;
        buffers[i].signal_value = 61 + i;
#ifdef GROWTH_NEWER
        memset(buffers[i].newer, 0, sizeof(buffers[i].newer));
#endif
    }
    EXPECT(!vkclip_encode_vulkan_buffers(model, buffers, LENT_PICTURES, NULL, embeds));
    EXPECT(is_equal(embeds, expected));
    EXPECT(!made->get_counter(made->device, made->signal, &value));
    EXPECT(value == 60 + LENT_PICTURES);
#ifdef GROWTH_NEWER
    buffers[1].newer[0] = 1; /* The library does not know it. */
    EXPECT(vkclip_encode_vulkan_buffers(model, buffers, LENT_PICTURES, NULL, embeds) ==
           VKCLIP_EUNSUPPORTED);
    EXPECT(strstr(vkclip_last_error(), "vkclip_vulkan_buffer"));
#endif
    return NULL;
}

static const char *encode(const struct growth_vulkan *made, struct vkclip_model *model)
{
    struct vkclip_image images[LENT_PICTURES];
    float expected[LENT_PICTURES * D];
    memset(images, 0, sizeof(images));
    for (int i = 0; i < LENT_PICTURES; i++) {
        images[i].pixels = made->pixels[i];
        images[i].width = made->width;
        images[i].height = made->height;
        images[i].channels = 3;
    }
    EXPECT(!vkclip_encode_images(model, images, LENT_PICTURES, NULL, expected));
    const char *failure = encode_images(made, model, expected);
    return failure ? failure : encode_buffers(made, model, expected);
}

const char *GROWTH_CALL(const struct growth_vulkan *made)
{
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    struct locks locks = {0};
    const char *failure = open_model(made, &locks, &device, &model);
    if (!failure)
        failure = encode(made, model);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    if (failure)
        return failure;
    EXPECT(locks.count > 0 && !locks.depth);
    return NULL;
}
