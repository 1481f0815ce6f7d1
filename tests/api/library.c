/* SPDX-License-Identifier: MIT
 *
 * Uses the library as a program does, through vkclip.h alone: what emoji-clip answers on pictures
 * and texts, classification, arguments and errors, and all devices open at the same time.
 *     test_library [ITEMS [TEST]]
 * encodes the first ITEMS of the model's 60 pictures and texts, for slow devices, and runs only the
 * given test.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/string.h"
#include "support/difference.h"
#include "support/testing.h"

#include <math.h>

#include "format/safetensors.h"

#define MODEL "models/emoji-clip"
#define GOLDEN "tests/golden/emoji-clip"
enum { N = 60, D = 128, T = 32, S = 64 };

static struct vkclip_device *device;
static struct vkclip_model *model;
static struct safetensors *expected;
static struct vkclip_image images[N];
static char *names[N], *prompts[N];
static size_t encoded = N; /* how many pictures and texts are encoded */

static void log_warnings(void *user, enum vkclip_log_level level, const char *message)
{
    *(size_t *)user += level == VKCLIP_LOG_WARNING;
    if (level == VKCLIP_LOG_WARNING)
        printf("warning: %s\n", message);
}
static size_t warnings;

static int open_all(void **state)
{
    (void)state;
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    vkclip_set_log(log_warnings, &warnings);
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), 0);
    assert_int_equal(safetensors_open(GOLDEN "/expected.safetensors", &expected), 0);
    FILE *labels = fopen(GOLDEN "/labels.tsv", "r");
    char line[256], file[64], name[64], prompt[96];
    assert_non_null(labels);
    /* The first line has the names of the columns. */
    assert_non_null(fgets(line, sizeof(line), labels));
    for (int i = 0; i < N; i++) {
        assert_non_null(fgets(line, sizeof(line), labels));
        assert_int_equal(sscanf(line, "%63[^\t]\t%63[^\t]\t%95[^\t]", file, name, prompt), 3);
        char *path = string_format(GOLDEN "/%s", file);
        assert_int_equal(vkclip_load_image(path, 0, &images[i]), 0);
        free(path);
        names[i] = string_format("%s", name);
        prompts[i] = string_format("%s", prompt);
    }
    fclose(labels);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    for (int i = 0; i < N; i++) {
        vkclip_free_image(&images[i]);
        free(names[i]);
        free(prompts[i]);
    }
    safetensors_close(&expected);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    vkclip_close_model(&model); /* A closed handle may be closed again. */
    vkclip_close_device(&device);
    return 0;
}

static const float *expected_floats(const char *name)
{
    const struct tensor_view *view = safetensors_find(expected, name);
    assert_non_null(view);
    float *values = malloc(view->size);
    memcpy(values, view->data, view->size);
    return values;
}

/* ---- The embedded model ---------------------------------------------------------------------- */

static void inputs_are_exact(void **state)
{
    (void)state;
    const struct tensor_view *pixels = safetensors_find(expected, "pixels_u8");
    const struct tensor_view *ids = safetensors_find(expected, "input_ids");
    for (int i = 0; i < N; i++) {
        uint8_t u8[S * S * 3];
        int32_t found[T];
        size_t count;
        assert_int_equal(vkclip_preprocess(model, &images[i], u8, NULL), 0);
        assert_memory_equal(u8, (const uint8_t *)pixels->data + i * sizeof(u8), sizeof(u8));
        assert_int_equal(vkclip_tokenize(model, prompts[i], strlen(prompts[i]), VKCLIP_TOKENIZE_PAD,
                                         found, T, &count),
                         0);
        assert_memory_equal(found, (const int32_t *)ids->data + i * T, sizeof(found));
        assert_true(count > 2 && count < T);
    }
}

/* Returns the number of the text with the largest logit. */
static size_t best_text(const float *logits)
{
    size_t best = 0;
    for (size_t i = 1; i < encoded; i++)
        best = logits[i] > logits[best] ? i : best;
    return best;
}

static void embeddings_and_top1(void **state)
{
    (void)state;
    float image[N * D], text[N * D], logits[N * N];
    const float *e_image = expected_floats("image_embeds"),
                *e_text = expected_floats("text_embeds"),
                *e_logits = expected_floats("logits_per_image");
    double worst = 0;
    assert_int_equal(vkclip_encode_images(model, images, encoded, NULL, image), 0);
    assert_int_equal(vkclip_encode_texts(model, (const char *const *)prompts, encoded, NULL, text),
                     0);
    assert_int_equal(vkclip_similarity(model, image, encoded, text, encoded, logits), 0);
    for (size_t i = 0; i < encoded; i++)
        worst = fmax(worst, largest_difference(logits + i * encoded, e_logits + i * N, encoded));
    printf("largest differences: image %.2g, text %.2g, logits %.2g\n",
           largest_difference(image, e_image, encoded * D),
           largest_difference(text, e_text, encoded * D), worst);
    assert_true(largest_difference(image, e_image, encoded * D) < 1e-5);
    assert_true(largest_difference(text, e_text, encoded * D) < 1e-5);
    assert_true(worst < 3e-4);
    size_t right = 0;
    for (size_t i = 0; i < encoded; i++)
        right += best_text(logits + i * encoded) == i;
    if (encoded == N)
        assert_int_equal(right, 47); /* The README of the model says 78.3 %. */
    free((void *)e_image), free((void *)e_text), free((void *)e_logits);
}

static void half_precision(void **state)
{
    (void)state;
    struct vkclip_device_info info = {.size = sizeof(info)};
    struct vkclip_model *half = NULL;
    struct vkclip_model_params params = {.size = sizeof(params), .precision = VKCLIP_PRECISION_F16};
    assert_int_equal(vkclip_get_device_info(device, &info), 0);
    int error = vkclip_open_model(device, MODEL, &params, &half);
    if (!strstr(info.caps, "f16")) {
        assert_int_equal(error, VKCLIP_EUNSUPPORTED);
        assert_non_null(strstr(vkclip_last_error(), "16-bit storage"));
        return;
    }
    assert_int_equal(error, 0);
    struct vkclip_model_info f16 = {.size = sizeof(f16)}, f32 = {.size = sizeof(f32)};
    vkclip_get_model_info(half, &f16);
    vkclip_get_model_info(model, &f32);
    assert_true(f16.weights_bytes < f32.weights_bytes * 0.52);
    float image[N * D];
    const float *e_image = expected_floats("image_embeds");
    assert_int_equal(vkclip_encode_images(half, images, encoded, NULL, image), 0);
    for (size_t i = 0; i < encoded; i++) {
        double dot = 0;
        for (int d = 0; d < D; d++)
            dot += (double)image[i * D + d] * e_image[i * D + d];
        assert_true(dot > 0.999);
    }
    free((void *)e_image);
    vkclip_close_model(&half);
}

/* Matrix units that multiply in fp16 leave the embeddings what they are, and a device without them
 * multiplies in fp32. */
static void products_of_halves(void **state)
{
    (void)state;
    enum { MOST = 4 };
    const size_t some = encoded < MOST ? encoded : MOST;
    float image[MOST * D];
    struct vkclip_model *rounded = NULL;
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .compute = VKCLIP_COMPUTE_F16};
    const float *e_image = expected_floats("image_embeds");
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &rounded), 0);
    assert_int_equal(vkclip_encode_images(rounded, images, some, NULL, image), 0);
    assert_true(largest_difference(image, e_image, some * D) < 1e-3);
    free((void *)e_image);
    vkclip_close_model(&rounded);
}

/* An item's embedding does not depend on the batch or on the other items. */
static void batches_agree(void **state)
{
    (void)state;
    enum { MOST = 11 };
    const size_t some = encoded < MOST ? encoded : MOST;
    float one[MOST * D], text[MOST * D], many[MOST * D];
    struct vkclip_model *single = NULL;
    struct vkclip_model_params params = {.size = sizeof(params), .max_batch = 1};
    const char *const *texts = (const char *const *)prompts;
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &single), 0);
    assert_int_equal(vkclip_encode_images(single, images, some, NULL, one), 0);
    assert_int_equal(vkclip_encode_texts(single, texts, some, NULL, text), 0);
    for (size_t count = 2; count <= some; count = 2 * count - 1) { /* 2, 3, 5, 9 */
        assert_int_equal(vkclip_encode_images(model, images, count, NULL, many), 0);
        assert_true(largest_difference(many, one, count * D) < 1e-6);
        assert_int_equal(vkclip_encode_texts(model, texts, count, NULL, many), 0);
        assert_true(largest_difference(many, text, count * D) < 1e-6);
    }
    vkclip_close_model(&single);
}

/* A label's embedding is the mean of the normalised embeddings of its templates, normalised again
 * (paper, section 3.1.4). */
static void classification(void **state)
{
    (void)state;
    const char *templates[] = {"a picture of {}", "{}", "an emoji of {} on white"};
    enum { L = 9 };
    float labels[L * D], by_hand[D] = {0}, each[3 * D], logits[3 * L], probs[3 * L];
    assert_int_equal(
        vkclip_encode_labels(model, (const char *const *)names, L, templates, 3, NULL, labels), 0);
    char *texts[] = {string_format("a picture of %s", names[7]), string_format("%s", names[7]),
                     string_format("an emoji of %s on white", names[7])};
    assert_int_equal(vkclip_encode_texts(model, (const char *const *)texts, 3, NULL, each), 0);
    double norm = 0;
    for (int d = 0; d < D; d++) {
        by_hand[d] = each[d] + each[D + d] + each[2 * D + d];
        norm += (double)by_hand[d] * by_hand[d];
    }
    for (int d = 0; d < D; d++)
        by_hand[d] = (float)(by_hand[d] / sqrt(norm));
    assert_true(largest_difference(by_hand, &labels[7 * D], D) < 1e-6);

    assert_int_equal(vkclip_classify(model, images, 3, labels, L, NULL, logits, probs), 0);
    for (int i = 0; i < 3; i++) {
        double total = 0, sum = 0;
        for (int j = 0; j < L; j++)
            total += exp(logits[i * L + j]), sum += probs[i * L + j];
        assert_true(fabs(sum - 1) < 1e-5);
        for (int j = 0; j < L; j++)
            assert_true(fabs(exp(logits[i * L + j]) / total - probs[i * L + j]) < 1e-5);
    }
    for (int i = 0; i < 3; i++)
        free(texts[i]);
    assert_int_equal(
        vkclip_encode_labels(model, (const char *const *)names, 1, &templates[1], 0, NULL, labels),
        0);
    const char *no_hole = "a picture";
    assert_int_equal(
        vkclip_encode_labels(model, (const char *const *)names, 1, &no_hole, 1, NULL, labels),
        VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "expected {}"));
}

/* ---- Arguments and errors -------------------------------------------------------------------- */

static void long_texts(void **state)
{
    (void)state;
    int32_t ids[T + 8];
    size_t count = 0, before = warnings;
    char text[600];
    for (int i = 0; i < 300; i++)
        memcpy(&text[2 * i], "a ", 2);
    assert_int_equal(vkclip_tokenize(model, text, 600, 0, ids, T, &count), 0);
    assert_int_equal(count, T);
    assert_int_equal(ids[T - 1], 2239);
    assert_true(warnings > before);
    assert_int_equal(vkclip_tokenize(model, text, 600, VKCLIP_TOKENIZE_STRICT, ids, T, &count),
                     VKCLIP_ETOOLONG);
    assert_int_equal(vkclip_tokenize(model, text, 600, VKCLIP_TOKENIZE_FULL, ids, T + 8, &count),
                     0);
    assert_int_equal(count, 302);
    assert_int_equal(vkclip_tokenize(model, text, 600, 0, ids, 1, &count), VKCLIP_EINVALID);
    assert_int_equal(vkclip_tokenize(model, NULL, 0, VKCLIP_TOKENIZE_PAD, ids, T, &count), 0);
    assert_int_equal(count, 2);
    assert_true(ids[0] == 2238 && ids[1] == 2239 && ids[T - 1] == 2239);
}

static void prompts_and_texts(void **state)
{
    static const int32_t outside[] = {2240};
    struct vkclip_prompt_params params = {.size = sizeof(params), .syntax = VKCLIP_SYNTAX_A1111};
    struct vkclip_prompt prompt = {.size = sizeof(prompt)};
    char text[8] = "";
    size_t length;
    (void)state;
    assert_int_equal(vkclip_tokenize_prompt(model, "(owl:1.5)", 9, &params, &prompt), 0);
    assert_true(prompt.length == T && prompt.chunks == 1 && prompt.used > 0);
    assert_true(prompt.places[0].special && prompt.places[0].id == 2238);
    assert_true(!prompt.places[1].special && prompt.places[1].weight == 1.5);
    assert_int_equal(prompt.weighting, VKCLIP_WEIGHTING_RENORMALISE);
    const int32_t word[] = {prompt.places[1].id, prompt.places[2].id};
    vkclip_free_prompt(&prompt);
    assert_null(prompt.places);
    assert_int_equal(vkclip_tokenize_prompt(model, NULL, 0, NULL, &prompt), 0);
    assert_true(!prompt.used && prompt.places[1].id == 2239);
    vkclip_free_prompt(&prompt);
    assert_int_equal(vkclip_tokenize_prompt(model, "a", 1, NULL, NULL), VKCLIP_EINVALID);

    assert_int_equal(vkclip_detokenize(model, word, 2, NULL, 0, &length), 0);
    assert_true(length > 1);
    assert_int_equal(vkclip_detokenize(model, word, 2, text, 2, &length), 0);
    assert_string_equal(text, "o"); /* The text is cut to the capacity. */
    assert_int_equal(vkclip_detokenize(model, outside, 1, text, 8, &length), VKCLIP_EINVALID);
    assert_int_equal(vkclip_detokenize(model, NULL, 1, text, 8, &length), VKCLIP_EINVALID);
}

static int stop_at(void *user, const char *name, const float *data, const size_t *shape,
                   size_t rank, size_t first, size_t items)
{
    (void)data, (void)shape, (void)rank, (void)first, (void)items;
    return !strcmp(name, user);
}

static int count_progress(void *user, uint64_t done, uint64_t total)
{
    size_t *last = user;
    assert_true(done >= *last && done <= total);
    *last = done;
    return 0;
}

static void callbacks(void **state)
{
    (void)state;
    float embeds[N * D];
    struct vkclip_encode_params stop = {
        .size = sizeof(stop), .hidden = stop_at, .user = "vision.hidden.2"};
    assert_int_equal(vkclip_encode_images(model, images, 2, &stop, embeds), VKCLIP_ECANCELLED);
    assert_non_null(strstr(vkclip_last_error(), "vision.hidden.2"));
    size_t done = 0;
    struct vkclip_encode_params progress = {
        .size = sizeof(progress), .progress = count_progress, .user = &done};
    assert_int_equal(vkclip_encode_images(model, images, 5, &progress, embeds), 0);
    assert_int_equal(done, 5);

    float raw[2 * D], normal[2 * D];
    struct vkclip_encode_params no_normalize = {.size = sizeof(no_normalize), .no_normalize = true};
    assert_int_equal(vkclip_encode_images(model, images, 2, &no_normalize, raw), 0);
    assert_int_equal(vkclip_encode_images(model, images, 2, NULL, normal), 0);
    for (int i = 0; i < 2; i++) {
        double norm = 0;
        for (int d = 0; d < D; d++)
            norm += (double)raw[i * D + d] * raw[i * D + d];
        assert_true(fabs(sqrt(norm) - 1) > 0.01);
        for (int d = 0; d < D; d++)
            assert_true(fabs(raw[i * D + d] / sqrt(norm) - normal[i * D + d]) < 1e-6);
    }
    assert_int_equal(vkclip_classify(model, images, 1, raw, 1, &no_normalize, raw, NULL),
                     VKCLIP_EINVALID);
}

static void bad_arguments(void **state)
{
    (void)state;
    float embeds[2 * D];
    int32_t ids[2 * T] = {0};
    size_t count;
    struct vkclip_model *other = NULL;
    struct vkclip_image bad = images[0];
    assert_int_equal(vkclip_open_model(NULL, NULL, NULL, &other), VKCLIP_EINVALID);
    assert_int_equal(vkclip_open_model(device, "no/such/model", NULL, &other), VKCLIP_EIO);
    assert_null(other);
    assert_int_equal(vkclip_encode_images(NULL, images, 1, NULL, embeds), VKCLIP_EINVALID);
    assert_int_equal(vkclip_encode_images(model, NULL, 1, NULL, embeds), VKCLIP_EINVALID);
    assert_int_equal(vkclip_encode_images(model, images, 1, NULL, NULL), VKCLIP_EINVALID);
    assert_int_equal(vkclip_encode_images(model, NULL, 0, NULL, NULL), 0);
    bad.channels = 5;
    assert_int_equal(vkclip_encode_images(model, &bad, 1, NULL, embeds), VKCLIP_EINVALID);
    assert_int_equal(vkclip_tokenize(model, NULL, 3, 0, ids, T, &count), VKCLIP_EINVALID);
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, T + 1, NULL, embeds), VKCLIP_ETOOLONG);
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, 0, NULL, embeds), VKCLIP_ETOOLONG);
    assert_int_equal(vkclip_encode_tokens(model, ids, 2, 5, NULL, embeds), 0);
    ids[T + 3] = 2240;
    assert_int_equal(vkclip_encode_tokens(model, ids, 2, T, NULL, embeds), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "text 1: token id 2240 at position 3"));
    ids[T + 3] = -1;
    assert_int_equal(vkclip_encode_tokens(model, ids, 2, T, NULL, embeds), VKCLIP_EINVALID);
    assert_int_equal(vkclip_get_model_info(model, NULL), VKCLIP_EINVALID);
    assert_int_equal(vkclip_list_devices(NULL, 3, &count), VKCLIP_EINVALID);
    vkclip_close_model(NULL);
    vkclip_close_device(NULL);
    vkclip_free_image(NULL);
    for (int error = 0; error > -11; error--)
        assert_true(strcmp(vkclip_error_text(error), "unknown error"));
    assert_string_equal(vkclip_error_text(-99), "unknown error");

    char caps[256], cut[8];
    assert_int_equal(vkclip_get_kernel_caps(caps, sizeof(caps)), VKCLIP_OK);
    assert_non_null(strstr(caps, "coopmat16"));
    assert_int_equal(vkclip_get_kernel_caps(cut, sizeof(cut)), VKCLIP_OK);
    assert_memory_equal(caps, cut, sizeof(cut) - 1);
    assert_int_equal(vkclip_get_kernel_caps(NULL, 256), VKCLIP_EINVALID);
    assert_string_equal(vkclip_version(), "0.1.0");
}

/* Configuration, texts and pictures need no device, and encoding fails with a message. */
static void without_a_device(void **state)
{
    (void)state;
    struct vkclip_model *plain = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    float embeds[D];
    uint8_t u8[S * S * 3];
    int32_t ids[T];
    size_t count;
    assert_int_equal(vkclip_open_model(NULL, MODEL, NULL, &plain), 0);
    assert_int_equal(vkclip_get_model_info(plain, &info), 0);
    assert_int_equal(info.parameters, 4984705);
    /* They are all parameters but logit_scale, in fp32. */
    assert_true(info.weights_bytes >= 4 * 4984704);
    assert_true(info.memory_bytes > info.weights_bytes);
    assert_int_equal(vkclip_preprocess(plain, &images[0], u8, NULL), 0);
    assert_int_equal(vkclip_tokenize(plain, "a cat", 5, 0, ids, T, &count), 0);
    assert_int_equal(vkclip_encode_images(plain, images, 1, NULL, embeds), VKCLIP_ENODEVICE);
    vkclip_close_model(&plain);

    struct vkclip_model_params vocab = {.size = sizeof(vocab), .vocab = MODEL "/tokenizer.json"};
    assert_int_equal(vkclip_open_model(NULL, NULL, &vocab, &plain), 0);
    assert_int_equal(vkclip_tokenize(plain, "a cat", 5, 0, ids, T, &count), 0);
    assert_int_equal(vkclip_preprocess(plain, &images[0], u8, NULL), VKCLIP_EABSENT);
    assert_int_equal(vkclip_encode_texts(plain, (const char *const *)names, 1, NULL, embeds),
                     VKCLIP_EABSENT);
    vkclip_close_model(&plain);
}

/* The same model takes larger pictures, with more positions. */
static void another_image_size(void **state)
{
    (void)state;
    struct vkclip_model *large = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_model_params params = {.size = sizeof(params), .image_size = 72};
    float embeds[3 * D], plain[3 * D];
    uint8_t *u8 = malloc(72 * 72 * 3);
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &large), 0);
    assert_int_equal(vkclip_get_model_info(large, &info), 0);
    assert_int_equal(info.image_size, 72);
    assert_int_equal(info.image.positions, 82);
    assert_int_equal(vkclip_preprocess(large, &images[0], u8, NULL), 0);
    assert_memory_equal(u8, images[0].pixels, 72 * 72 * 3); /* The sample has this size. */
    assert_int_equal(vkclip_encode_images(large, images, 3, NULL, embeds), 0);
    assert_int_equal(vkclip_encode_images(model, images, 3, NULL, plain), 0);
    for (int i = 0; i < 3;
         i++) { /* Embeddings are near those of the trained size, but not equal. */
        double dot = 0;
        for (int d = 0; d < D; d++)
            dot += (double)embeds[i * D + d] * plain[i * D + d];
        printf("cosine of sizes 64 and 72: %.3f\n", dot);
        assert_true(dot > 0.5 && dot < 0.9999);
    }
    vkclip_close_model(&large);
    params.image_size = 70;
    assert_int_equal(vkclip_open_model(device, MODEL, &params, &large), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "expected a multiple of 8"));
    params.image_size = 64;
    assert_int_equal(vkclip_open_model(NULL, MODEL, &params, &large), 0);
    vkclip_close_model(&large);
    free(u8);
}

static void absent_tower(void **state)
{
    (void)state;
    struct vkclip_model *text_only = NULL;
    struct vkclip_model_info info = {.size = sizeof(info)};
    float *embeds = malloc(4096 * sizeof(*embeds));
    int32_t ids[77] = {1024, 1025};
    assert_int_equal(
        vkclip_open_model(device, "tests/golden/models/sd-text/text_encoder", NULL, &text_only), 0);
    assert_int_equal(vkclip_get_model_info(text_only, &info), 0);
    assert_int_equal(info.image.width, 0);
    assert_int_equal(info.embed_dim, info.text_embed_dim);
    assert_int_equal(vkclip_encode_images(text_only, images, 1, NULL, embeds), VKCLIP_EABSENT);
    assert_non_null(strstr(vkclip_last_error(), "no image tower"));
    assert_int_equal(vkclip_encode_tokens(text_only, ids, 1, 2, NULL, embeds), 0);
    assert_int_equal(vkclip_similarity(text_only, embeds, 1, embeds, 1, embeds), VKCLIP_EABSENT);
    assert_int_equal(vkclip_encode_texts(text_only, (const char *const *)names, 1, NULL, embeds),
                     VKCLIP_EABSENT); /* There is no vocabulary beside it. */
    assert_non_null(strstr(vkclip_last_error(), "no vocabulary"));
    vkclip_close_model(&text_only);
    free(embeds);
}

/* All devices, open at once, compute the same embeddings. */
static void all_devices(void **state)
{
    (void)state;
    struct vkclip_device_info infos[8] = {{.size = sizeof(infos[0])}};
    struct vkclip_device *devices[8] = {0};
    struct vkclip_model *models[8] = {0};
    size_t count = 0;
    float first[4 * D], embeds[4 * D];
    assert_int_equal(vkclip_list_devices(infos, ARRAY_COUNT(infos), &count), 0);
    for (size_t i = 0; i < count; i++) {
        char number[16];
        snprintf(number, sizeof(number), "%zu", i);
        struct vkclip_device_params params = {
            .size = sizeof(params), .device = number, .cache_dir = ""};
        printf("device %zu: %s\n", i, infos[i].name);
        assert_int_equal(vkclip_open_device(&params, &devices[i]), 0);
        assert_int_equal(vkclip_open_model(devices[i], MODEL, NULL, &models[i]), 0);
    }
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(vkclip_encode_images(models[i], images, 4, NULL, i ? embeds : first), 0);
        assert_true(!i || largest_difference(embeds, first, 4 * D) < 1e-5);
    }
    const char *several = getenv("VKCLIP_TEST_DEVICES");
    if (several)
        assert_int_equal(count, atoi(several));
    for (size_t i = 0; i < count; i++) {
        vkclip_close_model(&models[i]);
        vkclip_close_device(&devices[i]);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(inputs_are_exact), cmocka_unit_test(embeddings_and_top1),
        cmocka_unit_test(half_precision),   cmocka_unit_test(products_of_halves),
        cmocka_unit_test(batches_agree),    cmocka_unit_test(classification),
        cmocka_unit_test(long_texts),       cmocka_unit_test(callbacks),
        cmocka_unit_test(bad_arguments),    cmocka_unit_test(without_a_device),
        cmocka_unit_test(absent_tower),     cmocka_unit_test(another_image_size),
        cmocka_unit_test(all_devices),      cmocka_unit_test(prompts_and_texts),
    };
    if (argc > 1)
        encoded = strtoul(argv[1], NULL, 10);
    if (argc > 2)
        cmocka_set_test_filter(argv[2]);
    assert_true(encoded > 0 && encoded <= N);
    return cmocka_run_group_tests(tests, open_all, close_all);
}
