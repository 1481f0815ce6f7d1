/* SPDX-License-Identifier: MIT
 *
 * Weights to the device: placed one behind the other in few buffers, converted and packed into a
 * staging window that slides over them.
 */
#include "upload.h"

#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "quant.h"
#include "../shaders/args.h"

#define STAGING_BYTES ((uint64_t)16 << 20)
#define BUFFER_BYTES ((uint64_t)1 << 30)

struct placed {
    struct tensor tensor;
    uint32_t buffer;
    uint64_t offset, bytes;
};

struct upload {
    struct gpu *gpu;
    struct gpu_buffer **buffers;
    uint64_t *sizes;
    size_t buffer_count;
    struct placed *placed;
    size_t count;
};

/* The part of a device buffer that the staging buffer stands for. */
struct window {
    struct gpu *gpu;
    struct gpu_buffer *staging;
    struct gpu_buffer *target;
    uint64_t first, used;
};

static int flush(struct window *window)
{
    int error = VKCLIP_OK;
    if (window->used) {
        struct gpu_range from = {window->staging, 0, window->used};
        struct gpu_range to = {window->target, window->first, window->used};
        error = gpu_copy(window->gpu, from, to);
    }
    window->first += window->used;
    window->used = 0;
    return error;
}

/* Address for `bytes` bytes of `target` at `offset`; NULL when the device failed. Offsets rise. */
static void *window_at(struct window *window, struct gpu_buffer *target, uint64_t offset,
                       uint64_t bytes, int *error)
{
    if (window->target != target || offset + bytes > window->first + STAGING_BYTES) {
        *error = flush(window);
        window->target = target;
        window->first = offset;
    }
    if (*error)
        return NULL;
    window->used = offset + bytes - window->first;
    return (char *)gpu_buffer_map(window->staging) + (offset - window->first);
}

/* Rows of the checkpoint in their order. */
static int upload_rows(const struct weights *weights, const struct placed *placed,
                       struct gpu_buffer *target, struct window *window, float *values,
                       bool *finite)
{
    uint64_t rows = placed->tensor.rank ? placed->tensor.shape[0] : 1;
    uint64_t length = tensor_elements(&placed->tensor) / rows;
    uint64_t bytes = quant_row_bytes(placed->tensor.type, length);
    uint64_t step = STAGING_BYTES / 4 / (length * sizeof(float));
    step = step ? step : 1;
    int error = VKCLIP_OK;
    for (uint64_t row = 0; row < rows && !error; row += step) {
        uint64_t count = rows - row < step ? rows - row : step;
        error = weights_read_folded(weights, placed->tensor.name, placed->tensor.norm, row, count,
                                    values);
        void *to =
            error ? NULL
                  : window_at(window, target, placed->offset + row * bytes, count * bytes, &error);
        for (uint64_t i = 0; i < count && !error; i++)
            *finite &= quant_store_row(placed->tensor.type, &values[i * length], length,
                                       (char *)to + i * bytes);
    }
    return error;
}

/* Input channels of a convolution in the checkpoint; on the device there may be more, of zeros. */
static uint32_t conv_channels(const struct weights *weights, const struct tensor *tensor)
{
    uint64_t shape[TENSOR_MAX_RANK] = {0};
    unsigned rank = 0;
    weights_shape(weights, tensor->name, shape, &rank);
    return (uint32_t)shape[1];
}

/* Floats that one read from the checkpoint takes. */
static uint64_t read_floats(const struct tensor *tensor)
{
    uint64_t elements = tensor_elements(tensor), rows = tensor->rank ? tensor->shape[0] : 1;
    if (tensor->layout == LAYOUT_PANELS_KN)
        return elements;
    if (tensor->layout != LAYOUT_ROWS)
        return elements / rows * PANEL;
    uint64_t least = elements / rows, most = STAGING_BYTES / 4 / sizeof(float);
    return least > most ? least : elements < most ? elements : most;
}

/* The same and a panel. */
static uint64_t scratch_floats(const struct tensor *tensor)
{
    if (tensor->layout == LAYOUT_ROWS)
        return read_floats(tensor);
    uint32_t n = tensor->shape[tensor->layout == LAYOUT_PANELS_KN ? 1 : 0];
    return read_floats(tensor) + tensor_elements(tensor) / n * PANEL;
}

/* A matrix into panels of columns: [N,K] panel by panel, [K,N] as a whole. */
static int upload_panels(const struct weights *weights, const struct placed *placed,
                         struct gpu_buffer *target, struct window *window, float *values,
                         bool *finite)
{
    const struct tensor *tensor = &placed->tensor;
    bool kn = tensor->layout == LAYOUT_PANELS_KN, conv = tensor->layout == LAYOUT_CONV;
    uint32_t n = tensor->shape[kn ? 1 : 0], k = (uint32_t)(tensor_elements(tensor) / n);
    uint32_t channels = conv ? conv_channels(weights, tensor) : 0, padded = conv ? k / 9 : 0;
    uint32_t length = conv ? 9 * channels : k; /* of a row in the checkpoint */
    uint64_t bytes = quant_panel_bytes(tensor->type, k);
    float *panel = values + read_floats(tensor); /* [PANEL,K] */
    int error = kn ? weights_read(weights, placed->tensor.name, 0, k, values) : VKCLIP_OK;
    for (uint32_t first = 0; first < n && !error; first += PANEL) {
        uint32_t columns = n - first < PANEL ? n - first : PANEL;
        if (!kn)
            error =
                weights_read_folded(weights, tensor->name, tensor->norm, first, columns, values);
        void *to = error ? NULL
                         : window_at(window, target, placed->offset + first / PANEL * bytes, bytes,
                                     &error);
        if (error)
            return error;
        memset(panel, 0, (size_t)k * PANEL * sizeof(*panel));
        for (uint32_t j = 0; j < columns; j++)
            for (uint32_t i = 0; i < k; i++) {
                /* value i of a convolution is tap i / C of channel i % C */
                uint32_t channel = conv ? i % padded : 0, at = conv ? channel * 9 + i / padded : i;
                if (!conv || channel < channels)
                    panel[(size_t)j * k + i] =
                        kn ? values[(size_t)i * n + first + j] : values[(size_t)j * length + at];
            }
        *finite &= quant_store_panel(tensor->type, panel, k, to);
    }
    return error;
}

static int upload_all(struct upload *upload, const struct weights *weights)
{
    struct window window = {.gpu = upload->gpu};
    uint64_t scratch = 1;
    for (size_t i = 0; i < upload->count; i++)
        if (scratch < scratch_floats(&upload->placed[i].tensor))
            scratch = scratch_floats(&upload->placed[i].tensor);
    float *values = malloc(scratch * sizeof(*values));
    int error = values ? gpu_buffer_create(upload->gpu, GPU_UPLOAD, STAGING_BYTES, &window.staging)
                       : util_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    for (size_t i = 0; i < upload->count && !error; i++) {
        const struct placed *placed = &upload->placed[i];
        struct gpu_buffer *target = upload->buffers[placed->buffer];
        bool finite = true;
        error = placed->tensor.layout == LAYOUT_ROWS
                    ? upload_rows(weights, placed, target, &window, values, &finite)
                    : upload_panels(weights, placed, target, &window, values, &finite);
        if (!finite)
            util_log(VKCLIP_LOG_WARNING, "%s: tensor %s has values beyond %s: use fp32",
                     weights_path(weights), placed->tensor.name, type_name(placed->tensor.type));
    }
    if (!error)
        error = flush(&window);
    gpu_buffer_destroy(upload->gpu, &window.staging);
    free(values);
    return error;
}

/* Gives every weight its buffer and offset; a weight that both graphs name is placed once. */
static int place(struct upload *upload, const struct graph *const *graphs, size_t graph_count)
{
    const struct gpu_limits *limits = gpu_limits(upload->gpu);
    uint64_t most = BUFFER_BYTES < limits->allocation ? BUFFER_BYTES : limits->allocation;
    size_t total = 0;
    for (size_t g = 0; g < graph_count; g++)
        total += graphs[g]->tensor_count;
    upload->placed = calloc(total + 1, sizeof(*upload->placed));
    upload->buffers = calloc(total + 1, sizeof(struct gpu_buffer *));
    upload->sizes = calloc(total + 1, sizeof(*upload->sizes));
    if (!upload->placed || !upload->buffers || !upload->sizes)
        return util_fail(VKCLIP_EMEMORY, "out of memory for the list of weights");
    for (size_t g = 0; g < graph_count; g++)
        for (size_t t = 0; t < graphs[g]->tensor_count; t++) {
            const struct tensor *tensor = &graphs[g]->tensors[t];
            struct gpu_range known;
            if (tensor->role != ROLE_WEIGHT || upload_find(upload, tensor->name, &known))
                continue;
            uint64_t bytes = kernels_tensor_bytes(tensor);
            uint64_t aligned = (bytes + limits->alignment - 1) & ~((uint64_t)limits->alignment - 1);
            uint64_t *size = &upload->sizes[upload->buffer_count ? upload->buffer_count - 1 : 0];
            if (!upload->buffer_count || *size + aligned > most)
                size = &upload->sizes[upload->buffer_count++];
            upload->placed[upload->count++] =
                (struct placed){*tensor, (uint32_t)(upload->buffer_count - 1), *size, bytes};
            *size += aligned;
        }
    return VKCLIP_OK;
}

int upload_create(struct gpu *gpu, const struct weights *weights, const struct graph *const *graphs,
                  size_t graph_count, struct upload **result)
{
    *result = NULL;
    struct upload *upload = calloc(1, sizeof(*upload));
    if (!upload)
        return util_fail(VKCLIP_EMEMORY, "out of memory for weights");
    upload->gpu = gpu;
    int error = place(upload, graphs, graph_count);
    for (size_t i = 0; i < upload->buffer_count && !error; i++)
        error = gpu_buffer_create(gpu, GPU_DEVICE, upload->sizes[i], &upload->buffers[i]);
    if (!error)
        error = upload_all(upload, weights);
    if (error)
        upload_destroy(&upload);
    *result = upload;
    return error;
}

void upload_destroy(struct upload **handle)
{
    struct upload *upload = *handle;
    if (!upload)
        return;
    for (size_t i = 0; upload->buffers && i < upload->buffer_count; i++)
        gpu_buffer_destroy(upload->gpu, &upload->buffers[i]);
    free(upload->buffers);
    free(upload->sizes);
    free(upload->placed);
    free(upload);
    *handle = NULL;
}

bool upload_find(const struct upload *upload, const char *name, struct gpu_range *range)
{
    for (size_t i = 0; i < upload->count; i++)
        if (!strcmp(upload->placed[i].tensor.name, name)) {
            const struct placed *placed = &upload->placed[i];
            *range =
                (struct gpu_range){upload->buffers[placed->buffer], placed->offset, placed->bytes};
            return true;
        }
    return false;
}

uint64_t upload_bytes(const struct upload *upload)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < upload->buffer_count; i++)
        bytes += upload->sizes[i];
    return bytes;
}
