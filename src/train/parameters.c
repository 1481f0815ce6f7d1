/* SPDX-License-Identifier: MIT
 *
 * Parameters by group, their gradients and moments in buffers beside them, and the parts that the
 * optimiser takes them in.
 */
#include "train/parameters.h"
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/layout.h"
#include "runtime/upload.h"

/* Groups of weights, each in memory of its own order: the optimiser takes a group in few parts. */
enum group { GROUP_DECAYED, GROUP_PLAIN, GROUP_FIXED, GROUP_COUNT };

/* Bytes of a part: what one binding of its moments spans on any device. */
#define PART_BYTES ((uint64_t)32 << 20)
#define ZERO_BYTES ((uint64_t)1 << 20)

struct parameter {
    struct train_parameter of;
    struct tensor tensor;
    enum group group;
};

/* A part of a group: a range of the weights' buffer number `buffer`. */
struct part {
    size_t buffer;
    uint64_t offset, bytes;
    bool decayed;
};

/* ---- Parameters ------------------------------------------------------------------------------ */

static bool is_gradient(const struct tensor *tensor)
{
    return string_begins_with(tensor->name, GRAD_PREFIX);
}

/* Every weight that the towers name, with its group. Without `weights` shapes are the device's. */
static int list_parameters(const struct graph *graph, const struct weights *weights,
                           struct parameter **list, size_t *count)
{
    *list = calloc(graph->tensor_count + 1, sizeof(**list));
    *count = 0;
    if (!*list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (tensor->role != ROLE_WEIGHT || is_gradient(tensor))
            continue;
        struct parameter *parameter = &(*list)[*count];
        struct train_parameter *of = &parameter->of;
        bool known = false;
        for (size_t i = 0; i < *count; i++)
            known |= !strcmp((*list)[i].of.name, tensor->name);
        if (known)
            continue;
        parameter->tensor = *tensor;
        snprintf(of->name, sizeof(of->name), "%s", tensor->name);
        of->rank = tensor->rank;
        for (unsigned i = 0; i < tensor->rank; i++)
            of->shape[i] = tensor->shape[i];
        uint64_t shape[TENSOR_MAX_RANK] = {0};
        if (weights && !tensor->norm[0] && weights_shape(weights, tensor->name, shape, &of->rank) &&
            of->rank <= 4)
            memcpy(of->shape, shape, of->rank * sizeof(*shape));
        of->elements = 1;
        for (unsigned i = 0; i < of->rank; i++)
            of->elements *= of->shape[i];
        of->trained = !tensor->locked;
        of->decayed = of->trained && of->rank > 1;
        parameter->group = of->decayed ? GROUP_DECAYED : of->trained ? GROUP_PLAIN : GROUP_FIXED;
        (*count)++;
    }
    return VKCLIP_OK;
}

/* Graphs of no nodes that name the weights group by group. */
static int upload_groups(struct train_parameters *p, const struct weights *weights)
{
    struct graph graphs[GROUP_COUNT];
    const struct graph *all[GROUP_COUNT];
    int error = VKCLIP_OK;
    for (int g = 0; g < GROUP_COUNT; g++) {
        graph_init(&graphs[g], TYPE_F32);
        all[g] = &graphs[g];
        for (size_t i = 0; i < p->count && !error; i++) {
            const struct tensor *tensor = &p->list[i].tensor;
            if ((int)p->list[i].group != g)
                continue;
            int at =
                graph_weight(&graphs[g], tensor->name, tensor->layout, tensor->rank, tensor->shape);
            graph_fold(&graphs[g], at, tensor->norm);
            error = graphs[g].error;
        }
    }
    if (!error)
        error = store_create(p->gpu, all, GROUP_COUNT, &p->weights);
    struct row_reader reader = weights_row_reader(weights);
    if (!error)
        error = upload_weights(p->gpu, p->weights, &reader);
    for (int g = 0; g < GROUP_COUNT; g++)
        graph_free(&graphs[g]);
    return error;
}

/* Number of the weights' buffer. */
static size_t buffer_index(const struct train_parameters *p, const struct gpu_buffer *buffer)
{
    uint64_t size;
    size_t i = 0;
    while (i < p->buffers && store_buffer(p->weights, i, &size) != buffer)
        i++;
    return i;
}

static struct gpu_range weight_range(const struct train_parameters *p,
                                     const struct parameter *parameter)
{
    struct gpu_range range = {0};
    store_find(p->weights, parameter->of.name, &range);
    return range;
}

/* A buffer of zeros beside each of the weights', `width` times as large. */
static int create_zeros(struct train_parameters *p, unsigned width, struct gpu_buffer ***buffers)
{
    struct gpu_buffer *zeros = NULL;
    *buffers = calloc(p->buffers + 1, sizeof(struct gpu_buffer *));
    int error = *buffers ? gpu_buffer_create(p->gpu, GPU_UPLOAD, ZERO_BYTES, &zeros)
                         : error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
    if (!error)
        memset(gpu_buffer_map(zeros), 0, ZERO_BYTES);
    for (size_t i = 0; i < p->buffers && !error; i++) {
        uint64_t size;
        store_buffer(p->weights, i, &size);
        error = gpu_buffer_create(p->gpu, GPU_DEVICE, size * width, &(*buffers)[i]);
        for (uint64_t at = 0; at < size * width && !error; at += ZERO_BYTES) {
            uint64_t bytes = size * width - at < ZERO_BYTES ? size * width - at : ZERO_BYTES;
            error = gpu_copy(p->gpu, (struct gpu_range){zeros, 0, bytes},
                             (struct gpu_range){(*buffers)[i], at, bytes});
        }
    }
    gpu_buffer_destroy(p->gpu, &zeros);
    return error;
}

/* Cuts the trained groups into parts, in the order that they lie in, and names all of it. */
static int name_parts(struct train_parameters *p)
{
    const uint64_t range = gpu_limits(p->gpu)->buffer_range;
    const uint64_t most = PART_BYTES < range / 4 ? PART_BYTES : range / 4;
    int error = VKCLIP_OK;
    size_t capacity = 0;
    for (size_t i = 0; i < p->count; i++)
        capacity += layout_tensor_bytes(&p->list[i].tensor) / most + 2;
    p->parts = calloc(capacity, sizeof(*p->parts));
    if (!p->parts)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    for (int g = 0; g < GROUP_FIXED; g++) {
        struct part *last = NULL;
        for (size_t i = 0; i < p->count && !error; i++) {
            if ((int)p->list[i].group != g)
                continue;
            struct gpu_range at = weight_range(p, &p->list[i]);
            size_t buffer = buffer_index(p, at.buffer);
            char name[sizeof(GRAD_PREFIX) + 64];
            snprintf(name, sizeof(name), GRAD_PREFIX "%s", p->list[i].of.name);
            error = store_name(p->weights, name,
                               (struct gpu_range){p->gradients[buffer], at.offset, at.size});
            uint64_t end = at.offset + at.size;
            if (!last || last->buffer != buffer) {
                last = &p->parts[p->part_count++];
                *last = (struct part){buffer, at.offset, 0, g == GROUP_DECAYED};
            }
            last->bytes = end - last->offset;
            while (last->bytes > most) {
                struct part rest = *last;
                last->bytes = most;
                rest.offset += most;
                rest.bytes = end - rest.offset;
                last = &p->parts[p->part_count++];
                *last = rest;
            }
        }
    }
    for (size_t i = 0; i < p->part_count && !error; i++) {
        const struct part *part = &p->parts[i];
        uint64_t size;
        const struct {
            const char *name;
            struct gpu_range range;
        } ranges[] = {
            {"weights", {store_buffer(p->weights, part->buffer, &size), part->offset, part->bytes}},
            {"gradients", {p->gradients[part->buffer], part->offset, part->bytes}},
            {"moments", {p->moments[part->buffer], 2 * part->offset, 2 * part->bytes}}};
        for (size_t j = 0; j < ARRAY_COUNT(ranges) && !error; j++) {
            char name[32];
            snprintf(name, sizeof(name), "%s.%zu", ranges[j].name, i);
            error = store_name(p->weights, name, ranges[j].range);
        }
    }
    return error;
}

/* ---- Reading and writing parameters ---------------------------------------------------------- */

/* Where element i of a parameter, in its shape's order, lies on the device. */
static uint64_t device_index(const struct parameter *parameter, uint64_t i)
{
    const struct tensor *tensor = &parameter->tensor;
    if (tensor->layout == LAYOUT_ROWS)
        return i;
    uint64_t rows = tensor_n(tensor), length = tensor_elements(tensor) / rows;
    uint64_t n = i / length, k = i % length;
    if (tensor->layout == LAYOUT_PANELS_KN) {
        n = i % rows;
        k = i / rows;
    } else if (tensor->layout == LAYOUT_CONV) { /* [N,C,3,3]; the device may have more channels */
        uint64_t channels = parameter->of.shape[1];
        n = i / 9 / channels;
        k = i % 9 * tensor->shape[2] + i / 9 % channels;
    }
    return layout_panel_index(n, k, length);
}

/* The memory of a parameter, through a staging buffer; `write` NULL: reads. */
static int move_values(struct train_parameters *p, size_t index, enum train_value what, float *read,
                       const float *write)
{
    const struct parameter *parameter = &p->list[index];
    struct gpu_range at = weight_range(p, parameter);
    struct gpu_buffer *staging[2] = {NULL, NULL};
    unsigned width = what == TRAIN_MOMENT1 || what == TRAIN_MOMENT2 ? 2 : 1;
    if (what != TRAIN_VALUE && !parameter->of.trained)
        return error_fail(VKCLIP_EINVALID, "parameter %s is not trained", parameter->of.name);
    if (what != TRAIN_VALUE) {
        size_t buffer = buffer_index(p, at.buffer);
        at.buffer = (width == 2 ? p->moments : p->gradients)[buffer];
        at.offset *= width;
        at.size *= width;
    }
    int error = gpu_buffer_create(p->gpu, GPU_DOWNLOAD, at.size, &staging[0]);
    if (!error && write)
        error = gpu_buffer_create(p->gpu, GPU_UPLOAD, at.size, &staging[1]);
    if (!error)
        error = gpu_copy(p->gpu, at, (struct gpu_range){staging[0], 0, at.size});
    if (!error) {
        float *values = gpu_buffer_map(staging[0]);
        if (write) {
            memcpy(gpu_buffer_map(staging[1]), values, at.size);
            values = gpu_buffer_map(staging[1]);
        }
        for (uint64_t i = 0; i < parameter->of.elements; i++) {
            float *value =
                &values[width * device_index(parameter, i) + (what == TRAIN_MOMENT2 ? 1 : 0)];
            if (write)
                *value = write[i];
            else
                read[i] = *value;
        }
    }
    if (!error && write)
        error = gpu_copy(p->gpu, (struct gpu_range){staging[1], 0, at.size}, at);
    gpu_buffer_destroy(p->gpu, &staging[0]);
    gpu_buffer_destroy(p->gpu, &staging[1]);
    return error;
}

int train_parameters_read(struct train_parameters *p, size_t index, enum train_value what,
                          float *values)
{
    return move_values(p, index, what, values, NULL);
}

int train_parameters_write(struct train_parameters *p, size_t index, enum train_value what,
                           const float *values)
{
    return move_values(p, index, what, NULL, values);
}

const struct train_parameter *train_parameters_get(const struct train_parameters *p, size_t index)
{
    return index < p->count ? &p->list[index].of : NULL;
}

/* ---- The whole ------------------------------------------------------------------------------- */

int train_parameters_measure(const struct graph *graph, struct train_memory *memory)
{
    struct parameter *list = NULL;
    size_t count = 0;
    int error = list_parameters(graph, NULL, &list, &count);
    for (size_t i = 0; i < count; i++) {
        uint64_t bytes = layout_tensor_bytes(&list[i].tensor);
        memory->weights += bytes;
        memory->gradients += list[i].of.trained ? bytes : 0;
        memory->moments += list[i].of.trained ? 2 * bytes : 0;
    }
    free(list);
    return error;
}

int train_parameters_open(struct gpu *gpu, const struct graph *graph, const struct weights *weights,
                          struct train_parameters *p)
{
    *p = (struct train_parameters){.gpu = gpu};
    int error = list_parameters(graph, weights, &p->list, &p->count);
    if (!error)
        error = upload_groups(p, weights);
    for (uint64_t size; !error && store_buffer(p->weights, p->buffers, &size);)
        p->buffers++;
    if (!error)
        error = create_zeros(p, 1, &p->gradients);
    if (!error)
        error = create_zeros(p, 2, &p->moments);
    return error ? error : name_parts(p);
}

void train_parameters_close(struct train_parameters *p)
{
    for (size_t i = 0; i < p->buffers; i++) {
        if (p->gradients)
            gpu_buffer_destroy(p->gpu, &p->gradients[i]);
        if (p->moments)
            gpu_buffer_destroy(p->gpu, &p->moments[i]);
    }
    store_destroy(&p->weights);
    free(p->gradients);
    free(p->moments);
    free(p->list);
    free(p->parts);
    *p = (struct train_parameters){.gpu = NULL};
}

int train_parameters_update(const struct train_parameters *p, struct grad_adamw adamw,
                            struct graph *graph)
{
    uint32_t *elements = calloc(p->part_count + 1, sizeof(*elements));
    bool *decayed = calloc(p->part_count + 1, sizeof(*decayed));
    if (!elements || !decayed) {
        graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for an optimiser");
    } else {
        for (size_t i = 0; i < p->part_count; i++) {
            elements[i] = (uint32_t)(p->parts[i].bytes / sizeof(float));
            decayed[i] = p->parts[i].decayed;
        }
        grad_optimise(graph, elements, decayed, p->part_count, adamw, true);
    }
    free(elements);
    free(decayed);
    return graph->error;
}
