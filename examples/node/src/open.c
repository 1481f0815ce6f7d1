/* SPDX-License-Identifier: MIT
 *
 * Devices and models: what there is, opening and closing.
 */
#include "functions.h"

static int run_environment(struct call *call)
{
    (void)call;
    return vkclip_read_environment();
}

const struct function function_read_environment = {"readEnvironment", sizeof(struct call), NULL,
                                                   run_environment, NULL};

/* ---- Devices --------------------------------------------------------------------------------- */

static const char *const device_types[] = {"other",      "cpu",      "virtual",
                                           "integrated", "discrete", NULL};
static const struct member device_info_members[] = {
    MEMBER(U32, vkclip_device_info, index, "index"),
    MEMBER(CHARS, vkclip_device_info, name, "name"),
    MEMBER(CHOICE, vkclip_device_info, type, "type", .words = device_types),
    MEMBER(CHARS, vkclip_device_info, driver, "driver"),
    MEMBER(U32, vkclip_device_info, api_version, "apiVersion", .count = 3),
    MEMBER(U64, vkclip_device_info, memory, "memory"),
    MEMBER(CHARS, vkclip_device_info, caps, "caps"),
    MEMBER(BOOL, vkclip_device_info, usable, "usable"),
    MEMBER(CHARS, vkclip_device_info, why, "why"),
    MEMBER(HEX, vkclip_device_info, uuid, "uuid", .count = 16),
    {0}};

static const char *const tunes[] = {"default", "on", "off", "force", NULL};
static const struct member device_members[] = {
    MEMBER(TEXT, vkclip_device_params, device, "device"),
    MEMBER(TEXT, vkclip_device_params, cache_dir, "cacheDir"),
    MEMBER(U32, vkclip_device_params, threads, "threads"),
    MEMBER(BOOL, vkclip_device_params, background, "background"),
    MEMBER(CHOICE, vkclip_device_params, tune, "tune", .words = tunes),
    MEMBER(BOOL, vkclip_device_params, skip_checks, "skipChecks"),
    MEMBER(F64, vkclip_device_params, timeout, "timeout"),
    {0}};

struct devices {
    struct call call;
    struct vkclip_device_params params;
    struct vkclip_device_info *infos;
    size_t count;
};

/* Lists the devices of an open handle, or without one those of the machine. */
static int list(struct devices *devices, const struct vkclip_device *device)
{
    size_t *count = &devices->count;
    int error = device ? vkclip_get_device_infos(device, NULL, 0, count)
                       : vkclip_list_devices(NULL, 0, count);
    if (error || !*count)
        return error;
    const size_t capacity = *count;
    struct vkclip_device_info *infos = call_allocate(&devices->call, capacity, sizeof(*infos));
    if (!infos)
        return VKCLIP_EMEMORY;
    infos[0].size = sizeof(*infos);
    error = device ? vkclip_get_device_infos(device, infos, capacity, count)
                   : vkclip_list_devices(infos, capacity, count);
    /* A device may have come between the two calls. */
    if (*count > capacity)
        *count = capacity;
    devices->infos = infos;
    return error;
}

static int run_devices(struct call *call)
{
    return list((struct devices *)call, NULL);
}

static napi_value finish_devices(struct call *call)
{
    const struct devices *devices = (const struct devices *)call;
    napi_value array = NULL;
    napi_create_array(call->env, &array);
    for (uint32_t i = 0; i < devices->count; i++)
        napi_set_element(call->env, array, i,
                         value_write(call->env, device_info_members, &devices->infos[i]));
    return array;
}

const struct function function_devices = {"devices", sizeof(struct devices), NULL, run_devices,
                                          finish_devices};

static void read_device(struct call *call)
{
    struct devices *devices = (struct devices *)call;
    devices->params.size = sizeof(devices->params);
    value_read(call, call->arguments[0], device_members, &devices->params);
    handle_new(call, HANDLE_DEVICE);
}

static int run_device(struct call *call)
{
    struct devices *devices = (struct devices *)call;
    const int error = vkclip_open_device(&devices->params, &call->opened->device);
    return error ? error : list(devices, call->opened->device);
}

/* Makes an object with the handle that was opened and what it is. */
static napi_value give_opened(struct call *call, napi_value info)
{
    napi_value object = NULL, handle = handle_give(call);
    napi_create_object(call->env, &object);
    napi_set_named_property(call->env, object, "info", info);
    return napi_set_named_property(call->env, object, "handle", handle) == napi_ok ? object : NULL;
}

static napi_value finish_device(struct call *call)
{
    return give_opened(call, finish_devices(call));
}

const struct function function_open_device = {"openDevice", sizeof(struct devices), read_device,
                                              run_device, finish_device};

/* ---- Models ---------------------------------------------------------------------------------- */

static const char *const families[] = {"", "openai", "openclip", "hf", NULL};
static const char *const precisions[] = {"f32", "f16", NULL};
static const char *const weights[] = {"auto", "f16", "q8", "q4", NULL};
static const struct member tower_members[] = {
    MEMBER(U32, vkclip_tower_info, width, "width"),
    MEMBER(U32, vkclip_tower_info, layers, "layers"),
    MEMBER(U32, vkclip_tower_info, heads, "heads"),
    MEMBER(U32, vkclip_tower_info, mlp, "mlp"),
    MEMBER(U32, vkclip_tower_info, positions, "positions"),
    MEMBER(BOOL, vkclip_tower_info, projection, "projection"),
    {0}};
static const struct member model_info_members[] = {
    MEMBER(CHOICE, vkclip_model_info, family, "family", .words = families),
    MEMBER(STRUCT, vkclip_model_info, image, "image", .members = tower_members),
    MEMBER(STRUCT, vkclip_model_info, text, "text", .members = tower_members),
    MEMBER(U32, vkclip_model_info, image_size, "imageSize"),
    MEMBER(U32, vkclip_model_info, patch_size, "patchSize"),
    MEMBER(U32, vkclip_model_info, context, "context"),
    MEMBER(U32, vkclip_model_info, vocabulary, "vocabulary"),
    MEMBER(U32, vkclip_model_info, embed_dim, "embedDim"),
    MEMBER(U32, vkclip_model_info, text_embed_dim, "textEmbedDim"),
    MEMBER(F32, vkclip_model_info, logit_scale, "logitScale"),
    MEMBER(BOOL, vkclip_model_info, sigmoid, "sigmoid"),
    MEMBER(F32, vkclip_model_info, logit_bias, "logitBias"),
    MEMBER(F32, vkclip_model_info, image_mean, "imageMean", .count = 3),
    MEMBER(F32, vkclip_model_info, image_std, "imageStd", .count = 3),
    MEMBER(U64, vkclip_model_info, parameters, "parameters"),
    MEMBER(U64, vkclip_model_info, weights_bytes, "weightsBytes"),
    MEMBER(BOOL, vkclip_model_info, tokenizer, "tokenizer"),
    MEMBER(U32, vkclip_model_info, tokenizer_context, "tokenizerContext"),
    MEMBER(CHARS, vkclip_model_info, weights_path, "weightsPath"),
    MEMBER(CHARS, vkclip_model_info, weights_type, "weightsType"),
    MEMBER(CHARS, vkclip_model_info, tokenizer_path, "tokenizerPath"),
    {0}};
static const struct member model_members[] = {
    MEMBER(CHOICE, vkclip_model_params, precision, "precision", .words = precisions),
    MEMBER(TEXT, vkclip_model_params, vocab, "vocab"),
    MEMBER(U32, vkclip_model_params, max_batch, "maxBatch"),
    MEMBER(U32, vkclip_model_params, image_size, "imageSize"),
    MEMBER(TEXT, vkclip_model_params, text_encoder, "textEncoder"),
    MEMBER(CHOICE, vkclip_model_params, weights, "weights", .words = weights),
    MEMBER(BOOL, vkclip_model_params, stream, "stream"),
    MEMBER(CHOICE, vkclip_model_params, compute, "compute", .words = precisions),
    MEMBER(TEXT, vkclip_model_params, state_dict, "stateDict"),
    MEMBER(TEXT, vkclip_model_params, name, "name"),
    MEMBER(TEXT, vkclip_model_params, hub_dir, "hubDir"),
    {0}};

/* A part of an open file. */
struct part {
    uint32_t fd;
    uint64_t offset, length;
};
static const struct member part_members[] = {MEMBER(U32, part, fd, "fd"),
                                             MEMBER(U64, part, offset, "offset"),
                                             MEMBER(U64, part, length, "length"),
                                             {0}};

struct open_model {
    struct call call;
    struct vkclip_device *device;
    const char *path;
    void *data; /* of a file that is in memory; NULL: it is not */
    size_t size;
    struct part part;
    struct vkclip_model_params params;
};

/* The arguments are the device, if there is one, the path, bytes or descriptor, and the options. */
static void read_model(struct call *call)
{
    struct open_model *model = (struct open_model *)call;
    const napi_value source = call->arguments[1];
    napi_valuetype device = napi_undefined, type = napi_undefined;
    model->part.fd = UINT32_MAX; /* no descriptor */
    model->params = (struct vkclip_model_params){
        .size = sizeof(model->params), .progress = call_progress, .user = call};
    napi_typeof(call->env, call->arguments[0], &device);
    if (device != napi_undefined) {
        const struct handle *handle = handle_get(call, call->arguments[0], HANDLE_DEVICE);
        model->device = handle ? handle->device : NULL;
    }
    napi_typeof(call->env, source, &type);
    if (type == napi_string)
        model->path = value_string(call, source, "path", NULL);
    else if (!value_elements(call->env, source, napi_uint8_array, &model->data, &model->size))
        value_read(call, source, part_members, &model->part);
    value_read(call, call->arguments[2], model_members, &model->params);
    handle_new(call, HANDLE_MODEL);
}

static int run_model(struct call *call)
{
    struct open_model *model = (struct open_model *)call;
    struct vkclip_model **opened = &call->opened->model;
    const struct part *part = &model->part;
    int error;
    if (model->path)
        error = vkclip_open_model(model->device, model->path, &model->params, opened);
    else if (model->data)
        error = vkclip_open_model_memory(model->device, model->data, model->size, &model->params,
                                         opened);
    else
        error = vkclip_open_model_file(model->device, (int)part->fd, part->offset, part->length,
                                       &model->params, opened);
    return error ? error : vkclip_get_model_info(*opened, &call->opened->info);
}

static napi_value finish_model(struct call *call)
{
    return give_opened(call, value_write(call->env, model_info_members, &call->opened->info));
}

const struct function function_open_model = {"openModel", sizeof(struct open_model), read_model,
                                             run_model, finish_model};

/* ---- Closing --------------------------------------------------------------------------------- */

struct closing {
    struct call call;
    struct handle *handle;
};

static void read_close(struct call *call)
{
    void *data = NULL;
    if (napi_get_value_external(call->env, call->arguments[0], &data) != napi_ok)
        call_refuse(call, "a handle was expected");
    ((struct closing *)call)->handle = data;
}

static int run_close(struct call *call)
{
    handle_close(((struct closing *)call)->handle);
    return VKCLIP_OK;
}

const struct function function_close = {"close", sizeof(struct closing), read_close, run_close,
                                        NULL};
