/* SPDX-License-Identifier: MIT
 *
 * Appends the nodes of one optimiser step: sums of squares per range, from the sums the norm and
 * the clipping factor, then one AdamW node per range.
 */
#include "graph/optimiser.h"

#include <math.h>
#include <stdio.h>

#include "shaders/args.h"

/* CLIP's paper (section 2.5) bounds the factor of the logits by 100, because larger factors make
 * training unstable. */
#define MOST_LOGIT_SCALE 100.0f

static int add_state(struct graph *graph, const char *kind, size_t range, unsigned rank,
                     uint32_t elements)
{
    const uint32_t shape[] = {elements, 2};
    char name[32];
    snprintf(name, sizeof(name), "%s.%zu", kind, range);
    return graph_add_state(graph, name, LAYOUT_ROWS, rank, shape);
}

static uint32_t count_sums(const struct optimiser_range *range)
{
    return (range->elements + SUMSQ_PART - 1) / SUMSQ_PART;
}

/* Appends the sums of squares of all gradients, one range after the other. */
static int append_sums(struct graph *graph, const struct optimiser_range *ranges, size_t count)
{
    uint32_t total = 0, offset = 0;
    int sums = -1;
    for (size_t i = 0; i < count; i++)
        total += count_sums(&ranges[i]);
    for (size_t i = 0; i < count; i++) {
        struct node node = {
            .op = OP_SUMSQ, .in = {ranges[i].gradients, -1, -1}, .sumsq.offset = offset};
        sums = i ? graph_append_into(graph, node, sums)
                 : graph_append(graph, "sums of squares", node, 1, &total);
        offset += count_sums(&ranges[i]);
    }
    return sums;
}

struct optimiser optimiser_append(struct graph *graph, struct adamw adamw,
                                  struct optimiser_range *ranges, size_t count, int logit_scale)
{
    const uint32_t values = OPTIMISER_VALUES;
    struct optimiser optimiser = {graph_input(graph, "step", TYPE_F32, 1, &values), -1};
    for (size_t i = 0; i < count; i++) {
        ranges[i].weights = add_state(graph, "weights", i, 1, ranges[i].elements);
        ranges[i].gradients = add_state(graph, "gradients", i, 1, ranges[i].elements);
        ranges[i].moments = add_state(graph, "moments", i, 2, ranges[i].elements);
        ranges[i].averages = -1;
    }
    struct node clip = {.op = OP_CLIP,
                        .in = {append_sums(graph, ranges, count), optimiser.step, -1}};
    optimiser.clip = graph_append(graph, "clip", clip, 1, &values);
    for (size_t i = 0; i < count; i++) {
        struct node node = {.op = OP_ADAMW,
                            .in = {ranges[i].gradients, ranges[i].moments, optimiser.clip},
                            .residual = true,
                            .adamw = {adamw.beta1, adamw.beta2, adamw.epsilon, 0}};
        if (ranges[i].decayed)
            node.adamw.decay = adamw.decay;
        graph_append_into(graph, node, ranges[i].weights);
    }
    struct node clamp = {.op = OP_CLAMP,
                         .in = {logit_scale, -1, -1},
                         .residual = true,
                         .clamp = {0, logf(MOST_LOGIT_SCALE)}};
    graph_append_into(graph, clamp, logit_scale);
    return optimiser;
}

void optimiser_append_averages(struct graph *graph, const struct optimiser *optimiser, float decay,
                               struct optimiser_range *ranges, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ranges[i].averages = add_state(graph, "averages", i, 1, ranges[i].elements);
        const struct node node = {.op = OP_AVERAGE,
                                  .in = {ranges[i].weights, optimiser->clip, -1},
                                  .residual = true,
                                  .average.decay = decay};
        graph_append_into(graph, node, ranges[i].averages);
    }
}
