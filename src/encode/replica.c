/* SPDX-License-Identifier: MIT
 *
 * Weights once, plans by what they are for; the longest unused plan makes room.
 */
#include "encode/replica.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define DEFAULT_BATCH 32
#define MOST_BATCH 1024

struct kept_plan {
    struct lane_plan of;
    enum tower tower;
    uint32_t batch, length;
    bool hidden;
    uint64_t used; /* when, in uses of plans */
};

struct lane {
    struct gpu *gpu;
    const struct lane_model *model;
    struct upload *upload;
    uint32_t most_batch[TOWER_COUNT];
    struct kept_plan plans[LANE_PLANS];
    uint64_t clock;
    double speed[TOWER_COUNT];
    struct {
        void *memory;
        size_t bytes;
    } scratch[LANE_THREADS];
};

bool lane_has_tower(const struct lane_model *model, enum tower tower)
{
    return tower == TOWER_IMAGE ? model->config.image.present : model->config.text.present;
}

int lane_graph(const struct lane_model *model, enum tower tower, uint32_t batch, uint32_t length,
               struct graph *graph)
{
    struct config config = model->config;
    if (length)
        config.context = length; /* the first rows of the table of positions */
    int error = (tower == TOWER_IMAGE ? model_image_graph : model_text_graph)(&config, model->type,
                                                                              batch, graph);
    if (!error)
        graph_pack(graph, model->weights);
    return error;
}

/* ---- Open and close -------------------------------------------------------------------------- */

/* Whether every tensor can be bound, no dispatch runs for long and a quarter of the memory is
 * enough. */
static bool batch_fits(struct gpu *gpu, const struct graph *graph)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    uint64_t arena, least;
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role != ROLE_WEIGHT &&
            kernels_tensor_bytes(&graph->tensors[t]) > limits->buffer_range)
            return false;
    return !plan_measure(graph, limits->alignment, &arena, &least) && arena <= limits->allocation &&
           arena <= gpu_info(gpu)->memory / 4;
}

static uint32_t choose_batch(const struct lane *lane, enum tower tower, uint32_t wanted)
{
    uint32_t batch = 1;
    while (batch * 2 <= (wanted ? wanted : DEFAULT_BATCH) && batch < MOST_BATCH)
        batch *= 2;
    for (; batch > 1; batch /= 2) {
        struct graph graph;
        bool fits =
            !lane_graph(lane->model, tower, batch, 0, &graph) && batch_fits(lane->gpu, &graph);
        graph_free(&graph);
        if (fits)
            break;
    }
    return batch;
}

int lane_open(struct gpu *gpu, const struct lane_model *model, const struct weights *weights,
              uint32_t max_batch, struct lane **result)
{
    struct graph graphs[TOWER_COUNT] = {{0}};
    const struct graph *present[TOWER_COUNT];
    size_t count = 0;
    int error = VKCLIP_OK;
    struct lane *lane = *result = calloc(1, sizeof(*lane));
    if (!lane)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    lane->gpu = gpu;
    lane->model = model;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        if (lane_has_tower(model, tower)) {
            error = lane_graph(model, tower, 1, 0, &graphs[tower]);
            present[count++] = &graphs[tower];
            if (!error)
                lane->most_batch[tower] = choose_batch(lane, tower, max_batch);
        }
    if (!error)
        error = upload_create(gpu, weights, present, count, &lane->upload);
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
        graph_free(&graphs[tower]);
    if (error)
        lane_close(result);
    return error;
}

void lane_close(struct lane **handle)
{
    struct lane *lane = *handle;
    if (!lane)
        return;
    for (int i = 0; i < LANE_PLANS; i++)
        plan_destroy(&lane->plans[i].of.plan);
    for (int i = 0; i < LANE_THREADS; i++)
        free(lane->scratch[i].memory);
    upload_destroy(&lane->upload);
    free(lane);
    *handle = NULL;
}

struct gpu *lane_gpu(const struct lane *lane)
{
    return lane->gpu;
}

uint32_t lane_most_batch(const struct lane *lane, enum tower tower)
{
    return lane->most_batch[tower];
}

/* ---- Plans ----------------------------------------------------------------------------------- */

bool lane_is_hidden(const struct tensor *tensor)
{
    return tensor->role == ROLE_ACTIVATION &&
           (!strncmp(tensor->name, "vision.", 7) || !strncmp(tensor->name, "text.", 5));
}

static int make_plan(struct lane *lane, struct kept_plan *kept)
{
    struct graph graph;
    int error = lane_graph(lane->model, kept->tower, kept->batch, kept->length, &graph);
    if (error)
        return error;
    bool image = kept->tower == TOWER_IMAGE;
    const struct node *last = &graph.nodes[graph.node_count - 1]; /* normalises */
    kept->of = (struct lane_plan){.input = graph_find(&graph, image ? "image" : "text.ids"),
                                  .rows = image ? -1 : graph_find(&graph, "text.rows"),
                                  .embeddings = last->in[0],
                                  .normalized = last->out};
    int *outputs = calloc(graph.tensor_count, sizeof(*outputs));
    size_t count = 0;
    for (int t = 0; outputs && t < (int)graph.tensor_count; t++)
        if (t == kept->of.embeddings || t == kept->of.normalized ||
            (kept->hidden && lane_is_hidden(&graph.tensors[t])))
            outputs[count++] = t;
    error = outputs ? plan_create(lane->gpu, &graph, lane->upload, outputs, count, &kept->of.plan)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    graph_free(&graph);
    free(outputs);
    return error;
}

int lane_get_plan(struct lane *lane, enum tower tower, uint32_t batch, uint32_t length, bool hidden,
                  const struct lane_plan **result)
{
    struct kept_plan *oldest = &lane->plans[0];
    lane->clock++;
    for (int i = 0; i < LANE_PLANS; i++) {
        struct kept_plan *kept = &lane->plans[i];
        if (kept->of.plan && kept->tower == tower && kept->batch == batch &&
            kept->length == length && kept->hidden == hidden) {
            kept->used = lane->clock;
            *result = &kept->of;
            return VKCLIP_OK;
        }
        if (kept->used < oldest->used)
            oldest = kept;
    }
    plan_destroy(&oldest->of.plan);
    *oldest = (struct kept_plan){
        .tower = tower, .batch = batch, .length = length, .hidden = hidden, .used = lane->clock};
    *result = &oldest->of;
    return make_plan(lane, oldest);
}

/* ---- What is kept beside --------------------------------------------------------------------- */

void *lane_scratch(struct lane *lane, unsigned thread, size_t bytes)
{
    if (lane->scratch[thread].bytes < bytes) {
        free(lane->scratch[thread].memory);
        lane->scratch[thread].memory = malloc(bytes);
        lane->scratch[thread].bytes = lane->scratch[thread].memory ? bytes : 0;
    }
    if (!lane->scratch[thread].memory)
        error_fail(VKCLIP_EMEMORY, "out of memory for a batch");
    return lane->scratch[thread].memory;
}

double lane_speed(const struct lane *lane, enum tower tower)
{
    return lane->speed[tower];
}

void lane_count_run(struct lane *lane, enum tower tower, size_t items, double seconds)
{
    double speed = (double)items / (seconds > 1e-9 ? seconds : 1e-9);
    lane->speed[tower] = lane->speed[tower] > 0 ? (lane->speed[tower] + speed) / 2 : speed;
}
