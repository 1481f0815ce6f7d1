/* SPDX-License-Identifier: MIT
 *
 * Finds the memory of pictures of Java, and prepares them. Refuses bitmaps of other forms than
 * RGBA_8888, which dev.vkclip.Picture copies before, and memory that is too small.
 */
#include "pictures.h"
#include "bridge.h"

#include <stdlib.h>
#include <string.h>

#if HAS_ANDROID
#include <android/bitmap.h>
#endif

/* The layout of a picture, as dev.vkclip.Picture writes it. */
enum { KIND, WIDTH, HEIGHT, CHANNELS, STRIDE, LAYOUT_COUNT };
enum kind { KIND_PIXELS, KIND_BITMAP, KIND_PREMULTIPLIED, KIND_ENCODED, KIND_FILE };

/* ---- Bitmaps --------------------------------------------------------------------------------- */

#if HAS_ANDROID
static bool take_bitmap(JNIEnv *env, jobject bitmap, size_t index, struct picture *picture)
{
    AndroidBitmapInfo info;
    void *pixels = NULL;
    int result = AndroidBitmap_getInfo(env, bitmap, &info);
    if (result == ANDROID_BITMAP_RESULT_SUCCESS && info.format != ANDROID_BITMAP_FORMAT_RGBA_8888) {
        bridge_throw_message(env, VKCLIP_EUNSUPPORTED,
                             "picture %zu: a Bitmap of format %d, expected ARGB_8888", index,
                             (int)info.format);
        return false;
    }
    if (result == ANDROID_BITMAP_RESULT_SUCCESS)
        result = AndroidBitmap_lockPixels(env, bitmap, &pixels);
    if (result != ANDROID_BITMAP_RESULT_SUCCESS) {
        bridge_throw_message(env, VKCLIP_EINVALID,
                             "picture %zu: the pixels of the Bitmap cannot be read (error %d): was "
                             "it recycled?",
                             index, result);
        return false;
    }
    picture->locked = true;
    picture->image = (struct vkclip_image){.pixels = pixels,
                                           .width = info.width,
                                           .height = info.height,
                                           .channels = 4,
                                           .stride = info.stride};
    return true;
}

static void release_bitmap(JNIEnv *env, jobject bitmap)
{
    AndroidBitmap_unlockPixels(env, bitmap);
}
#else
static bool take_bitmap(JNIEnv *env, jobject bitmap, size_t index, struct picture *picture)
{
    (void)bitmap, (void)picture;
    bridge_throw_message(env, VKCLIP_EUNSUPPORTED, "picture %zu: bitmaps exist on Android only",
                         index);
    return false;
}

static void release_bitmap(JNIEnv *env, jobject bitmap)
{
    (void)env, (void)bitmap;
}
#endif

/* ---- Memory ---------------------------------------------------------------------------------- */

static bool take_buffer(JNIEnv *env, jobject buffer, size_t index, const jlong *layout,
                        struct picture *picture)
{
    const char *memory = (*env)->GetDirectBufferAddress(env, buffer);
    if (!memory) {
        bridge_throw_message(env, VKCLIP_EINVALID, "picture %zu: expected a direct ByteBuffer",
                             index);
        return false;
    }
    if (layout[KIND] == KIND_ENCODED) {
        picture->data = memory;
        picture->size = (size_t)(*env)->GetDirectBufferCapacity(env, buffer);
    } else
        picture->image = (struct vkclip_image){.pixels = (const uint8_t *)memory,
                                               .width = (uint32_t)layout[WIDTH],
                                               .height = (uint32_t)layout[HEIGHT],
                                               .channels = (uint32_t)layout[CHANNELS],
                                               .stride = (size_t)layout[STRIDE]};
    return true;
}

static bool take_picture(JNIEnv *env, jobject source, size_t index, const jlong *layout,
                         struct picture *picture)
{
    bool failed = false;
    switch ((enum kind)layout[KIND]) {
    case KIND_BITMAP:
    case KIND_PREMULTIPLIED:
        picture->premultiplied = layout[KIND] == KIND_PREMULTIPLIED;
        return take_bitmap(env, source, index, picture);
    case KIND_PIXELS:
    case KIND_ENCODED:
        return take_buffer(env, source, index, layout, picture);
    case KIND_FILE:
        picture->path = bridge_copy_bytes(env, source, &failed);
        return !failed;
    }
    return false;
}

bool pictures_begin(JNIEnv *env, const struct vkclip_model *model, jobjectArray sources,
                    jlongArray layouts, struct pictures *pictures)
{
    const size_t count = (size_t)(*env)->GetArrayLength(env, sources);
    *pictures = (struct pictures){.model = model, .sources = sources};
    pictures->list = calloc(count + 1, sizeof(*pictures->list));
    jlong *numbers = pictures->list ? (*env)->GetLongArrayElements(env, layouts, NULL) : NULL;
    bool taken = numbers;
    if (!taken)
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for %zu pictures", count);
    while (taken && pictures->count < count) {
        const size_t i = pictures->count;
        jobject source = (*env)->GetObjectArrayElement(env, sources, (jsize)i);
        taken = take_picture(env, source, i, numbers + i * LAYOUT_COUNT, &pictures->list[i]);
        (*env)->DeleteLocalRef(env, source);
        pictures->count += taken;
    }
    if (numbers)
        (*env)->ReleaseLongArrayElements(env, layouts, numbers, JNI_ABORT);
    if (!taken)
        pictures_end(env, pictures);
    return taken;
}

void pictures_end(JNIEnv *env, struct pictures *pictures)
{
    /* Java's functions must not be called while an exception is pending. */
    jthrowable pending = (*env)->ExceptionOccurred(env);
    if (pending)
        (*env)->ExceptionClear(env);
    for (size_t i = 0; i < pictures->count; i++) {
        free(pictures->list[i].path);
        if (pictures->list[i].locked) {
            jobject bitmap = (*env)->GetObjectArrayElement(env, pictures->sources, (jsize)i);
            release_bitmap(env, bitmap);
            (*env)->DeleteLocalRef(env, bitmap);
        }
    }
    if (pending)
        (*env)->Throw(env, pending);
    free(pictures->list);
    memset(pictures, 0, sizeof(*pictures));
}

/* ---- Preparation ----------------------------------------------------------------------------- */

/* Divides colours by alpha, rounded to the nearest. Those of pixels without any alpha are black, as
 * Android has them. */
static void divide_row(const uint8_t *pixels, size_t count, uint8_t *divided)
{
    for (size_t i = 0; i < 4 * count; i += 4) {
        const unsigned alpha = pixels[i + 3];
        for (size_t j = 0; j < 3; j++) {
            const unsigned color = alpha ? (pixels[i + j] * 255u + alpha / 2) / alpha : 0;
            divided[i + j] = (uint8_t)(color < 255 ? color : 255);
        }
        divided[i + 3] = (uint8_t)alpha;
    }
}

static int prepare_premultiplied(const struct vkclip_model *model, const struct vkclip_image *image,
                                 float *pixel_values)
{
    const size_t row = (size_t)4 * image->width;
    uint8_t *pixels = malloc(row * image->height);
    const struct vkclip_image divided = {.pixels = pixels,
                                         .width = image->width,
                                         .height = image->height,
                                         .channels = 4,
                                         .stride = row};
    if (!pixels)
        return VKCLIP_EMEMORY;
    for (size_t y = 0; y < image->height; y++)
        divide_row(image->pixels + y * image->stride, image->width, pixels + y * row);
    const int error = vkclip_preprocess(model, &divided, NULL, pixel_values);
    free(pixels);
    return error;
}

/* A camera's picture is turned upright, as Android's galleries show it. */
static int prepare_file(const struct vkclip_model *model, const struct picture *picture,
                        float *pixel_values)
{
    const struct vkclip_image_params params = {.size = sizeof(params), .orient = true};
    struct vkclip_image image = {0};
    int error = picture->path
                    ? vkclip_load_image(picture->path, &params, &image)
                    : vkclip_decode_image(picture->data, picture->size, NULL, &params, &image);
    if (error)
        return error;
    error = vkclip_preprocess(model, &image, NULL, pixel_values);
    vkclip_free_image(&image);
    return error;
}

int pictures_prepare(const struct pictures *pictures, size_t index, float *pixel_values)
{
    const struct picture *picture = &pictures->list[index];
    if (!picture->image.pixels)
        return prepare_file(pictures->model, picture, pixel_values);
    if (picture->premultiplied)
        return prepare_premultiplied(pictures->model, &picture->image, pixel_values);
    return vkclip_preprocess(pictures->model, &picture->image, NULL, pixel_values);
}
