/* SPDX-License-Identifier: MIT
 *
 * Encodes pictures of all forms: paths, the bytes of files, and pixels. The library's own threads
 * decode and prepare them while the device computes, so that few are in memory at once.
 */
#include "failure.h"
#include "functions.h"

#include <math.h>
#include <stdio.h>

struct picture {
    const char *path; /* of a file */
    void *bytes;      /* of a file; NULL: there are pixels */
    size_t size;
    struct vkclip_image pixels;
};

struct images {
    struct call call;
    const struct handle *model;
    struct picture *pictures;
    uint32_t count;
    struct vkclip_encode_params params; /* also for how files are decoded */
    bool keep_going;                    /* A picture that fails does not end the call. */
    struct failures failures;
    float *embeds;
};

static const struct member encode_members[] = {
    MEMBER(NOT, vkclip_encode_params, no_normalize, "normalize"),
    MEMBER(U64, vkclip_encode_params, max_pixels, "maxPixels"),
    MEMBER(BOOL, vkclip_encode_params, orient, "orient"),
    MEMBER(BOOL, vkclip_encode_params, fast_decode, "fastDecode"),
    {0}};
static const struct member images_members[] = {MEMBER(BOOL, images, keep_going, "keepGoing"), {0}};

static const struct member pixels_members[] = {MEMBER(U32, vkclip_image, width, "width"),
                                               MEMBER(U32, vkclip_image, height, "height"),
                                               MEMBER(U32, vkclip_image, channels, "channels"),
                                               MEMBER(SIZE, vkclip_image, stride, "stride"),
                                               {0}};

/* Compares what an object says of its pixels with their number. Without `channels` there are as
 * many as `size` bytes hold exactly. */
static void check_pixels(struct call *call, struct vkclip_image *image, size_t size)
{
    const double width = image->width, height = image->height;
    const double channels = (double)size / (width * height);
    if (!image->channels && channels == floor(channels) && channels <= 4)
        image->channels = (uint32_t)channels;
    const double row = width * image->channels;
    if (!image->stride)
        image->stride = (size_t)row;
    const double needed = (double)image->stride * (height - 1) + row;
    if (!width || !height || image->channels < 1 || image->channels > 4 ||
        (double)image->stride < row || needed > (double)size)
        call_refuse(call,
                    "pixels of %.0f x %.0f, %u channels and a stride of %zu bytes are not in %zu "
                    "bytes, expected 1 to 4 channels and %.0f bytes",
                    width, height, (unsigned)image->channels, image->stride, size, needed);
}

static void read_picture(struct call *call, napi_value value, struct picture *picture)
{
    napi_valuetype type = napi_undefined;
    napi_value pixels = NULL;
    napi_typeof(call->env, value, &type);
    if (type == napi_string) {
        picture->path = value_string(call, value, "path", NULL);
        return;
    }
    if (value_elements(call->env, value, napi_uint8_array, &picture->bytes, &picture->size))
        return;
    void *data = NULL;
    if (type == napi_object)
        napi_get_named_property(call->env, value, "data", &pixels);
    if (!value_elements(call->env, pixels, napi_uint8_array, &data, &picture->size)) {
        call_refuse(call, "a picture was expected: a path, a Buffer with a file, or an object with "
                          "data (Buffer or Uint8Array), width, height and channels");
        return;
    }
    picture->pixels.pixels = data;
    value_read(call, value, pixels_members, &picture->pixels);
    check_pixels(call, &picture->pixels, picture->size);
}

/* Writes the pixel values of one picture, on one of the library's threads. */
static int prepare(void *user, size_t index, float *pixel_values)
{
    const struct images *images = user;
    const struct picture *picture = &images->pictures[index];
    const struct vkclip_encode_params *params = &images->params;
    const struct vkclip_image_params decode = {
        .size = sizeof(decode),
        .max_pixels = params->max_pixels,
        .orient = params->orient,
        .least_side = params->fast_decode ? 2 * images->model->info.image_size : 0};
    struct vkclip_image image = {0};
    char name[64];
    int error = VKCLIP_OK;
    snprintf(name, sizeof(name), "picture %zu", index);
    if (picture->path)
        error = vkclip_load_image(picture->path, &decode, &image);
    else if (picture->bytes)
        error = vkclip_decode_image(picture->bytes, picture->size, name, &decode, &image);
    if (!error)
        error = vkclip_preprocess(images->model->model, image.pixels ? &image : &picture->pixels,
                                  NULL, pixel_values);
    vkclip_free_image(&image);
    return error;
}

/* Notes what has failed. The first failure ends the call, unless it is to go on. */
static int take_item(void *user, const struct vkclip_item *item)
{
    struct images *images = user;
    if (!item->error)
        return 0;
    failure_add(&images->call, &images->failures, NULL, item->index, item->error, item->message);
    return !images->keep_going;
}

static void read_images(struct call *call)
{
    struct images *images = (struct images *)call;
    images->params = (struct vkclip_encode_params){
        .size = sizeof(images->params), .item = take_item, .progress = call_progress, .user = call};
    images->model = handle_get(call, call->arguments[0], HANDLE_MODEL);
    images->count = value_count(call, call->arguments[1], "images");
    images->pictures = call_reserve(call, images->count, sizeof(*images->pictures));
    for (uint32_t i = 0; i < images->count && !call->failed; i++)
        read_picture(call, value_element(call->env, call->arguments[1], i), &images->pictures[i]);
    value_read(call, call->arguments[2], encode_members, &images->params);
    value_read(call, call->arguments[2], images_members, images);
    if (!call->failed)
        images->embeds = call_result(call, napi_float32_array,
                                     (size_t)images->count * images->model->info.embed_dim);
}

static int run_images(struct call *call)
{
    struct images *images = (struct images *)call;
    const size_t width = images->model->info.embed_dim;
    const int error = vkclip_encode_source(images->model->model, prepare, images->count,
                                           &images->params, images->embeds);
    const struct failure *failure = images->failures.first;
    if (failure && !images->keep_going) {
        call->message = failure->message;
        return failure->error;
    }
    /* The library leaves undefined what is in the rows of pictures that failed. */
    for (; failure; failure = failure->next)
        for (size_t i = 0; i < width; i++)
            images->embeds[failure->index * width + i] = NAN;
    return error;
}

static napi_value finish_images(struct call *call)
{
    const struct images *images = (const struct images *)call;
    napi_value object = NULL;
    napi_create_object(call->env, &object);
    napi_set_named_property(call->env, object, "embeds", call_get_result(call));
    return failure_give(call, object, &images->failures);
}

const struct function function_encode_images = {"encodeImages", sizeof(struct images), read_images,
                                                run_images, finish_images};
