/* SPDX-License-Identifier: MIT
 *
 * Schedules: learning rates equal those of the reference runs, and a schedule begins and ends with
 * the right values.
 */
#include "base/array.h"
#include "support/testing.h"

#include "train/schedule.h"

#include <jansson.h>
#include <math.h>

static void test_reference(void **state)
{
    static const char *const files[] = {"training/vit/expected.json", "training/rn/expected.json"};
    const struct schedule schedule = {.rate = 5e-4, .warmup = 10, .steps = 50};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        char *path = golden_path(files[i]);
        if (!path)
            skip();
        json_t *root = json_load_file(path, 0, NULL), *rates = json_object_get(root, "lr_schedule");
        assert_int_equal(json_array_size(rates), 50);
        for (size_t step = 0; step < 50; step++) {
            double expected = json_number_value(json_array_get(rates, step));
            assert_true(fabs(schedule_rate(&schedule, step) - expected) <= 1e-15 * 5e-4 + 1e-18);
        }
        json_decref(root);
        free(path);
    }
}

static void test_ends(void **state)
{
    (void)state;
    struct schedule schedule = {.rate = 2, .warmup = 4, .steps = 12};
    static const double rates[] = {0.5, 1, 1.5, 2, 2};
    for (size_t step = 0; step < ARRAY_COUNT(rates); step++)
        assert_true(schedule_rate(&schedule, step) == rates[step]);
    assert_true(fabs(schedule_rate(&schedule, 8) - 1) < 1e-15); /* This step is halfway down. */
    assert_true(schedule_rate(&schedule, 12) == 0);
    assert_true(schedule_rate(&schedule, UINT64_MAX) == 0);
    schedule.constant = true;
    assert_true(schedule_rate(&schedule, 3) == 2);
    assert_true(schedule_rate(&schedule, 100) == 2);
    schedule = (struct schedule){
        .rate = 2, .warmup = 8, .steps = 4}; /* The run ends during the warm-up. */
    assert_true(schedule_rate(&schedule, 3) == 1);
    assert_true(schedule_rate(&schedule, 9) == 0);
    schedule = (struct schedule){.rate = 2, .steps = 4};
    assert_true(schedule_rate(&schedule, 0) == 2);
}

/* The expected rates follow from OpenCLIP's formula: the fraction of the cool-down that is left, to
 * the power, between the rate and the end. */
static void test_cooldown(void **state)
{
    (void)state;
    struct schedule schedule = {
        .constant = true, .rate = 2, .warmup = 2, .steps = 12, .cooldown = 4, .power = 1};
    static const double line[] = {1, 2, 2, 2, 2, 2, 2, 2, 2, 1.5, 1, 0.5, 0, 0};
    for (size_t step = 0; step < ARRAY_COUNT(line); step++)
        assert_true(schedule_rate(&schedule, step) == line[step]);
    schedule.power = 2;
    schedule.end = 0.5;
    assert_true(schedule_rate(&schedule, 8) == 2);
    assert_true(schedule_rate(&schedule, 10) == 0.5 + 0.25 * 1.5);
    assert_true(schedule_rate(&schedule, 12) == 0.5);
    schedule.cooldown = 100; /* It begins before the first step, and the warm-up comes first. */
    schedule.end = 0;
    schedule.power = 1;
    assert_true(schedule_rate(&schedule, 0) == 1);
    assert_true(fabs(schedule_rate(&schedule, 2) - 2 * 0.1) < 1e-15);
}

static void test_default_warmup(void **state)
{
    (void)state;
    assert_int_equal(schedule_default_warmup(9), 0);
    assert_int_equal(schedule_default_warmup(50), 5);
    assert_int_equal(schedule_default_warmup(100000), 10000);
    assert_int_equal(schedule_default_warmup(UINT64_MAX), 10000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_cooldown),
        cmocka_unit_test(test_default_warmup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
