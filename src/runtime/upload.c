/* SPDX-License-Identifier: MIT
 *
 * Cuts weights into pieces, which all threads convert: in place where the host sees the memory of
 * the weights, and otherwise into one staging buffer while the other one is copied to the device.
 */
#include "runtime/upload.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/pages.h"
#include "base/progress.h"

#include <stdatomic.h>
#include <string.h>

#include "base/turns.h"
#include "base/workers.h"
#include "runtime/layout.h"
#include "shaders/args.h"

/* An upload takes two staging buffers of this size where it cannot write in place, and scratch
 * memory for each job, of host memory. */
#define STAGING_BYTES ((uint64_t)16 << 20)
/* A piece has at most so many bytes of rows, as fp32: few enough that a staging buffer holds work
 * for every thread, enough that the overhead of handing out a piece is negligible. */
#define PIECE_BYTES ((uint64_t)1 << 20)
/* At most this many pieces wait to be converted. */
#define PIECES 512
/* This many jobs convert at once. Each needs scratch memory for a panel of the largest weight, so
 * that the number limits that memory on hosts with many threads. */
#define JOBS 8

/* Describes what one job converts at a time: some rows of a weight, or a panel of columns. */
struct piece {
    size_t weight;         /* its index in the store */
    uint64_t first, count; /* rows or columns */
    const float *matrix;   /* LAYOUT_PANELS_KN: all of [K,N], which has been read; else NULL */
    void *target;          /* in a staging buffer, or where the weight lies */
    uint64_t bytes;        /* at `target`, if it is where the weight lies; else 0 */
    bool finite;           /* result: no value was too large for the type */
};

/* A part of a device buffer whose content is in the current staging buffer, and the pieces that
 * wait to be converted. */
struct window {
    struct gpu *gpu;
    const struct row_reader *reader;
    const struct stored_weight *weights;
    bool *overflows; /* of each weight: it has values beyond the range of its type */
    struct gpu_buffer *staging[2], *target;
    struct gpu_commands *copies[2];
    unsigned current; /* index of the staging buffer that is being filled */
    uint64_t first, used;
    struct piece pieces[PIECES];
    size_t count;
    atomic_size_t next;   /* the first piece that no job has begun */
    float *scratch[JOBS]; /* memory of each job, allocated when it is first needed */
    uint64_t scratch_bytes;
};

/* ---- Converting ------------------------------------------------------------------------------ */

static uint64_t row_count(const struct tensor *tensor)
{
    return tensor->rank ? tensor->shape[0] : 1;
}

/* Returns the rows of one piece of a tensor that lies in rows, at least one. */
static uint64_t rows_per_piece(const struct tensor *tensor)
{
    uint64_t rows = row_count(tensor), length = tensor_elements(tensor) / rows;
    uint64_t fitting = PIECE_BYTES / sizeof(float) / length;
    if (fitting > rows)
        return rows;
    return fitting ? fitting : 1;
}

/* Returns the floats of one panel's columns, K values each. */
static uint64_t panel_floats(const struct tensor *tensor)
{
    return tensor_elements(tensor) / tensor_n(tensor) * PANEL;
}

/* Returns the floats that a job needs for one piece: the rows as they are read, or a panel. A
 * convolution needs room for both, because its values change places between them. */
static uint64_t scratch_floats(const struct tensor *tensor)
{
    if (tensor->layout == LAYOUT_ROWS)
        return rows_per_piece(tensor) * (tensor_elements(tensor) / row_count(tensor));
    if (tensor->layout == LAYOUT_TAPS) /* as they are read, and as they are stored */
        return 2 * tensor_elements(tensor);
    return panel_floats(tensor) * (tensor->layout == LAYOUT_CONV ? 2 : 1);
}

static int read_rows(const struct window *window, const struct piece *piece, float *values)
{
    const struct row_reader *reader = window->reader;
    const struct tensor *tensor = &window->weights[piece->weight].tensor;
    return reader->read(reader->user, tensor->name, tensor->norm, piece->first, piece->count,
                        values);
}

static int convert_rows(const struct window *window, struct piece *piece, float *values)
{
    const struct tensor *tensor = &window->weights[piece->weight].tensor;
    uint64_t length = tensor_elements(tensor) / row_count(tensor);
    char *target = piece->target;
    int error = read_rows(window, piece, values);
    for (uint64_t i = 0; i < piece->count && !error; i++) {
        piece->finite &= layout_store_row(tensor->type, &values[i * length], length, target);
        target += layout_row_bytes(tensor->type, length);
    }
    return error;
}

/* Reads the kernels [C,taps] of all channels, and stores them as [taps,C]. */
static int convert_taps(const struct window *window, struct piece *piece, float *kernels)
{
    const struct tensor *tensor = &window->weights[piece->weight].tensor;
    const uint64_t taps = tensor->shape[0], c = tensor->shape[1];
    float *rows = kernels + taps * c;
    int error = read_rows(window, piece, kernels);
    if (error)
        return error;
    for (uint64_t tap = 0; tap < taps; tap++)
        for (uint64_t channel = 0; channel < c; channel++)
            rows[tap * c + channel] = kernels[channel * taps + tap];
    piece->finite &= layout_store_row(tensor->type, rows, taps * c, piece->target);
    return VKCLIP_OK;
}

/* Copies a panel's columns [PANEL,K] out of the matrix [K,N]. */
static void gather_columns(const struct piece *piece, uint64_t n, uint64_t k, float *panel)
{
    for (uint64_t j = 0; j < piece->count; j++)
        for (uint64_t i = 0; i < k; i++)
            panel[j * k + i] = piece->matrix[i * n + piece->first + j];
}

/* Reads a convolution's columns. The source orders a filter as (channel, tap), the panel as (tap,
 * channel). The device's filters may have more channels than the source's; these stay zero. */
static int read_filters(const struct window *window, const struct piece *piece, uint64_t k,
                        float *panel)
{
    const struct row_reader *reader = window->reader;
    const char *name = window->weights[piece->weight].tensor.name;
    uint64_t length = reader->row_length(reader->user, name);
    uint64_t channels = length / 9, padded = k / 9;
    float *filters = panel + k * PANEL;
    int error = read_rows(window, piece, filters);
    for (uint64_t j = 0; j < piece->count && !error; j++)
        for (uint64_t tap = 0; tap < 9; tap++)
            for (uint64_t c = 0; c < channels; c++)
                panel[j * k + tap * padded + c] = filters[j * length + c * 9 + tap];
    return error;
}

static int convert_panel(const struct window *window, struct piece *piece, float *panel)
{
    const struct tensor *tensor = &window->weights[piece->weight].tensor;
    uint64_t n = tensor_n(tensor), k = tensor_elements(tensor) / n;
    int error = VKCLIP_OK;
    if (tensor->layout == LAYOUT_PANELS) {
        /* A row of the source is a column of the panel. */
        memset(&panel[k * piece->count], 0, k * (PANEL - piece->count) * sizeof(*panel));
        error = read_rows(window, piece, panel);
    } else {
        memset(panel, 0, k * PANEL * sizeof(*panel));
        if (tensor->layout == LAYOUT_CONV)
            error = read_filters(window, piece, k, panel);
        else
            gather_columns(piece, n, k, panel);
    }
    if (!error)
        piece->finite &= layout_store_panel(tensor->type, panel, k, piece->target);
    return error;
}

/* Takes pieces until none is left, or other calls are to go first. There are as many jobs as
 * scratch memories, one for each job. */
static int convert_pieces(void *user, size_t index, unsigned thread)
{
    struct window *window = user;
    int error = VKCLIP_OK;
    (void)thread;
    if (!window->scratch[index])
        window->scratch[index] = memory_alloc(window->scratch_bytes);
    if (!window->scratch[index])
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    while (!error && !turn_pause_is_wanted()) {
        size_t i = atomic_fetch_add(&window->next, 1);
        if (i >= window->count)
            break;
        struct piece *piece = &window->pieces[i];
        error = progress_check();
        if (error)
            break;
        if (piece->bytes)
            pages_provide(piece->target, piece->bytes);
        const enum layout layout = window->weights[piece->weight].tensor.layout;
        if (layout == LAYOUT_ROWS)
            error = convert_rows(window, piece, window->scratch[index]);
        else if (layout == LAYOUT_TAPS)
            error = convert_taps(window, piece, window->scratch[index]);
        else
            error = convert_panel(window, piece, window->scratch[index]);
    }
    return error;
}

/* Converts all waiting pieces and empties their list. */
static int convert_all(struct window *window)
{
    struct workers *workers = gpu_workers(window->gpu);
    size_t jobs = workers_threads(workers);
    if (jobs > JOBS)
        jobs = JOBS;
    if (jobs > window->count)
        jobs = window->count;
    int error = VKCLIP_OK;
    window->next = 0;
    while (!error && window->next < window->count) {
        error = workers_run(workers, convert_pieces, window, jobs);
        if (!error)
            error = turn_pause();
    }
    for (size_t i = 0; i < window->count; i++)
        window->overflows[window->pieces[i].weight] |= !window->pieces[i].finite;
    window->count = 0;
    return error;
}

/* ---- Sending --------------------------------------------------------------------------------- */

/* Waits until the copy from the current staging buffer is done, so that it may be overwritten. */
static int finish_copy(struct window *window)
{
    struct gpu_commands **copy = &window->copies[window->current];
    int error = *copy ? gpu_commands_wait(*copy) : VKCLIP_OK;
    gpu_commands_destroy(copy);
    return error;
}

/* Converts the waiting pieces. Those in a staging buffer are then copied, while the other staging
 * buffer is filled. */
static int flush_window(struct window *window)
{
    int error = convert_all(window);
    if (error || !window->used)
        return error;
    struct gpu_commands **copy = &window->copies[window->current];
    struct gpu_range staged = {window->staging[window->current], 0, window->used};
    struct gpu_range target = {window->target, window->first, window->used};
    error = gpu_commands_create(window->gpu, copy);
    if (!error)
        error = gpu_commands_copy(*copy, staged, target);
    if (!error)
        error = gpu_commands_end(*copy);
    if (!error)
        error = gpu_commands_submit(*copy);
    window->used = 0;
    window->target = NULL; /* The next piece begins a new window. */
    window->current = !window->current;
    if (!error)
        error = finish_copy(window);
    return error;
}

/* Creates the staging buffers when a piece first needs one. */
static int create_staging(struct window *window)
{
    int error = VKCLIP_OK;
    for (int i = 0; i < 2 && !window->staging[i] && !error; i++)
        error = gpu_buffer_create(window->gpu, GPU_UPLOAD, STAGING_BYTES, &window->staging[i]);
    return error;
}

/* Finds the place of a piece in the current staging buffer. Within a buffer pieces must come in the
 * order of their offsets, because a window only grows. */
static int place_staged(struct window *window, struct gpu_buffer *target, uint64_t offset,
                        uint64_t bytes, struct piece *piece)
{
    int error = create_staging(window);
    if (!error && (window->target != target || offset + bytes > window->first + STAGING_BYTES)) {
        error = flush_window(window);
        window->target = target;
        window->first = offset;
    }
    if (error)
        return error;
    char *staging = gpu_buffer_map(window->staging[window->current]);
    piece->target = staging + (offset - window->first);
    window->used = offset + bytes - window->first;
    return VKCLIP_OK;
}

/* Adds a piece whose result has `bytes` at `offset` of its weight's buffer. */
static int add_piece(struct window *window, struct piece piece, uint64_t offset, uint64_t bytes)
{
    struct gpu_buffer *target = window->weights[piece.weight].range.buffer;
    char *mapped = gpu_buffer_map(target);
    int error = window->count == PIECES ? flush_window(window) : VKCLIP_OK;
    if (!error && !mapped)
        error = place_staged(window, target, offset, bytes, &piece);
    if (error)
        return error;
    if (mapped) {
        piece.target = mapped + offset;
        piece.bytes = bytes;
    }
    piece.finite = true;
    window->pieces[window->count++] = piece;
    return VKCLIP_OK;
}

static int upload_rows(struct window *window, size_t weight)
{
    const struct stored_weight *stored = &window->weights[weight];
    uint64_t rows = row_count(&stored->tensor), step = rows_per_piece(&stored->tensor);
    uint64_t bytes = layout_row_bytes(stored->tensor.type, tensor_elements(&stored->tensor) / rows);
    int error = VKCLIP_OK;
    for (uint64_t row = 0; row < rows && !error; row += step) {
        uint64_t count = rows - row < step ? rows - row : step;
        struct piece piece = {.weight = weight, .first = row, .count = count};
        error = add_piece(window, piece, stored->range.offset + row * bytes, count * bytes);
    }
    return error;
}

/* Adds the kernels of all channels as one piece, because they change places. */
static int upload_taps(struct window *window, size_t weight)
{
    const struct stored_weight *stored = &window->weights[weight];
    const struct piece piece = {.weight = weight, .count = stored->tensor.shape[1]};
    return add_piece(window, piece, stored->range.offset,
                     layout_row_bytes(stored->tensor.type, tensor_elements(&stored->tensor)));
}

/* Adds every panel of a weight; `matrix` is as in struct piece. */
static int upload_panels(struct window *window, size_t weight, const float *matrix)
{
    const struct stored_weight *stored = &window->weights[weight];
    uint64_t n = tensor_n(&stored->tensor), k = tensor_elements(&stored->tensor) / n;
    uint64_t bytes = layout_panel_bytes(stored->tensor.type, k), offset = stored->range.offset;
    int error = VKCLIP_OK;
    for (uint64_t first = 0; first < n && !error; first += PANEL) {
        struct piece piece = {.weight = weight,
                              .first = first,
                              .count = n - first < PANEL ? n - first : PANEL,
                              .matrix = matrix};
        error = add_piece(window, piece, offset, bytes);
        offset += bytes;
    }
    return error;
}

/* Uploads a matrix [K,N], which is read as a whole, because every row has a part of each panel. */
static int upload_matrix(struct window *window, size_t weight)
{
    const struct tensor *tensor = &window->weights[weight].tensor;
    const struct row_reader *reader = window->reader;
    uint64_t elements = tensor_elements(tensor), rows = elements / tensor_n(tensor);
    float *matrix = memory_alloc(elements * sizeof(*matrix));
    if (!matrix)
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    int error = reader->read(reader->user, tensor->name, "", 0, rows, matrix);
    if (!error)
        error = upload_panels(window, weight, matrix);
    if (!error)
        error = convert_all(window); /* The pieces read the matrix, which is freed now. */
    memory_free(matrix);
    return error;
}

static int upload_weight(struct window *window, size_t weight)
{
    switch (window->weights[weight].tensor.layout) {
    case LAYOUT_ROWS:
        return upload_rows(window, weight);
    case LAYOUT_TAPS:
        return upload_taps(window, weight);
    case LAYOUT_PANELS_KN:
        return upload_matrix(window, weight);
    default:
        return upload_panels(window, weight, NULL);
    }
}

static void warn_of_overflows(const struct window *window, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (window->overflows[i])
            log_message(VKCLIP_LOG_WARNING, "%s: tensor %s has values beyond %s: use fp32",
                        window->reader->name, window->weights[i].tensor.name,
                        type_name(window->weights[i].tensor.type));
}

static int create_window(struct window *window, size_t weight_count, uint32_t segment)
{
    window->overflows = memory_calloc(weight_count + 1, sizeof(*window->overflows));
    if (!window->overflows)
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    for (size_t i = 0; i < weight_count; i++) {
        if (window->weights[i].segment != segment)
            continue;
        uint64_t bytes = scratch_floats(&window->weights[i].tensor) * sizeof(float);
        window->scratch_bytes = window->scratch_bytes > bytes ? window->scratch_bytes : bytes;
    }
    return VKCLIP_OK;
}

/* Destroys the window after waiting for its copies, even after an error, because they read the
 * staging buffers. */
static int destroy_window(struct window *window)
{
    int error = VKCLIP_OK;
    for (int i = 0; i < 2; i++) {
        window->current = !window->current;
        int failed = finish_copy(window);
        error = error ? error : failed;
    }
    for (int i = 0; i < 2; i++)
        gpu_buffer_destroy(window->gpu, &window->staging[i]);
    for (int i = 0; i < JOBS; i++)
        memory_free(window->scratch[i]);
    memory_free(window->overflows);
    memory_free(window);
    return error;
}

static int upload_part(struct gpu *gpu, struct weight_store *store, const struct row_reader *reader,
                       uint32_t segment)
{
    size_t count = 0;
    struct window *window = memory_calloc(1, sizeof(*window));
    if (!window)
        return error_fail(VKCLIP_EMEMORY, "out of memory for loading weights");
    window->gpu = gpu;
    window->reader = reader;
    window->weights = weight_store_list(store, &count);
    int error = create_window(window, count, segment);
    for (size_t i = 0; i < count && !error; i++)
        if (window->weights[i].segment == segment)
            error = upload_weight(window, i);
    if (!error)
        error = flush_window(window);
    if (!error)
        warn_of_overflows(window, count);
    int failed = destroy_window(window);
    return error ? error : failed;
}

int upload_weights(struct gpu *gpu, struct weight_store *store, const struct row_reader *reader)
{
    return upload_part(gpu, store, reader, 0);
}

int upload_segment(struct gpu *gpu, struct weight_store *store, const struct row_reader *reader,
                   uint32_t segment)
{
    uint32_t *in_slot = weight_store_slot(store, segment);
    if (!in_slot || *in_slot == segment)
        return VKCLIP_OK;
    *in_slot = 0; /* until all of the weights are there */
    int error = upload_part(gpu, store, reader, segment);
    if (!error)
        *in_slot = segment;
    return error;
}
