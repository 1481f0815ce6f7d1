/* SPDX-License-Identifier: MIT
 *
 * Reads, decodes and resizes a picture and writes it to its place in a batch in one job of one
 * thread. Refuses what image/decode.h and image/prepare.h refuse, for each picture separately.
 */
#include "encode/pictures.h"
#include "base/error.h"
#include "checkpoint/inputs.h"
#include "encode/call.h"
#include "image/decode.h"
#include "image/prepare.h"

struct picture_call {
    struct call call; /* comes first, because callbacks of struct batches get a pointer to it */
    const struct pictures *pictures;
    struct image_options options;
    struct image_transform transform;
};

static int load_file(const struct picture_call *call, const char *path,
                     struct replica_memory *memory, uint8_t *rgb)
{
    struct image_options options = call->options;
    struct vkclip_image image;
    if (!path)
        return error_fail(VKCLIP_EINVALID, "no path of a picture");
    options.memory = &memory->decode;
    int error = image_load(path, &options, &image, NULL);
    if (error)
        return error;
    error = image_prepare(&image, &call->transform, &memory->resize, rgb);
    image_keep(&image, &memory->decode);
    return error ? error_fail(error, "%s: %s", path, error_last()) : VKCLIP_OK;
}

/* Prepares the bytes of an item. */
static int prepare_bytes(const struct picture_call *call, size_t item,
                         struct replica_memory *memory, uint8_t *rgb)
{
    const struct pictures *pictures = call->pictures;
    if (pictures->paths)
        return load_file(call, pictures->paths[item], memory, rgb);
    if (pictures->images)
        return image_prepare(&pictures->images[item], &call->transform, &memory->resize, rgb);
    return pictures->prepare(call->call.params.user, item, memory, rgb);
}

/* Writes the bytes of an item. The device normalises them. */
static int write_bytes(const struct picture_call *call, size_t item, struct replica_memory *memory,
                       const struct replica_plan *plan, uint32_t place)
{
    const size_t size = call->transform.size, words = (3 * size * size + 3) / 4;
    int32_t *scratch = scratch_reserve(&memory->item, words * sizeof(*scratch));
    if (!scratch)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture");
    int error = prepare_bytes(call, item, memory, (uint8_t *)scratch);
    if (!error)
        plan_write_ids(plan->plan, plan->input, place * words, scratch, words);
    return error;
}

/* Writes the values of an item, which the caller has normalised. */
static int write_values(const struct picture_call *call, size_t item, struct replica_memory *memory,
                        const struct replica_plan *plan, uint32_t place)
{
    const struct pictures *pictures = call->pictures;
    const size_t floats = (size_t)3 * call->transform.size * call->transform.size;
    const float *values = pictures->pixels ? &pictures->pixels[item * floats] : NULL;
    int error = VKCLIP_OK;
    if (!values) {
        float *scratch = scratch_reserve(&memory->item, floats * sizeof(*scratch));
        if (!scratch)
            return error_fail(VKCLIP_EMEMORY, "out of memory for a picture");
        error = pictures->source(call->call.params.user, item, scratch);
        values = scratch;
    }
    if (!error)
        plan_write(plan->plan, plan->input, place * floats, values, floats);
    return error;
}

/* Handles a picture's error. A picture that the caller's source refused is only left out, because
 * the caller knows why. */
static int fail_picture(struct picture_call *call, size_t item, int error)
{
    const bool known = call->pictures->source && !call->call.params.item;
    error = known ? VKCLIP_OK : call_fail_item(&call->call, item, error);
    return error ? error : BATCHES_LEFT_OUT;
}

static int write_picture(void *user, struct replica *replica, const struct replica_plan *plan,
                         size_t item, uint32_t place, unsigned thread)
{
    struct picture_call *call = user;
    struct replica_memory *memory = replica_memory(replica, thread);
    int error = call->call.features.bytes ? write_bytes(call, item, memory, plan, place)
                                          : write_values(call, item, memory, plan, place);
    return error ? fail_picture(call, item, error) : VKCLIP_OK;
}

static int read_pictures(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    const struct picture_call *call = user;
    return call_read(&call->call, plan, first, NULL, number);
}

static int deliver_pictures(void *user, size_t first, size_t number)
{
    struct picture_call *call = user;
    return call_deliver(&call->call, first, number);
}

static int report_pictures(void *user, size_t done)
{
    struct picture_call *call = user;
    return call_report(&call->call, done);
}

int pictures_encode(struct vkclip_model *model, const struct pictures *pictures, size_t count,
                    const struct vkclip_encode_params *params, float *embeds)
{
    const bool bytes = pictures->paths || pictures->images || pictures->prepare;
    const bool given = bytes || pictures->pixels || pictures->source;
    struct picture_call call = {.pictures = pictures};
    int error = call_open(model, TOWER_IMAGE, given, count, 0, params, embeds, &call.call);
    if (!error) {
        const struct batches_group all = {.end = count};
        struct batches work = {.tower = TOWER_IMAGE,
                               .count = count,
                               .groups = &all,
                               .window = call.call.params.item ? call.call.places : 0,
                               .write = write_picture,
                               .parallel = true,
                               .read = read_pictures,
                               .deliver = deliver_pictures,
                               .progress = report_pictures};
        const struct vkclip_encode_params *wanted = &call.call.params;
        const uint32_t size = model->spec.config.image_size;
        call.call.features.bytes = bytes;
        call.transform = checkpoint_image_transform(&model->spec.config);
        call.options = (struct image_options){.max_pixels = wanted->max_pixels,
                                              .orient = wanted->orient,
                                              .least_side = wanted->fast_decode ? 2 * size : 0};
        error = call_run(&call.call, &work);
    }
    call_close(&call.call);
    return error;
}

int pictures_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                        uint8_t *u8, float *pixel_values)
{
    const struct config *config = &model->spec.config;
    if (!config->image.kind)
        return error_fail(VKCLIP_EABSENT, "%s has no image tower", model_name(model));
    const struct image_transform transform = checkpoint_image_transform(config);
    return image_preprocess(image, &transform, u8, pixel_values);
}
