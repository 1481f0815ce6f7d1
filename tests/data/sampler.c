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

static void takes_every_label_once_a_pass(void **state)
{
    (void)state;
    static const struct {
        size_t labels, most;
        uint32_t batch;
    } cases[] = {{1, 0, 1}, {2, 3, 1}, {10, 0, 10}, {100, 4, 7}, {256, 1, 64}, {300, 3, 100}};
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct dataset dataset = make_dataset(cases[i].labels, cases[i].most);
        struct sampler sampler;
        assert_int_equal(sampler_open(&dataset, cases[i].batch, 5, &sampler), 0);
        assert_int_equal(sampler.batches, cases[i].labels / cases[i].batch);
        for (uint64_t pass = 0; pass < 4; pass++) {
            unsigned seen[MOST] = {0};
            for (uint64_t step = 0; step < sampler.batches; step++)
                for (uint32_t row = 0; row < cases[i].batch; row++) {
                    size_t sample = sampler_pick(&sampler, pass * sampler.batches + step, row, 0);
                    assert_true(sample < dataset.count);
                    assert_int_equal(seen[samples[sample].label]++, 0);
                }
        }
        sampler_close(&sampler);
    }
}

/* In as many passes as a label has pictures, each of them is used once, and the order changes from
 * round to round. */
static void takes_pictures_in_turn(void **state)
{
    (void)state;
    enum { PICTURES = 4, ROUNDS = 50 };
    struct dataset dataset = make_dataset(1, 0);
    for (dataset.count = 0; dataset.count < PICTURES; dataset.count++)
        samples[dataset.count].label = 0;
    struct sampler sampler;
    unsigned firsts[PICTURES] = {0};
    assert_int_equal(sampler_open(&dataset, 1, 5, &sampler), 0);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        unsigned seen[PICTURES] = {0};
        for (uint64_t i = 0; i < PICTURES; i++)
            seen[sampler_pick(&sampler, round * PICTURES + i, 0, 0)]++;
        for (size_t i = 0; i < PICTURES; i++)
            assert_int_equal(seen[i], 1);
        firsts[sampler_pick(&sampler, round * PICTURES, 0, 0)]++;
    }
    for (size_t i = 0; i < PICTURES; i++)
        assert_in_range(firsts[i], 3, 25); /* 12.5 of 50 expected */
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
            size_t sample = sampler_pick(&sampler, pass * LABELS + place, 0, 0);
            places[place][sample]++;
            if (place)
                after[sampler_pick(&sampler, pass * LABELS + place - 1, 0, 0)][sample]++;
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
            size_t sample = sampler_pick(&sampler, step, row, 0);
            (void)sampler_pick(&again, i, BATCH - 1 - row, 1);
            assert_int_equal(sampler_pick(&again, step, row, 0), sample);
            same += sampler_pick(&other, step, row, 0) == sample;
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
                in_batch[samples[sampler_pick(&sampler, step, row, 0)].label] = true;
            for (uint32_t row = 0; row < batch; row++) {
                bool seen[MOST] = {0};
                uint32_t label = samples[sampler_pick(&sampler, step, row, 0)].label;
                size_t pictures = sampler.first[label + 1] - sampler.first[label];
                for (uint32_t attempt = 0; attempt < pictures + 1; attempt++) {
                    size_t sample = sampler_pick(&sampler, step, row, attempt);
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
        uint32_t label = samples[sampler_pick(&sampler, 0, row, 0)].label;
        uint32_t pictures = (uint32_t)(sampler.first[label + 1] - sampler.first[label]);
        assert_true(sampler_pick(&sampler, 0, row, pictures - 1) != SAMPLER_NONE);
        assert_true(sampler_pick(&sampler, 0, row, pictures) == SAMPLER_NONE);
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
        cmocka_unit_test(takes_every_label_once_a_pass),
        cmocka_unit_test(takes_pictures_in_turn),
        cmocka_unit_test(shuffles_well),
        cmocka_unit_test(is_a_function_of_seed_and_step),
        cmocka_unit_test(has_replacements),
        cmocka_unit_test(refuses_small_data_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
