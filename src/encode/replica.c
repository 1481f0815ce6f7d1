/* SPDX-License-Identifier: MIT
 *
 * Keeps the weights on the device once for all plans. A new plan replaces the one that has been
 * unused for longest.
 */
#include "encode/replica.h"
#include "base/error.h"
#include "runtime/layout.h"
#include "runtime/upload.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Larger batches are hardly faster and take more memory, so that callers must ask for them. */
#define DEFAULT_BATCH 32
#define MOST_BATCH 1024

struct kept_plan {
    struct replica_plan view;
    enum tower tower;
    uint32_t batch, length;
    bool hidden;
    uint64_t used; /* the replica's clock at the last request */
};

struct replica {
    struct gpu *gpu;
    struct tuner *tuner;
    const struct replica_spec *spec;
    struct store *weights;
    uint32_t most_batch[TOWER_COUNT];
    struct kept_plan plans[REPLICA_PLANS];
    uint64_t clock; /* number of requests of plans so far */
    double speed[TOWER_COUNT];
    struct {
        void *memory;
        size_t bytes;
    } scratch[REPLICA_THREADS];
};

bool replica_has_tower(const struct replica_spec *spec, enum tower tower)
{
    return config_tower(&spec->config, tower)->kind != KIND_NONE;
}

int replica_graph(const struct replica_spec *spec, enum tower tower, uint32_t batch,
                  uint32_t length, struct graph *graph, struct tower_tensors *tensors)
{
    struct config config = spec->config;
    if (length)
        config.context = length; /* The graph uses the first rows of the table of positions. */
    int error = tower_build(&config, tower, spec->type, batch, graph, tensors);
    if (!error)
        graph_pack(graph, spec->weights);
    return error;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Tells whether every tensor can be bound and the activations take at most a quarter of the memory:
 * the rest is for the weights, other plans and other programs. */
static bool batch_fits(struct gpu *gpu, const struct graph *graph)
{
    const struct gpu_limits *limits = gpu_limits(gpu);
    uint64_t arena = 0, least = 0;
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role != ROLE_WEIGHT &&
            layout_tensor_bytes(&graph->tensors[t]) > limits->buffer_range)
            return false;
    if (plan_measure(graph, limits->alignment, limits->separate_memory, &arena, &least))
        return false;
    return arena <= limits->allocation && arena <= gpu_info(gpu)->memory / 4;
}

static uint32_t choose_batch(const struct replica *replica, enum tower tower, uint32_t wanted)
{
    const uint32_t most = wanted ? wanted : DEFAULT_BATCH;
    uint32_t batch = 1;
    bool fits = false;
    while (batch * 2 <= most && batch < MOST_BATCH)
        batch *= 2;
    while (batch > 1 && !fits) {
        struct graph graph;
        int error = replica_graph(replica->spec, tower, batch, 0, &graph, NULL);
        fits = !error && batch_fits(replica->gpu, &graph);
        graph_free(&graph);
        if (!fits)
            batch /= 2;
    }
    return batch;
}

/* Uploads the weights that the towers' graphs need. */
static int open_weights(struct replica *replica, const struct weights *weights)
{
    struct graph graphs[TOWER_COUNT] = {{0}};
    const struct graph *present[TOWER_COUNT];
    const struct row_reader reader = weights_row_reader(weights);
    size_t count = 0;
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        if (replica_has_tower(replica->spec, tower)) {
            error = replica_graph(replica->spec, tower, 1, 0, &graphs[tower], NULL);
            present[count++] = &graphs[tower];
        }
    if (!error)
        error = store_create(replica->gpu, present, count, &replica->weights);
    if (!error)
        error = upload_weights(replica->gpu, replica->weights, &reader);
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
        graph_free(&graphs[tower]);
    return error;
}

int replica_open(struct gpu *gpu, struct tuner *tuner, const struct replica_spec *spec,
                 const struct weights *weights, uint32_t max_batch, struct replica **result)
{
    struct replica *replica = *result = calloc(1, sizeof(*replica));
    if (!replica)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    replica->gpu = gpu;
    replica->tuner = tuner;
    replica->spec = spec;
    for (enum tower tower = 0; tower < TOWER_COUNT; tower++)
        if (replica_has_tower(spec, tower))
            replica->most_batch[tower] = choose_batch(replica, tower, max_batch);
    int error = open_weights(replica, weights);
    if (error)
        replica_close(result);
    return error;
}

void replica_close(struct replica **handle)
{
    struct replica *replica = *handle;
    if (!replica)
        return;
    for (int i = 0; i < REPLICA_PLANS; i++)
        plan_destroy(&replica->plans[i].view.plan);
    for (int i = 0; i < REPLICA_THREADS; i++)
        free(replica->scratch[i].memory);
    store_destroy(&replica->weights);
    free(replica);
    *handle = NULL;
}

struct gpu *replica_gpu(const struct replica *replica)
{
    return replica->gpu;
}

uint32_t replica_most_batch(const struct replica *replica, enum tower tower)
{
    return replica->most_batch[tower];
}

/* ---- Plans ----------------------------------------------------------------------------------- */

bool replica_is_hidden(const struct tensor *tensor)
{
    return tensor->role == ROLE_ACTIVATION &&
           (!strncmp(tensor->name, "vision.", 7) || !strncmp(tensor->name, "text.", 5));
}

static int create_plan(const struct replica *replica, struct graph *graph, struct kept_plan *kept)
{
    int *outputs = calloc(graph->tensor_count, sizeof(*outputs));
    size_t count = 0;
    if (!outputs)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    for (int t = 0; t < (int)graph->tensor_count; t++)
        if (t == kept->view.embeddings || t == kept->view.normalized ||
            (kept->hidden && replica_is_hidden(&graph->tensors[t])))
            outputs[count++] = t;
    const struct plan_params params = {.gpu = replica->gpu,
                                       .tuner = replica->tuner,
                                       .weights = replica->weights,
                                       .outputs = outputs,
                                       .output_count = count};
    int error = plan_create(&params, graph, &kept->view.plan);
    free(outputs);
    return error;
}

static int make_plan(const struct replica *replica, struct kept_plan *kept)
{
    struct graph graph;
    struct tower_tensors tensors;
    int error =
        replica_graph(replica->spec, kept->tower, kept->batch, kept->length, &graph, &tensors);
    if (error)
        return error;
    kept->view = (struct replica_plan){.input = tensors.input,
                                       .rows = tensors.rows,
                                       .embeddings = tensors.embeddings,
                                       .normalized = tensors.normalized};
    error = create_plan(replica, &graph, kept);
    graph_free(&graph);
    return error;
}

int replica_get_plan(struct replica *replica, enum tower tower, uint32_t batch, uint32_t length,
                     bool hidden, const struct replica_plan **result)
{
    struct kept_plan *oldest = &replica->plans[0];
    replica->clock++;
    for (int i = 0; i < REPLICA_PLANS; i++) {
        struct kept_plan *kept = &replica->plans[i];
        if (kept->view.plan && kept->tower == tower && kept->batch == batch &&
            kept->length == length && kept->hidden == hidden) {
            kept->used = replica->clock;
            *result = &kept->view;
            return VKCLIP_OK;
        }
        if (kept->used < oldest->used)
            oldest = kept;
    }
    plan_destroy(&oldest->view.plan);
    *oldest = (struct kept_plan){
        .tower = tower, .batch = batch, .length = length, .hidden = hidden, .used = replica->clock};
    *result = &oldest->view;
    return make_plan(replica, oldest);
}

/* ---- Memory of threads, speed ---------------------------------------------------------------- */

void *replica_scratch(struct replica *replica, unsigned thread, size_t bytes)
{
    if (replica->scratch[thread].bytes < bytes) {
        free(replica->scratch[thread].memory);
        replica->scratch[thread].memory = malloc(bytes);
        replica->scratch[thread].bytes = replica->scratch[thread].memory ? bytes : 0;
    }
    if (!replica->scratch[thread].memory)
        error_fail(VKCLIP_EMEMORY, "out of memory for a batch");
    return replica->scratch[thread].memory;
}

double replica_speed(const struct replica *replica, enum tower tower)
{
    return replica->speed[tower];
}

void replica_record_run(struct replica *replica, enum tower tower, size_t items, double seconds)
{
    double *speed = &replica->speed[tower];
    const double latest = (double)items / fmax(seconds, 1e-9);
    *speed = *speed > 0 ? (*speed + latest) / 2 : latest;
}
