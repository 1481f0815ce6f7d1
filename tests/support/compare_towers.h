/* SPDX-License-Identifier: MIT
 *
 * Compares the towers of a model with the outputs of a reference implementation: every hidden state
 * and the embeddings, on the device that the environment names.
 */
#ifndef SUPPORT_COMPARE_TOWERS_H
#define SUPPORT_COMPARE_TOWERS_H

#include "base/array.h"
#include "base/string.h"
#include "support/testing.h"

#include <math.h>

#include "support/open_device.h"
#include "format/safetensors.h"
#include "support/read_floats.h"

/* The largest error, as a share of the tensor's largest absolute value, must be at most `relative`,
 * and the cosine of each item with the reference at least `cosine`. */
struct bounds {
    double relative, cosine;
};
/* With fp16 or 8-bit weights, only the cosine is bounded, because single values may be far off
 * although the direction of the vector is right. */
static const struct bounds fp32 = {1e-4, 0.99999}, rounded = {INFINITY, 0.999};

static bool has_f16;

static int open_and_describe(void **state)
{
    struct vkclip_device_info info = {.size = sizeof(info)};
    open_device(state);
    assert_int_equal(vkclip_get_device_info(device, &info), VKCLIP_OK);
    has_f16 = strstr(info.caps, "f16") != NULL;
    printf("device: %s, %s, caps: %s\n", info.name, info.driver, info.caps);
    return 0;
}

/* ---- Comparing ------------------------------------------------------------------------------- */

static void compare(const char *name, const float *found, const struct tensor_view *expected,
                    size_t first, size_t items, struct bounds bounds)
{
    uint64_t length = 1;
    for (unsigned i = 1; i < expected->rank; i++)
        length *= expected->shape[i];
    assert_true(first + items <= expected->shape[0]);
    double worst = 0, largest = 0;
    for (uint64_t i = 0; i < expected->shape[0] * length; i++)
        largest = fmax(largest, fabs(tensor_view_value(expected, i)));
    for (size_t item = 0; item < items; item++) {
        double dot = 0, a = 0, b = 0;
        for (uint64_t i = 0; i < length; i++) {
            double x = found[item * length + i];
            double y = tensor_view_value(expected, (first + item) * length + i);
            worst = fmax(worst, isfinite(x) ? fabs(x - y) : INFINITY);
            dot += x * y, a += x * x, b += y * y;
        }
        if (!(dot / sqrt(a * b) >= bounds.cosine))
            fail_msg("%s, item %zu: cosine %.7f, expected at least %g", name, first + item,
                     dot / sqrt(a * b), bounds.cosine);
    }
    if (!(worst <= bounds.relative * largest))
        fail_msg("%s: relative error %.3g, expected at most %g", name, worst / largest,
                 bounds.relative);
}

struct comparison {
    const struct safetensors *expected;
    struct bounds bounds;
    size_t compared; /* number of tensors */
};

static int compare_hidden(void *user, const char *name, const float *data, const size_t *shape,
                          size_t rank, size_t first, size_t items)
{
    struct comparison *comparison = user;
    const struct tensor_view *expected = safetensors_find(comparison->expected, name);
    if (!expected)
        return 0;
    assert_int_equal(rank, expected->rank);
    for (size_t i = 1; i < rank; i++)
        assert_int_equal(shape[i], expected->shape[i]);
    compare(name, data, expected, first, items, comparison->bounds);
    comparison->compared += first == 0;
    return 0;
}

/* Returns how many tensors of a file a run of both towers must compute: all but inputs and logits.
 */
static size_t count_states(const struct safetensors *file)
{
    size_t count = 0;
    for (size_t i = 0; i < file->count; i++)
        count += string_begins_with(file->tensors[i].name, "vision.") ||
                 string_begins_with(file->tensors[i].name, "text.");
    return count;
}

/* Compares embeddings that were made without hidden states, where the last block computes the
 * pooled token alone. */
static void compare_embeddings(const struct comparison *comparison, const char *name,
                               const float *found, size_t items)
{
    const struct tensor_view *expected = safetensors_find(comparison->expected, name);
    if (expected)
        compare(name, found, expected, 0, items, comparison->bounds);
}

/* The embeddings of a tower are NULL if the model or the file has none. */
struct embeddings {
    float *values;
    size_t count;
};

static struct embeddings encode_pictures(struct vkclip_model *model,
                                         const struct vkclip_model_info *info,
                                         const struct safetensors *inputs,
                                         struct comparison *comparison)
{
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .hidden = compare_hidden, .user = comparison};
    const struct tensor_view *view = safetensors_find(inputs, "pixel_values");
    struct embeddings found = {0};
    if (!info->image.width || !view)
        return found;
    float *pixels = read_floats(view);
    found.count = view->shape[0];
    found.values = malloc(found.count * info->embed_dim * sizeof(float));
    if (vkclip_encode_pixels(model, pixels, found.count, &params, found.values) ||
        vkclip_encode_pixels(model, pixels, found.count, NULL, found.values))
        fail_msg("%s", vkclip_last_error());
    compare_embeddings(comparison, "vision.normalized", found.values, found.count);
    free(pixels);
    return found;
}

static struct embeddings encode_texts(struct vkclip_model *model,
                                      const struct vkclip_model_info *info,
                                      const struct safetensors *inputs,
                                      struct comparison *comparison)
{
    const struct tensor_view *ids = safetensors_find(inputs, "input_ids");
    const struct tensor_view *mask = safetensors_find(inputs, "attention_mask");
    const int32_t *seen = mask ? mask->data : NULL;
    const struct vkclip_encode_params params = {.size = sizeof(params),
                                                .hidden = compare_hidden,
                                                .user = comparison,
                                                .attention_mask = seen};
    const struct vkclip_encode_params plain = {.size = sizeof(plain), .attention_mask = seen};
    struct embeddings found = {0};
    if (!info->text.width || !ids)
        return found;
    found.count = ids->shape[0];
    found.values = malloc(found.count * info->text_embed_dim * sizeof(float));
    if (vkclip_encode_tokens(model, ids->data, found.count, ids->shape[1], &params, found.values) ||
        vkclip_encode_tokens(model, ids->data, found.count, ids->shape[1], &plain, found.values))
        fail_msg("%s", vkclip_last_error());
    compare_embeddings(comparison, "text.normalized", found.values, found.count);
    return found;
}

/* Where values are rounded, the cosine of logits is not bounded, because embeddings may be nearly
 * orthogonal. Embeddings whose cosines with their references are bounded lie at most so far from
 * them, which bounds the difference of each logit. */
static void compare_rounded_logits(const float *found, const struct tensor_view *logits,
                                   double scale, double cosine)
{
    const double bound = scale * 2 * sqrt(2 * (1 - cosine));
    for (uint64_t i = 0; i < logits->shape[0] * logits->shape[1]; i++)
        if (!(fabs((double)found[i] - tensor_view_value(logits, i)) <= bound))
            fail_msg("logits_per_image, element %llu: %g, expected %g within %g",
                     (unsigned long long)i, (double)found[i], tensor_view_value(logits, i), bound);
}

static void compare_logits(struct vkclip_model *model, const struct embeddings *images,
                           const struct embeddings *texts, const struct comparison *comparison)
{
    const struct tensor_view *logits = safetensors_find(comparison->expected, "logits_per_image");
    if (!logits || !images->values || !texts->values)
        return;
    float *found = malloc(images->count * texts->count * sizeof(*found));
    assert_int_equal(
        vkclip_similarity(model, images->values, images->count, texts->values, texts->count, found),
        0);
    struct vkclip_model_info info = {.size = sizeof(info)};
    assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
    if (comparison->bounds.relative < INFINITY)
        compare("logits_per_image", found, logits, 0, images->count, comparison->bounds);
    else
        compare_rounded_logits(found, logits, (double)info.logit_scale, comparison->bounds.cosine);
    free(found);
}

/* Runs both towers of a model, and compares all their states and embeddings with a file. */
static void compare_model(struct vkclip_model *model, const struct safetensors *expected,
                          const struct safetensors *inputs, struct bounds bounds)
{
    struct comparison comparison = {.expected = expected, .bounds = bounds};
    struct vkclip_model_info info = {.size = sizeof(info)};
    assert_int_equal(vkclip_get_model_info(model, &info), VKCLIP_OK);
    struct embeddings images = encode_pictures(model, &info, inputs, &comparison);
    struct embeddings texts = encode_texts(model, &info, inputs, &comparison);
    assert_int_equal(comparison.compared, count_states(expected));
    compare_logits(model, &images, &texts, &comparison);
    free(images.values);
    free(texts.values);
}

static void check_case(const char *model_path, const char *case_path, const char *inputs_path,
                       const struct vkclip_model_params *params, struct bounds bounds)
{
    char *path = golden_path(model_path), *expected_path = golden_path(case_path),
         *input_path = golden_path(inputs_path);
    struct safetensors *expected = NULL, *inputs = NULL;
    struct vkclip_model *model = NULL;
    if (path && expected_path && input_path) {
        printf("%s, %s, %s, batches of %u\n", path,
               params->precision == VKCLIP_PRECISION_F16 ? "f16" : "f32",
               params->weights == VKCLIP_WEIGHTS_Q8 ? "q8" : "weights as they are",
               params->max_batch);
        assert_int_equal(safetensors_open(expected_path, &expected), VKCLIP_OK);
        assert_int_equal(safetensors_open(input_path, &inputs), VKCLIP_OK);
        if (vkclip_open_model(device, path, params, &model))
            fail_msg("%s", vkclip_last_error());
        compare_model(model, expected, inputs, bounds);
        vkclip_close_model(&model);
        safetensors_close(&expected);
        safetensors_close(&inputs);
    } else {
        printf("skipped: reference data %s is not here\n", model_path);
    }
    free(path);
    free(expected_path);
    free(input_path);
}

#endif
