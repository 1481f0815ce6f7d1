/* SPDX-License-Identifier: MIT
 *
 * Public entry points of encoding: what is to be encoded as items for batches_run, and the results
 * in the order of the call. Texts run in the least length that holds them, equal ones once.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/hash.h"
#include "encode/batches.h"
#include "api/model.h"

/* Texts are looked at in windows of so many, so that memory does not grow with their number. */
enum { WINDOW = 1024, SHORTEST = 8 /* token positions */, LENGTHS = 16 };

struct texts {
    uint32_t ends[WINDOW], lengths[WINDOW]; /* where a text ends; token positions it runs in */
    uint32_t same[WINDOW];                  /* the first text with the same ids */
    uint32_t order[WINDOW], count;          /* the different ones, the short ones first */
    uint32_t table[2 * WINDOW];             /* by hash: a text's number + 1 */
    struct batches_group groups[LENGTHS];
    int32_t ids[]; /* [WINDOW,T] */
};

/* One call. What is to be encoded: one of `images` to `ids` is set. */
struct call {
    struct vkclip_model *model;
    const struct vkclip_image *images;
    const float *pixels; /* [N,3,S,S] */
    vkclip_source_fn *source;
    const char *const *strings;
    const int32_t *ids; /* [M,width] */
    size_t width;

    const struct vkclip_encode_params *params;
    float *embeds; /* [count,dim] */
    size_t count, dim;
    size_t first;    /* item of the call that is item 0 of this run */
    size_t reported; /* items, to the caller's progress */
};

static const struct vkclip_encode_params no_params; /* where the caller gives none */

static int check_call(const struct vkclip_model *model, enum tower tower, bool items, size_t count,
                      const float *embeds)
{
    const char *name = tower == TOWER_IMAGE ? "image" : "text";
    if (!model || (count && (!items || !embeds)))
        return error_fail(VKCLIP_EINVALID, "encoding: model, %ss and embeds expected", name);
    if (!replica_has_tower(&model->spec, tower))
        return error_fail(VKCLIP_EABSENT, "%s has no %s tower",
                          model->info.weights_path[0] ? model->info.weights_path : "the model",
                          name);
    if (!model->replica_count)
        return error_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    return VKCLIP_OK;
}

static void report(void *user, size_t done)
{
    struct call *call = user;
    if (!call->params->progress || call->first + done <= call->reported)
        return;
    call->reported = call->first + done;
    call->params->progress(call->params->user, call->reported, call->count);
}

/* Hidden states come in order from one device; everything else from all. */
static int run(struct call *call, struct batches *work)
{
    struct vkclip_model *model = call->model;
    work->hidden = call->params->hidden != NULL;
    work->user = call;
    work->progress = report;
    return batches_run(work, model->replicas, work->hidden ? 1 : model->replica_count,
                       model->device->drivers, gpu_workers(model->device->gpus[0]));
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Pictures [N,H,W,C], as they are on the device, to [N,C,H,W], as the reference has them. */
static bool channels_first(float *values, size_t shape[4], size_t count)
{
    const size_t pixels = shape[1] * shape[2], channels = shape[3];
    float *copy = malloc(count * sizeof(*copy));
    if (!copy)
        return false;
    memcpy(copy, values, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        size_t item = i / (channels * pixels), channel = i / pixels % channels, pixel = i % pixels;
        values[i] = copy[(item * pixels + pixel) * channels + channel];
    }
    free(copy);
    shape[3] = shape[2];
    shape[2] = shape[1];
    shape[1] = channels;
    return true;
}

/* Hands every named result to the caller. */
static int give_hidden(const struct plan *plan, const struct vkclip_encode_params *params,
                       size_t first, size_t items)
{
    const struct graph *graph = plan_graph(plan);
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (!replica_is_hidden(tensor))
            continue;
        size_t shape[GRAPH_MAX_RANK] = {items};
        size_t count = (size_t)(tensor_elements(tensor) / tensor->shape[0] * items);
        for (unsigned i = 1; i < tensor->rank; i++)
            shape[i] = tensor->shape[i];
        float *values = malloc(count * sizeof(*values));
        if (!values)
            return error_fail(VKCLIP_EMEMORY, "out of memory for hidden states");
        plan_read(plan, (int)t, 0, values, count);
        if (tensor->rank == 4 && !channels_first(values, shape, count)) {
            free(values);
            return error_fail(VKCLIP_EMEMORY, "out of memory for hidden states");
        }
        int stop =
            params->hidden(params->user, tensor->name, values, shape, tensor->rank, first, items);
        free(values);
        if (stop)
            return error_fail(VKCLIP_EINVALID, "stopped by the caller at %s", tensor->name);
    }
    return VKCLIP_OK;
}

/* Different replicas write different rows of the caller's embeddings. */
static int read_items(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    const struct call *call = user;
    const struct texts *texts = call->strings || call->ids ? call->model->texts : NULL;
    int result = call->params->no_normalize ? plan->embeddings : plan->normalized;
    for (size_t i = 0; i < number; i++) {
        size_t item = texts ? texts->order[first + i] : first + i;
        plan_read(plan->plan, result, i * call->dim,
                  &call->embeds[(call->first + item) * call->dim], call->dim);
    }
    return call->params->hidden ? give_hidden(plan->plan, call->params, call->first + first, number)
                                : VKCLIP_OK;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static int write_picture(void *user, struct replica *replica, const struct replica_plan *plan,
                         size_t item, uint32_t place, unsigned thread)
{
    const struct call *call = user;
    const struct config *config = &call->model->spec.config;
    const size_t size = (size_t)3 * config->image_size * config->image_size;
    const size_t floats = tower_picture_floats(config);
    float *scratch = replica_scratch(replica, thread, (size + floats) * sizeof(*scratch));
    if (!scratch)
        return VKCLIP_EMEMORY;
    const float *pixels = call->pixels ? &call->pixels[item * size] : scratch;
    int error = VKCLIP_OK;
    if (call->source && call->source(call->params->user, item, scratch))
        return BATCHES_LEFT_OUT; /* the caller knows that it failed */
    if (call->images)
        error = vkclip_preprocess(call->model, &call->images[item], NULL, scratch);
    if (error)
        return error;
    tower_write_picture(config, pixels, scratch + size);
    plan_write(plan->plan, plan->input, place * floats, scratch + size, floats);
    return VKCLIP_OK;
}

static int encode_pictures(struct call *call)
{
    const struct batches_group all = {.end = call->count};
    struct batches work = {.tower = TOWER_IMAGE,
                           .count = call->count,
                           .groups = &all,
                           .write = write_picture,
                           .parallel = true,
                           .read = read_items};
    call->dim = call->model->spec.config.image_embed_dim;
    return run(call, &work);
}

int vkclip_encode_images(struct vkclip_model *model, const struct vkclip_image *images,
                         size_t count, const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_call(model, TOWER_IMAGE, images, count, embeds);
    struct call call = {.model = model,
                        .images = images,
                        .params = params ? params : &no_params,
                        .embeds = embeds,
                        .count = count};
    return error ? error : encode_pictures(&call);
}

int vkclip_encode_pixels(struct vkclip_model *model, const float *pixel_values, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_call(model, TOWER_IMAGE, pixel_values, count, embeds);
    struct call call = {.model = model,
                        .pixels = pixel_values,
                        .params = params ? params : &no_params,
                        .embeds = embeds,
                        .count = count};
    return error ? error : encode_pictures(&call);
}

int vkclip_encode_source(struct vkclip_model *model, vkclip_source_fn *source, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_call(model, TOWER_IMAGE, source, count, embeds);
    struct call call = {.model = model,
                        .source = source,
                        .params = params ? params : &no_params,
                        .embeds = embeds,
                        .count = count};
    return error ? error : encode_pictures(&call);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Ids of one text of the window, its end, and the length that it runs in. */
static int prepare_text(void *user, size_t index, unsigned thread)
{
    const struct call *call = user;
    const struct vkclip_model *model = call->model;
    struct texts *texts = model->texts;
    const size_t context = model->spec.config.context, item = call->first + index;
    int32_t *ids = &texts->ids[index * context];
    (void)thread;
    if (call->strings) {
        size_t count;
        int error = vkclip_tokenize(model, call->strings[item], strlen(call->strings[item]),
                                    VKCLIP_TOKENIZE_PAD, ids, context, &count);
        if (error)
            return error;
    } else {
        int32_t pad =
            model->tokenizer ? tokenizer_pad(model->tokenizer) : model->spec.config.pad_token_id;
        for (size_t i = 0; i < context; i++)
            ids[i] = i < call->width ? call->ids[item * call->width + i] : pad;
    }
    for (size_t i = 0; i < context; i++)
        if (ids[i] < 0 || (uint32_t)ids[i] >= model->spec.config.vocabulary)
            return error_fail(VKCLIP_EINVALID,
                              "text %zu: token id %d at position %zu, expected 0 to "
                              "%u",
                              item, ids[i], i, model->spec.config.vocabulary - 1);
    texts->ends[index] = (uint32_t)tower_text_end(&model->spec.config, ids);
    uint32_t length = SHORTEST;
    while (length <= texts->ends[index])
        length *= 2;
    bool whole = call->params->hidden || length > context;
    texts->lengths[index] = whole ? (uint32_t)context : length;
    texts->same[index] = (uint32_t)index;
    return VKCLIP_OK;
}

/* What is behind a text's end does not matter. */
static void find_duplicates(struct texts *texts, size_t number, size_t context)
{
    memset(texts->table, 0, sizeof(texts->table));
    for (size_t i = 0; i < number; i++) {
        const int32_t *ids = &texts->ids[i * context];
        const size_t size = (texts->ends[i] + 1) * sizeof(*ids);
        uint32_t *entry = &texts->table[hash_bytes(0, ids, size) % ARRAY_COUNT(texts->table)];
        for (; *entry; entry = entry + 1 < texts->table + ARRAY_COUNT(texts->table) ? entry + 1
                                                                                    : texts->table)
            if (texts->ends[*entry - 1] == texts->ends[i] &&
                !memcmp(&texts->ids[(*entry - 1) * context], ids, size))
                break;
        if (*entry)
            texts->same[i] = *entry - 1;
        else
            *entry = (uint32_t)i + 1;
    }
}

/* Groups of equal length, the shorter first. */
static void order_texts(struct texts *texts, size_t number, uint32_t context)
{
    struct batches_group *group = texts->groups;
    texts->count = 0;
    for (uint32_t length = SHORTEST;; length *= 2) {
        length = length < context ? length : context;
        uint32_t before = texts->count;
        for (uint32_t i = 0; i < number; i++)
            if (texts->lengths[i] == length && texts->same[i] == i)
                texts->order[texts->count++] = i;
        if (texts->count > before)
            *group++ = (struct batches_group){length, texts->count};
        if (length == context)
            break;
    }
}

static int write_text(void *user, struct replica *replica, const struct replica_plan *plan,
                      size_t item, uint32_t place, unsigned thread)
{
    const struct call *call = user;
    const struct texts *texts = call->model->texts;
    const uint32_t text = texts->order[item], length = texts->lengths[text];
    const int32_t end = (int32_t)texts->ends[text];
    (void)replica;
    (void)thread;
    plan_write_ids(plan->plan, plan->input, (uint64_t)place * length,
                   &texts->ids[(size_t)text * call->model->spec.config.context], length);
    plan_write_ids(plan->plan, plan->rows, place, &end, 1);
    return VKCLIP_OK;
}

static int encode_window(struct call *call, size_t number)
{
    struct texts *texts = call->model->texts;
    const uint32_t context = call->model->spec.config.context;
    int error = workers_run(gpu_workers(call->model->device->gpus[0]), prepare_text, call, number);
    if (error)
        return error;
    if (!call->params->hidden)
        find_duplicates(texts, number, context);
    order_texts(texts, number, context);
    struct batches work = {.tower = TOWER_TEXT,
                           .count = texts->count,
                           .groups = texts->groups,
                           .write = write_text,
                           .read = read_items};
    error = run(call, &work);
    for (size_t i = 0; i < number && !error; i++)
        if (texts->same[i] != i)
            memcpy(&call->embeds[(call->first + i) * call->dim],
                   &call->embeds[(call->first + texts->same[i]) * call->dim],
                   call->dim * sizeof(*call->embeds));
    if (!error)
        report(call, number);
    return error;
}

static int encode_strings(struct call *call)
{
    struct vkclip_model *model = call->model;
    const size_t row = model->spec.config.context * sizeof(*model->texts->ids);
    if (!model->texts)
        model->texts = malloc(sizeof(*model->texts) + WINDOW * row);
    int error =
        model->texts ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for a batch of texts");
    call->dim = model->spec.config.text_embed_dim;
    for (; call->first < call->count && !error; call->first += WINDOW)
        error = encode_window(call, call->count - call->first < WINDOW ? call->count - call->first
                                                                       : WINDOW);
    return error;
}

int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_call(model, TOWER_TEXT, texts, count, embeds);
    struct call call = {.model = model,
                        .strings = texts,
                        .params = params ? params : &no_params,
                        .embeds = embeds,
                        .count = count};
    return error ? error : encode_strings(&call);
}

int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                         size_t length, const struct vkclip_encode_params *params, float *embeds)
{
    int error = check_call(model, TOWER_TEXT, ids, count, embeds);
    struct call call = {.model = model,
                        .ids = ids,
                        .width = length,
                        .params = params ? params : &no_params,
                        .embeds = embeds,
                        .count = count};
    if (!error && (!length || length > model->spec.config.context))
        return error_fail(VKCLIP_ETOOLONG, "rows of %zu token ids, expected 1 to %u", length,
                          model->spec.config.context);
    return error ? error : encode_strings(&call);
}
