/* SPDX-License-Identifier: MIT
 *
 * Keeps the weights on the device once for all plans, and one arena for their activations. A new
 * plan replaces the one that has been unused for longest.
 */
#include "encode/replica.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/turns.h"
#include "checkpoint/inputs.h"
#include "encode/staging.h"
#include "runtime/layout.h"
#include "runtime/selftest_model.h"
#include "runtime/upload.h"

#include <math.h>
#include <string.h>

/* Larger batches are hardly faster and take more memory, so that callers must ask for them. */
#define DEFAULT_BATCH 32
#define MOST_BATCH 1024

/* Each tower has a store of weights, and explanations have the last one where they cannot read
 * their tower's. */
#define STORES (TOWER_COUNT + 1)

struct kept_plan {
    struct replica_plan view;
    struct replica_request request;
    uint64_t used; /* the replica's clock at the last request */
};

struct replica {
    struct vkclip_device *device;
    size_t number; /* of the GPU in `device` */
    const struct weights *source;
    struct gpu *gpu;
    struct tuner *tuner;
    const struct replica_spec *spec;
    struct weight_store *weights[STORES];
    struct filler {
        struct replica *replica;
        int store;
    } fillers[STORES];
    bool streams[STORES];  /* The weights of the tower's blocks take turns. */
    bool uploaded[STORES]; /* the weights have their values */
    struct arena arena;
    uint32_t most_batch[TOWER_COUNT];
    bool lowered; /* a largest batch was lowered, and the log does not say so yet */
    struct kept_plan plans[REPLICA_PLANS];
    uint64_t clock; /* number of requests of plans so far */
    double speed[TOWER_COUNT];
    struct replica_memory memory[REPLICA_THREADS];
    float values[3][256];    /* the normalised values of bytes */
    struct staging *staging; /* NULL: no picture of the device was prepared */
};

bool replica_has_tower(const struct replica_spec *spec, enum tower tower)
{
    return config_tower(&spec->config, tower)->kind != KIND_NONE;
}

int replica_graph(const struct replica_spec *spec, const struct replica_request *request,
                  struct graph *graph, struct tower_tensors *tensors)
{
    struct config config = spec->config;
    struct tower_features features = request->features;
    const enum type type = features.explained ? TYPE_F32 : spec->type;
    features.hidden = request->hidden;
    if (request->length) /* The graph uses the first rows of the table of positions. */
        config.context = request->length;
    int error =
        tower_build(&config, request->tower, &features, type, request->batch, graph, tensors);
    if (error || features.explained) /* Small gradients need fp32. */
        return error;
    graph_pack(graph, spec->weights);
    graph->compute_f16 = spec->compute_f16;
    return VKCLIP_OK;
}

/* ---- Opening and closing --------------------------------------------------------------------- */

/* Tells whether every tensor can be bound and the activations take at most a quarter of the memory
 * that is left: the rest is for other models and other programs, and for the weights where the
 * device does not tell how much is left. */
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
    return arena <= limits->allocation && arena <= gpu_memory_left(gpu) / 4;
}

static uint32_t choose_batch(const struct replica *replica, enum tower tower, uint32_t wanted)
{
    const uint32_t most = wanted ? wanted : DEFAULT_BATCH;
    struct replica_request request = {.tower = tower, .batch = 1};
    bool fits = false;
    while (request.batch * 2 <= most && request.batch < MOST_BATCH)
        request.batch *= 2;
    while (request.batch > 1 && !fits) {
        struct graph graph;
        int error = replica_graph(replica->spec, &request, &graph, NULL);
        fits = !error && batch_fits(replica->gpu, &graph);
        graph_free(&graph);
        if (!fits)
            request.batch /= 2;
    }
    return request.batch;
}

/* Tells whether the weights of a tower's blocks take turns: where the caller wants it, and for a T5
 * or BERT whose weights would leave less than a quarter of the memory to activations and to others.
 */
static bool must_stream(const struct replica *replica, enum tower tower, const struct graph *graph)
{
    const uint64_t left = gpu_memory_left(replica->gpu);
    uint64_t bytes = 0;
    for (size_t t = 0; t < graph->tensor_count; t++)
        if (graph->tensors[t].role == ROLE_WEIGHT)
            bytes += layout_tensor_bytes(&graph->tensors[t]);
    if (replica->spec->stream || !tower_find(&replica->spec->config, tower)->any_length ||
        bytes <= left / 4 * 3)
        return replica->spec->stream;
    log_message(VKCLIP_LOG_WARNING,
                "%s: %llu MiB of weights are too many for the %llu MiB that are left: blocks are "
                "read from the files as they run (`stream`)",
                gpu_info(replica->gpu)->name, (unsigned long long)(bytes >> 20),
                (unsigned long long)(left >> 20));
    return true;
}

/* Takes memory for the weights of a tower. */
static int create_store(struct replica *replica, enum tower tower)
{
    struct graph graph;
    const struct graph *graphs[] = {&graph};
    const struct replica_request request = {.tower = tower, .batch = 1};
    int error = replica_graph(replica->spec, &request, &graph, NULL);
    replica->streams[tower] = !error && must_stream(replica, tower, &graph);
    if (!error && replica->streams[tower])
        error = weight_store_create_slots(replica->gpu, &graph, &replica->weights[tower]);
    else if (!error)
        error = weight_store_create(replica->gpu, graphs, 1, &replica->weights[tower]);
    graph_free(&graph);
    return error;
}

static int open_tower(struct replica *replica, enum tower tower, uint32_t max_batch)
{
    if (!replica_has_tower(replica->spec, tower))
        return VKCLIP_OK;
    int error = create_store(replica, tower);
    if (!error)
        replica->most_batch[tower] = choose_batch(replica, tower, max_batch);
    return error;
}

int replica_open(struct vkclip_device *device, size_t number, const struct replica_spec *spec,
                 const struct weights *weights, uint32_t max_batch, struct replica **result)
{
    struct replica *replica = *result = memory_calloc(1, sizeof(*replica));
    if (!replica)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    replica->device = device;
    replica->number = number;
    replica->source = weights;
    replica->gpu = device->gpus[number];
    replica->tuner = device->tuners[number];
    replica->spec = spec;
    const struct image_transform transform = checkpoint_image_transform(&spec->config);
    image_normalised(&transform, replica->values);
    replica->arena = (struct arena){.gpu = replica->gpu, .memory = GPU_DEVICE};
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        error = open_tower(replica, tower, max_batch);
    if (error)
        replica_close(result);
    return error;
}

/* Frees all memory on the GPU. */
static void close_memory(struct replica *replica)
{
    for (int i = 0; i < REPLICA_PLANS; i++)
        plan_destroy(&replica->plans[i].view.plan);
    arena_release(&replica->arena);
    staging_close(&replica->staging);
    for (int store = 0; store < STORES; store++) {
        weight_store_destroy(&replica->weights[store]);
        replica->uploaded[store] = false;
    }
}

/* The largest batches stay as they were, because batches of that size may be under way. */
int replica_reopen(struct replica *replica)
{
    close_memory(replica);
    int error = device_reopen(replica->device, replica->gpu, &replica->gpu, &replica->tuner);
    replica->arena = (struct arena){.gpu = replica->gpu, .memory = replica->arena.memory};
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        if (replica_has_tower(replica->spec, tower))
            error = create_store(replica, tower);
    return error;
}

static void free_memory(struct replica_memory *memory)
{
    scratch_free(&memory->item);
    scratch_free(&memory->resize);
    scratch_free(&memory->decode.file);
    scratch_free(&memory->decode.pixels);
}

void replica_close(struct replica **handle)
{
    struct replica *replica = *handle;
    if (!replica)
        return;
    close_memory(replica);
    for (int i = 0; i < REPLICA_THREADS; i++)
        free_memory(&replica->memory[i]);
    memory_free(replica);
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

void replica_lower_batch(struct replica *replica, enum tower tower, uint32_t most)
{
    if (most < replica->most_batch[tower]) {
        replica->most_batch[tower] = most;
        replica->lowered = true;
    }
}

/* ---- Plans ----------------------------------------------------------------------------------- */

bool replica_is_hidden(const struct tensor *tensor)
{
    return tensor->role == ROLE_ACTIVATION &&
           (!strncmp(tensor->name, "vision.", 7) || !strncmp(tensor->name, "text.", 5));
}

/* Uploads the weights of a store that stay on the device. */
static int upload_store(struct replica *replica, int store)
{
    const struct row_reader reader = weights_row_reader(replica->source);
    int error = weights_check(replica->source);
    if (!error)
        error = upload_weights(replica->gpu, replica->weights[store], &reader);
    replica->uploaded[store] = !error;
    return error;
}

/* Calls on other models may run in between where one thread drives all that the call uses. */
static void allow_pauses(const struct replica *replica, bool allowed)
{
    if (replica->device->count == 1)
        turn_allow_pauses(allowed);
}

/* Uploads the weights of one block into its slot. */
static int fill_slot(void *user, uint32_t segment)
{
    const struct filler *filler = user;
    const struct replica *replica = filler->replica;
    const struct row_reader reader = weights_row_reader(replica->source);
    int error = weights_check(replica->source);
    if (error)
        return error;
    allow_pauses(replica, true);
    error = upload_segment(replica->gpu, replica->weights[filler->store], &reader, segment);
    allow_pauses(replica, false);
    return error;
}

/* Tells whether a tensor of a plan's graph can be read after a run. */
static bool is_output(const struct kept_plan *kept, const struct graph *graph, int tensor)
{
    const struct replica_plan *view = &kept->view;
    return tensor == view->features || tensor == view->relevance || tensor == view->embeddings ||
           tensor == view->normalized ||
           (kept->request.hidden && replica_is_hidden(&graph->tensors[tensor]));
}

/* Finds the store of a plan's weights. An explanation reads its tower's where they are fp32, stay
 * on the device, and have no factors folded in. */
static int find_store(struct replica *replica, const struct replica_request *request,
                      const struct graph *graph, int *store)
{
    const struct replica_spec *spec = replica->spec;
    const bool own = spec->weights != TYPE_F32 || replica->streams[request->tower] ||
                     config_tower(&spec->config, request->tower)->layer_scale;
    *store = request->features.explained && own ? STORES - 1 : (int)request->tower;
    if (replica->weights[*store])
        return VKCLIP_OK;
    return weight_store_create(replica->gpu, &graph, 1, &replica->weights[*store]);
}

/* Creates a plan, and uploads its weights if this is the first one that reads them. */
static int create_plan(struct replica *replica, struct graph *graph, struct kept_plan *kept)
{
    int store;
    int error = find_store(replica, &kept->request, graph, &store);
    if (error)
        return error;
    struct filler *filler = &replica->fillers[store];
    int *outputs = memory_calloc(graph->tensor_count, sizeof(*outputs));
    size_t count = 0;
    if (!outputs)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a plan");
    *filler = (struct filler){replica, store};
    for (int t = 0; t < (int)graph->tensor_count; t++)
        if (is_output(kept, graph, t))
            outputs[count++] = t;
    const struct plan_params params = {.gpu = replica->gpu,
                                       .tuner = replica->tuner,
                                       .weights = replica->weights[store],
                                       .arena = &replica->arena,
                                       .outputs = outputs,
                                       .output_count = count,
                                       .fill = replica->streams[store] ? fill_slot : NULL,
                                       .filler = filler,
                                       .given = kept->request.on_device ? &kept->view.input : NULL};
    allow_pauses(replica, true);
    error = plan_create(&params, graph, &kept->view.plan);
    if (!error && !replica->uploaded[store])
        error = upload_store(replica, store);
    if (!error)
        error = selftest_plan(replica->gpu, replica->tuner, kept->view.plan);
    allow_pauses(replica, false);
    if (error)
        plan_destroy(&kept->view.plan);
    memory_free(outputs);
    return error;
}

static int make_plan(struct replica *replica, struct kept_plan *kept)
{
    struct graph graph;
    struct tower_tensors tensors;
    int error = replica_graph(replica->spec, &kept->request, &graph, &tensors);
    if (error)
        return error;
    kept->view = (struct replica_plan){.input = tensors.input,
                                       .values = tensors.values,
                                       .mask = tensors.mask,
                                       .rows = tensors.rows,
                                       .features = tensors.features,
                                       .seed = tensors.seed,
                                       .relevance = tensors.relevance,
                                       .embeddings = tensors.embeddings,
                                       .normalized = tensors.normalized};
    error = create_plan(replica, &graph, kept);
    graph_free(&graph);
    return error;
}

static bool are_equal(const struct replica_request *a, const struct replica_request *b)
{
    const struct tower_features *x = &a->features, *y = &b->features;
    return a->tower == b->tower && a->batch == b->batch && a->length == b->length &&
           a->hidden == b->hidden && a->on_device == b->on_device && x->wanted == y->wanted &&
           x->embedding == y->embedding && x->layer == y->layer && x->norm == y->norm &&
           x->pooled == y->pooled && x->projected == y->projected && x->masked == y->masked &&
           x->bytes == y->bytes && x->explained == y->explained;
}

/* Returns the place of a plan: where it is, or else where it is to be made. */
static struct kept_plan *find_plan(struct replica *replica, const struct replica_request *request)
{
    struct kept_plan *oldest = &replica->plans[0];
    for (int i = 0; i < REPLICA_PLANS; i++) {
        struct kept_plan *kept = &replica->plans[i];
        if (kept->view.plan && are_equal(&kept->request, request))
            return kept;
        if (kept->used < oldest->used)
            oldest = kept;
    }
    plan_destroy(&oldest->view.plan);
    *oldest = (struct kept_plan){.request = *request};
    return oldest;
}

static int prepare_plan(struct replica *replica, struct kept_plan *kept)
{
    const struct replica_plan *view = &kept->view;
    int error = view->plan ? VKCLIP_OK : make_plan(replica, kept);
    if (!error)
        error = plan_begin(view->plan);
    if (!error && view->values >= 0)
        plan_write(view->plan, view->values, 0, &replica->values[0][0], 3 * 256);
    return error;
}

int replica_get_plan(struct replica *replica, const struct replica_request *request,
                     const struct replica_plan **result)
{
    struct kept_plan *kept = find_plan(replica, request);
    kept->used = ++replica->clock;
    *result = &kept->view;
    int error = prepare_plan(replica, kept);
    if (error == VKCLIP_EDEVICEMEMORY && request->batch == 1 &&
        replica->arena.memory == GPU_DEVICE) {
        replica->arena.memory = GPU_ANY;
        error = prepare_plan(replica, kept);
    }
    if (!error && replica->lowered) {
        replica->lowered = false;
        log_message(VKCLIP_LOG_WARNING, "%s: its memory is full: batches have at most %u items",
                    gpu_info(replica->gpu)->name, replica->most_batch[request->tower]);
    }
    return error;
}

/* ---- Pictures on the device ------------------------------------------------------------------ */

int replica_staging(struct replica *replica, struct staging **staging)
{
    const struct image_transform transform = checkpoint_image_transform(&replica->spec->config);
    int error = VKCLIP_OK;
    if (!replica->staging)
        error = staging_open(replica->gpu, replica->tuner, &transform, &replica->staging);
    *staging = replica->staging;
    return error;
}

/* ---- Memory of threads, speed ---------------------------------------------------------------- */

struct replica_memory *replica_memory(struct replica *replica, unsigned thread)
{
    return &replica->memory[thread];
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

void replica_note_running(const struct replica *replica, size_t running)
{
    device_note_running(replica->device, replica->number, running);
}
