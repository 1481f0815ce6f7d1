/* SPDX-License-Identifier: MIT
 *
 * A picture takes a copy of the part that the crop keeps, two RESAMPLEs and a FRAME, which are
 * recorded for each picture, because each has an image of its own. The taps of the resize are the
 * host's, and are written once per size.
 */
#include "encode/staging.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "graph/graph.h"
#include "runtime/launch.h"
#include "runtime/layout.h"
#include "runtime/selftest.h"

#include <string.h>

/* The nodes: the resize in the direction that comes first and in the other one, and the frame. */
enum { FIRST, SECOND, FRAME, NODES };
enum { MOST_TENSORS = 8 };

/* The taps of an axis as RESAMPLE reads them. */
struct axis_taps {
    uint32_t low, high; /* The pixels of the picture in [low, high) are used. */
    uint32_t count, width;
    int32_t *words; /* [count,width]: the first pixel, from `low` on, and the weights */
};

struct staging {
    struct gpu *gpu;
    struct tuner *tuner;
    struct image_transform transform;
    struct gpu_picture picture; /* which size and format the following is for; 0 pixels: none */
    struct gpu_window window;   /* the part that is used */
    struct graph graph;
    struct kernel_choice choices[NODES];
    int pixels, taps[2], values, result;      /* tensors; taps of the first and the second node */
    struct gpu_buffer *buffers[MOST_TENSORS]; /* of each tensor */
    bool checked;                             /* the kernels were compared with the reference */
    struct gpu_commands **commands;           /* of pictures, the oldest first */
    size_t count, capacity;
};

static int fail_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for a picture on the device");
}

/* ---- Taps ------------------------------------------------------------------------------------ */

/* Every pixel is its nearest one. */
static int make_nearest(const struct resample_axis *axis, struct axis_taps *taps)
{
    uint32_t *positions = memory_calloc(axis->size, sizeof(*positions));
    *taps = (struct axis_taps){.count = axis->size, .width = 2};
    taps->words = memory_calloc((size_t)taps->count * taps->width, sizeof(*taps->words));
    if (!positions || !taps->words) {
        memory_free(positions);
        return fail_memory();
    }
    image_find_nearest(axis, positions);
    taps->low = positions[0];
    taps->high = positions[axis->size - 1] + 1;
    for (uint32_t i = 0; i < axis->size; i++) {
        taps->words[2 * i] = (int32_t)(positions[i] - taps->low);
        taps->words[2 * i + 1] = 1 << RESAMPLE_WEIGHT_BITS;
    }
    memory_free(positions);
    return VKCLIP_OK;
}

static int copy_taps(const struct resample_taps *source, struct axis_taps *taps)
{
    uint32_t most = 1;
    for (uint32_t i = 0; i < source->axis.size; i++)
        most = source->count[i] > most ? source->count[i] : most;
    *taps = (struct axis_taps){
        .low = source->low, .high = source->high, .count = source->axis.size, .width = 1 + most};
    taps->words = memory_calloc((size_t)taps->count * taps->width, sizeof(*taps->words));
    if (!taps->words)
        return fail_memory();
    for (uint32_t i = 0; i < taps->count; i++) {
        int32_t *words = &taps->words[(size_t)i * taps->width];
        words[0] = (int32_t)(source->start[i] - source->low);
        memcpy(&words[1], &source->weights[i * source->stride],
               source->count[i] * sizeof(*source->weights));
    }
    return VKCLIP_OK;
}

static int make_taps(const struct resample_axis *axis, struct axis_taps *taps)
{
    if (axis->filter == FILTER_NEAREST)
        return make_nearest(axis, taps);
    struct resample_taps source = resample_measure(axis);
    void *memory = memory_calloc(1, resample_bytes(&source));
    if (!memory)
        return fail_memory();
    resample_fill(&source, memory);
    int error = copy_taps(&source, taps);
    memory_free(memory);
    return error;
}

/* ---- The graph ------------------------------------------------------------------------------- */

static int add_taps(struct graph *graph, const char *name, const struct axis_taps *taps)
{
    return graph_input(graph, name, TYPE_I32, 2, (const uint32_t[]){taps->count, taps->width});
}

static void build_graph(struct staging *staging, const struct image_placement *placement,
                        const struct axis_taps *first, const struct axis_taps *second)
{
    const struct gpu_picture *picture = &staging->picture;
    const struct gpu_window *window = &staging->window;
    const uint32_t words = (uint32_t)(gpu_picture_pitch(picture, window->width) / 4);
    const uint32_t shape[] = {window->height, words}, values[] = {3, 256};
    const bool down = placement->columns_first;
    struct graph *graph = &staging->graph;
    graph_init(graph, TYPE_F32);
    staging->pixels = graph_input(graph, "pixels", TYPE_I32, 2, shape);
    staging->taps[0] = add_taps(graph, "taps.first", first);
    staging->taps[1] = add_taps(graph, "taps.second", second);
    staging->values = graph_input(graph, "values", TYPE_F32, 2, values);
    int x = graph_resample_bytes(graph, "first", staging->pixels, staging->taps[0], window->width,
                                 picture->stride, picture->swapped, down);
    x = graph_resample(graph, "second", x, staging->taps[1], !down);
    staging->result = graph_frame(graph, "result", x, staging->values, staging->transform.size,
                                  placement->top, placement->left, placement->fill);
}

/* Takes the first kernel for each node, and compares them once with the reference on the host. */
static int choose_kernels(struct staging *staging)
{
    struct selftest *selftest = tune_selftest(staging->tuner);
    const struct graph *graph = &staging->graph;
    bool right = true;
    for (size_t n = 0; n < graph->node_count; n++) {
        struct kernel_choice choices[KERNEL_CHOICES];
        if (!kernels_choices(staging->gpu, graph, &graph->nodes[n], choices))
            return error_fail(VKCLIP_EDEVICE, "%s: no kernel for %s", gpu_info(staging->gpu)->name,
                              op_name(graph->nodes[n].op));
        staging->choices[n] = choices[0];
    }
    if (staging->checked || !selftest_is_on(selftest))
        return VKCLIP_OK;
    int error = selftest_graph(selftest, graph, staging->choices, &right);
    if (!error && !right)
        error = error_fail(VKCLIP_EDEVICE, "%s: prepares pictures wrongly",
                           gpu_info(staging->gpu)->name);
    staging->checked = !error;
    return error;
}

/* ---- Memory ---------------------------------------------------------------------------------- */

static void write_input(struct staging *staging, int tensor, const void *values)
{
    memcpy(gpu_buffer_map(staging->buffers[tensor]), values,
           layout_tensor_bytes(&staging->graph.tensors[tensor]));
}

/* The host writes taps and values; pixels and results are seen by the device alone. */
static int create_buffers(struct staging *staging)
{
    const struct graph *graph = &staging->graph;
    const struct gpu_limits *limits = gpu_limits(staging->gpu);
    int error = VKCLIP_OK;
    for (int t = 0; t < (int)graph->tensor_count && !error; t++) {
        const bool host = t == staging->taps[0] || t == staging->taps[1] || t == staging->values;
        const uint64_t bytes = layout_tensor_bytes(&graph->tensors[t]);
        if (bytes > limits->buffer_range)
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "picture of %u x %u pixels: %llu bytes, of which %s binds at most "
                              "%llu at once",
                              staging->picture.width, staging->picture.height,
                              (unsigned long long)bytes, gpu_info(staging->gpu)->name,
                              (unsigned long long)limits->buffer_range);
        error = gpu_buffer_create(staging->gpu, host ? GPU_INPUT : GPU_ANY, bytes,
                                  &staging->buffers[t]);
    }
    return error;
}

static void clear_size(struct staging *staging)
{
    for (int t = 0; t < MOST_TENSORS; t++)
        gpu_buffer_destroy(staging->gpu, &staging->buffers[t]);
    graph_free(&staging->graph);
    staging->picture = (struct gpu_picture){0};
}

static int fill_size(struct staging *staging, const struct gpu_picture *picture,
                     const struct image_placement *placement, const struct axis_taps *across,
                     const struct axis_taps *down)
{
    const struct axis_taps *first = placement->columns_first ? down : across;
    const struct axis_taps *second = placement->columns_first ? across : down;
    float values[3][256];
    staging->picture = *picture;
    staging->window = (struct gpu_window){across->low, down->low, across->high - across->low,
                                          down->high - down->low};
    build_graph(staging, placement, first, second);
    int error = staging->graph.error;
    if (!error)
        error = choose_kernels(staging);
    if (!error)
        error = create_buffers(staging);
    if (error)
        return error;
    image_normalised(&staging->transform, values);
    write_input(staging, staging->taps[0], first->words);
    write_input(staging, staging->taps[1], second->words);
    write_input(staging, staging->values, values);
    return VKCLIP_OK;
}

/* Makes everything for pictures of another size or format. What runs reads the old memory. */
static int change_picture(struct staging *staging, const struct gpu_picture *picture)
{
    struct image_placement placement;
    struct axis_taps across = {0}, down = {0};
    staging_release(staging, staging->count);
    clear_size(staging);
    int error = image_place(picture->width, picture->height, &staging->transform, &placement);
    if (!error)
        error = make_taps(&placement.x, &across);
    if (!error)
        error = make_taps(&placement.y, &down);
    if (!error)
        error = fill_size(staging, picture, &placement, &across, &down);
    memory_free(across.words);
    memory_free(down.words);
    if (error)
        clear_size(staging);
    return error;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static struct gpu_range whole_tensor(const struct staging *staging, int tensor)
{
    return (struct gpu_range){staging->buffers[tensor], 0,
                              layout_tensor_bytes(&staging->graph.tensors[tensor])};
}

static int record_nodes(const struct staging *staging, struct gpu_commands *commands)
{
    const struct graph *graph = &staging->graph;
    int error = VKCLIP_OK;
    for (size_t n = 0; n < graph->node_count && !error; n++) {
        const struct node *node = &graph->nodes[n];
        struct gpu_range ranges[KERNEL_SLOTS] = {{0}};
        for (int i = 0; i < NODE_INPUTS; i++)
            if (node->in[i] >= 0)
                ranges[i] = whole_tensor(staging, node->in[i]);
        ranges[KERNEL_OUT] = whole_tensor(staging, node->out);
        error = launch_node(staging->gpu, commands, graph, node, ranges, &staging->choices[n]);
    }
    return error;
}

static int record_picture(const struct staging *staging, const struct gpu_picture *picture,
                          struct gpu_range target, struct gpu_commands *commands)
{
    int error = gpu_commands_take_picture(commands, picture, &staging->window,
                                          whole_tensor(staging, staging->pixels));
    if (!error)
        error = record_nodes(staging, commands);
    if (!error)
        error = gpu_commands_copy(commands, whole_tensor(staging, staging->result), target);
    return error ? error : gpu_commands_end(commands);
}

static int reserve_commands(struct staging *staging)
{
    if (staging->count < staging->capacity)
        return VKCLIP_OK;
    const size_t capacity = 2 * staging->capacity + 16;
    struct gpu_commands **grown =
        memory_realloc(staging->commands, capacity * sizeof(*staging->commands));
    if (!grown)
        return fail_memory();
    staging->commands = grown;
    staging->capacity = capacity;
    return VKCLIP_OK;
}

int staging_prepare(struct staging *staging, const struct gpu_picture *picture,
                    struct gpu_range target)
{
    const struct gpu_picture *now = &staging->picture;
    struct gpu_commands *commands = NULL;
    int error = VKCLIP_OK;
    if (now->width != picture->width || now->height != picture->height ||
        now->stride != picture->stride || now->swapped != picture->swapped)
        error = change_picture(staging, picture);
    if (!error)
        error = reserve_commands(staging);
    if (!error)
        error = gpu_commands_create(staging->gpu, &commands);
    if (!error)
        error = record_picture(staging, picture, target, commands);
    if (!error)
        error = gpu_commands_submit(commands);
    if (error)
        gpu_commands_destroy(&commands);
    else
        staging->commands[staging->count++] = commands;
    return error;
}

void staging_release(struct staging *staging, size_t count)
{
    count = count < staging->count ? count : staging->count;
    for (size_t i = 0; i < count; i++)
        gpu_commands_destroy(&staging->commands[i]);
    staging->count -= count;
    for (size_t i = 0; i < staging->count; i++)
        staging->commands[i] = staging->commands[i + count];
}

/* ---- Open and close -------------------------------------------------------------------------- */

int staging_open(struct gpu *gpu, struct tuner *tuner, const struct image_transform *transform,
                 struct staging **result)
{
    struct staging *staging = *result = memory_calloc(1, sizeof(*staging));
    if (!staging)
        return fail_memory();
    *staging = (struct staging){.gpu = gpu, .tuner = tuner, .transform = *transform};
    return VKCLIP_OK;
}

void staging_close(struct staging **handle)
{
    struct staging *staging = *handle;
    if (!staging)
        return;
    staging_release(staging, staging->count);
    clear_size(staging);
    memory_free(staging->commands);
    memory_free(staging);
    *handle = NULL;
}
