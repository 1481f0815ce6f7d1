/* SPDX-License-Identifier: MIT
 *
 * Lost devices, hangs, crashes and pipelines that cannot be built, which the fault layer makes
 * (tests/vulkan/fault_layer.c): a call goes on with the same results where it can, kernels that are
 * to blame are left out, in later processes too, and otherwise the message says what was running.
 */
#define _GNU_SOURCE
#include "support/random.h"
#include "support/difference.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "support/variable.h"

#include <fcntl.h>
#include <math.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "encode/model.h"
#include "runtime/kernels.h"

#define MODEL "models/emoji-clip"
#define SAMPLES MODEL "/samples/"
enum { N = 20, D = 128, S = 64, PIXELS = 3 * S * S };

static float *pixels, *expected, *found;
static const char *program;
static char *cache;
static char messages[16384]; /* what was logged since the device was opened */

static void keep_message(void *user, enum vkclip_log_level level, const char *message)
{
    const size_t length = strlen(messages);
    (void)user;
    (void)level;
    snprintf(messages + length, sizeof(messages) - length, "%s\n", message);
}

/* Sets a variable of the fault layer; all others are unset. */
static void set_fault(const char *name, const char *value)
{
    static const char *const names[] = {
        "LOSE", "HANG", "EXIT", "PIPELINE", "PIPELINE_RESULT", "DISCRETE", "TIMESTAMPS"};
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char variable[64];
        snprintf(variable, sizeof(variable), "VKCLIP_FAULT_%s", names[i]);
        if (name && !strcmp(name, names[i]))
            setenv(variable, value, 1);
        else
            unsetenv(variable);
    }
}

/* Where the model comes from: its folder, or, if it was made, one file with the same values, which
 * is handed over. */
static enum { FROM_FOLDER, FROM_DESCRIPTOR, FROM_MEMORY } origin;
static char *gguf, *content; /* the path and the bytes of that file */
static size_t content_size;

/* The descriptor is closed before anything is uploaded. */
static int open_model(struct vkclip_device *device, struct vkclip_model **model)
{
    const struct vkclip_model_params small = {.size = sizeof(small), .max_batch = 4};
    if (origin == FROM_FOLDER)
        return vkclip_open_model(device, MODEL, &small, model);
    if (origin == FROM_MEMORY)
        return vkclip_open_model_memory(device, content, content_size, &small, model);
    const int file = open(gguf, O_RDONLY | O_CLOEXEC);
    const int error = vkclip_open_model_file(device, file, 0, 0, &small, model);
    close(file);
    return error;
}

/* Encodes all pictures in batches of four with a device that is opened for that. */
static int encode(float *embeds)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = cache};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    messages[0] = 0;
    int error = vkclip_open_device(&params, &device);
    if (!error)
        error = open_model(device, &model);
    if (!error)
        error = vkclip_encode_pixels(model, pixels, N, NULL, embeds);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return error;
}

static int open_reference(void **state)
{
    (void)state;
    uint32_t random = 1;
    pixels = malloc(N * PIXELS * sizeof(*pixels));
    expected = malloc(N * D * sizeof(*expected));
    found = malloc(N * D * sizeof(*found));
    random_values(&random, pixels, N * PIXELS);
    set_fault(NULL, NULL);
    vkclip_set_log(keep_message, NULL);
    cache = "";
    assert_int_equal(encode(expected), 0);
    return 0;
}

static int close_reference(void **state)
{
    (void)state;
    free(pixels);
    free(expected);
    free(found);
    return 0;
}

static int make_cache(void **state)
{
    (void)state;
    cache = scratch_folder();
    return 0;
}

static int remove_cache(void **state)
{
    (void)state;
    set_fault(NULL, NULL);
    set_variable("VKCLIP_TIMEOUT", NULL);
    scratch_remove(cache);
    cache = "";
    return 0;
}

static void assert_said(const char *text)
{
    if (!strstr(messages, text))
        fail_msg("expected \"%s\" among:\n%s", text, messages);
}

static void assert_not_said(const char *text)
{
    if (strstr(messages, text))
        fail_msg("did not expect \"%s\" among:\n%s", text, messages);
}

static void encode_as_expected(double tolerance)
{
    memset(found, 0, N * D * sizeof(*found));
    int error = encode(found);
    if (error)
        fail_msg("%s, after:\n%s", vkclip_last_error(), messages);
    assert_true(largest_difference(found, expected, N * D) <= tolerance);
}

/* ---- Loss ------------------------------------------------------------------------------------ */

/* Wherever the device is lost once while pictures are encoded, the results are the same bits. At
 * the first submits the weights are uploaded, which is not repeated. */
static void a_loss_changes_no_result(void **state)
{
    (void)state;
    size_t survived = 0;
    encode_as_expected(0); /* All kernels are known from now on. */
    for (int submit = 1; submit < 40; submit++) {
        char number[16];
        snprintf(number, sizeof(number), "%d", submit);
        set_fault("LOSE", number);
        int error = encode(found);
        if (error) {
            assert_int_equal(error, VKCLIP_ELOST);
            assert_non_null(strstr(vkclip_last_error(), "lost"));
            assert_int_equal(survived, 0);
            continue;
        }
        assert_true(largest_difference(found, expected, N * D) <= 0);
        assert_not_said("left out"); /* A kernel that has run before is not to blame. */
        if (!strstr(messages, "opened again"))
            break; /* There are no more submits. */
        survived++;
    }
    printf("survived losses at %zu submits\n", survived);
    assert_true(survived >= 5);
}

/* The weights are uploaded again from a descriptor that the caller has closed, and from memory. */
static void a_model_without_a_path_survives(void **state)
{
    (void)state;
    const struct vkclip_convert_params fp32 = {.size = sizeof(fp32), .type = VKCLIP_TYPE_F32};
    char *folder = scratch_folder();
    gguf = scratch_path(folder, "model.gguf");
    assert_int_equal(vkclip_convert_model(MODEL, NULL, gguf, &fp32, NULL), 0);
    assert_int_equal(file_read(gguf, (size_t)1 << 30, &content, &content_size), 0);
    for (origin = FROM_DESCRIPTOR; origin <= FROM_MEMORY; origin++) {
        set_fault(NULL, NULL);
        encode_as_expected(0);
        bool survived = false;
        for (int submit = 1; submit < 40 && !survived; submit++) {
            char number[16];
            snprintf(number, sizeof(number), "%d", submit);
            set_fault("LOSE", number);
            survived = !encode(found) && strstr(messages, "opened again");
        }
        assert_true(survived);
        assert_true(largest_difference(found, expected, N * D) <= 0);
    }
    origin = FROM_FOLDER;
    free(content);
    free(gguf);
    scratch_remove(folder);
}

/* A device that is lost at every submit gives an error that says what ran. */
static void endless_losses_end(void **state)
{
    (void)state;
    encode_as_expected(0);
    set_fault("LOSE", "attention_texel,attention");
    assert_int_equal(encode(found), VKCLIP_ELOST);
    assert_said("opened again");
    assert_non_null(strstr(vkclip_last_error(), "classtoken f32 f32"));
    assert_non_null(strstr(vkclip_last_error(), "lost"));
}

/* A kernel that loses the device when it first runs is found among the others and left out, and
 * later processes do not run it. */
static void a_deadly_kernel_is_left_out(void **state)
{
    (void)state;
    set_fault("LOSE", "matmul_texel");
    encode_as_expected(1e-5);
    assert_said("opened again");
    assert_said("kernel matmul_texel f32 f32 is left out");
    assert_said("is left out");
    encode_as_expected(1e-5);
    assert_said("is left out");
    assert_not_said("opened again");
    char *rows = scratch_find(cache, "rows-");
    assert_non_null(rows);
    assert_said(rows); /* The message says which file to remove. */
    set_fault(NULL, NULL);
    assert_int_equal(remove(rows), 0);
    encode_as_expected(0);
    assert_not_said("is left out");
    assert_null(scratch_find(cache, "running-"));
    free(rows);
}

static int run_child(void)
{
    char *command = string_format("\"%s\" child \"%s\"", program, cache);
    const int status = system(command);
    free(command);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* A driver that ends the process leaves a note of what was running. */
static void a_crash_is_remembered(void **state)
{
    (void)state;
    set_fault("EXIT", "attention_texel,matmul_texel,matmul_broadcast");
    enum { MOST = 12 };
    int runs = 0;
    while (runs < MOST && run_child() == 86)
        runs++;
    printf("%d crashes until the kernels were left out\n", runs);
    assert_in_range(runs, 1, MOST - 1); /* Only the last kernel of each op would be left. */
    assert_null(scratch_find(cache, "running-"));
    set_fault(NULL, NULL);
    encode_as_expected(1e-5);
    assert_said("is left out");
}

static void a_stopped_process_blames_no_known_kernel(void **state)
{
    (void)state;
    encode_as_expected(0);
    set_fault("EXIT", "5");
    assert_int_equal(run_child(), 86);
    set_fault(NULL, NULL);
    encode_as_expected(0);
    assert_not_said("left out");
}

/* Opens a device, which reads what other processes left, and closes it. */
static void open_once(void)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = cache};
    struct vkclip_device *device = NULL;
    messages[0] = 0;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    vkclip_close_device(&device);
}

/* Writes the note of a process that ended while it ran one row for the first time. Returns the part
 * of its name that comes before the number of the process. */
static char *leave_note(int process, int opened)
{
    static const char row[] = "classtoken f32 f32\n";
    char *pipelines = scratch_find(cache, "pipelines-");
    assert_non_null(pipelines);
    char *begin = string_format("running-%s.", strstr(pipelines, "pipelines-") + 10);
    char *name = string_format("%s%d.%d", begin, process, opened);
    scratch_write(cache, name, row, strlen(row));
    free(pipelines);
    free(name);
    return begin;
}

/* A process that ends while a single row runs for the first time may have been stopped by its user.
 * The row is left out when that happens again. */
static void a_single_row_gets_a_second_try(void **state)
{
    (void)state;
    encode_as_expected(0);
    char *rows = scratch_find(cache, "rows-");
    assert_non_null(rows);
    assert_int_equal(remove(rows), 0); /* The row is new again. */
    free(leave_note(0, 0));
    open_once();
    assert_not_said("left out");
    free(leave_note(0, 0));
    open_once();
    assert_said("kernel classtoken f32 f32 is left out");
    free(rows);
}

static size_t count_files(const char *begin)
{
    char **names = NULL;
    size_t count = 0, begun = 0;
    assert_int_equal(folder_list(cache, &names, &count), 0);
    for (size_t i = 0; i < count; i++)
        begun += string_begins_with(names[i], begin);
    folder_free_names(&names, count);
    return begun;
}

/* A note of an earlier process with the number of this one is read, although that number runs: in
 * containers all processes have the same number. */
static void a_note_under_the_same_number_is_read(void **state)
{
    (void)state;
    enum { NOTES = 100 }; /* The name ends with the number of devices that were opened before. */
    char *begin = NULL;
    encode_as_expected(0);
    for (int i = 0; i < NOTES; i++) {
        free(begin);
        begin = leave_note(getpid(), i);
    }
    open_once();
    assert_int_equal(count_files(begin), NOTES - 1);
    free(begin);
}

/* ---- Hangs ----------------------------------------------------------------------------------- */

static void a_hang_ends(void **state)
{
    (void)state;
    encode_as_expected(0);
    set_variable("VKCLIP_TIMEOUT", "1");
    set_fault("HANG", "5");
    encode_as_expected(0);
    assert_said("no progress for 1 s");
    assert_said("opened again");
    set_variable("VKCLIP_TIMEOUT", "soon");
    set_fault(NULL, NULL);
    encode_as_expected(0);
    assert_said("VKCLIP_TIMEOUT is \"soon\"");
}

/* ---- Pipelines ------------------------------------------------------------------------------- */

static void failing_pipelines_are_replaced(void **state)
{
    (void)state;
    set_fault("PIPELINE", "matmul_texel,matmul_broadcast,attention_texel");
    encode_as_expected(1e-5);
    set_fault("PIPELINE", "/3");
    setenv("VKCLIP_FAULT_PIPELINE_RESULT", "0", 1); /* success without a pipeline */
    int error = encode(found);
    if (error) /* The last variant of an op may be among those that fail. */
        assert_non_null(strstr(vkclip_last_error(), "cannot build kernel"));
    else
        assert_true(largest_difference(found, expected, N * D) < 1e-5);
    set_fault("PIPELINE", "1-");
    assert_int_equal(encode(found), VKCLIP_EDEVICE);
    assert_non_null(strstr(vkclip_last_error(), "cannot build kernel"));
}

/* ---- Submits --------------------------------------------------------------------------------- */

/* Times that cannot be true leave the speed unknown. */
static void wrong_times_are_ignored(void **state)
{
    (void)state;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = cache};
    struct vkclip_device *device = NULL;
    set_fault("DISCRETE", "1");
    setenv("VKCLIP_FAULT_TIMESTAMPS", "1", 1);
    encode_as_expected(1e-5);
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_true(gpu_submit_work(device->gpus[0], "classtoken f32 f32", 1) ==
                gpu_limits(device->gpus[0])->work);
    vkclip_close_device(&device);
    set_fault(NULL, NULL);
}

/* A GPU's submits begin small. When speeds are known they follow from these, in the next process
 * too. */
static void submits_follow_the_speed(void **state)
{
    (void)state;
    static const char row[] = "classtoken f32 f32";
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = cache};
    struct vkclip_device *device = NULL;
    set_fault("DISCRETE", "1");
    double known[2];
    for (int i = 0; i < 2; i++) {
        assert_int_equal(vkclip_open_device(&params, &device), 0);
        const struct gpu_limits *limits = gpu_limits(device->gpus[0]);
        assert_true(limits->submit_seconds > 0 && limits->submit_seconds <= 0.2);
        assert_true(gpu_submit_work(device->gpus[0], "unknown", 1) == limits->work);
        assert_true(gpu_submit_work(device->gpus[0], "unknown", 8) == limits->work / 8);
        known[i] = gpu_submit_work(device->gpus[0], row, 1);
        vkclip_close_device(&device);
        encode_as_expected(1e-5); /* A discrete GPU adds up in another order than a CPU. */
    }
    printf("%g operations of %s per submit at first, then %g\n", known[0], row, known[1]);
    assert_true(known[1] != known[0] && known[1] > 0);
    set_fault(NULL, NULL);
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    if (gpu_info(device->gpus[0])->type == VKCLIP_DEVICE_CPU) /* Nothing watches a CPU. */
        assert_true(gpu_submit_work(device->gpus[0], row, 8) == gpu_limits(device->gpus[0])->work);
    vkclip_close_device(&device);
}

/* ---- Training -------------------------------------------------------------------------------- */

static void write_pairs(const char *path)
{
    static const char *const names[] = {"bicycle", "butterfly", "ghost", "octopus",
                                        "owl",     "penguin",   "pizza", "robot"};
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    fputs("filepath\ttitle\n", file);
    char *folder = realpath(SAMPLES, NULL);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++)
        fprintf(file, "%s/%s.png\ta picture of a %s\n", folder, names[i], names[i]);
    free(folder);
    assert_int_equal(fclose(file), 0);
}

static void training_says_where_it_resumes(void **state)
{
    (void)state;
    char *data = scratch_path(cache, "pairs.tsv"), *run = scratch_path(cache, "run");
    const char *const source = data;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    const struct vkclip_trainer_params training = {.size = sizeof(training),
                                                   .model = MODEL,
                                                   .data = &source,
                                                   .data_count = 1,
                                                   .output = run,
                                                   .batch_size = 4,
                                                   .steps = 8,
                                                   .workers = 1};
    struct vkclip_device *device = NULL;
    struct vkclip_trainer *trainer = NULL;
    struct vkclip_train_result result = {.size = sizeof(result)};
    char saved[512];
    write_pairs(data);
    set_fault("LOSE", "adamw"); /* The update comes last. */
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_trainer(device, &training, &trainer), 0);
    assert_int_equal(vkclip_train_step(trainer, &result), VKCLIP_ELOST);
    assert_non_null(strstr(vkclip_last_error(), "step 1"));
    assert_non_null(strstr(vkclip_last_error(), "lost while it ran"));
    assert_non_null(strstr(vkclip_last_error(), "no step was saved yet"));
    vkclip_close_trainer(&trainer);
    vkclip_close_device(&device);
    set_fault(NULL, NULL);
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_trainer(device, &training, &trainer), 0);
    assert_int_equal(vkclip_train_step(trainer, &result), 0);
    assert_int_equal(vkclip_save_trainer(trainer, saved, sizeof(saved)), 0);
    vkclip_close_trainer(&trainer);
    vkclip_close_device(&device);
    set_fault("LOSE", "adamw");
    struct vkclip_trainer_params resumed = training;
    resumed.model = NULL;
    resumed.resume = true;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_trainer(device, &resumed, &trainer), 0);
    assert_int_equal(vkclip_train_step(trainer, &result), VKCLIP_ELOST);
    assert_non_null(strstr(vkclip_last_error(), "step 2"));
    assert_non_null(strstr(vkclip_last_error(), saved));
    assert_non_null(strstr(vkclip_last_error(), "`resume`"));
    vkclip_close_trainer(&trainer);
    vkclip_close_device(&device);
    free(run);
    free(data);
}

int main(int count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_loss_changes_no_result, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(a_model_without_a_path_survives, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(endless_losses_end, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(a_deadly_kernel_is_left_out, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(a_crash_is_remembered, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(a_stopped_process_blames_no_known_kernel, make_cache,
                                        remove_cache),
        cmocka_unit_test_setup_teardown(a_single_row_gets_a_second_try, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(a_note_under_the_same_number_is_read, make_cache,
                                        remove_cache),
        cmocka_unit_test_setup_teardown(failing_pipelines_are_replaced, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(submits_follow_the_speed, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(wrong_times_are_ignored, make_cache, remove_cache),
        cmocka_unit_test_setup_teardown(training_says_where_it_resumes, make_cache, remove_cache),
        /* A device that hangs keeps Vulkan open, after which the layer reads no other faults. */
        cmocka_unit_test_setup_teardown(a_hang_ends, make_cache, remove_cache),
    };
    program = arguments[0];
    if (count == 3) { /* This is the child of a_crash_is_remembered. */
        pixels = calloc(N * PIXELS, sizeof(*pixels));
        found = calloc(N * D, sizeof(*found));
        cache = arguments[2];
        const int error = encode(found);
        free(pixels);
        free(found);
        return error ? 1 : 0;
    }
    return cmocka_run_group_tests(tests, open_reference, close_reference);
}
