/* SPDX-License-Identifier: MIT
 *
 * Runs one text after the other, because the gradients of a batch would take much memory. Refuses
 * towers whose tokens do not attend to each other.
 */
#include "encode/explain.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "checkpoint/inputs.h"
#include "encode/batches.h"
#include "image/prepare.h"

#include <math.h>

/* One call. An item is an embedding. */
struct explanation {
    const struct vkclip_model *model;
    int32_t *bytes; /* the prepared picture [S,S,3] in words */
    size_t words;
    const float *embed; /* [D] */
    float *vector;      /* [D] */
    float *relevance;   /* [side,side] */
    float *cosine;      /* NULL: not wanted */
};

/* Is the write function of struct batches. What is explained is the logit. */
static int write_item(void *user, struct replica *replica, const struct replica_plan *plan,
                      size_t item, uint32_t place, unsigned thread)
{
    const struct explanation *explanation = user;
    const struct config *config = &explanation->model->spec.config;
    const size_t dim = config->image_embed_dim;
    (void)replica, (void)item, (void)thread;
    for (size_t i = 0; i < dim; i++)
        explanation->vector[i] = config->logit_scale * explanation->embed[i];
    plan_write_ids(plan->plan, plan->input, place * explanation->words, explanation->bytes,
                   explanation->words);
    plan_write(plan->plan, plan->seed, place * dim, explanation->vector, dim);
    return VKCLIP_OK;
}

/* Is the read function of struct batches. Class tokens come before the patches. */
static int read_item(void *user, const struct replica_plan *plan, size_t first, size_t number)
{
    const struct explanation *explanation = user;
    const struct config *config = &explanation->model->spec.config;
    const size_t dim = config->image_embed_dim, side = explain_side(config), patches = side * side;
    const size_t tokens = plan_graph(plan->plan)->tensors[plan->relevance].shape[1];
    double sum = 0;
    (void)first, (void)number;
    plan_read(plan->plan, plan->relevance, tokens - patches, explanation->relevance, patches);
    plan_read(plan->plan, plan->normalized, 0, explanation->vector, dim);
    for (size_t i = 0; i < dim; i++)
        sum += (double)explanation->vector[i] * explanation->embed[i];
    if (explanation->cosine)
        *explanation->cosine = (float)sum;
    return VKCLIP_OK;
}

static int run_item(struct vkclip_model *model, struct explanation *explanation, uint32_t layers)
{
    const struct batches_group all = {.end = 1};
    const struct batches work = {.tower = TOWER_IMAGE,
                                 .count = 1,
                                 .groups = &all,
                                 .features = {.bytes = true, .explained = layers},
                                 .user = explanation,
                                 .write = write_item,
                                 .read = read_item};
    return batches_run(&work, model->replicas, 1, model->device->drivers,
                       gpu_workers(model->device->gpus[0]));
}

static int check_model(const struct vkclip_model *model, uint32_t layers)
{
    const struct config *config = &model->spec.config;
    if (!config->image.kind)
        return error_fail(VKCLIP_EABSENT, "%s has no image tower", model_name(model));
    int error = tower_check_explained(model_name(model), config, layers);
    if (!error && !model->replica_count)
        error = error_fail(VKCLIP_ENODEVICE, "the model was opened without a device");
    return error;
}

/* Numbers that are not finite would make every relevance NaN. */
static int check_embeds(const float *embeds, size_t count, size_t dim)
{
    for (size_t i = 0; i < count * dim; i++)
        if (!isfinite(embeds[i]))
            return error_fail(VKCLIP_EINVALID,
                              "vkclip_explain: `text_embeds`: row %zu has %g at %zu: expected "
                              "finite numbers",
                              i / dim, (double)embeds[i], i % dim);
    return VKCLIP_OK;
}

int explain_picture(struct vkclip_model *model, const struct vkclip_image *image,
                    const float *embeds, size_t count, uint32_t layers, float *relevance,
                    float *cosines)
{
    const struct config *config = &model->spec.config;
    if (!layers && config->image.kind)
        layers = tower_attends(config);
    int error = check_model(model, layers);
    if (!error)
        error = check_embeds(embeds, count, config->image_embed_dim);
    if (error)
        return error;
    const struct image_transform transform = checkpoint_image_transform(config);
    const size_t dim = config->image_embed_dim, side = explain_side(config);
    struct explanation explanation = {
        .model = model, .words = (3 * (size_t)transform.size * transform.size + 3) / 4};
    explanation.bytes = memory_calloc(explanation.words, sizeof(*explanation.bytes));
    explanation.vector = memory_alloc(dim * sizeof(*explanation.vector));
    if (!explanation.bytes || !explanation.vector)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for an explanation");
    if (!error)
        error = image_prepare(image, &transform, NULL, (uint8_t *)explanation.bytes);
    for (size_t i = 0; i < count && !error; i++) {
        explanation.embed = embeds + i * dim;
        explanation.relevance = relevance + i * side * side;
        explanation.cosine = cosines ? cosines + i : NULL;
        error = progress_tell(i, count);
        if (!error)
            error = run_item(model, &explanation, layers);
    }
    memory_free(explanation.bytes);
    memory_free(explanation.vector);
    return error;
}
