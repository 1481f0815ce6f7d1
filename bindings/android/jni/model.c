/* SPDX-License-Identifier: MIT
 *
 * The natives of dev.vkclip.Model that open and describe models.
 */
#include "bridge.h"
#include "device.h"

#include <assert.h>
#include <stdlib.h>

/* ---- Opening --------------------------------------------------------------------------------- */

/* The numbers of dev.vkclip.Model.Options. Its enums have the values of the header. */
enum { PRECISION, WEIGHTS, COMPUTE, MAX_BATCH, IMAGE_SIZE, STREAM, OPTION_COUNT };
static_assert(VKCLIP_PRECISION_F16 == 1 && VKCLIP_COMPUTE_F16 == 1 && VKCLIP_WEIGHTS_F16 == 1 &&
                  VKCLIP_WEIGHTS_Q8 == 2 && VKCLIP_WEIGHTS_Q4 == 3,
              "Precision and Weights in Java");

/* Where a model comes from: a path, or memory, or a part of an open file. */
struct source {
    const char *path;
    jobject memory;
    int fd;
    uint64_t offset, length;
};

static int open_source(JNIEnv *env, struct vkclip_device *device, const struct source *source,
                       const struct vkclip_model_params *params, struct vkclip_model **model)
{
    if (source->path)
        return vkclip_open_model(device, source->path, params, model);
    if (!source->memory)
        return vkclip_open_model_file(device, source->fd, source->offset, source->length, params,
                                      model);
    return vkclip_open_model_memory(device, (*env)->GetDirectBufferAddress(env, source->memory),
                                    (size_t)(*env)->GetDirectBufferCapacity(env, source->memory),
                                    params, model);
}

static jlong open_model(JNIEnv *env, jclass class, jlong device_handle, jbyteArray path,
                        jobject memory, jint fd, jlong offset, jlong length, jbyteArray name,
                        jbyteArray vocabulary, jintArray options, jobject receiver)
{
    /* Without a device only configuration and tokenizer are read. */
    const struct device *device = (const struct device *)(intptr_t)device_handle;
    struct vkclip_model *model = NULL;
    struct callback callback;
    bool failed = false;
    jint numbers[OPTION_COUNT] = {0};
    (void)class;
    (*env)->GetIntArrayRegion(env, options, 0, OPTION_COUNT, numbers);
    if ((*env)->ExceptionCheck(env))
        return 0;
    char *path_text = bridge_copy_bytes(env, path, &failed);
    char *name_text = bridge_copy_bytes(env, name, &failed);
    char *vocabulary_text = bridge_copy_bytes(env, vocabulary, &failed);
    const struct source source = {path_text, memory, fd, (uint64_t)offset, (uint64_t)length};
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .precision =
                                                   (enum vkclip_precision)numbers[PRECISION],
                                               .vocab = vocabulary_text,
                                               .max_batch = (uint32_t)numbers[MAX_BATCH],
                                               .image_size = (uint32_t)numbers[IMAGE_SIZE],
                                               .weights = (enum vkclip_weights)numbers[WEIGHTS],
                                               .stream = numbers[STREAM],
                                               .compute = (enum vkclip_compute)numbers[COMPUTE],
                                               .progress = callback_progress,
                                               .user = &callback,
                                               .name = name_text};
    if (!failed && callback_begin(env, receiver, &callback) &&
        !callback_end(env, &callback,
                      open_source(env, device ? device->device : NULL, &source, &params, &model)))
        vkclip_close_model(&model);
    free(path_text);
    free(name_text);
    free(vocabulary_text);
    return (jlong)(intptr_t)model;
}

static jboolean close_model(JNIEnv *env, jclass class, jlong handle)
{
    struct vkclip_model *model = bridge_pointer(env, handle, "model");
    (void)class;
    vkclip_close_model(&model);
    return !model; /* Within a call on its device a model is not closed. */
}

/* ---- Description ----------------------------------------------------------------------------- */

/* The order is that in which dev.vkclip.ModelInfo reads them. */
static int send_info(struct callback *callback, const struct vkclip_model_info *info)
{
    const char *const texts[] = {info->weights_path, info->weights_type, info->tokenizer_path};
    const jlong numbers[] = {info->image.layers,
                             info->text.layers,
                             info->image_size,
                             info->context,
                             info->vocabulary,
                             info->embed_dim,
                             info->text_embed_dim,
                             info->sigmoid,
                             (jlong)info->parameters,
                             (jlong)info->weights_bytes,
                             (jlong)info->memory_bytes,
                             info->precision,
                             info->weights,
                             info->tokenizer,
                             info->tokenizer_context};
    const jdouble reals[] = {(jdouble)info->logit_scale, (jdouble)info->logit_bias};
    return callback_send(callback, &(struct record){texts, sizeof(texts) / sizeof(*texts), numbers,
                                                    sizeof(numbers) / sizeof(*numbers), reals,
                                                    sizeof(reals) / sizeof(*reals)});
}

static void describe_model(JNIEnv *env, jclass class, jlong handle, jobject receiver)
{
    const struct vkclip_model *model = bridge_pointer(env, handle, "model");
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct callback callback;
    (void)class;
    if (!model || !callback_begin(env, receiver, &callback))
        return;
    const int error = vkclip_get_model_info(model, &info);
    if (!error)
        send_info(&callback, &info);
    callback_end(env, &callback, error);
}

static const JNINativeMethod methods[] = {
    {"openModel", "(J[BLjava/nio/ByteBuffer;IJJ[B[B[ILdev/vkclip/Receiver;)J", (void *)open_model},
    {"closeModel", "(J)Z", (void *)close_model},
    {"describeModel", "(JLdev/vkclip/Receiver;)V", (void *)describe_model},
};
const struct natives model_natives = {methods, sizeof(methods) / sizeof(*methods)};
