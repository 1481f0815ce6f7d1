/* SPDX-License-Identifier: MIT
 *
 * Reads results on the thread of their device, and passes them to the caller on the caller's
 * thread.
 */
#include "encode/call.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"

#include <string.h>

/* ---- Opening --------------------------------------------------------------------------------- */

static int check_arguments(const struct vkclip_model *model, enum tower tower, bool has_items,
                           size_t count, const struct vkclip_encode_params *params,
                           const float *embeds)
{
    const char *name = tower == TOWER_IMAGE ? "image" : "text";
    const bool has_results = embeds || (params && params->item);
    if (!model || (count && (!has_items || !has_results)))
        return error_fail(VKCLIP_EINVALID,
                          "encoding %ss: expected a model, the %ss, and `embeds` or `item`", name,
                          name);
    if (params && params->features && params->hidden)
        return error_fail(VKCLIP_EINVALID,
                          "encoding %ss: expected `features` or `hidden`, not both", name);
    if (!replica_has_tower(&model->spec, tower))
        return error_fail(VKCLIP_EABSENT, "%s has no %s tower", model_name(model), name);
    if (!model->replica_count)
        return error_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    return VKCLIP_OK;
}

static int open_window(struct call *call)
{
    call->failures = memory_calloc(call->places, sizeof(*call->failures));
    if (!call->embeds)
        call->window = memory_calloc(call->places, call->dim * sizeof(*call->window));
    if (!call->failures || (!call->embeds && !call->window))
        return error_fail(VKCLIP_EMEMORY, "out of memory for the results of %zu items",
                          call->places);
    return VKCLIP_OK;
}

static size_t choose_places(size_t dim)
{
    const size_t places = CALL_WINDOW_BYTES / (dim * sizeof(float));
    if (places > CALL_WINDOW)
        return CALL_WINDOW;
    return places < CALL_WINDOW_LEAST ? CALL_WINDOW_LEAST : places;
}

/* Finds out what the result of an item is: its embedding, or the features that are wanted. */
static int choose_result(struct call *call, enum tower tower, uint32_t length)
{
    struct config config = call->model->spec.config;
    size_t shape[2] = {1, config_embed_dim(&config, tower)};
    int error = VKCLIP_OK;
    if (call->params.features)
        error = tower_find_features(model_name(call->model), &config, tower, call->params.features,
                                    &call->features);
    if (length)
        config.context = length;
    if (!error && call->features.wanted)
        tower_features_shape(&config, tower, &call->features, shape);
    call->dim = shape[0] * shape[1];
    call->places = choose_places(call->dim);
    return error;
}

int call_open(struct vkclip_model *model, enum tower tower, bool has_items, size_t count,
              uint32_t length, const struct vkclip_encode_params *params, float *embeds,
              struct call *call)
{
    *call = (struct call){.model = model, .embeds = embeds, .count = count};
    progress_begin(&call->progress, params ? params->progress : NULL, params ? params->user : NULL,
                   count);
    int error = check_arguments(model, tower, has_items, count, params, embeds);
    if (error)
        return error;
    if (params)
        call->params = *params;
    error = choose_result(call, tower, length);
    return !error && call->params.item ? open_window(call) : error;
}

void call_close(struct call *call)
{
    for (size_t i = 0; call->failures && i < call->places; i++)
        memory_free(call->failures[i].message);
    memory_free(call->failures);
    memory_free(call->window);
    progress_end(&call->progress, VKCLIP_ECANCELLED); /* What is done was told by call_report. */
    *call = (struct call){0};
}

/* ---- Items ----------------------------------------------------------------------------------- */

int call_fail_item(struct call *call, size_t item, int error)
{
    if (!call->failures)
        return error;
    struct call_failure *failure = &call->failures[item % call->places];
    memory_free(failure->message); /* The item was written before to a device that was lost. */
    *failure = (struct call_failure){error, string_format("%s", error_last())};
    return VKCLIP_OK;
}

bool call_has_failed(const struct call *call, size_t item)
{
    return call->failures && call->failures[item % call->places].error;
}

float *call_embedding(const struct call *call, size_t item)
{
    if (call->embeds)
        return &call->embeds[item * call->dim];
    return &call->window[item % call->places * call->dim];
}

static int deliver_item(struct call *call, size_t index)
{
    struct call_failure *failure = &call->failures[index % call->places];
    struct vkclip_item item = {.index = index, .error = failure->error, .message = ""};
    if (!failure->error)
        item.embed = call_embedding(call, index);
    else
        item.message = failure->message ? failure->message : error_text(VKCLIP_EMEMORY);
    int stop = call->params.item(call->params.user, &item);
    memory_free(failure->message);
    *failure = (struct call_failure){0};
    return stop ? error_fail(VKCLIP_ECANCELLED, "stopped by the caller at item %zu", index)
                : VKCLIP_OK;
}

int call_deliver(struct call *call, size_t first, size_t number)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; call->failures && i < number && !error; i++)
        error = deliver_item(call, first + i);
    return error;
}

int call_report(struct call *call, size_t done)
{
    return done > call->progress.done ? progress_report(&call->progress, done) : progress_check();
}

int call_run(struct call *call, struct batches *work)
{
    const struct vkclip_model *model = call->model;
    work->hidden = call->params.hidden != NULL;
    work->features = call->features;
    work->user = call;
    return batches_run(work, model->replicas, work->hidden ? 1 : model->replica_count,
                       model->device->drivers, gpu_workers(model->device->gpus[0]));
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Reorders pictures from the device's [N,H,W,C] to the reference's [N,C,H,W]. */
static bool channels_first(float *values, size_t shape[4], size_t count)
{
    const size_t pixels = shape[1] * shape[2], channels = shape[3];
    float *copy = memory_alloc(count * sizeof(*copy));
    if (!copy)
        return false;
    memcpy(copy, values, count * sizeof(*copy));
    for (size_t i = 0; i < count; i++) {
        size_t item = i / (channels * pixels), channel = i / pixels % channels, pixel = i % pixels;
        values[i] = copy[(item * pixels + pixel) * channels + channel];
    }
    memory_free(copy);
    shape[3] = shape[2];
    shape[2] = shape[1];
    shape[1] = channels;
    return true;
}

static size_t item_at(const size_t *items, size_t first, size_t place)
{
    return items ? items[place] : first + place;
}

/* Counts the places from `place` on that hold consecutive items which have not failed. */
static size_t run_length(const struct call *call, size_t first, const size_t *items, size_t place,
                         size_t number)
{
    const size_t start = item_at(items, first, place);
    size_t length = 0;
    while (place + length < number && item_at(items, first, place + length) == start + length &&
           !call_has_failed(call, start + length))
        length++;
    return length;
}

/* Passes one tensor to the caller, in groups of consecutive items. */
static int give_tensor(const struct call *call, const struct plan *plan, int index, size_t first,
                       const size_t *items, size_t number)
{
    const struct tensor *tensor = &plan_graph(plan)->tensors[index];
    const struct vkclip_encode_params *params = &call->params;
    const size_t row = (size_t)(tensor_elements(tensor) / tensor->shape[0]);
    size_t shape[GRAPH_MAX_RANK] = {number};
    for (unsigned i = 1; i < tensor->rank; i++)
        shape[i] = tensor->shape[i];
    float *values = memory_alloc(number * row * sizeof(*values));
    if (values)
        plan_read(plan, index, 0, values, number * row);
    if (!values || (tensor->rank == 4 && !channels_first(values, shape, number * row))) {
        memory_free(values);
        return error_fail(VKCLIP_EMEMORY, "out of memory for hidden states");
    }
    int stop = 0;
    for (size_t place = 0; place < number && !stop;) {
        const size_t length = run_length(call, first, items, place, number);
        shape[0] = length;
        if (length)
            stop = params->hidden(params->user, tensor->name, values + place * row, shape,
                                  tensor->rank, item_at(items, first, place), length);
        place += length ? length : 1;
    }
    memory_free(values);
    return stop ? error_fail(VKCLIP_ECANCELLED, "stopped by the caller at %s", tensor->name)
                : VKCLIP_OK;
}

static int give_hidden(const struct call *call, const struct plan *plan, size_t first,
                       const size_t *items, size_t number)
{
    const struct graph *graph = plan_graph(plan);
    int error = VKCLIP_OK;
    for (size_t t = 0; t < graph->tensor_count && !error; t++)
        if (replica_is_hidden(&graph->tensors[t]))
            error = give_tensor(call, plan, (int)t, first, items, number);
    return error;
}

/* This needs no lock, because different replicas write different embeddings. */
int call_read(const struct call *call, const struct replica_plan *plan, size_t first,
              const size_t *items, size_t number)
{
    int result = call->params.no_normalize ? plan->embeddings : plan->normalized;
    if (call->features.wanted)
        result = plan->features;
    const struct tensor *tensor = &plan_graph(plan->plan)->tensors[result];
    const size_t values = (size_t)(tensor_elements(tensor) / tensor->shape[0]);
    for (size_t place = 0; place < number; place++) {
        const size_t item = item_at(items, first, place);
        if (!call_has_failed(call, item))
            plan_read(plan->plan, result, (place + 1) * values - call->dim,
                      call_embedding(call, item), call->dim);
    }
    if (!call->params.hidden)
        return VKCLIP_OK;
    return give_hidden(call, plan->plan, first, items, number);
}
