/* SPDX-License-Identifier: MIT
 *
 * The natives of dev.vkclip.Model that compute.
 */
#include "bridge.h"
#include "device.h"
#include "hardware_buffer.h"
#include "pictures.h"

#include <stdio.h>
#include <stdlib.h>
#include <vkclip.h>

/* ---- Embeddings ------------------------------------------------------------------------------ */

/* Memory for what the library writes before it goes to an array of Java. */
static float *allocate_floats(JNIEnv *env, jfloatArray array)
{
    const size_t count = (size_t)(*env)->GetArrayLength(env, array);
    float *floats = calloc(count + 1, sizeof(*floats));
    if (!floats)
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for %zu floats", count);
    return floats;
}

/* Ends a call: gives the floats to Java, unless it has failed, and frees them. */
static void finish_floats(JNIEnv *env, struct callback *callback, int error, jfloatArray array,
                          float *floats)
{
    if (callback_end(env, callback, error))
        (*env)->SetFloatArrayRegion(env, array, 0, (*env)->GetArrayLength(env, array), floats);
    free(floats);
}

/* ---- Pictures -------------------------------------------------------------------------------- */

/* A call that encodes pictures. The callback is first because callback_progress takes it. */
struct encoding {
    struct callback callback;
    struct pictures pictures;
    int error; /* of the first picture that failed */
    char message[512];
};

static int prepare_picture(void *user, size_t index, float *pixel_values)
{
    const struct encoding *encoding = user;
    return pictures_prepare(&encoding->pictures, index, pixel_values);
}

/* Cancels the call at the first picture that failed. */
static int look_at_item(void *user, const struct vkclip_item *item)
{
    struct encoding *encoding = user;
    encoding->error = item->error;
    if (item->error)
        snprintf(encoding->message, sizeof(encoding->message), "picture %zu: %s", item->index,
                 *item->message ? item->message : vkclip_error_text(item->error));
    return item->error;
}

static void encode_pictures(JNIEnv *env, jclass class, jlong handle, jobjectArray sources,
                            jlongArray layouts, jobject receiver, jfloatArray embeds)
{
    struct encoding encoding = {.error = VKCLIP_OK};
    const struct vkclip_encode_params params = {.size = sizeof(params),
                                                .progress = callback_progress,
                                                .item = look_at_item,
                                                .user = &encoding};
    struct vkclip_model *model = bridge_pointer(env, handle, "model");
    float *floats = model ? allocate_floats(env, embeds) : NULL;
    (void)class;
    if (!floats || !pictures_begin(env, model, sources, layouts, &encoding.pictures)) {
        free(floats);
        return;
    }
    int error = VKCLIP_OK;
    if (callback_begin(env, receiver, &encoding.callback))
        error =
            vkclip_encode_source(model, prepare_picture, encoding.pictures.count, &params, floats);
    if (encoding.error && !encoding.callback.kept)
        bridge_throw_message(env, error = encoding.error, "%s", encoding.message);
    finish_floats(env, &encoding.callback, error, embeds, floats);
    pictures_end(env, &encoding.pictures);
}

static void encode_hardware_buffer(JNIEnv *env, jclass class, jlong device_handle,
                                   jlong model_handle, jobject buffer, jint width, jint height,
                                   jfloatArray embeds)
{
    const struct device *device = bridge_pointer(env, device_handle, "device");
    struct vkclip_model *model = device ? bridge_pointer(env, model_handle, "model") : NULL;
    struct imported_image imported;
    struct callback callback;
    (void)class;
    if (!model)
        return;
    if (!device->own) {
        bridge_throw_message(env, VKCLIP_EUNSUPPORTED,
                             "the device was opened without hardware buffers, or cannot import "
                             "them: see Device.canImportHardwareBuffers");
        return;
    }
    float *floats = allocate_floats(env, embeds);
    if (!floats || !hardware_buffer_import(env, device->own, buffer, (uint32_t)width,
                                           (uint32_t)height, &imported)) {
        free(floats);
        return;
    }
    const struct vkclip_vulkan_image image = {.size = sizeof(image),
                                              .image = imported.image,
                                              .format = imported.format,
                                              .width = (uint32_t)width,
                                              .height = (uint32_t)height,
                                              .layout = VK_IMAGE_LAYOUT_GENERAL,
                                              .queue_family = imported.queue_family};
    callback_begin(env, NULL, &callback);
    finish_floats(env, &callback, vkclip_encode_vulkan_images(model, &image, 1, NULL, floats),
                  embeds, floats);
    hardware_buffer_release(device->own, &imported);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

static void encode_texts(JNIEnv *env, jclass class, jlong handle, jbyteArray bytes,
                         jintArray lengths, jobject receiver, jfloatArray embeds)
{
    struct texts texts;
    struct callback callback;
    struct vkclip_model *model = bridge_pointer(env, handle, "model");
    float *floats = model ? allocate_floats(env, embeds) : NULL;
    (void)class;
    if (!floats || !texts_take(env, bytes, lengths, &texts)) {
        free(floats);
        return;
    }
    const struct vkclip_encode_params params = {.size = sizeof(params),
                                                .progress = callback_progress,
                                                .user = &callback,
                                                .lengths = texts.lengths};
    int error = VKCLIP_OK;
    if (callback_begin(env, receiver, &callback))
        error = vkclip_encode_texts(model, texts.pointers, texts.count, &params, floats);
    finish_floats(env, &callback, error, embeds, floats);
    texts_free(&texts);
}

static void encode_labels(JNIEnv *env, jclass class, jlong handle, jbyteArray label_bytes,
                          jintArray label_lengths, jbyteArray template_bytes,
                          jintArray template_lengths, jobject receiver, jfloatArray embeds)
{
    struct texts labels = {0}, templates = {0};
    struct callback callback;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = callback_progress, .user = &callback};
    struct vkclip_model *model = bridge_pointer(env, handle, "model");
    float *floats = model ? allocate_floats(env, embeds) : NULL;
    (void)class;
    if (floats && texts_take(env, label_bytes, label_lengths, &labels) &&
        texts_take(env, template_bytes, template_lengths, &templates)) {
        int error = VKCLIP_OK;
        if (callback_begin(env, receiver, &callback))
            error = vkclip_encode_labels(model, labels.pointers, labels.count, templates.pointers,
                                         templates.count, &params, floats);
        finish_floats(env, &callback, error, embeds, floats);
    } else
        free(floats);
    texts_free(&labels);
    texts_free(&templates);
}

static jintArray make_ids(JNIEnv *env, const int32_t *ids, size_t count)
{
    jintArray array = (*env)->NewIntArray(env, (jsize)count);
    if (array)
        (*env)->SetIntArrayRegion(env, array, 0, (jsize)count, (const jint *)ids);
    return array;
}

/* Returns the ids of a text, at most `context` of them, or all of a model without a context. */
static jintArray tokenize(JNIEnv *env, jclass class, jlong handle, jbyteArray bytes, jint context)
{
    const struct vkclip_model *model = bridge_pointer(env, handle, "model");
    bool failed = false;
    size_t count = 0, capacity = (size_t)context;
    int error = VKCLIP_OK;
    jintArray array = NULL;
    (void)class;
    char *text = model ? bridge_copy_bytes(env, bytes, &failed) : NULL;
    if (!text)
        return NULL;
    const size_t length = (size_t)(*env)->GetArrayLength(env, bytes);
    if (!capacity) {
        error = vkclip_tokenize(model, text, length, VKCLIP_TOKENIZE_FULL, NULL, 0, &capacity);
        count = capacity;
    }
    int32_t *ids = calloc(capacity + 1, sizeof(*ids));
    if (!error && ids)
        error = vkclip_tokenize(model, text, length, 0, ids, capacity, &count);
    if (!ids)
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for %zu tokens", capacity);
    else if (error)
        bridge_throw(env, error);
    else
        array = make_ids(env, ids, count);
    free(ids);
    free(text);
    return array;
}

/* ---- Similarity ------------------------------------------------------------------------------ */

static void similarity(JNIEnv *env, jclass class, jlong handle, jfloatArray images, jint n,
                       jfloatArray texts, jint m, jfloatArray logits)
{
    const struct vkclip_model *model = bridge_pointer(env, handle, "model");
    float *floats = model ? allocate_floats(env, logits) : NULL;
    struct callback callback;
    (void)class;
    if (!floats)
        return;
    jfloat *image_embeds = (*env)->GetFloatArrayElements(env, images, NULL);
    jfloat *text_embeds = image_embeds ? (*env)->GetFloatArrayElements(env, texts, NULL) : NULL;
    callback_begin(env, NULL, &callback);
    if (text_embeds)
        finish_floats(
            env, &callback,
            vkclip_similarity(model, image_embeds, (size_t)n, text_embeds, (size_t)m, floats),
            logits, floats);
    else
        free(floats);
    if (text_embeds)
        (*env)->ReleaseFloatArrayElements(env, texts, text_embeds, JNI_ABORT);
    if (image_embeds)
        (*env)->ReleaseFloatArrayElements(env, images, image_embeds, JNI_ABORT);
}

static const JNINativeMethod methods[] = {
    {"encodePictures", "(J[Ljava/lang/Object;[JLdev/vkclip/Receiver;[F)V", (void *)encode_pictures},
    {"encodeHardwareBuffer", "(JJLjava/lang/Object;II[F)V", (void *)encode_hardware_buffer},
    {"encodeTexts", "(J[B[ILdev/vkclip/Receiver;[F)V", (void *)encode_texts},
    {"encodeLabels", "(J[B[I[B[ILdev/vkclip/Receiver;[F)V", (void *)encode_labels},
    {"tokenize", "(J[BI)[I", (void *)tokenize},
    {"similarity", "(J[FI[FI[F)V", (void *)similarity},
};
const struct natives encode_natives = {methods, sizeof(methods) / sizeof(*methods)};
