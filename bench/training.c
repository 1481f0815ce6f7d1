/* SPDX-License-Identifier: MIT
 *
 * Times a step of training on random pairs, the forward pass alone as training computes it, and
 * every op of a step.
 */
#include "base/array.h"
#include "base/clock.h"
#include "base/error.h"
#include "training.h"

#include <stdio.h>
#include <stdlib.h>

#include "model/tower.h"
#include "runtime/plan.h"
#include "runtime/upload.h"
#include "train/step.h"

#define RUNS 5 /* timed runs after a first run, in which some drivers still compile */

struct bench {
    struct config config;
    struct weights *weights;
    struct train *train;
    struct weight_store *store;
    struct plan *forward;
    float *pixels;
    int32_t *ids;
    double step[RUNS + 1], pass[RUNS + 1]; /* seconds of a step and of a forward pass */
};

static int open_forward(struct gpu *gpu, struct tuner *tuner, struct bench *bench, uint32_t batch,
                        bool mixed)
{
    struct graph graph;
    const struct graph *graphs[] = {&graph};
    graph_init(&graph, mixed ? TYPE_F16 : TYPE_F32);
    graph.training = true;
    graph.mixed = mixed;
    struct tower_tensors image, text;
    tower_append(&bench->config, TOWER_IMAGE, batch, &graph, &image);
    tower_append(&bench->config, TOWER_TEXT, batch, &graph, &text);
    const int outputs[] = {image.normalized, text.normalized};
    int error = graph.error;
    if (!error)
        error = weight_store_create(gpu, graphs, 1, &bench->store);
    struct row_reader reader = weights_row_reader(bench->weights);
    if (!error)
        error = upload_weights(gpu, bench->store, &reader);
    const struct plan_params params = {
        .gpu = gpu, .tuner = tuner, .weights = bench->store, .outputs = outputs, .output_count = 2};
    if (!error)
        return plan_create(&params, &graph, &bench->forward);
    graph_free(&graph);
    return error;
}

/* Returns the next number of Marsaglia's xorshift generator. */
static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state;
}

/* Makes random pixels and random texts of the whole context. */
static int make_batch(struct bench *bench, uint32_t batch)
{
    const struct config *config = &bench->config;
    const size_t pixels = (size_t)batch * 3 * config->image_size * config->image_size;
    const size_t tokens = (size_t)batch * config->context;
    const uint32_t end = config->vocabulary - 1; /* The largest id is the end of text. */
    uint32_t state = 2463534242u;
    bench->pixels = calloc(pixels, sizeof(*bench->pixels));
    bench->ids = calloc(tokens, sizeof(*bench->ids));
    if (!bench->pixels || !bench->ids)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a batch");
    for (size_t i = 0; i < pixels; i++)
        bench->pixels[i] = (float)next_random(&state) / 2147483648.0f - 1;
    for (size_t i = 0; i < tokens; i++) {
        const uint32_t id = next_random(&state) % (config->vocabulary - 2);
        const bool is_last = (i + 1) % config->context == 0;
        bench->ids[i] = (int32_t)(is_last ? end : id);
    }
    return VKCLIP_OK;
}

/* Returns the median of all runs but the first, which it sorts. */
static double median(double *seconds)
{
    qsort(seconds + 1, RUNS, sizeof(*seconds), array_compare_doubles);
    return seconds[1 + RUNS / 2];
}

static void print_row(uint32_t batch, const char *part, double seconds, double share, bool csv)
{
    printf(csv ? "%u,%s,%.3f,%.4f\n" : "%6u %-18s %10.1f ms %8.3f\n", batch, part, seconds * 1e3,
           share);
}

/* Prints every part with its share of a step's time. The share in the row of the step is instead
 * the ratio of its time to that of the forward pass. */
static void print_parts(struct bench *bench, uint32_t batch, const double seconds[OP_COUNT],
                        bool csv)
{
    double step = median(bench->step), pass = median(bench->pass), all = 0;
    for (int op = 0; op < OP_COUNT; op++)
        all += seconds[op];
    print_row(batch, "step / forward", step, step / pass, csv);
    print_row(batch, "forward", pass, pass / step, csv);
    for (int op = 0; op < OP_COUNT; op++)
        if (seconds[op] > 0)
            print_row(batch, op_name((enum op)op), seconds[op], seconds[op] / all, csv);
    if (!csv)
        printf("%6u %.1f pairs/s\n", batch, batch / step);
}

/* Times steps and forward passes in turn, so that a change of the machine's speed affects the times
 * of both. */
static int run(struct bench *bench, uint32_t batch, bool csv)
{
    double seconds[OP_COUNT];
    struct train_result result;
    int error = VKCLIP_OK;
    train_scale_loss(bench->train, 1024);
    for (int i = 0; i <= RUNS && !error; i++) {
        double start = clock_seconds();
        error = plan_run(bench->forward);
        bench->pass[i] = clock_seconds() - start;
        if (!error)
            error = train_step(bench->train, bench->pixels, bench->ids, (uint64_t)i, 1e-4, &result);
        bench->step[i] = clock_seconds() - start - bench->pass[i];
    }
    if (!error)
        error = train_profile(bench->train, seconds);
    if (!error)
        print_parts(bench, batch, seconds, csv);
    return error;
}

int bench_train(struct gpu *gpu, struct tuner *tuner, const char *model, uint32_t batch, bool mixed,
                bool csv)
{
    const struct vkclip_model_params params = {.size = sizeof(params)};
    const struct train_params train = {
        .batch = batch, .mixed = mixed, .adamw = {0.9f, 0.98f, 1e-6f, 0.2f}};
    struct bench bench = {.weights = NULL};
    int error = checkpoint_open(model, &params, &bench.config, &bench.weights);
    if (error)
        return error;
    error = train_open(gpu, tuner, &bench.config, bench.weights, &train, &bench.train);
    if (!error)
        error = open_forward(gpu, tuner, &bench, batch, mixed);
    if (!error)
        error = make_batch(&bench, batch);
    if (!error)
        error = run(&bench, batch, csv);
    plan_destroy(&bench.forward);
    weight_store_destroy(&bench.store);
    train_close(&bench.train);
    weights_close(&bench.weights);
    config_close(&bench.config);
    free(bench.pixels);
    free(bench.ids);
    return error;
}
