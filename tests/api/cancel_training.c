/* SPDX-License-Identifier: MIT
 *
 * Cancels the calls on trainers (support/cancel.h).
 */
#define _GNU_SOURCE
#include "support/cancel.h"

static struct vkclip_trainer *trainer;

static void write_pairs(const char *path)
{
    char *samples = realpath(SAMPLES, NULL);
    FILE *file = fopen(path, "w");
    assert_true(samples && file);
    fprintf(file, "filepath\ttitle\n");
    for (size_t i = 0; i < PICTURES; i++)
        fprintf(file, "%s%s\tpicture %zu\n", samples, strrchr(paths[i], '/'), i);
    assert_int_equal(fclose(file), 0);
    free(samples);
}

static char *pairs;

static int open_trainer(void)
{
    const char *data = pairs;
    struct vkclip_trainer_params params = {.size = sizeof(params),
                                           .model = MODEL,
                                           .data = &data,
                                           .data_count = 1,
                                           .val_data = pairs,
                                           .output = output,
                                           .batch_size = 2,
                                           .accum_freq = 2,
                                           .steps = 100,
                                           .workers = 1,
                                           .seed = 7,
                                           ASK};
    vkclip_close_trainer(&trainer);
    const int error = vkclip_open_trainer(device, &params, &trainer);
    assert_true(!trainer == (error != 0));
    if (error)
        assert_false(folder_exists(output));
    return error;
}

static void close_trainer(void)
{
    vkclip_close_trainer(&trainer);
    remove_output();
}

static struct vkclip_train_result last;

static int train_step(void)
{
    const uint64_t before = last.step;
    last.size = sizeof(last);
    const int error = vkclip_train_step(trainer, &last);
    if (!error)
        assert_int_equal(last.step, before + 1);
    else
        last.step = before;
    return error;
}

static int validate(void)
{
    struct vkclip_validation result = {.size = sizeof(result)};
    const int error = vkclip_validate_trainer(trainer, &result);
    if (!error)
        assert_int_equal(result.images, PICTURES);
    return error;
}

static int save(void)
{
    char path[1024];
    const int error = vkclip_save_trainer(trainer, path, sizeof(path));
    if (!error)
        assert_true(folder_exists(path));
    return error;
}

static int save_model(void)
{
    return vkclip_save_trained_model(trainer);
}

/* Makes three steps, each after being cancelled `stops` times, and returns the last loss. */
static float train(size_t stops)
{
    asked.stop = 0;
    assert_int_equal(open_trainer(), VKCLIP_OK);
    last = (struct vkclip_train_result){0};
    for (int step = 0; step < 3; step++) {
        for (size_t stop = 1; stop <= stops; stop++)
            call_until("vkclip_train_step", train_step, stop);
        if (last.step == (uint64_t)step)
            call_until("vkclip_train_step", train_step, 0);
    }
    const float loss = last.loss;
    close_trainer();
    return loss;
}

static void training(void **state)
{
    (void)state;
    pairs = scratch_path(folder, "pairs.tsv");
    write_pairs(pairs);
    cancel("vkclip_open_trainer", open_trainer, close_trainer);
    last = (struct vkclip_train_result){0};
    cancel("vkclip_train_step", train_step, NULL);
    cancel("vkclip_validate_trainer", validate, NULL);
    cancel("vkclip_save_trainer", save, NULL);
    cancel("vkclip_save_trained_model", save_model, NULL);
    close_trainer();
    /* A step that was cancelled has changed nothing, so that the same steps give the same loss. */
    const float plain = train(0), again = train(1);
    assert_memory_equal(&plain, &again, sizeof(plain));
    free(pairs);
}
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
