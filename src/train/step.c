/* SPDX-License-Identifier: MIT
 *
 * Creates the plans of a step, runs them, and does the host's work between them.
 */
#include "train/step.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/workers.h"
#include "checkpoint/lookup.h"

#include <math.h>
#include <string.h>

#include "model/tower.h"
#include "runtime/plan.h"
#include "runtime/selftest_model.h"
#include "runtime/tune.h"
#include "train/parameters.h"

/* Vulkan lets no device demand a larger alignment of bindings, so that the memory that is measured
 * without a device suffices on every one; it costs at most this many bytes per tensor. */
#define ALIGNMENT 256

/* A pass, and the plan that runs it. */
struct step_plan {
    struct plan *plan; /* NULL: this run does not need it, or has not needed it so far */
    struct pass_tensors tensors;
};

struct train {
    struct gpu *gpu;
    struct tuner *tuner;
    struct config config;
    const struct weights *weights; /* in which a locked tower's tokens are looked up */
    struct train_params params;
    struct parameters *parameters;
    struct arena arena; /* of all plans */
    size_t logit_scale; /* index of the parameter */

    /* These plans compute a batch at once, with the optimiser or only its gradients. */
    struct step_plan whole, whole_gradients;
    /* These plans compute a batch that is cut into micro-batches. */
    struct step_plan features[TOWER_COUNT], gradients[TOWER_COUNT], loss, update;
    struct step_plan encode[TOWER_COUNT]; /* a micro-batch as at inference */

    /* The devices that compute with this one, which leads, and a thread for each of them. */
    struct train *others[TRAIN_DEVICES - 1];
    struct parameters *other_parameters[TRAIN_DEVICES - 1];
    size_t other_count;
    struct workers *drivers;
    uint32_t first, items; /* the pairs of a batch that this device computes */

    /* [B,D]; with several devices the leading one's, to which the others' pointers lead too */
    float *host_features[TOWER_COUNT], *host_gradients[TOWER_COUNT];
    float *turned; /* [B,D]: one part's gradients of the texts; see run_loss_part */
    bool leads;
    int32_t *ends, *positions, *order, *runs;
    float loss_scale;
};

/* ---- Plans ----------------------------------------------------------------------------------- */

static int check_params(const struct config *config, const struct train_params *params)
{
    const uint32_t micro = pass_micro_batch(params);
    if (!config->image.kind || !config->text.kind)
        return error_fail(VKCLIP_EUNSUPPORTED, "training needs an image and a text tower");
    if (config->image.pool_heads)
        return error_fail(VKCLIP_EUNSUPPORTED, "a tower with attentional_pool is not trained, "
                                               "because its checkpoints cannot be written");
    if (config->image_embed_dim != config->text_embed_dim)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "training needs both towers in one space: pictures have %u dimensions, "
                          "texts %u",
                          config->image_embed_dim, config->text_embed_dim);
    if (params->unlocked_image && !tower_find(config, TOWER_IMAGE)->lock_groups)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "`lock_image_unlocked_groups`: a ModifiedResNet is locked as a whole or "
                          "not at all");
    if (params->unlocked_text && !tower_find(config, TOWER_TEXT)->lock_groups)
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "`lock_text_unlocked_layers`: a BERT or XLM-R is locked as a whole or not "
            "at all");
    if (params->freeze_bn_stats && !tower_find(config, TOWER_IMAGE)->batch_norm)
        return error_fail(VKCLIP_EINVALID, "`freeze_bn_stats`: this image tower has no batch norm");
    if (params->batch < 1 || micro > params->batch || params->batch % micro)
        return error_fail(VKCLIP_EINVALID,
                          "batch %u, micro-batch %u: expected a divisor of the batch",
                          params->batch, params->micro_batch);
    return VKCLIP_OK;
}

/* Adds what a pass needs, and closes the pass. */
static int measure_pass(struct pass *pass, struct train_memory *memory)
{
    uint64_t arena = 0, least = 0;
    int error = pass->graph.error;
    if (!error)
        error = plan_measure(&pass->graph, ALIGNMENT, false, &arena, &least);
    if (!error && arena > memory->activations) {
        memory->activations = arena;
        memory->least = least;
    }
    pass_close(pass);
    return error;
}

static int measure_micro_batches(const struct config *config, const struct train_params *params,
                                 struct train_memory *memory)
{
    struct pass pass;
    int error = VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++) {
        pass_build_tower(config, params, tower, true, &pass);
        error = measure_pass(&pass, memory);
    }
    if (!error) {
        pass_build_loss(config, params, &pass);
        error = measure_pass(&pass, memory);
    }
    return error;
}

int train_measure(const struct config *config, const struct train_params *params,
                  struct train_memory *memory)
{
    struct pass pass;
    *memory = (struct train_memory){0};
    int error = check_params(config, params);
    if (error)
        return error;
    pass_build_whole(config, params, &pass);
    error = pass.graph.error;
    if (!error)
        error = parameters_measure(&pass.graph, &memory->weights, &memory->gradients);
    memory->moments = (params->ema_decay > 0 ? 3 : 2) * memory->gradients;
    if (!error && pass_is_whole(params))
        error = measure_pass(&pass, memory);
    else
        pass_close(&pass);
    if (!error && !pass_is_whole(params))
        error = measure_micro_batches(config, params, memory);
    return error;
}

/* Creates a plan and takes ownership of the pass, even after an error. `outputs` are the tensors
 * that the host reads after a run. */
static int create_plan(struct train *train, struct pass *pass, const int *outputs, size_t count,
                       struct step_plan *step_plan)
{
    struct gpu_range *states = NULL;
    int error = pass->graph.error;
    if (!error)
        error = parameters_bind(train->parameters, &pass->graph, pass->ranges, &states);
    const struct plan_params params = {.gpu = train->gpu,
                                       .tuner = train->tuner,
                                       .tuning_seconds = TUNE_SECONDS_TRAINING,
                                       .arena = &train->arena,
                                       .weights = parameters_store(train->parameters),
                                       .states = states,
                                       .outputs = outputs,
                                       .output_count = count};
    if (!error)
        error = plan_create(&params, &pass->graph, &step_plan->plan);
    if (!error)
        error = selftest_plan(train->gpu, train->tuner, step_plan->plan);
    step_plan->tensors = pass->tensors;
    memory_free(states);
    pass_close(pass);
    return error;
}

static int create_whole(struct train *train)
{
    struct pass pass;
    pass_build_whole(&train->config, &train->params, &pass);
    pass_append_optimiser(train->parameters, &train->params, &pass);
    const int outputs[] = {pass.tensors.loss, pass.tensors.optimiser.clip};
    return create_plan(train, &pass, outputs, 2, &train->whole);
}

static int create_whole_gradients(struct train *train)
{
    struct pass pass;
    pass_build_whole(&train->config, &train->params, &pass);
    const int loss = pass.tensors.loss;
    return create_plan(train, &pass, &loss, 1, &train->whole_gradients);
}

static int create_update(struct train *train)
{
    struct pass pass;
    pass_build_update(train->parameters, &train->params, &pass);
    const int clip = pass.tensors.optimiser.clip;
    return create_plan(train, &pass, &clip, 1, &train->update);
}

static int create_loss(struct train *train)
{
    struct pass pass;
    pass_build_loss(&train->config, &train->params, &pass);
    const struct pass_tensors *tensors = &pass.tensors;
    const int outputs[] = {tensors->loss, tensors->gradients[TOWER_IMAGE],
                           tensors->gradients[TOWER_TEXT]};
    return create_plan(train, &pass, outputs, 3, &train->loss);
}

static int create_tower(struct train *train, enum tower tower)
{
    struct pass pass;
    pass_build_tower(&train->config, &train->params, tower, false, &pass);
    const int features = pass.tensors.features[tower];
    int error = create_plan(train, &pass, &features, 1, &train->features[tower]);
    if (error || pass_is_locked(&train->params, tower))
        return error;
    pass_build_tower(&train->config, &train->params, tower, true, &pass);
    return create_plan(train, &pass, NULL, 0, &train->gradients[tower]);
}

/* Creates the plan of a tower with the running statistics of batch norm. */
static int create_encode(struct train *train, enum tower tower)
{
    struct train_params params = train->params;
    struct pass pass;
    params.freeze_bn_stats = true;
    pass_build_tower(&train->config, &params, tower, false, &pass);
    const int features = pass.tensors.features[tower];
    return create_plan(train, &pass, &features, 1, &train->encode[tower]);
}

static int create_plans(struct train *train)
{
    if (pass_is_whole(&train->params))
        return create_whole(train);
    int error = train->leads ? create_loss(train) : VKCLIP_OK;
    for (enum tower tower = 0; tower < TOWER_COUNT && !error; tower++)
        error = create_tower(train, tower);
    return error || !train->leads ? error : create_update(train);
}

/* ---- Open and close -------------------------------------------------------------------------- */

static int create_host_memory(struct train *train)
{
    const size_t batch = train->params.batch, tokens = batch * train->config.context;
    const size_t features = batch * train->config.image_embed_dim;
    bool missing = false;
    for (int i = 0; i < TOWER_COUNT && train->leads; i++) {
        train->host_features[i] = memory_calloc(features, sizeof(float));
        train->host_gradients[i] = memory_calloc(features, sizeof(float));
        missing |= !train->host_features[i] || !train->host_gradients[i];
    }
    if (train->leads) {
        train->turned = memory_calloc(features, sizeof(float));
        missing |= !train->turned;
    }
    train->ends = memory_calloc(batch, sizeof(*train->ends));
    train->positions = memory_calloc(tokens, sizeof(*train->positions));
    train->order = memory_calloc(tokens, sizeof(*train->order));
    train->runs = memory_calloc(2 * tokens + 2, sizeof(*train->runs));
    if (missing || !train->ends || !train->positions || !train->order || !train->runs)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch");
    return VKCLIP_OK;
}

static int open_parameters(struct train *train, const struct weights *weights)
{
    struct pass pass;
    pass_build_whole(&train->config, &train->params, &pass);
    int error = pass.graph.error;
    const struct parameters_extent extent = {
        .moments = train->leads, .averages = train->leads && train->params.ema_decay > 0};
    if (!error)
        error = parameters_open(train->gpu, &pass.graph, weights, extent, &train->parameters);
    pass_close(&pass);
    if (!error)
        train->logit_scale = parameters_find(train->parameters, "logit_scale");
    return error;
}

/* Opens a run on one device, which leads unless there is a `leader`. */
static int open_device(const struct train_device *device, const struct config *config,
                       const struct weights *weights, const struct train_params *params,
                       struct train *leader, struct train **result)
{
    struct gpu *gpu = device->gpu;
    if (params->mixed && !(gpu_caps(gpu) & CAP_F16))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s has no 16-bit storage, which f16 (`precision`) needs: train with f32",
                          gpu_info(gpu)->name);
    struct train *train = *result = memory_calloc(1, sizeof(*train));
    if (!train)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a training run");
    train->gpu = gpu;
    train->tuner = device->tuner;
    train->config = *config;
    train->weights = weights;
    train->params = *params;
    train->arena = (struct arena){.gpu = gpu, .memory = GPU_ANY};
    train->loss_scale = 1;
    train->items = params->batch;
    train->leads = !leader;
    for (int i = 0; i < TOWER_COUNT && leader; i++) {
        train->host_features[i] = leader->host_features[i];
        train->host_gradients[i] = leader->host_gradients[i];
    }
    int error = open_parameters(train, weights);
    if (!error)
        error = create_host_memory(train);
    if (!error)
        error = create_plans(train);
    if (error)
        train_close(result);
    return error;
}

int train_open(struct gpu *gpu, struct tuner *tuner, const struct config *config,
               const struct weights *weights, const struct train_params *params,
               struct train **result)
{
    const struct train_device device = {gpu, tuner};
    *result = NULL;
    int error = check_params(config, params);
    return error ? error : open_device(&device, config, weights, params, NULL, result);
}

/* Gives each device as many micro-batches as any other, or one more, in the order of the devices.
 */
static void assign_pairs(struct train *train)
{
    const uint32_t micro = pass_micro_batch(&train->params);
    const size_t count = train->params.batch / micro, devices = train->other_count + 1;
    for (size_t i = 0; i < devices; i++) {
        struct train *device = i ? train->others[i - 1] : train;
        device->first = (uint32_t)((i * count + devices - 1) / devices) * micro;
        device->items =
            (uint32_t)(((i + 1) * count + devices - 1) / devices) * micro - device->first;
    }
}

int train_add_device(struct train *train, const struct train_device *device,
                     const struct weights *weights)
{
    const uint32_t micro = pass_micro_batch(&train->params);
    if (train->other_count == TRAIN_DEVICES - 1 ||
        train->params.batch / micro < train->other_count + 2)
        return error_fail(VKCLIP_EINVALID,
                          "%zu devices for %u micro-batches: expected at most one each, and %d",
                          train->other_count + 2, train->params.batch / micro, TRAIN_DEVICES);
    if (pass_moves_statistics(&train->config, &train->params))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "batch norm is trained on one device: its running statistics would "
                          "differ between devices");
    struct train *other = NULL;
    workers_close(&train->drivers);
    int error = workers_open((unsigned)train->other_count + 1, &train->drivers);
    if (!error)
        error = open_device(device, &train->config, weights, &train->params, train, &other);
    if (error)
        return error;
    train->other_parameters[train->other_count] = other->parameters;
    train->others[train->other_count++] = other;
    assign_pairs(train);
    return VKCLIP_OK;
}

void train_close(struct train **handle)
{
    struct train *train = *handle;
    if (!train)
        return;
    workers_close(&train->drivers);
    for (size_t i = 0; i < train->other_count; i++)
        train_close(&train->others[i]);
    plan_destroy(&train->whole.plan);
    plan_destroy(&train->whole_gradients.plan);
    plan_destroy(&train->loss.plan);
    plan_destroy(&train->update.plan);
    for (int i = 0; i < TOWER_COUNT; i++) {
        plan_destroy(&train->features[i].plan);
        plan_destroy(&train->gradients[i].plan);
        plan_destroy(&train->encode[i].plan);
        if (train->leads) {
            memory_free(train->host_features[i]);
            memory_free(train->host_gradients[i]);
        }
    }
    arena_release(&train->arena);
    parameters_close(&train->parameters);
    memory_free(train->turned);
    memory_free(train->ends);
    memory_free(train->positions);
    memory_free(train->order);
    memory_free(train->runs);
    memory_free(train);
    *handle = NULL;
}

struct parameters *train_parameters(struct train *train)
{
    return train->parameters;
}

/* ---- Inputs and results ---------------------------------------------------------------------- */

static void write_pictures(struct train *train, struct step_plan *plan, const float *pixels,
                           uint32_t items)
{
    const size_t size = train->config.image_size;
    plan_write(plan->plan, plan->tensors.towers[TOWER_IMAGE].input, 0, pixels,
               items * 3 * size * size);
}

/* Writes the vectors of tokens, which the host looks up. */
static int write_vectors(const struct train *train, const struct step_plan *plan,
                         const int32_t *ids, uint32_t items)
{
    const struct config *config = &train->config;
    const size_t width = config->text.width, context = config->context;
    float *vectors = memory_alloc(2 * width * sizeof(*vectors));
    int error = vectors ? weights_check(train->weights)
                        : error_fail(VKCLIP_EMEMORY, "out of memory for a text");
    for (size_t i = 0; i < items * context && !error; i++) {
        error = lookup_vector(train->weights, config, ids + i / context * context,
                              (uint32_t)(i % context), vectors);
        if (!error)
            plan_write(plan->plan, plan->tensors.towers[TOWER_TEXT].input, i * width, vectors,
                       width);
    }
    memory_free(vectors);
    return error;
}

/* Writes which tokens are no padding. */
static void write_mask(const struct train *train, const struct step_plan *plan, const int32_t *ids,
                       uint32_t tokens)
{
    for (uint32_t i = 0; i < tokens; i++) {
        const int32_t seen = ids[i] != train->config.pad_token_id;
        plan_write_ids(plan->plan, plan->tensors.towers[TOWER_TEXT].mask, i, &seen, 1);
    }
}

/* Finds each token's row of the table of positions. */
static void find_positions(const struct config *config, const int32_t *ids, uint32_t items,
                           int32_t *positions)
{
    const struct tower_row *row = tower_find(config, TOWER_TEXT);
    struct tower_lookup lookups[TOWER_LOOKUPS];
    for (size_t i = 0; i < (size_t)items * config->context; i++) {
        row->look_up(config, ids + i / config->context * config->context,
                     (uint32_t)(i % config->context), lookups);
        positions[i] = (int32_t)lookups[1].row;
    }
}

/* Sorts what the gradients of tables read. Tokens on which no embedding depends have no gradient.
 */
static void write_sorted_ids(struct train *train, const struct step_plan *plan, const int32_t *ids,
                             uint32_t items)
{
    const struct config *config = &train->config;
    const struct grad_inputs *inputs = &plan->tensors.sorted_ids;
    const uint32_t tokens = items * config->context;
    for (uint32_t i = 0; i < items; i++)
        train->ends[i] = (int32_t)tower_text_extent(config, ids + (size_t)i * config->context) - 1;
    for (size_t i = 0; i < inputs->count; i++) {
        const struct grad_sorted *sorted = &inputs->sorted[i];
        const bool positions = sorted->ids == plan->tensors.towers[TOWER_TEXT].positions;
        grad_sort_ids(positions ? train->positions : ids, train->ends, items, config->context,
                      train->order, train->runs);
        plan_write_ids(plan->plan, sorted->order, 0, train->order, tokens);
        plan_write_ids(plan->plan, sorted->runs, 0, train->runs, 2 * tokens + 2);
    }
}

static int write_texts(struct train *train, struct step_plan *plan, const int32_t *ids,
                       uint32_t items)
{
    const struct config *config = &train->config;
    const struct tower_tensors *text = &plan->tensors.towers[TOWER_TEXT];
    const uint32_t tokens = items * config->context;
    int error = VKCLIP_OK;
    for (uint32_t i = 0; i < items; i++)
        train->ends[i] = tower_text_end(config, ids + (size_t)i * config->context);
    if (text->rows >= 0)
        plan_write_ids(plan->plan, text->rows, 0, train->ends, items);
    const struct graph *graph = plan_graph(plan->plan);
    if (graph->tensors[text->input].type != TYPE_I32) /* vectors of tokens, no ids */
        error = write_vectors(train, plan, ids, items);
    else
        plan_write_ids(plan->plan, text->input, 0, ids, tokens);
    if (text->mask >= 0)
        write_mask(train, plan, ids, tokens);
    if (text->positions >= 0) {
        find_positions(config, ids, items, train->positions);
        plan_write_ids(plan->plan, text->positions, 0, train->positions, tokens);
    }
    write_sorted_ids(train, plan, ids, items);
    return error;
}

void train_scale_loss(struct train *train, float scale)
{
    train->loss_scale = train->params.mixed ? scale : 1;
}

static void write_loss_scale(struct train *train, struct step_plan *plan)
{
    if (plan->tensors.loss_scale >= 0)
        plan_write(plan->plan, plan->tensors.loss_scale, 0, &train->loss_scale, 1);
}

static void write_step(struct train *train, struct step_plan *plan, uint64_t step, double rate)
{
    const struct adamw *adamw = &train->params.adamw;
    const double k = (double)step + 1;
    const float values[OPTIMISER_VALUES] = {
        [OPTIMISER_RATE] = (float)rate,
        [OPTIMISER_CORRECTION1] = (float)(1 / (1 - pow((double)adamw->beta1, k))),
        [OPTIMISER_CORRECTION2] = (float)(1 / (1 - pow((double)adamw->beta2, k))),
        [OPTIMISER_MOST_NORM] = train->params.grad_clip_norm,
        [OPTIMISER_UNSCALE] = 1 / train->loss_scale};
    plan_write(plan->plan, plan->tensors.optimiser.step, 0, values, OPTIMISER_VALUES);
}

static void read_loss(const struct step_plan *plan, struct train_result *result)
{
    plan_read(plan->plan, plan->tensors.loss, 0, &result->loss, 1);
}

static void read_step(const struct step_plan *plan, struct train_result *result)
{
    float values[OPTIMISER_VALUES];
    plan_read(plan->plan, plan->tensors.optimiser.clip, 0, values, OPTIMISER_VALUES);
    result->norm = values[OPTIMISER_NORM];
    result->skipped = values[OPTIMISER_FACTOR] == 0;
}

/* ---- A step ---------------------------------------------------------------------------------- */

static int write_micro_batch(struct train *train, struct step_plan *plan, enum tower tower,
                             uint32_t first, const float *pixels, const int32_t *ids)
{
    const struct config *config = &train->config;
    const uint32_t items = pass_micro_batch(&train->params);
    const size_t picture = (size_t)3 * config->image_size * config->image_size;
    if (tower == TOWER_TEXT)
        return write_texts(train, plan, ids + (size_t)first * config->context, items);
    write_pictures(train, plan, pixels + first * picture, items);
    return VKCLIP_OK;
}

/* Computes a tower's features of a micro-batch. */
static int run_features(struct train *train, enum tower tower, uint32_t first, const float *pixels,
                        const int32_t *ids)
{
    struct step_plan *plan = &train->features[tower];
    const uint32_t micro = pass_micro_batch(&train->params), d = train->config.image_embed_dim;
    int error = write_micro_batch(train, plan, tower, first, pixels, ids);
    if (!error)
        error = plan_run(plan->plan);
    if (!error)
        plan_read(plan->plan, plan->tensors.features[tower], 0,
                  train->host_features[tower] + (size_t)first * d, (size_t)micro * d);
    return error;
}

/* Computes the gradients of a tower's weights from those of the features of a micro-batch. A locked
 * tower has none. */
static int run_gradients(struct train *train, enum tower tower, uint32_t first, const float *pixels,
                         const int32_t *ids)
{
    struct step_plan *plan = &train->gradients[tower];
    const uint32_t micro = pass_micro_batch(&train->params), d = train->config.image_embed_dim;
    if (!plan->plan)
        return VKCLIP_OK;
    int error = write_micro_batch(train, plan, tower, first, pixels, ids);
    plan_write(plan->plan, plan->tensors.gradients[tower], 0,
               train->host_gradients[tower] + (size_t)first * d, (size_t)micro * d);
    return error ? error : plan_run(plan->plan);
}

/* Adds a turned list of gradients [B,D], which begins with that of text number `first`. */
static void add_turned(const struct train *train, size_t first, float *sums)
{
    const size_t d = train->config.text_embed_dim, count = train->params.batch * d;
    for (size_t i = 0; i < count; i++)
        sums[(first * d + i) % count] += train->turned[i];
}

/* Computes the loss of the pictures from number `first` on with all texts, and the gradients of
 * their features. The texts are turned so that the first picture's text comes first. */
static int run_loss_part(struct train *train, uint32_t first, uint32_t rows, float *loss)
{
    struct step_plan *plan = &train->loss;
    const size_t d = train->config.image_embed_dim, count = train->params.batch * d;
    const size_t before = first * d;
    const float *texts = train->host_features[TOWER_TEXT];
    const float *images = train->host_features[TOWER_IMAGE] + before;
    plan_write(plan->plan, plan->tensors.features[TOWER_IMAGE], 0, images, rows * d);
    plan_write(plan->plan, plan->tensors.features[TOWER_TEXT], 0, texts + before, count - before);
    plan_write(plan->plan, plan->tensors.features[TOWER_TEXT], count - before, texts, before);
    write_loss_scale(train, plan);
    int error = plan_run(plan->plan);
    if (error)
        return error;
    plan_read(plan->plan, plan->tensors.gradients[TOWER_IMAGE], 0,
              train->host_gradients[TOWER_IMAGE] + before, rows * d);
    plan_read(plan->plan, plan->tensors.gradients[TOWER_TEXT], 0, train->turned, count);
    add_turned(train, first, train->host_gradients[TOWER_TEXT]);
    plan_read(plan->plan, plan->tensors.loss, 0, loss, 1);
    return VKCLIP_OK;
}

/* Computes the loss and the gradients of all features. */
static int run_loss(struct train *train, struct train_result *result)
{
    const uint32_t rows = pass_loss_rows(&train->config, &train->params);
    const size_t count = (size_t)train->params.batch * train->config.text_embed_dim;
    int error = VKCLIP_OK;
    result->loss = 0;
    memset(train->host_gradients[TOWER_TEXT], 0, count * sizeof(float));
    for (uint32_t first = 0; first < train->params.batch && !error; first += rows) {
        float loss = 0;
        error = run_loss_part(train, first, rows, &loss);
        result->loss += loss;
    }
    return error;
}

typedef int run_micro_batch_fn(struct train *train, enum tower tower, uint32_t first,
                               const float *pixels, const int32_t *ids);

/* What every device does with its micro-batches. */
struct device_work {
    struct train *train;
    run_micro_batch_fn *run;
    const float *pixels;
    const int32_t *ids;
};

/* Is a drive_piece_fn: computes a micro-batch of pictures, or of texts after all of these. */
static int run_piece(void *user, size_t device, uint32_t piece)
{
    const struct device_work *work = user;
    struct train *train = device ? work->train->others[device - 1] : work->train;
    const uint32_t done = piece * pass_micro_batch(&train->params);
    const enum tower tower = done < train->items ? TOWER_IMAGE : TOWER_TEXT;
    return work->run(train, tower, train->first + done % train->items, work->pixels, work->ids);
}

static int run_on_devices(struct device_work work, bool stays)
{
    struct train *train = work.train;
    const uint32_t micro = pass_micro_batch(&train->params);
    struct drive drive = {
        .run = run_piece, .user = &work, .stays = stays, .devices = train->other_count + 1};
    for (size_t i = 0; i < drive.devices; i++)
        drive.pieces[i] = TOWER_COUNT * (i ? train->others[i - 1] : train)->items / micro;
    return drive_all(&drive, train->drivers);
}

/* Takes back what a step that is cancelled has added to the gradients. */
static int take_back(struct train *train)
{
    char message[ERROR_MESSAGE];
    snprintf(message, sizeof(message), "%s", error_last());
    int error = parameters_clear_gradients(train->parameters);
    for (size_t i = 0; i < train->other_count && !error; i++)
        error = parameters_clear_gradients(train->other_parameters[i]);
    if (error)
        return error;
    error_keep(message);
    return VKCLIP_ECANCELLED;
}

static int run_micro_batches(struct train *train, const float *pixels, const int32_t *ids,
                             struct train_result *result)
{
    const bool moves = pass_moves_statistics(&train->config, &train->params);
    int error = run_on_devices((struct device_work){train, run_features, pixels, ids}, false);
    if (!error)
        error = run_loss(train, result);
    if (!error) /* Statistics that have moved could not be moved back. */
        error = run_on_devices((struct device_work){train, run_gradients, pixels, ids}, moves);
    if (error == VKCLIP_ECANCELLED)
        return take_back(train);
    if (!error && train->other_count)
        error = parameters_add_gradients(train->parameters, train->other_parameters,
                                         train->other_count);
    return error;
}

static int run_whole(struct train *train, struct step_plan *plan, const float *pixels,
                     const int32_t *ids, struct train_result *result)
{
    write_pictures(train, plan, pixels, train->params.batch);
    int error = write_texts(train, plan, ids, train->params.batch);
    write_loss_scale(train, plan);
    if (!error)
        error = plan_run(plan->plan);
    if (!error)
        read_loss(plan, result);
    return error;
}

static int begin_result(struct train *train, struct train_result *result)
{
    *result = (struct train_result){.loss_scale = train->loss_scale};
    return parameters_read(train->parameters, train->logit_scale, PARAMETER_VALUE,
                           &result->logit_scale);
}

int train_step(struct train *train, const float *pixels, const int32_t *ids, uint64_t step,
               double rate, struct train_result *result)
{
    const bool whole = pass_is_whole(&train->params);
    struct step_plan *last = whole ? &train->whole : &train->update;
    int error = begin_result(train, result);
    write_step(train, last, step, rate);
    if (!error && whole)
        error = run_whole(train, last, pixels, ids, result);
    if (!error && !whole)
        error = run_micro_batches(train, pixels, ids, result);
    if (!error && !whole)
        error = plan_run(last->plan);
    if (!error && train->other_count)
        error =
            parameters_copy_weights(train->parameters, train->other_parameters, train->other_count);
    if (!error)
        read_step(last, result);
    return error;
}

int train_gradients(struct train *train, const float *pixels, const int32_t *ids,
                    struct train_result *result)
{
    int error = begin_result(train, result);
    if (error)
        return error;
    if (!pass_is_whole(&train->params))
        return run_micro_batches(train, pixels, ids, result);
    if (!train->whole_gradients.plan)
        error = create_whole_gradients(train);
    return error ? error : run_whole(train, &train->whole_gradients, pixels, ids, result);
}

uint32_t train_micro_batch(const struct train *train)
{
    return pass_micro_batch(&train->params);
}

int train_encode(struct train *train, enum tower tower, const float *pixels, const int32_t *ids,
                 float *embeds)
{
    const size_t count = (size_t)pass_micro_batch(&train->params) * train->config.image_embed_dim;
    struct step_plan *plan = &train->encode[tower];
    int error = plan->plan ? VKCLIP_OK : create_encode(train, tower);
    if (!error)
        error = write_micro_batch(train, plan, tower, 0, pixels, ids);
    if (!error)
        error = plan_run(plan->plan);
    if (!error)
        plan_read(plan->plan, plan->tensors.features[tower], 0, embeds, count);
    return error;
}

int train_profile(struct train *train, double seconds[OP_COUNT])
{
    const bool whole = pass_is_whole(&train->params);
    struct plan *plan = whole ? train->whole.plan : train->gradients[TOWER_IMAGE].plan;
    const struct graph *graph = plan_graph(plan);
    double *nodes = memory_calloc(graph->node_count + 1, sizeof(*nodes));
    if (!nodes)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a profile");
    int error = plan_profile(plan, nodes);
    memset(seconds, 0, OP_COUNT * sizeof(*seconds));
    for (size_t i = 0; i < graph->node_count && !error; i++)
        seconds[graph->nodes[i].op] += nodes[i];
    memory_free(nodes);
    return error;
}
