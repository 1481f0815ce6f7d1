/* SPDX-License-Identifier: MIT
 *
 * Loading batches: a step's batch is the same for every number of threads and every first step, its
 * rows equal the results of the sampler, the augmentation and the tokenizer, and broken pictures
 * are replaced.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/clock.h"
#include "base/string.h"
#include "support/scratch.h"

#include "data/loader.h"
#include "data/sampler.h"

enum { PICTURES = 40, SIZE = 8, CONTEXT = 10, BATCH = 6, PIXELS = 3 * SIZE * SIZE };

static struct tokenizer *tokenizer;
static char *folder;
static char *warnings[64];
static size_t warning_count, error_count;

static void keep_messages(void *user, enum vkclip_log_level level, const char *text)
{
    (void)user;
    error_count += level == VKCLIP_LOG_ERROR;
    if (level == VKCLIP_LOG_WARNING && warning_count < ARRAY_COUNT(warnings))
        warnings[warning_count++] = string_format("%s", text);
}

static void forget_messages(void)
{
    while (warning_count)
        free(warnings[--warning_count]);
    error_count = 0;
}

/* Opens a data set in which every third picture has two captions, and picture 7 has a caption that
 * is longer than the context. */
static void open_data(size_t pictures, struct dataset **dataset)
{
    char *path = scratch_path(folder, "data.tsv");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("filepath\ttitle\n", file);
    for (size_t i = 0; i < pictures; i++) {
        fprintf(file, "%zu.ppm\tpicture number %zu\n", i, i);
        if (i % 3 == 0)
            fprintf(file, "%zu.ppm\tanother caption\n", i);
        if (i == 7)
            fputs("7.ppm\tone that is so long that it does not fit in what a text may have\n",
                  file);
    }
    assert_int_equal(fclose(file), 0);
    assert_int_equal(dataset_open((const char *const *)&path, 1, NULL, dataset), 0);
    free(path);
}

static void write_picture(size_t number, bool broken)
{
    enum { SIDE = 12 };
    uint8_t data[13 + SIDE * SIDE * 3] = "P6 12 12 255\n";
    char name[32];
    for (size_t i = 0; i < SIDE * SIDE * 3; i++)
        data[13 + i] = (uint8_t)(i * 7 + number * 31 + i * i % (number + 3));
    snprintf(name, sizeof(name), "%zu.ppm", number);
    scratch_write(folder, name, data, broken ? 100 : sizeof(data));
}

static int set_up(void **state)
{
    (void)state;
    folder = scratch_folder();
    for (size_t i = 0; i < PICTURES; i++)
        write_picture(i, false);
    return tokenizer_open("models/emoji-clip/tokenizer.json", TOKENIZER_BY_FILE, &tokenizer);
}

static int tear_down(void **state)
{
    (void)state;
    forget_messages();
    tokenizer_close(&tokenizer);
    scratch_remove(folder);
    return 0;
}

static struct loader_params usual_params(void)
{
    return (struct loader_params){
        .batch = BATCH,
        .context = CONTEXT,
        .seed = 3,
        .transform = {SIZE, {0.5f, 0.4f, 0.3f}, {0.2f, 0.3f, 0.4f}, true},
        .augment = {.rotate = 10, .color_jitter = {0.2, 0.2, 0.2, 0.1}, .scale = {0.5, 1.2}},
        .threads = 2};
}

struct copy {
    float pixels[BATCH * PIXELS];
    int32_t ids[BATCH * CONTEXT];
    uint64_t samples[BATCH];
    uint32_t longest;
};

static void take(struct loader *loader, uint64_t step, struct copy *copy)
{
    struct loader_batch batch;
    assert_int_equal(loader_next(loader, step, &batch), 0);
    memcpy(copy->pixels, batch.pixels, sizeof(copy->pixels));
    memcpy(copy->ids, batch.ids, sizeof(copy->ids));
    memcpy(copy->samples, batch.samples, sizeof(copy->samples));
    copy->longest = batch.longest;
}

static void assert_same(const struct copy *a, const struct copy *b)
{
    assert_memory_equal(a->pixels, b->pixels, sizeof(a->pixels));
    assert_memory_equal(a->ids, b->ids, sizeof(a->ids));
    assert_memory_equal(a->samples, b->samples, sizeof(a->samples));
    assert_int_equal(a->longest, b->longest);
}

/* ---- What a batch holds ---------------------------------------------------------------------- */

/* How often each case came up. */
struct tally {
    uint64_t cut, by_template[2], by_caption[2];
};

/* Makes the ids that a sample must get from the random numbers of its row: those of a caption in a
 * template. Returns their number, the padding not counted. */
static size_t expect_ids(const struct dataset *dataset, size_t number, struct rng *rng,
                         int32_t ids[64], struct tally *tally)
{
    const struct dataset_sample *sample = &dataset->samples[number];
    uint64_t which = rng_below(rng, sample->count), around = rng_below(rng, 2);
    const char *caption = dataset->captions[sample->caption + which];
    char *text = around ? string_format("%s!", caption) : string_format("a picture of %s", caption);
    size_t count;
    tally->by_template[around]++;
    tally->by_caption[sample->count == 2 && which]++;
    assert_int_equal(tokenizer_encode(tokenizer, text, strlen(text), ids, 64, &count), 0);
    free(text);
    tally->cut += count > CONTEXT;
    count = count < CONTEXT ? count : CONTEXT;
    ids[count - 1] = tokenizer_end(tokenizer);
    for (size_t i = count; i < CONTEXT; i++)
        ids[i] = tokenizer_pad(tokenizer);
    return count;
}

static void check_pixels(struct dataset *dataset, size_t number, const struct loader_params *params,
                         struct rng *rng, const float *found)
{
    struct vkclip_image image;
    float pixels[PIXELS];
    assert_int_equal(dataset_load(dataset, number, NULL, &image), 0);
    assert_int_equal(augment_image(&params->augment, &params->transform, &image, rng, pixels), 0);
    assert_memory_equal(found, pixels, sizeof(pixels));
    vkclip_free_image(&image);
}

static void rows_are_of_their_samples(void **state)
{
    (void)state;
    enum { STEPS = 30 };
    static const char *const templates[] = {"a picture of {}", "{}!"};
    struct loader_params params = usual_params();
    params.templates = templates;
    params.template_count = ARRAY_COUNT(templates);
    struct dataset *dataset;
    struct loader *loader;
    struct sampler sampler;
    open_data(PICTURES, &dataset);
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    assert_int_equal(sampler_open(dataset, BATCH, params.seed, &sampler), 0);
    assert_int_equal(loader_batch_size(loader), BATCH);
    assert_int_equal(loader_context(loader), CONTEXT);
    assert_int_equal(loader_pass(loader), PICTURES / BATCH);
    struct tally tally = {0};
    for (uint64_t step = 0; step < STEPS; step++) {
        struct loader_batch batch;
        size_t longest = 0;
        size_t chosen[BATCH];
        assert_int_equal(loader_next(loader, step, &batch), 0);
        sampler_choose(&sampler, step, chosen);
        for (uint32_t row = 0; row < BATCH; row++) {
            size_t number = chosen[row], count;
            int32_t ids[64];
            assert_int_equal(batch.samples[row], number);
            struct rng rng = sampler_rng(&sampler, step, row);
            count = expect_ids(dataset, number, &rng, ids, &tally);
            longest = count > longest ? count : longest;
            assert_memory_equal(batch.ids + row * CONTEXT, ids, CONTEXT * sizeof(*ids));
            check_pixels(dataset, number, &params, &rng, batch.pixels + row * PIXELS);
        }
        assert_int_equal(batch.longest, longest);
    }
    assert_true(tally.cut > 0 && tally.by_caption[1] > 10);
    assert_true(tally.by_template[0] > 50 && tally.by_template[1] > 50);
    assert_int_equal(loader_statistics(loader).cut, tally.cut);
    assert_int_equal(loader_statistics(loader).broken, 0);
    sampler_close(&sampler);
    loader_close(&loader);
    loader_close(&loader);
    dataset_close(&dataset);
}

static void is_the_same_however_made(void **state)
{
    (void)state;
    enum { STEPS = 20 };
    static const struct {
        unsigned threads, ahead;
        uint64_t begin, stride;
        size_t broken;
    } cases[] = {{1, 1, 0, 1, 0}, {3, 5, 0, 1, 0}, {3, 64, 11, 1, 0}, {2, 3, 0, 7, 0},
                 {0, 0, 2, 1, 5}, {3, 2, 0, 1, 5}, {1, 7, 13, 1, 5}};
    static struct copy expected[STEPS], found;
    struct dataset *dataset;
    open_data(PICTURES, &dataset);
    size_t broken = SIZE_MAX;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct loader_params params = usual_params();
        struct loader *loader;
        if (broken != cases[i].broken) {
            broken = cases[i].broken;
            for (size_t k = 0; k < PICTURES; k++)
                write_picture(k, k < broken);
            params.threads = 1;
            assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
            for (uint64_t step = 0; step < STEPS; step++)
                take(loader, step, &expected[step]);
            assert_int_equal(loader_statistics(loader).broken, broken);
            loader_close(&loader);
        }
        params.threads = cases[i].threads;
        params.ahead = cases[i].ahead;
        assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
        for (uint64_t step = cases[i].begin, n = 0; n < STEPS - cases[i].begin; n++) {
            take(loader, step, &found);
            assert_same(&found, &expected[step]);
            /* With a stride of 7, the next step was never prepared in advance. */
            step = (step + cases[i].stride) % STEPS;
        }
        loader_close(&loader);
    }
    for (size_t k = 0; k < broken; k++)
        write_picture(k, false);
    dataset_close(&dataset);
}

static void differs_by_seed_and_step(void **state)
{
    (void)state;
    static struct copy a, b;
    struct loader_params params = usual_params();
    struct dataset *dataset;
    struct loader *loader;
    open_data(PICTURES, &dataset);
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    take(loader, 0, &a);
    take(loader, 1, &b);
    assert_true(memcmp(a.samples, b.samples, sizeof(a.samples)) != 0);
    take(loader, 0, &b); /* The slot of this step has held another one since. */
    assert_same(&a, &b);
    loader_close(&loader);
    params.seed++;
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    take(loader, 0, &b);
    assert_true(memcmp(a.samples, b.samples, sizeof(a.samples)) != 0);
    assert_true(memcmp(a.pixels, b.pixels, sizeof(a.pixels)) != 0);
    loader_close(&loader);
    dataset_close(&dataset);
}

/* ---- Broken pictures ------------------------------------------------------------------------- */

static void replaces_broken(void **state)
{
    (void)state;
    enum { BROKEN = 13 };
    struct loader_params params = usual_params();
    struct dataset *dataset;
    struct loader *loader;
    static struct copy batch;
    open_data(PICTURES, &dataset);
    for (size_t i = 0; i < BROKEN; i++)
        write_picture(i, true);
    forget_messages();
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    const uint64_t steps = 3 * loader_pass(loader);
    for (uint64_t step = 0; step < steps; step++) {
        take(loader, step, &batch);
        for (size_t row = 0; row < BATCH; row++)
            assert_in_range(batch.samples[row], BROKEN, PICTURES - 1);
    }
    /* Each broken sample is counted once. */
    assert_int_equal(loader_statistics(loader).broken, BROKEN);
    assert_int_equal(warning_count, 10);
    assert_int_equal(error_count, 0);
    for (size_t i = 0; i < warning_count; i++) {
        assert_non_null(strstr(warnings[i], folder));
        assert_non_null(strstr(warnings[i], ".ppm"));
        assert_int_equal(strstr(warnings[i], "more are only counted") != NULL, i == 9);
    }
    loader_close(&loader);
    dataset_close(&dataset);
    for (size_t i = 0; i < BROKEN; i++)
        write_picture(i, false);
}

static void gives_up_where_all_are_broken(void **state)
{
    (void)state;
    struct loader_params params = usual_params();
    struct dataset *dataset;
    struct loader *loader;
    struct loader_batch batch;
    for (size_t i = 0; i < PICTURES; i++)
        write_picture(i, i != 0);
    open_data(PICTURES, &dataset);
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    for (int again = 0; again < 2; again++)
        assert_failed(loader_next(loader, 0, &batch), VKCLIP_EFORMAT, "could not be read");
    loader_close(&loader);
    dataset_close(&dataset);
    /* If the batch has all pictures, none is left to replace a broken one. */
    open_data(BATCH, &dataset);
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    assert_failed(loader_next(loader, 0, &batch), VKCLIP_EFORMAT, "1 samples could not be read");
    loader_close(&loader);
    dataset_close(&dataset);
    for (size_t i = 0; i < PICTURES; i++)
        write_picture(i, false);
}

/* ---- Prepared batches ------------------------------------------------------------------------ */

static void cycles_raw_batches(void **state)
{
    (void)state;
    char *path = golden_path("training/batches.safetensors");
    if (!path) {
        print_message("skipped: reference data training/batches.safetensors is not here\n");
        skip();
    }
    struct loader_params params = {.threads = 2};
    struct dataset *dataset;
    struct loader *loader;
    struct loader_batch batch;
    assert_int_equal(dataset_open_raw(path, &dataset), 0);
    const uint64_t *shape = dataset->images->shape, context = dataset->ids->shape[2];
    const uint64_t rows = shape[1], pixels = 3 * shape[3] * shape[4];
    assert_int_equal(loader_open(&params, dataset, NULL, &loader), 0);
    assert_int_equal(loader_batch_size(loader), 16);
    assert_int_equal(loader_context(loader), 12);
    assert_int_equal(loader_pass(loader), 4);
    static const uint64_t steps[] = {0, 1, 2, 3, 4, 5, 6, 7, 3, 101};
    for (size_t i = 0; i < ARRAY_COUNT(steps); i++) {
        assert_int_equal(loader_next(loader, steps[i], &batch), 0);
        const uint64_t first = steps[i] % shape[0] * rows;
        for (uint64_t k = 0; k < rows * pixels; k++)
            assert_true(batch.pixels[k] == tensor_view_value(dataset->images, first * pixels + k));
        assert_memory_equal(batch.ids, (const int32_t *)dataset->ids->data + first * context,
                            rows * context * sizeof(int32_t));
        assert_int_equal(batch.longest, context);
        assert_null(batch.samples);
    }
    assert_int_equal(loader_statistics(loader).broken + loader_statistics(loader).cut, 0);
    loader_close(&loader);
    params.batch = 8;
    assert_failed(loader_open(&params, dataset, NULL, &loader), VKCLIP_EINVALID,
                  "16 samples per batch, expected 8");
    params.batch = 16;
    params.transform.size = 224;
    assert_failed(loader_open(&params, dataset, NULL, &loader), VKCLIP_EINVALID,
                  "32 rows of pixels, expected 224");
    dataset_close(&dataset);
    free(path);
}

static void refuses_raw_ids(void **state)
{
    (void)state;
    char *path = scratch_path(folder, "raw.safetensors");
    const struct {
        int64_t id;
        bool good;
    } cases[] = {{INT32_MAX, true}, {-1, false}, {(int64_t)1 << 32, false}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const int64_t ids[] = {0, 1, 2, cases[i].id};
        const float images[6] = {1, 2, 3, 4, 5, 6};
        const struct tensor_view tensors[] = {{.name = "input_ids",
                                               .dtype = DTYPE_I64,
                                               .rank = 3,
                                               .shape = {2, 1, 2},
                                               .data = ids,
                                               .size = sizeof(ids)},
                                              {.name = "images",
                                               .dtype = DTYPE_F32,
                                               .rank = 5,
                                               .shape = {2, 1, 3, 1, 1},
                                               .data = images,
                                               .size = sizeof(images)}};
        struct loader_params params = {.threads = 1};
        struct dataset *dataset;
        struct loader *loader;
        struct loader_batch batch;
        assert_int_equal(safetensors_write(path, tensors, 2, NULL), 0);
        assert_int_equal(dataset_open_raw(path, &dataset), 0);
        assert_int_equal(loader_open(&params, dataset, NULL, &loader), 0);
        assert_int_equal(loader_next(loader, 0, &batch), 0);
        assert_int_equal(batch.ids[1], 1);
        if (cases[i].good) {
            assert_int_equal(loader_next(loader, 1, &batch), 0);
            assert_int_equal(batch.ids[1], INT32_MAX);
            assert_true(batch.pixels[2] == 6);
        } else {
            assert_failed(loader_next(loader, 1, &batch), VKCLIP_EFORMAT, "expected ids from 0 up");
        }
        loader_close(&loader);
        dataset_close(&dataset);
    }
    free(path);
}

/* ---- Time, and the end ----------------------------------------------------------------------- */

static void counts_waiting(void **state)
{
    (void)state;
    struct loader_params params = usual_params();
    struct dataset *dataset;
    struct loader *loader;
    struct loader_batch batch;
    open_data(PICTURES, &dataset);
    assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
    assert_true(loader_statistics(loader).waited == 0);
    double before = clock_seconds(), last = 0;
    for (uint64_t step = 0; step < 5; step++) {
        assert_int_equal(loader_next(loader, step, &batch), 0);
        double waited = loader_statistics(loader).waited;
        assert_true(waited >= last && waited <= clock_seconds() - before);
        last = waited;
        clock_sleep(0.02); /* Computing the step must not count as waiting. */
    }
    assert_true(last > 0 && last < clock_seconds() - before - 0.1);
    loader_close(&loader);
    dataset_close(&dataset);
}

static void closes_at_any_time(void **state)
{
    (void)state;
    struct loader_params params = usual_params();
    params.ahead = 20;
    struct dataset *dataset;
    struct loader *loader = NULL;
    struct loader_batch batch;
    open_data(PICTURES, &dataset);
    loader_close(&loader);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(loader_open(&params, dataset, tokenizer, &loader), 0);
        if (i % 4)
            assert_int_equal(loader_next(loader, i, &batch), 0);
        loader_close(&loader);
        assert_null(loader);
    }
    dataset_close(&dataset);
}

static void refuses_parameters(void **state)
{
    (void)state;
    static const char *const no_hole[] = {"a picture of {}", "a picture"};
    struct dataset *dataset;
    struct loader *loader;
    open_data(PICTURES, &dataset);
    struct loader_params params = usual_params();
    assert_failed(loader_open(&params, dataset, NULL, &loader), VKCLIP_EINVALID, "vocabulary");
    params.templates = no_hole;
    params.template_count = 2;
    assert_failed(loader_open(&params, dataset, tokenizer, &loader), VKCLIP_EINVALID,
                  "template \"a picture\": expected {}");
    params = usual_params();
    params.batch = PICTURES + 1;
    assert_failed(loader_open(&params, dataset, tokenizer, &loader), VKCLIP_EINVALID,
                  "40 pictures");
    params = usual_params();
    params.augment.rotate = -1;
    assert_failed(loader_open(&params, dataset, tokenizer, &loader), VKCLIP_EINVALID, "rotation");
    params = usual_params();
    params.ahead = 65;
    assert_failed(loader_open(&params, dataset, tokenizer, &loader), VKCLIP_EINVALID, "at most 64");
    params = usual_params();
    params.context = 1;
    assert_failed(loader_open(&params, dataset, tokenizer, &loader), VKCLIP_EINVALID, "at least 2");
    assert_null(loader);
    dataset_close(&dataset);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_of_their_samples),
        cmocka_unit_test(is_the_same_however_made),
        cmocka_unit_test(differs_by_seed_and_step),
        cmocka_unit_test(replaces_broken),
        cmocka_unit_test(gives_up_where_all_are_broken),
        cmocka_unit_test(cycles_raw_batches),
        cmocka_unit_test(refuses_raw_ids),
        cmocka_unit_test(counts_waiting),
        cmocka_unit_test(closes_at_any_time),
        cmocka_unit_test(refuses_parameters),
    };
    vkclip_set_log(keep_messages, NULL);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
