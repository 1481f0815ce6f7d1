/* SPDX-License-Identifier: MIT
 *
 * Weights to the device: placed one behind the other in few buffers, converted and packed into a
 * staging window that slides over them.
 */
#include "runtime/upload.h"
#include "base/error.h"
#include "base/log.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "runtime/kernels.h"
#include "graph/quant.h"
#include "base/workers.h"
#include "shaders/args.h"

#define STAGING_BYTES ((uint64_t)16 << 20)
#define PIECE_BYTES ((uint64_t)1 << 20) /* of rows, as fp32 */
#define BUFFER_BYTES ((uint64_t)1 << 30)

enum { PIECES = 512 /* in a window */, JOBS = 8 /* at once */ };

struct placed {
    struct tensor tensor;
    uint32_t buffer;
    uint64_t offset, bytes;
    bool overflows; /* the type that it is stored as */
};

struct named {
    char name[64];
    struct gpu_range range;
};

struct upload {
    struct gpu *gpu;
    struct gpu_buffer **buffers;
    uint64_t *sizes;
    size_t buffer_count;
    struct placed *placed;
    size_t count;
    struct named *named;
    size_t named_count;
};

/* What one job converts: some rows, or a panel of columns. */
struct piece {
    struct placed *placed;
    uint64_t first, count; /* rows or columns */
    const float *matrix;   /* [K,N], already read; NULL: to be read */
    void *to;
    bool finite;
};

/* Parts of a device buffer that staging buffers stand for: one is filled by all threads while the
 * other one is copied. */
struct window {
    struct gpu *gpu;
    const struct weights *weights;
    struct gpu_buffer *staging[2], *target;
    struct gpu_commands *copies[2];
    unsigned current;
    uint64_t first, used;
    struct piece pieces[PIECES];
    size_t count;
    atomic_size_t next;     /* piece that no thread has begun */
    float *scratch[JOBS];   /* of each job */
    uint64_t scratch_bytes; /* each */
};

/* Input channels of a convolution in the checkpoint; on the device there may be more, of zeros. */
static uint32_t conv_channels(const struct weights *weights, const struct tensor *tensor)
{
    uint64_t shape[TENSOR_MAX_RANK] = {0};
    unsigned rank = 0;
    weights_shape(weights, tensor->name, shape, &rank);
    return (uint32_t)shape[1];
}

/* Floats that a piece reads from the checkpoint. */
static uint64_t read_floats(const struct tensor *tensor)
{
    uint64_t elements = tensor_elements(tensor), rows = tensor->rank ? tensor->shape[0] : 1;
    if (tensor->layout == LAYOUT_PANELS_KN)
        return 0;
    if (tensor->layout != LAYOUT_ROWS)
        return elements / rows * PANEL;
    uint64_t least = elements / rows, most = PIECE_BYTES / sizeof(float);
    return least > most ? least : elements < most ? elements : most;
}

/* The same and a panel. */
static uint64_t scratch_floats(const struct tensor *tensor)
{
    if (tensor->layout == LAYOUT_ROWS)
        return read_floats(tensor);
    return read_floats(tensor) + tensor_elements(tensor) / tensor_n(tensor) * PANEL;
}

static int convert_rows(const struct weights *weights, struct piece *piece, float *values)
{
    const struct tensor *tensor = &piece->placed->tensor;
    uint64_t rows = tensor->rank ? tensor->shape[0] : 1, length = tensor_elements(tensor) / rows;
    int error = weights_read_folded(weights, tensor->name, tensor->norm, piece->first, piece->count,
                                    values);
    for (uint64_t i = 0; i < piece->count && !error; i++)
        piece->finite &=
            quant_store_row(tensor->type, &values[i * length], length,
                            (char *)piece->to + i * quant_row_bytes(tensor->type, length));
    return error;
}

/* Columns of [K,N], which are rows of [N,K] or of a convolution. */
static int convert_panel(const struct weights *weights, struct piece *piece, float *values)
{
    const struct tensor *tensor = &piece->placed->tensor;
    bool kn = tensor->layout == LAYOUT_PANELS_KN, conv = tensor->layout == LAYOUT_CONV;
    uint32_t n = tensor_n(tensor), k = (uint32_t)(tensor_elements(tensor) / n);
    uint32_t channels = conv ? conv_channels(weights, tensor) : 0, padded = conv ? k / 9 : 0;
    uint32_t length = conv ? 9 * channels : k;   /* of a row in the checkpoint */
    float *panel = values + read_floats(tensor); /* [PANEL,K] */
    int error = kn ? VKCLIP_OK
                   : weights_read_folded(weights, tensor->name, tensor->norm, piece->first,
                                         piece->count, values);
    if (error)
        return error;
    if (!kn && !conv) { /* the rows read are the columns */
        memset(&values[(size_t)k * piece->count], 0,
               (size_t)k * (PANEL - piece->count) * sizeof(*values));
        piece->finite &= quant_store_panel(tensor->type, values, k, piece->to);
        return VKCLIP_OK;
    }
    memset(panel, 0, (size_t)k * PANEL * sizeof(*panel));
    for (uint32_t j = 0; j < piece->count; j++)
        for (uint32_t i = 0; i < k; i++) {
            /* value i of a convolution is tap i / C of channel i % C */
            uint32_t channel = conv ? i % padded : 0, at = conv ? channel * 9 + i / padded : i;
            if (!conv || channel < channels)
                panel[(size_t)j * k + i] = kn ? piece->matrix[(size_t)i * n + piece->first + j]
                                              : values[(size_t)j * length + at];
        }
    piece->finite &= quant_store_panel(tensor->type, panel, k, piece->to);
    return VKCLIP_OK;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Takes pieces until none is left. So many of these jobs, and no more, need scratch memory. */
static int convert_pieces(void *user, size_t index, unsigned thread)
{
    struct window *window = user;
    int error = VKCLIP_OK;
    (void)thread;
    if (!window->scratch[index] && !(window->scratch[index] = malloc(window->scratch_bytes)))
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    for (size_t i; !error && (i = atomic_fetch_add(&window->next, 1)) < window->count;) {
        struct piece *piece = &window->pieces[i];
        error = (piece->placed->tensor.layout == LAYOUT_ROWS ? convert_rows : convert_panel)(
            window->weights, piece, window->scratch[index]);
    }
    return error;
}

/* Converts the pieces there are. */
static int convert(struct window *window)
{
    struct workers *workers = gpu_workers(window->gpu);
    size_t jobs = workers_threads(workers) < JOBS ? workers_threads(workers) : JOBS;
    window->next = 0;
    int error =
        workers_run(workers, convert_pieces, window, jobs < window->count ? jobs : window->count);
    for (size_t i = 0; i < window->count; i++)
        window->pieces[i].placed->overflows |= !window->pieces[i].finite;
    window->count = 0;
    return error;
}

/* Waits until the current staging buffer may be written again. */
static int finish_copy(struct window *window)
{
    struct gpu_commands **copy = &window->copies[window->current];
    int error = *copy ? gpu_commands_wait(*copy) : VKCLIP_OK;
    gpu_commands_destroy(copy);
    return error;
}

static int flush(struct window *window)
{
    int error = convert(window);
    if (error || !window->used)
        return error;
    struct gpu_commands **copy = &window->copies[window->current];
    struct gpu_range from = {window->staging[window->current], 0, window->used};
    struct gpu_range to = {window->target, window->first, window->used};
    error = gpu_commands_create(window->gpu, copy);
    if (!error)
        error = gpu_commands_copy(*copy, from, to);
    if (!error)
        error = gpu_commands_end(*copy);
    if (!error)
        error = gpu_commands_submit(*copy);
    window->used = 0;
    window->current = !window->current;
    return error ? error : finish_copy(window);
}

/* Offsets rise. */
static int add_piece(struct window *window, const struct upload *upload, struct piece piece,
                     uint64_t offset, uint64_t bytes)
{
    struct gpu_buffer *target = upload->buffers[piece.placed->buffer];
    if (window->target != target || offset + bytes > window->first + STAGING_BYTES ||
        window->count == PIECES) {
        int error = flush(window);
        if (error)
            return error;
        window->target = target;
        window->first = offset;
    }
    piece.to = (char *)gpu_buffer_map(window->staging[window->current]) + (offset - window->first);
    piece.finite = true;
    window->used = offset + bytes - window->first;
    window->pieces[window->count++] = piece;
    return VKCLIP_OK;
}

static int upload_rows(struct window *window, const struct upload *upload, struct placed *placed)
{
    uint64_t rows = placed->tensor.rank ? placed->tensor.shape[0] : 1;
    uint64_t length = tensor_elements(&placed->tensor) / rows;
    uint64_t bytes = quant_row_bytes(placed->tensor.type, length);
    uint64_t step = read_floats(&placed->tensor) / length;
    int error = VKCLIP_OK;
    for (uint64_t row = 0; row < rows && !error; row += step) {
        uint64_t count = rows - row < step ? rows - row : step;
        struct piece piece = {.placed = placed, .first = row, .count = count};
        error = add_piece(window, upload, piece, placed->offset + row * bytes, count * bytes);
    }
    return error;
}

/* [N,K] panel by panel; [K,N], of which a panel is a part of every row, is read as a whole. */
static int upload_panels(struct window *window, const struct upload *upload, struct placed *placed)
{
    const struct tensor *tensor = &placed->tensor;
    bool kn = tensor->layout == LAYOUT_PANELS_KN;
    uint64_t n = tensor_n(tensor), k = tensor_elements(tensor) / n;
    uint64_t bytes = quant_panel_bytes(tensor->type, k);
    float *matrix = kn ? malloc(n * k * sizeof(*matrix)) : NULL;
    int error = kn && !matrix ? error_fail(VKCLIP_EMEMORY, "out of memory for loading weights")
                : kn          ? weights_read(window->weights, tensor->name, 0, k, matrix)
                              : VKCLIP_OK;
    for (uint64_t first = 0; first < n && !error; first += PANEL) {
        struct piece piece = {.placed = placed,
                              .first = first,
                              .count = n - first < PANEL ? n - first : PANEL,
                              .matrix = matrix};
        error = add_piece(window, upload, piece, placed->offset + first / PANEL * bytes, bytes);
    }
    if (kn && !error)
        error = convert(window); /* before the matrix goes */
    free(matrix);
    return error;
}

static int upload_all(struct upload *upload, const struct weights *weights)
{
    int error = VKCLIP_OK;
    struct window *window = calloc(1, sizeof(*window));
    if (!window)
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    window->gpu = upload->gpu;
    window->weights = weights;
    for (size_t i = 0; i < upload->count; i++) {
        uint64_t bytes = scratch_floats(&upload->placed[i].tensor) * sizeof(float);
        window->scratch_bytes = window->scratch_bytes > bytes ? window->scratch_bytes : bytes;
    }
    for (int i = 0; i < 2 && !error; i++)
        error = gpu_buffer_create(upload->gpu, GPU_UPLOAD, STAGING_BYTES, &window->staging[i]);
    for (size_t i = 0; i < upload->count && !error; i++)
        error = (upload->placed[i].tensor.layout == LAYOUT_ROWS ? upload_rows : upload_panels)(
            window, upload, &upload->placed[i]);
    if (!error)
        error = flush(window);
    for (int i = 0; i < 2; i++) {
        window->current = !window->current;
        int failed = finish_copy(window);
        error = error ? error : failed;
    }
    for (size_t i = 0; i < upload->count && !error; i++)
        if (upload->placed[i].overflows)
            log_message(VKCLIP_LOG_WARNING, "%s: tensor %s has values beyond %s: use fp32",
                        weights_path(weights), upload->placed[i].tensor.name,
                        type_name(upload->placed[i].tensor.type));
    for (int i = 0; i < 2; i++)
        gpu_buffer_destroy(upload->gpu, &window->staging[i]);
    for (int i = 0; i < JOBS; i++)
        free(window->scratch[i]);
    free(window);
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
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of weights");
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
                (struct placed){*tensor, (uint32_t)(upload->buffer_count - 1), *size, bytes, false};
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
        return error_fail(VKCLIP_EMEMORY, "out of memory for weights");
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
    free(upload->named);
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
    for (size_t i = 0; i < upload->named_count; i++)
        if (!strcmp(upload->named[i].name, name)) {
            *range = upload->named[i].range;
            return true;
        }
    return false;
}

struct gpu_buffer *upload_buffer(const struct upload *upload, size_t index, uint64_t *size)
{
    *size = index < upload->buffer_count ? upload->sizes[index] : 0;
    return index < upload->buffer_count ? upload->buffers[index] : NULL;
}

int upload_name(struct upload *upload, const char *name, struct gpu_range range)
{
    struct named *named =
        realloc(upload->named, (upload->named_count + 1) * sizeof(*upload->named));
    if (!named)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of weights");
    upload->named = named;
    named += upload->named_count++;
    snprintf(named->name, sizeof(named->name), "%s", name);
    named->range = range;
    return VKCLIP_OK;
}

uint64_t upload_bytes(const struct upload *upload)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < upload->buffer_count; i++)
        bytes += upload->sizes[i];
    return bytes;
}
