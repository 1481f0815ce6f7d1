/* SPDX-License-Identifier: MIT
 *
 * Counts over whole passes how often each sample is in a batch. Lists of samples without files
 * suffice.
 */
#include "base/array.h"
#include "support/testing.h"

#include "data/sampler.h"

enum { MOST = 1000 };
static struct dataset_sample samples[MOST];

/* Makes a list in random order whose labels have 1, 2, ... `most` pictures in turn. If `most` is 0,
 * the samples have no labels. */
static struct dataset make_dataset(size_t labels, size_t most)
{
    struct dataset dataset = {.path = (char *)"data.tsv", .samples = samples, .labels = labels};
    for (size_t round = 0; round < (most ? most : 1); round++)
        for (size_t label = 0; label < labels; label++)
            if (!most || round <= label % most) {
                assert_true(dataset.count < MOST);
                samples[dataset.count++].label = (uint32_t)label;
            }
    return dataset;
}

/* Returns the sample of a row, the chosen one or a replacement. */
static size_t pick(struct sampler *sampler, uint64_t step, uint32_t row, uint32_t attempt)
{
    size_t chosen[MOST];
    sampler_choose(sampler, step, chosen);
    return attempt ? sampler_replace(sampler, step, chosen, row, attempt) : chosen[row];
}

/* Checks that the batches of a pass have no picture twice and no label twice in one batch, and
 * counts the pictures. */
static void check_pass(struct sampler *sampler, uint64_t pass, unsigned seen[MOST])
{
    for (uint64_t step = 0; step < sampler->batches; step++) {
        size_t chosen[MOST];
        bool in_batch[MOST] = {0};
        sampler_choose(sampler, pass * sampler->batches + step, chosen);
        for (uint32_t row = 0; row < sampler->batch; row++) {
            assert_true(chosen[row] < sampler->dataset->count);
            assert_false(in_batch[samples[chosen[row]].label]);
            in_batch[samples[chosen[row]].label] = true;
            seen[chosen[row]]++;
        }
    }
}

static void takes_every_picture_once_a_pass(void **state)
{
    (void)state;
    static const struct {
        size_t labels, most;
        uint32_t batch;
    } cases[] = {{1, 0, 1},     {2, 3, 1},   {10, 0, 10}, {100, 4, 7}, {256, 1, 64},
                 {300, 3, 100}, {14, 14, 5}, {3, 3, 2},   {60, 16, 30}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct dataset dataset = make_dataset(cases[i].labels, cases[i].most);
        struct sampler sampler;
        assert_int_equal(sampler_open(&dataset, cases[i].batch, 5, &sampler), 0);
        assert_int_equal(sampler.batches, dataset.count / cases[i].batch);
        for (uint64_t pass = 0; pass < 4; pass++) {
            unsigned seen[MOST] = {0};
            check_pass(&sampler, pass, seen);
            for (size_t k = 0; k < dataset.count; k++)
                assert_true(seen[k] <= 1);
        }
        sampler_close(&sampler);
    }
}

static char last_warning[512];

static void keep_warning(void *user, enum vkclip_log_level level, const char *text)
{
    (void)user;
    (void)level;
    snprintf(last_warning, sizeof(last_warning), "%s", text);
}

/* A label of 20 pictures among 10 others, in batches of 4: more than 3 batches could not be filled
 * without a label twice. Its pictures take turns, and those of the other labels are all shown, but
 * for what does not fill a batch. */
static void pictures_of_a_frequent_label_take_turns(void **state)
{
    (void)state;
    enum { FREQUENT = 20, OTHERS = 10, PASSES = 20 };
    struct dataset dataset = make_dataset(1 + OTHERS, 0);
    for (; dataset.count < FREQUENT + OTHERS; dataset.count++)
        samples[dataset.count].label = 0;
    samples[0].name = "cat.png";
    for (size_t i = 1; i < FREQUENT; i++)
        samples[OTHERS + i].name = "cat.png";
    struct sampler sampler;
    unsigned seen[MOST] = {0};
    vkclip_set_log(keep_warning, NULL);
    assert_int_equal(sampler_open(&dataset, 4, 5, &sampler), 0);
    vkclip_set_log(NULL, NULL);
    assert_non_null(strstr(last_warning, "shows 12 of 30 pictures"));
    assert_non_null(strstr(last_warning, "cat.png has 20 pictures"));
    assert_int_equal(sampler.batches, 3);
    for (uint64_t pass = 0; pass < PASSES; pass++)
        check_pass(&sampler, pass, seen);
    for (size_t i = 0; i < dataset.count; i++) /* 3 per pass of 20; 9 or 10 of 10 */
        assert_in_range(seen[i], samples[i].label ? 12 : 1, samples[i].label ? PASSES : 3);
    sampler_close(&sampler);
}

/* Every two labels meet in a batch about as often as by chance: 10 labels of 5 pictures have 25
 * batches of 2 per pass, in 25/45 of which two given ones meet. */
static void labels_meet_by_chance(void **state)
{
    (void)state;
    enum { LABELS = 10, PICTURES = 5, PASSES = 2000, STEPS = PASSES * LABELS * PICTURES / 2 };
    struct dataset dataset = make_dataset(LABELS, 0);
    for (size_t i = LABELS; i < LABELS * PICTURES; i++, dataset.count++)
        samples[i].label = (uint32_t)(i % LABELS);
    struct sampler sampler;
    unsigned met[LABELS][LABELS] = {{0}}, places[LABELS * PICTURES] = {0};
    assert_int_equal(sampler_open(&dataset, 2, 1, &sampler), 0);
    assert_int_equal(sampler.batches, LABELS * PICTURES / 2);
    for (uint64_t step = 0; step < STEPS; step++) {
        size_t chosen[2];
        sampler_choose(&sampler, step, chosen);
        met[samples[chosen[0]].label][samples[chosen[1]].label]++;
        if (step % sampler.batches == 7)
            places[chosen[0]]++, places[chosen[1]]++;
    }
    for (size_t a = 0; a < LABELS; a++)
        for (size_t b = 0; b < a; b++)
            assert_in_range(met[a][b] + met[b][a], STEPS / 45 * 0.8, STEPS / 45 * 1.2);
    for (size_t i = 0; i < LABELS * PICTURES; i++) /* 80 expected, deviation 9 */
        assert_in_range(places[i], 45, 115);
    sampler_close(&sampler);
}

/* Each sample is equally likely at every place of a pass and next to any other sample. */
static void shuffles_well(void **state)
{
    (void)state;
    enum { LABELS = 10, PASSES = 5000 };
    struct dataset dataset = make_dataset(LABELS, 0);
    struct sampler sampler;
    unsigned places[LABELS][LABELS] = {{0}}, after[LABELS][LABELS] = {{0}};
    assert_int_equal(sampler_open(&dataset, 1, 1, &sampler), 0);
    for (uint64_t pass = 0; pass < PASSES; pass++)
        for (uint64_t place = 0; place < LABELS; place++) {
            size_t sample = pick(&sampler, pass * LABELS + place, 0, 0);
            places[place][sample]++;
            if (place)
                after[pick(&sampler, pass * LABELS + place - 1, 0, 0)][sample]++;
        }
    for (size_t i = 0; i < LABELS; i++)
        for (size_t k = 0; k < LABELS; k++) {
            assert_in_range(places[i][k], 400, 600); /* 500 expected, deviation 21 */
            assert_true(i == k ? !after[i][k] : after[i][k] >= 400 && after[i][k] <= 600);
        }
    sampler_close(&sampler);
}

static void is_a_function_of_seed_and_step(void **state)
{
    (void)state;
    enum { BATCH = 8, STEPS = 60 };
    struct dataset dataset = make_dataset(100, 3);
    struct sampler sampler, again, other;
    size_t same = 0;
    assert_int_equal(sampler_open(&dataset, BATCH, 7, &sampler), 0);
    assert_int_equal(sampler_open(&dataset, BATCH, 7, &again), 0);
    assert_int_equal(sampler_open(&dataset, BATCH, 8, &other), 0);
    for (uint64_t i = 0; i < STEPS; i++)
        for (uint32_t row = 0; row < BATCH; row++) {
            uint64_t step = STEPS - 1 - i; /* The order of steps does not matter. */
            size_t sample = pick(&sampler, step, row, 0);
            (void)pick(&again, i, BATCH - 1 - row, 1);
            assert_int_equal(pick(&again, step, row, 0), sample);
            same += pick(&other, step, row, 0) == sample;
            struct rng a = sampler_rng(&sampler, step, row), b = sampler_rng(&again, step, row),
                       c = sampler_rng(&sampler, step, row + 1), d = sampler_rng(&other, step, row);
            uint64_t word = rng_below(&a, UINT64_MAX);
            assert_true(rng_below(&b, UINT64_MAX) == word);
            assert_true(rng_below(&c, UINT64_MAX) != word);
            assert_true(rng_below(&d, UINT64_MAX) != word);
        }
    assert_true(same < STEPS * BATCH / 20);
    sampler_close(&again);
    sampler_close(&other);
    sampler_close(&sampler);
}

/* A sample is replaced first by the other samples of its label, then by samples of labels that are
 * not in the batch. Each is used once, and then there is no replacement. */
static void has_replacements(void **state)
{
    (void)state;
    static const struct {
        size_t labels, most;
        uint32_t batch;
    } cases[] = {{10, 3, 4}, {11, 2, 10}, {12, 1, 4}, {13, 3, 1}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        const uint32_t batch = cases[i].batch;
        struct dataset dataset = make_dataset(cases[i].labels, cases[i].most);
        struct sampler sampler;
        assert_int_equal(sampler_open(&dataset, batch, 3, &sampler), 0);
        for (uint64_t step = 0; step < 2 * sampler.batches; step++) {
            bool in_batch[MOST] = {0};
            for (uint32_t row = 0; row < batch; row++)
                in_batch[samples[pick(&sampler, step, row, 0)].label] = true;
            for (uint32_t row = 0; row < batch; row++) {
                bool seen[MOST] = {0};
                uint32_t label = samples[pick(&sampler, step, row, 0)].label;
                size_t pictures =
                    sampler.first ? sampler.first[label + 1] - sampler.first[label] : 1;
                for (uint32_t attempt = 0; attempt < pictures + 1; attempt++) {
                    size_t sample = pick(&sampler, step, row, attempt);
                    assert_true(sample < dataset.count);
                    assert_false(seen[sample]);
                    seen[sample] = true;
                    assert_true(attempt < pictures ? samples[sample].label == label
                                                   : !in_batch[samples[sample].label]);
                }
            }
        }
        sampler_close(&sampler);
    }
    struct dataset dataset = make_dataset(4, 2);
    struct sampler sampler;
    assert_int_equal(sampler_open(&dataset, 4, 3, &sampler), 0);
    for (uint32_t row = 0; row < 4; row++) {
        uint32_t label = samples[pick(&sampler, 0, row, 0)].label;
        uint32_t pictures = (uint32_t)(sampler.first[label + 1] - sampler.first[label]);
        assert_true(pick(&sampler, 0, row, pictures - 1) != SAMPLER_NONE);
        assert_true(pick(&sampler, 0, row, pictures) == SAMPLER_NONE);
    }
    sampler_close(&sampler);
}

static void refuses_small_data_sets(void **state)
{
    (void)state;
    struct dataset dataset = make_dataset(5, 3);
    struct sampler sampler;
    assert_int_equal(sampler_open(&dataset, 6, 0, &sampler), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "data.tsv: 5 different labels, expected at least"));
    dataset = make_dataset(5, 0);
    assert_int_equal(sampler_open(&dataset, 6, 0, &sampler), VKCLIP_EINVALID);
    assert_non_null(strstr(vkclip_last_error(), "5 pictures"));
    assert_int_equal(sampler_open(&dataset, 0, 0, &sampler), VKCLIP_EINVALID);
    sampler_close(&sampler);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_every_picture_once_a_pass),
        cmocka_unit_test(pictures_of_a_frequent_label_take_turns),
        cmocka_unit_test(labels_meet_by_chance),
        cmocka_unit_test(shuffles_well),
        cmocka_unit_test(is_a_function_of_seed_and_step),
        cmocka_unit_test(has_replacements),
        cmocka_unit_test(refuses_small_data_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
