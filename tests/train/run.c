/* SPDX-License-Identifier: MIT
 *
 * Folders of a training run: a saved step can be read back as a model and as the state of a run, in
 * every layout, a process that is killed while it saves leaves the previous step intact, and
 * pruning keeps the newest steps.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/string.h"
#include "support/scratch.h"

#include "checkpoint/open.h"
#include "train/fit.h"
#include "train/options.h"
#include "train/run.h"

#include <signal.h>
#include <sys/wait.h>

enum { TENSORS = 400 };

/* Each tensor has three kinds of values. The kind VALUE is 0, which keeps expected_value within the
 * range of logit_scale. */
enum { VALUE, FIRST_MOMENT };

struct test_run {
    struct config config;
    struct weights *weights;
    struct model_tensor tensors[TENSORS];
    bool has_moments[TENSORS];
    struct run_step step;
    int reads_left; /* reads after which the process kills itself; -1: never */
};

/* Returns a number that differs between tensors, elements, kinds and steps. */
static float expected_value(const struct test_run *run, size_t tensor, int kind, size_t i)
{
    return (float)tensor + (float)(i % 251) / 256 + 1000 * (float)kind -
           7 * (float)run->step.state.step;
}

static int fill_values(struct test_run *run, size_t tensor, int kind, float *values)
{
    if (run->reads_left == 0)
        raise(SIGKILL);
    if (run->reads_left > 0)
        run->reads_left--;
    for (size_t i = 0; i < tensors_elements(&run->tensors[tensor]); i++)
        values[i] = expected_value(run, tensor, kind, i);
    return VKCLIP_OK;
}

static int read_values(void *user, size_t tensor, float *values)
{
    return fill_values(user, tensor, VALUE, values);
}

static int read_moments(void *user, size_t tensor, enum run_moment moment, float *values)
{
    return fill_values(user, tensor, FIRST_MOMENT + (int)moment, values);
}

static int check_moments(void *user, size_t tensor, enum run_moment moment, const float *values)
{
    const struct test_run *run = user;
    assert_true(run->has_moments[tensor]);
    for (size_t i = 0; i < tensors_elements(&run->tensors[tensor]); i++)
        assert_true(values[i] == expected_value(run, tensor, FIRST_MOMENT + (int)moment, i));
    return VKCLIP_OK;
}

static int fail_reading(void *user, size_t tensor, float *values)
{
    (void)user, (void)tensor, (void)values;
    return error_fail(VKCLIP_EDEVICE, "the device is lost");
}

static void open_run(const char *path, struct test_run *run)
{
    const struct vkclip_model_params params = {.size = sizeof(params),
                                               .vocab = "models/emoji-clip/vocab.json"};
    const char *name;
    *run = (struct test_run){.reads_left = -1};
    assert_int_equal(checkpoint_open(path, &params, &run->config, &run->weights), 0);
    for (size_t i = 0; (name = weights_name(run->weights, i)); i++) {
        struct model_tensor *tensor = &run->tensors[i];
        assert_true(i < TENSORS);
        snprintf(tensor->name, sizeof(tensor->name), "%s", name);
        uint64_t shape[TENSOR_MAX_RANK] = {0};
        weights_shape(run->weights, name, shape, &tensor->rank);
        memcpy(tensor->shape, shape, sizeof(tensor->shape));
        run->has_moments[i] = !strstr(name, "running_");
        run->step.model.count++;
    }
    run->step.model.config = &run->config;
    run->step.model.tensors = run->tensors;
    run->step.model.read = read_values;
    run->step.model.user = run;
    run->step.has_moments = run->has_moments;
    run->step.read_moment = read_moments;
    run->step.state = (struct run_state){.step = 12,
                                         .seed = 5,
                                         .options = json_pack("{ss}", "lr", "high"),
                                         .data = 1,
                                         .loss_scale = 65536,
                                         .loss_scale_steps = 77};
}

static void close_run(struct test_run *run)
{
    config_close(&run->config);
    weights_close(&run->weights);
    json_decref(run->step.state.options);
}

static void assert_state(const struct run_state *a, const struct run_state *b)
{
    assert_true(a->step == b->step && a->seed == b->seed && json_equal(a->options, b->options) &&
                a->data == b->data && a->loss_scale == b->loss_scale &&
                a->loss_scale_steps == b->loss_scale_steps);
}

/* Checks that the folder has the model of the run's current step. */
static void assert_model(const struct test_run *run, const char *path)
{
    struct config config;
    struct weights *weights;
    size_t count = 0;
    if (checkpoint_open(path, NULL, &config, &weights))
        fail_msg("%s", vkclip_last_error());
    assert_int_equal(config.family == VKCLIP_FAMILY_HF, run->config.family == VKCLIP_FAMILY_HF);
    assert_int_equal(config.image.width, run->config.image.width);
    assert_int_equal(config.text.activation, run->config.text.activation);
    assert_non_null(config.tokenizer_path);
    assert_true(string_begins_with(config.tokenizer_path, path));
    while (weights_name(weights, count))
        count++;
    assert_int_equal(count, run->step.model.count);
    for (size_t t = 0; t < count; t++) {
        const struct model_tensor *tensor = &run->tensors[t];
        float *values = malloc(tensors_elements(tensor) * sizeof(*values));
        assert_int_equal(
            weights_read(weights, tensor->name, 0, tensor->rank ? tensor->shape[0] : 1, values), 0);
        for (size_t i = 0; i < tensors_elements(tensor); i++)
            assert_true(values[i] == expected_value(run, t, VALUE, i));
        free(values);
    }
    config_close(&config);
    weights_close(&weights);
}

static void assert_whole(struct test_run *run, const char *path)
{
    struct run_state state;
    assert_model(run, path);
    assert_int_equal(run_read_state(path, &state), 0);
    assert_state(&state, &run->step.state);
    json_decref(state.options);
    assert_int_equal(run_read_moments(path, run->tensors, run->has_moments, run->step.model.count,
                                      check_moments, run),
                     0);
}

static void test_round_trip(void **state)
{
    static const char *const paths[] = {"models/hf-vit", "models/openclip-vit",
                                        "models/openai-rn/model.safetensors"};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        char *golden = golden_path(paths[i]), *folder = scratch_folder(), *path = NULL;
        struct test_run run;
        assert_non_null(golden);
        open_run(golden, &run);
        assert_int_equal(run_save(&run.step, folder, &path), 0);
        assert_true(string_ends_with(path, "/checkpoint-12"));
        assert_whole(&run, path);
        char *averages = run_averages_path(path);
        assert_false(folder_exists(averages));
        /* A run that resumes from an earlier step saves this one again, which replaces it, here
         * with averages. */
        run.step.state.seed = 6;
        run.step.read_average = read_values;
        assert_int_equal(run_save(&run.step, folder, NULL), 0);
        assert_whole(&run, path);
        assert_model(&run, averages);
        free(averages);
        assert_int_equal(checkpoint_write(&run.step.model, folder), 0);
        assert_model(&run, folder);
        run.step.state.step = 13;
        assert_int_equal(checkpoint_write(&run.step.model, folder), 0); /* It is replaced. */
        assert_model(&run, folder);
        free(path);
        close_run(&run);
        scratch_remove(folder);
        free(golden);
    }
}

static void test_killed_while_writing(void **state)
{
    (void)state;
    char *golden = golden_path("models/hf-vit"), *folder = scratch_folder(), *path = NULL,
         **names = NULL;
    size_t count = 0;
    struct test_run run;
    open_run(golden, &run);
    assert_int_equal(run_save(&run.step, folder, NULL), 0);
    run.step.read_average = read_values; /* The folder inside the saved step is left there too. */
    const int all = 4 * (int)run.step.model.count;
    for (int reads = 0; reads < all; reads += 17) {
        int status = 0;
        pid_t child = fork();
        if (!child) {
            run.reads_left = reads;
            run.step.state.step = 13;
            run_save(&run.step, folder, NULL);
            _exit(1);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status));
        assert_int_equal(run_latest(folder, &path), 0);
        assert_true(string_ends_with(path, "/checkpoint-12"));
        if (!reads)
            assert_whole(&run, path);
        free(path);
    }
    run.step.state.step = 13;
    assert_int_equal(run_save(&run.step, folder, &path), 0); /* It replaces what was left. */
    assert_whole(&run, path);
    folder_remove(path);
    free(path);
    char *left = scratch_path(folder, "checkpoint-13.tmp"), *averages = run_averages_path(left);
    assert_int_equal(folder_make(left), 0);
    assert_int_equal(folder_make(averages), 0);
    scratch_text(averages, "model.safetensors", "");
    free(averages);
    free(left);
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 2);
    folder_free_names(&names, count);
    run_prune(folder, 3, NULL);
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 1);
    folder_free_names(&names, count);
    run.step.read_average = fail_reading; /* A failed save leaves no files. */
    run.step.state.step = 14;
    assert_failed(run_save(&run.step, folder, &path), VKCLIP_EDEVICE, "lost");
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, 1);
    folder_free_names(&names, count);
    close_run(&run);
    scratch_remove(folder);
    free(golden);
}

static void test_kept(void **state)
{
    static const char *const folders[] = {"checkpoint-9",    "checkpoint-10",  "checkpoint-100",
                                          "checkpoint-2000", "checkpoint-old", "other"};
    static const char *const left[] = {
        "checkpoint-100", "checkpoint-2000", "checkpoint-old", "log.jsonl", NULL, "notes.2.tmp",
        "other"};
    (void)state;
    char *folder = scratch_folder(), *path = NULL, **names = NULL;
    size_t count = 0;
    assert_int_equal(run_latest(folder, &path), 0);
    assert_null(path);
    assert_int_equal(run_latest("no/such/folder", &path), 0);
    assert_null(path);
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char *made = scratch_path(folder, folders[i]);
        assert_int_equal(folder_make(made), 0);
        scratch_text(made, "training.json", "{}");
        char *averages = run_averages_path(made);
        assert_int_equal(folder_make(averages), 0);
        scratch_text(averages, "model.safetensors", "");
        free(averages);
        free(made);
    }
    scratch_text(folder, "log.jsonl", "");
    /* What a killed process left goes; the number of the first one is above those of processes. */
    char *unfinished = string_format("model.safetensors.%d.0.tmp", (int)getpid());
    scratch_text(folder, "config.json.999999999.0.tmp", "");
    scratch_text(folder, unfinished, "");
    scratch_text(folder, "notes.2.tmp", "");
    assert_int_equal(run_latest(folder, &path), 0);
    assert_true(string_ends_with(
        path, "/checkpoint-2000")); /* The newest is found by number, not by name. */
    /* The vocabulary of a resumed run lies in the saved step that it started from. */
    char *first = scratch_path(folder, "checkpoint-9"),
         *vocabulary = scratch_path(folder, "checkpoint-9/tokenizer.json");
    run_prune(folder, 2, vocabulary);
    assert_true(folder_exists(first));
    free(vocabulary);
    vocabulary = scratch_path(folder, "checkpoint-99/tokenizer.json"); /* another folder's */
    run_prune(folder, 2, vocabulary);
    assert_false(folder_exists(first));
    free(vocabulary);
    free(first);
    run_prune(folder, 2, NULL);
    assert_int_equal(folder_list(folder, &names, &count), 0);
    assert_int_equal(count, ARRAY_COUNT(left));
    for (size_t i = 0; i < count; i++)
        assert_string_equal(names[i], left[i] ? left[i] : unfinished);
    folder_free_names(&names, count);
    struct run_state found;
    assert_failed(run_read_state(path, &found), VKCLIP_EFORMAT, "training.json");
    assert_failed(run_read_moments(path, NULL, NULL, 0, check_moments, NULL), VKCLIP_EIO,
                  "training.safetensors");
    free(path);
    free(unfinished);
    scratch_remove(folder);
}

/* Returns the bytes that a step of 16 pairs needs. */
static uint64_t measure(const struct config *config, uint32_t micro_batch, bool recompute)
{
    const struct train_params params = {
        .batch = 16, .micro_batch = micro_batch, .recompute = recompute};
    struct train_memory memory;
    assert_int_equal(train_measure(config, &params, &memory), 0);
    return memory.weights + memory.gradients + memory.moments + memory.activations;
}

/* The options that are named for a memory that is too small are the least ones that suffice. */
static void test_fit(void **state)
{
    (void)state;
    static const struct train_params params = {.batch = 16};
    char *golden = golden_path("models/hf-vit"), advice[256];
    struct test_run run;
    open_run(golden, &run);
    const struct config *config = &run.config;
    const uint64_t half = measure(config, 8, false), again = measure(config, 16, true);
    const uint64_t least = measure(config, 1, true);
    assert_true(half < measure(config, 0, false) && again < measure(config, 0, false));
    assert_int_equal(fit_advise(config, &params, half > again ? half : again, advice), 0);
    assert_non_null(strstr(advice, "what fits: `batch_size` 8 `accum_freq` 2 ("));
    assert_non_null(strstr(advice, ", or `checkpoint_activations` ("));
    assert_int_equal(fit_advise(config, &params, least, advice), 0);
    assert_non_null(
        strstr(advice, "what fits: `checkpoint_activations` `batch_size` 1 `accum_freq` 16 ("));
    assert_int_equal(fit_advise(config, &params, least - 1, advice), 0);
    assert_non_null(strstr(advice, "no batch fits"));
    close_run(&run);
    free(golden);
}

/* What 0 and negative numbers stand for, and which options a run may resume with. */
static void test_options(void **state)
{
    (void)state;
    static const char *const data[] = {"a.tsv", "b\xff.tsv"};
    struct vkclip_trainer_params params = {.size = sizeof(params),
                                           .data = data,
                                           .data_count = 2,
                                           .wd = -1,
                                           .augmentation = {.scale = {-1, 1}}};
    options_complete(&params);
    assert_true(params.lr == 5e-4 && params.wd == 0 && params.accum_freq == 1);
    assert_true(params.augmentation.scale[0] == 0 && params.augmentation.scale[1] == 1);
    assert_true(params.augmentation.ratio[0] == 0.75 && params.epochs == 32);
    json_t *before = options_pack(&params);
    assert_string_equal(json_string_value(json_array_get(json_object_get(before, "data"), 1)),
                        "b?.tsv");
    assert_true(json_is_null(json_object_get(before, "model")));
    params.lr = 1;
    params.precision = (enum vkclip_precision)77;
    json_t *now = options_pack(&params);
    assert_int_equal(options_compare(before, before), 0);
    assert_int_equal(options_compare(before, now), 0);
    assert_int_equal(options_compare(NULL, now), 0);
    json_decref(now);
    params.lock_text = true;
    now = options_pack(&params);
    assert_failed(options_compare(before, now), VKCLIP_EINVALID,
                  "`lock_text`: the run began with no, found yes");
    json_decref(now);
    json_decref(before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip), cmocka_unit_test(test_killed_while_writing),
        cmocka_unit_test(test_kept),       cmocka_unit_test(test_fit),
        cmocka_unit_test(test_options),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
