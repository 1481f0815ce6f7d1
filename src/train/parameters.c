/* SPDX-License-Identifier: MIT
 *
 * Parameters lie in memory by group, so that the optimiser updates each group in few ranges, and
 * gradients and moments lie in buffers beside the weights'.
 */
#include "train/parameters.h"
#include "base/error.h"

#include <stdio.h>
#include <string.h>

#include "base/memory.h"
#include "runtime/layout.h"
#include "runtime/upload.h"

enum group { GROUP_DECAYED, GROUP_PLAIN, GROUP_FIXED, GROUP_COUNT };

/* A range's weights take at most so many bytes. Its moments take twice as many and must fit in one
 * binding; no known device binds less than 128 MiB. */
#define RANGE_BYTES ((uint64_t)32 << 20)
/* Bytes of the buffer of zeros that is copied over gradients and moments. */
#define ZERO_BYTES ((uint64_t)1 << 20)

/* A weight's element has one gradient but two moments. */
#define MOMENT_WIDTH 2

struct entry {
    struct parameter parameter;
    struct tensor tensor;
    enum group group;
};

/* A range of weights buffer number `buffer`. */
struct range {
    size_t buffer;
    uint64_t offset, bytes;
    bool decayed;
};

struct parameters {
    struct gpu *gpu;
    struct weight_store *store;
    /* by the number of the weights' buffer; NULL where there are none */
    struct gpu_buffer **gradients, **moments, **averages;
    size_t buffer_count;
    struct entry *entries; /* every weight of both towers, and logit_scale */
    size_t count;
    struct range *ranges;
    size_t range_count;
    /* Host memory for one parameter on its way to or from another device; NULL until then. */
    struct gpu_buffer *download, *upload;
};

/* ---- The list of parameters ------------------------------------------------------------------ */

static size_t find_entry(const struct entry *entries, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(entries[i].parameter.name, name))
            return i;
    return SIZE_MAX;
}

/* Fills an entry from a tensor. Without `weights`, it gets the tensor's shape on the device. */
static void fill_entry(const struct tensor *tensor, const struct weights *weights,
                       struct entry *entry)
{
    struct parameter *parameter = &entry->parameter;
    uint64_t shape[TENSOR_MAX_RANK] = {0};
    unsigned rank = 0;
    entry->tensor = *tensor;
    snprintf(parameter->name, sizeof(parameter->name), "%s", tensor->name);
    parameter->rank = tensor->rank;
    for (unsigned i = 0; i < tensor->rank; i++)
        parameter->shape[i] = tensor->shape[i];
    if (weights && !tensor->norm[0] && weights_shape(weights, tensor->name, shape, &rank) &&
        rank <= 4) {
        parameter->rank = rank;
        memcpy(parameter->shape, shape, rank * sizeof(*shape));
    }
    parameter->elements = 1;
    for (unsigned i = 0; i < parameter->rank; i++)
        parameter->elements *= parameter->shape[i];
    parameter->trained = !tensor->locked;
    parameter->decayed = parameter->trained && parameter->rank > 1;
    entry->group = GROUP_FIXED;
    if (parameter->trained)
        entry->group = parameter->decayed ? GROUP_DECAYED : GROUP_PLAIN;
}

/* Lists every weight that a graph names, each once. */
static int list_entries(const struct graph *graph, const struct weights *weights,
                        struct entry **entries, size_t *count)
{
    *entries = memory_calloc(graph->tensor_count + 1, sizeof(**entries));
    *count = 0;
    if (!*entries)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (tensor->role == ROLE_WEIGHT && find_entry(*entries, *count, tensor->name) == SIZE_MAX)
            fill_entry(tensor, weights, &(*entries)[(*count)++]);
    }
    return VKCLIP_OK;
}

int parameters_measure(const struct graph *graph, uint64_t *all, uint64_t *trained)
{
    struct entry *entries = NULL;
    size_t count = 0;
    int error = list_entries(graph, NULL, &entries, &count);
    *all = *trained = 0;
    for (size_t i = 0; i < count; i++) {
        const uint64_t bytes = layout_tensor_bytes(&entries[i].tensor);
        *all += bytes;
        *trained += entries[i].parameter.trained ? bytes : 0;
    }
    memory_free(entries);
    return error;
}

const struct parameter *parameters_get(const struct parameters *p, size_t index)
{
    return index < p->count ? &p->entries[index].parameter : NULL;
}

size_t parameters_find(const struct parameters *p, const char *name)
{
    return find_entry(p->entries, p->count, name);
}

/* ---- Memory ---------------------------------------------------------------------------------- */

const struct weight_store *parameters_store(const struct parameters *p)
{
    return p->store;
}

/* Uploads the weights group by group: the store keeps the order of the graphs, and one graph
 * without nodes names the weights of each group. */
static int upload_groups(struct parameters *p, const struct weights *weights)
{
    struct graph graphs[GROUP_COUNT];
    const struct graph *all[GROUP_COUNT];
    int error = VKCLIP_OK;
    for (int g = 0; g < GROUP_COUNT; g++) {
        graph_init(&graphs[g], TYPE_F32);
        all[g] = &graphs[g];
    }
    for (size_t i = 0; i < p->count && !error; i++) {
        const struct tensor *tensor = &p->entries[i].tensor;
        struct graph *graph = &graphs[p->entries[i].group];
        int weight = graph_weight(graph, tensor->name, tensor->layout, tensor->rank, tensor->shape);
        graph_fold(graph, weight, tensor->norm);
        error = graph->error;
    }
    if (!error)
        error = weight_store_create(p->gpu, all, GROUP_COUNT, &p->store);
    struct row_reader reader = weights_row_reader(weights);
    if (!error)
        error = upload_weights(p->gpu, p->store, &reader);
    for (int g = 0; g < GROUP_COUNT; g++)
        graph_free(&graphs[g]);
    return error;
}

/* Returns the number of a buffer of weights. */
static size_t find_buffer(const struct parameters *p, const struct gpu_buffer *buffer)
{
    uint64_t size;
    size_t i = 0;
    while (i < p->buffer_count && weight_store_buffer(p->store, i, &size) != buffer)
        i++;
    return i;
}

/* Returns the memory that holds one kind of a parameter's values. */
static struct gpu_range find_range(const struct parameters *p, size_t index,
                                   enum parameter_value which)
{
    struct gpu_range range = {0};
    weight_store_find(p->store, p->entries[index].parameter.name, &range);
    if (which == PARAMETER_VALUE)
        return range;
    const size_t buffer = find_buffer(p, range.buffer);
    if (which == PARAMETER_GRADIENT)
        return (struct gpu_range){p->gradients[buffer], range.offset, range.size};
    if (which == PARAMETER_AVERAGE)
        return (struct gpu_range){p->averages[buffer], range.offset, range.size};
    return (struct gpu_range){p->moments[buffer], MOMENT_WIDTH * range.offset,
                              MOMENT_WIDTH * range.size};
}

static int clear_buffer(struct gpu *gpu, struct gpu_buffer *zeros, struct gpu_buffer *buffer,
                        uint64_t size)
{
    int error = VKCLIP_OK;
    for (uint64_t first = 0; first < size && !error; first += ZERO_BYTES) {
        uint64_t bytes = size - first < ZERO_BYTES ? size - first : ZERO_BYTES;
        error = gpu_copy(gpu, (struct gpu_range){zeros, 0, bytes},
                         (struct gpu_range){buffer, first, bytes});
    }
    return error;
}

/* Sets buffers to zero that are `width` times as large as those of the weights. */
static int clear_buffers(struct parameters *p, unsigned width, struct gpu_buffer **buffers)
{
    struct gpu_buffer *zeros = NULL;
    int error = gpu_buffer_create(p->gpu, GPU_UPLOAD, ZERO_BYTES, &zeros);
    if (!error)
        memset(gpu_buffer_map(zeros), 0, ZERO_BYTES);
    for (size_t i = 0; i < p->buffer_count && !error; i++) {
        uint64_t size;
        weight_store_buffer(p->store, i, &size);
        error = clear_buffer(p->gpu, zeros, buffers[i], width * size);
    }
    gpu_buffer_destroy(p->gpu, &zeros);
    return error;
}

/* Creates a buffer of zeros for each buffer of weights, `width` times as large. */
static int create_zeros(struct parameters *p, unsigned width, struct gpu_buffer ***buffers)
{
    int error = VKCLIP_OK;
    *buffers = memory_calloc(p->buffer_count + 1, sizeof(struct gpu_buffer *));
    if (!*buffers)
        return error_fail(VKCLIP_EMEMORY, "out of memory for gradients");
    for (size_t i = 0; i < p->buffer_count && !error; i++) {
        uint64_t size;
        weight_store_buffer(p->store, i, &size);
        error = gpu_buffer_create(p->gpu, GPU_ANY, width * size, &(*buffers)[i]);
    }
    return error ? error : clear_buffers(p, width, *buffers);
}

/* Copies the weights to the averages. */
static int fill_averages(struct parameters *p)
{
    int error = create_zeros(p, 1, &p->averages);
    for (size_t i = 0; i < p->buffer_count && !error; i++) {
        uint64_t size;
        struct gpu_buffer *weights = weight_store_buffer(p->store, i, &size);
        error = gpu_copy(p->gpu, (struct gpu_range){weights, 0, size},
                         (struct gpu_range){p->averages[i], 0, size});
    }
    return error;
}

/* ---- Ranges ---------------------------------------------------------------------------------- */

/* Extends the last range of a group up to `end`, and cuts it where it would exceed `most`. */
static void extend_ranges(struct parameters *p, uint64_t end, uint64_t most)
{
    struct range *last = &p->ranges[p->range_count - 1];
    last->bytes = end - last->offset;
    while (last->bytes > most) {
        struct range rest = *last;
        rest.offset += most;
        rest.bytes -= most;
        last->bytes = most;
        last = &p->ranges[p->range_count++];
        *last = rest;
    }
}

/* Cuts the trained groups into ranges, in the order of their memory. */
static int create_ranges(struct parameters *p)
{
    const uint64_t binding = gpu_limits(p->gpu)->buffer_range;
    const uint64_t most = RANGE_BYTES < binding / 4 ? RANGE_BYTES : binding / 4;
    size_t capacity = 0;
    for (size_t i = 0; i < p->count; i++)
        capacity += layout_tensor_bytes(&p->entries[i].tensor) / most + 2;
    p->ranges = memory_calloc(capacity, sizeof(*p->ranges));
    if (!p->ranges)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    for (enum group g = GROUP_DECAYED; g < GROUP_FIXED; g++) {
        const size_t first = p->range_count;
        for (size_t i = 0; i < p->count; i++) {
            if (p->entries[i].group != g)
                continue;
            struct gpu_range weight = find_range(p, i, PARAMETER_VALUE);
            size_t buffer = find_buffer(p, weight.buffer);
            if (p->range_count == first || p->ranges[p->range_count - 1].buffer != buffer)
                p->ranges[p->range_count++] =
                    (struct range){buffer, weight.offset, 0, g == GROUP_DECAYED};
            extend_ranges(p, weight.offset + weight.size, most);
        }
    }
    return VKCLIP_OK;
}

struct optimiser parameters_append_optimiser(const struct parameters *p, struct adamw adamw,
                                             float average, int logit_scale, struct graph *graph,
                                             struct optimiser_range **ranges)
{
    *ranges = memory_calloc(p->range_count + 1, sizeof(**ranges));
    if (!*ranges) {
        graph->error = error_fail(VKCLIP_EMEMORY, "out of memory for an optimiser");
        return (struct optimiser){-1, -1};
    }
    for (size_t i = 0; i < p->range_count; i++) {
        (*ranges)[i].elements = (uint32_t)(p->ranges[i].bytes / sizeof(float));
        (*ranges)[i].decayed = p->ranges[i].decayed;
    }
    const struct optimiser optimiser =
        optimiser_append(graph, adamw, *ranges, p->range_count, logit_scale);
    if (p->averages)
        optimiser_append_averages(graph, &optimiser, average, *ranges, p->range_count);
    return optimiser;
}

int parameters_bind(const struct parameters *p, const struct graph *graph,
                    const struct optimiser_range *ranges, struct gpu_range **states)
{
    struct gpu_range *memory = *states = memory_calloc(graph->tensor_count + 1, sizeof(**states));
    if (!memory)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a list of gradients");
    for (size_t t = 0; t < graph->tensor_count; t++) {
        const struct tensor *tensor = &graph->tensors[t];
        if (tensor->gradient >= 0)
            memory[tensor->gradient] =
                find_range(p, parameters_find(p, tensor->name), PARAMETER_GRADIENT);
    }
    for (size_t i = 0; i < p->range_count && ranges; i++) {
        const struct range *range = &p->ranges[i];
        uint64_t size;
        struct gpu_buffer *weights = weight_store_buffer(p->store, range->buffer, &size);
        memory[ranges[i].weights] = (struct gpu_range){weights, range->offset, range->bytes};
        memory[ranges[i].gradients] =
            (struct gpu_range){p->gradients[range->buffer], range->offset, range->bytes};
        memory[ranges[i].moments] = (struct gpu_range){
            p->moments[range->buffer], MOMENT_WIDTH * range->offset, MOMENT_WIDTH * range->bytes};
        if (ranges[i].averages >= 0)
            memory[ranges[i].averages] =
                (struct gpu_range){p->averages[range->buffer], range->offset, range->bytes};
    }
    return VKCLIP_OK;
}

/* ---- Reading and writing parameters ---------------------------------------------------------- */

/* Returns the device's index of element i, which counts in the order of the parameter's shape. */
static uint64_t device_index(const struct entry *entry, uint64_t i)
{
    const struct tensor *tensor = &entry->tensor;
    if (tensor->layout == LAYOUT_ROWS)
        return i;
    if (tensor->layout == LAYOUT_TAPS) /* [C,1,k,k] in the parameter */
        return i % tensor->shape[0] * tensor->shape[1] + i / tensor->shape[0];
    uint64_t rows = tensor_n(tensor), length = tensor_elements(tensor) / rows;
    uint64_t n = i / length, k = i % length;
    if (tensor->layout == LAYOUT_PANELS_KN) {
        n = i % rows;
        k = i / rows;
    } else if (tensor->layout == LAYOUT_CONV) { /* [N,C,3,3], C may be larger there */
        uint64_t channels = entry->parameter.shape[1];
        n = i / 9 / channels;
        k = i % 9 * tensor->shape[2] + i / 9 % channels;
    }
    return layout_panel_index(n, k, length);
}

/* Returns the index of element i's float within the memory of its kind of values. */
static uint64_t value_index(const struct entry *entry, enum parameter_value which, uint64_t i)
{
    const uint64_t index = device_index(entry, i);
    if (which == PARAMETER_MOMENT1 || which == PARAMETER_MOMENT2)
        return MOMENT_WIDTH * index + (which == PARAMETER_MOMENT2);
    return index;
}

static int check_value(const struct parameter *parameter, enum parameter_value which)
{
    if (which != PARAMETER_VALUE && !parameter->trained)
        return error_fail(VKCLIP_EINVALID, "parameter %s is not trained", parameter->name);
    return VKCLIP_OK;
}

/* Copies a range to a new buffer of host memory. */
static int download_range(struct gpu *gpu, struct gpu_range range, struct gpu_buffer **buffer)
{
    int error = gpu_buffer_create(gpu, GPU_DOWNLOAD, range.size, buffer);
    return error ? error : gpu_copy(gpu, range, (struct gpu_range){*buffer, 0, range.size});
}

int parameters_read(struct parameters *p, size_t index, enum parameter_value which, float *values)
{
    const struct entry *entry = &p->entries[index];
    struct gpu_buffer *buffer = NULL;
    int error = check_value(&entry->parameter, which);
    if (!error)
        error = download_range(p->gpu, find_range(p, index, which), &buffer);
    for (uint64_t i = 0; i < entry->parameter.elements && !error; i++)
        values[i] = ((const float *)gpu_buffer_map(buffer))[value_index(entry, which, i)];
    gpu_buffer_destroy(p->gpu, &buffer);
    return error;
}

/* The rest of the range, which is the padding of panels and the other moment, keeps its values. */
int parameters_write(struct parameters *p, size_t index, enum parameter_value which,
                     const float *values)
{
    const struct entry *entry = &p->entries[index];
    struct gpu_buffer *old = NULL, *new = NULL;
    int error = check_value(&entry->parameter, which);
    if (error)
        return error;
    const struct gpu_range range = find_range(p, index, which);
    error = download_range(p->gpu, range, &old);
    if (!error)
        error = gpu_buffer_create(p->gpu, GPU_UPLOAD, range.size, &new);
    if (!error) {
        float *floats = gpu_buffer_map(new);
        memcpy(floats, gpu_buffer_map(old), range.size);
        for (uint64_t i = 0; i < entry->parameter.elements; i++)
            floats[value_index(entry, which, i)] = values[i];
        error = gpu_copy(p->gpu, (struct gpu_range){new, 0, range.size}, range);
    }
    gpu_buffer_destroy(p->gpu, &old);
    gpu_buffer_destroy(p->gpu, &new);
    return error;
}

static int swap_range(struct parameters *p, const struct range *range, struct gpu_buffer *passage)
{
    uint64_t size;
    const struct gpu_range between = {passage, 0, range->bytes};
    const struct gpu_range weights = {weight_store_buffer(p->store, range->buffer, &size),
                                      range->offset, range->bytes};
    const struct gpu_range averages = {p->averages[range->buffer], range->offset, range->bytes};
    int error = gpu_copy(p->gpu, weights, between);
    if (!error)
        error = gpu_copy(p->gpu, averages, weights);
    return error ? error : gpu_copy(p->gpu, between, averages);
}

int parameters_swap_averages(struct parameters *p)
{
    struct gpu_buffer *passage = NULL;
    uint64_t most = 1;
    for (size_t i = 0; i < p->range_count; i++)
        most = p->ranges[i].bytes > most ? p->ranges[i].bytes : most;
    int error = gpu_buffer_create(p->gpu, GPU_ANY, most, &passage);
    for (size_t i = 0; i < p->range_count && !error; i++)
        error = swap_range(p, &p->ranges[i], passage);
    gpu_buffer_destroy(p->gpu, &passage);
    return error;
}

/* ---- Several devices ------------------------------------------------------------------------- */

/* Creates the host memory for the largest parameter, once. */
static int create_passage(struct parameters *p)
{
    uint64_t largest = 0;
    int error = VKCLIP_OK;
    if (p->upload)
        return VKCLIP_OK;
    for (size_t i = 0; i < p->count; i++) {
        const uint64_t bytes = layout_tensor_bytes(&p->entries[i].tensor);
        largest = bytes > largest ? bytes : largest;
    }
    if (!p->download)
        error = gpu_buffer_create(p->gpu, GPU_DOWNLOAD, largest, &p->download);
    if (!error)
        error = gpu_buffer_create(p->gpu, GPU_UPLOAD, largest, &p->upload);
    return error;
}

/* Reads the memory of one parameter, in the device's order, which is the same on every device. */
static int pass_out(struct parameters *p, struct gpu_range range, const float **values)
{
    *values = gpu_buffer_map(p->download);
    return gpu_copy(p->gpu, range, (struct gpu_range){p->download, 0, range.size});
}

static int pass_in(struct parameters *p, const float *values, struct gpu_range range)
{
    memcpy(gpu_buffer_map(p->upload), values, range.size);
    return gpu_copy(p->gpu, (struct gpu_range){p->upload, 0, range.size}, range);
}

static int create_passages(struct parameters *p, struct parameters *const *others, size_t count)
{
    int error = create_passage(p);
    for (size_t i = 0; i < count && !error; i++)
        error = create_passage(others[i]);
    return error;
}

static int add_gradient(struct parameters *p, struct parameters *const *others, size_t count,
                        size_t index)
{
    const struct gpu_range range = find_range(p, index, PARAMETER_GRADIENT);
    const float *values = NULL;
    float *sum = gpu_buffer_map(p->download); /* Other host memory may be slow to read. */
    int error = pass_out(p, range, &values);
    for (size_t i = 0; i < count && !error; i++) {
        error = pass_out(others[i], find_range(others[i], index, PARAMETER_GRADIENT), &values);
        for (uint64_t k = 0; k < range.size / sizeof(*sum) && !error; k++)
            sum[k] += values[k];
    }
    return error ? error : pass_in(p, sum, range);
}

int parameters_clear_gradients(struct parameters *p)
{
    return clear_buffers(p, 1, p->gradients);
}

int parameters_add_gradients(struct parameters *p, struct parameters *const *others, size_t count)
{
    int error = create_passages(p, others, count);
    for (size_t i = 0; i < p->count && !error; i++)
        if (p->entries[i].parameter.trained)
            error = add_gradient(p, others, count, i);
    for (size_t i = 0; i < count && !error; i++)
        error = clear_buffers(others[i], 1, others[i]->gradients);
    return error;
}

int parameters_copy_weights(struct parameters *p, struct parameters *const *others, size_t count)
{
    int error = create_passages(p, others, count);
    for (size_t i = 0; i < p->count && !error; i++) {
        const float *values = NULL;
        if (!p->entries[i].parameter.trained)
            continue;
        error = pass_out(p, find_range(p, i, PARAMETER_VALUE), &values);
        for (size_t k = 0; k < count && !error; k++)
            error = pass_in(others[k], values, find_range(others[k], i, PARAMETER_VALUE));
    }
    return error;
}

/* ---- Open and close -------------------------------------------------------------------------- */

int parameters_open(struct gpu *gpu, const struct graph *graph, const struct weights *weights,
                    struct parameters_extent extent, struct parameters **result)
{
    struct parameters *p = *result = memory_calloc(1, sizeof(*p));
    if (!p)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of parameters");
    p->gpu = gpu;
    int error = list_entries(graph, weights, &p->entries, &p->count);
    if (!error)
        error = upload_groups(p, weights);
    for (uint64_t size; !error && weight_store_buffer(p->store, p->buffer_count, &size);)
        p->buffer_count++;
    if (!error)
        error = create_zeros(p, 1, &p->gradients);
    if (!error && extent.moments)
        error = create_zeros(p, MOMENT_WIDTH, &p->moments);
    if (!error && extent.averages)
        error = fill_averages(p);
    if (!error)
        error = create_ranges(p);
    if (error)
        parameters_close(result);
    return error;
}

static void destroy_buffers(struct parameters *p, struct gpu_buffer **buffers)
{
    for (size_t i = 0; i < p->buffer_count && buffers; i++)
        gpu_buffer_destroy(p->gpu, &buffers[i]);
    memory_free(buffers);
}

void parameters_close(struct parameters **handle)
{
    struct parameters *p = *handle;
    if (!p)
        return;
    destroy_buffers(p, p->gradients);
    destroy_buffers(p, p->moments);
    destroy_buffers(p, p->averages);
    gpu_buffer_destroy(p->gpu, &p->download);
    gpu_buffer_destroy(p->gpu, &p->upload);
    weight_store_destroy(&p->store);
    memory_free(p->entries);
    memory_free(p->ranges);
    memory_free(p);
    *handle = NULL;
}
