/* SPDX-License-Identifier: MIT
 *
 * Encodes and trains on devices whose memory is separate from the host's, full, or bound in small
 * ranges only. The fault layer (tests/vulkan/fault_layer.c) makes them out of the driver at hand.
 */
#define _GNU_SOURCE
#include "support/random.h"
#include "support/difference.h"
#include "support/open_gpu.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "support/variable.h"

#include <unistd.h>

#include "checkpoint/open.h"
#include "encode/model.h"
#include "train/step.h"

#define MODEL "models/emoji-clip"
enum { N = 40, D = 128, S = 64, PIXELS = 3 * S * S };

static float pixels[N * PIXELS];
static float expected[N * D];
static const char *const texts[] = {"a picture of an owl", "a cat", "the flag of Italy"};
enum { TEXTS = ARRAY_COUNT(texts) };
static float expected_texts[TEXTS * D];

/* ---- What the log says ----------------------------------------------------------------------- */

static unsigned warnings, errors;
static char last_warning[512];

static void count_messages(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    warnings += level == VKCLIP_LOG_WARNING;
    errors += level == VKCLIP_LOG_ERROR;
    if (level == VKCLIP_LOG_WARNING)
        snprintf(last_warning, sizeof(last_warning), "%s", message);
    if (level <= VKCLIP_LOG_WARNING)
        printf("%s\n", message);
}

/* ---- Faults ---------------------------------------------------------------------------------- */

static const char *const faults[] = {"VKCLIP_FAULT_DISCRETE",      "VKCLIP_FAULT_ALLOCATE",
                                     "VKCLIP_FAULT_DEVICE_MEMORY", "VKCLIP_FAULT_BINDING",
                                     "VKCLIP_FAULT_COPIES",        "VKCLIP_DISABLE_CAPS"};

static void set_fault(const char *name, const char *value)
{
    set_variable(name, value);
}

static int clear_faults(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(faults); i++)
        set_variable(faults[i], NULL);
    warnings = errors = 0;
    return 0;
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static void open_model(struct vkclip_device **device, struct vkclip_model **model)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    if (vkclip_open_device(&params, device) || vkclip_open_model(*device, MODEL, NULL, model))
        fail_msg("%s", vkclip_last_error());
}

static void encode_all(struct vkclip_model *model, float *images, float *text)
{
    if (vkclip_encode_pixels(model, pixels, N, NULL, images) ||
        vkclip_encode_texts(model, texts, TEXTS, NULL, text))
        fail_msg("%s", vkclip_last_error());
}

/* Encodes on a device with the faults that are set, and compares with what it gives without. */
static void check_embeddings(uint32_t most_batch)
{
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    float images[N * D], text[TEXTS * D];
    open_model(&device, &model);
    encode_all(model, images, text);
    const double worst = fmax(largest_difference(images, expected, N * D),
                              largest_difference(text, expected_texts, TEXTS * D));
    printf("largest difference %.2g, batches of %u\n", worst,
           replica_most_batch(model->replicas[0], TOWER_IMAGE));
    assert_true(worst < 1e-5);
    assert_int_equal(replica_most_batch(model->replicas[0], TOWER_IMAGE), most_batch);
    assert_int_equal(errors, 0);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
}

static int compute_expected(void **state)
{
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    uint32_t random = 1;
    vkclip_set_log(count_messages, NULL);
    random_values(&random, pixels, ARRAY_COUNT(pixels));
    clear_faults(state);
    open_model(&device, &model);
    encode_all(model, expected, expected_texts);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return 0;
}

/* Weights and inputs are copied where the host does not see the device's memory. */
static void separate_memory(void **state)
{
    (void)state;
    set_fault("VKCLIP_FAULT_DISCRETE", "1");
    check_embeddings(32);
    assert_int_equal(warnings, 0);
}

static bool has_copies(void)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_device *device = NULL;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    const bool has = gpu_caps(device->gpus[0]) & CAP_COPIES;
    vkclip_close_device(&device);
    return has;
}

/* A queue for copies takes the inputs to the device before kernels read them. A setting turns it
 * off. */
static void copies_run_beside(void **state)
{
    (void)state;
    set_fault("VKCLIP_FAULT_DISCRETE", "1");
    set_fault("VKCLIP_FAULT_COPIES", "1");
    assert_true(has_copies());
    check_embeddings(32);
    set_fault("VKCLIP_DISABLE_CAPS", "copies");
    assert_false(has_copies());
    check_embeddings(32);
    assert_int_equal(warnings, 0);
}

/* The weights of both towers take the first two allocations, and the arena the third. */
static void full_memory_halves_batch(void **state)
{
    (void)state;
    set_fault("VKCLIP_FAULT_DISCRETE", "1");
    set_fault("VKCLIP_FAULT_ALLOCATE", "3,4");
    check_embeddings(8);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "its memory is full: batches have at most 8 items"));
}

/* The self-test, which other tests turn off, runs in host memory too. */
static void full_memory_takes_host_memory(void **state)
{
    (void)state;
    set_variable("VKCLIP_CHECK", NULL);
    set_fault("VKCLIP_FAULT_DISCRETE", "1");
    set_fault("VKCLIP_FAULT_ALLOCATE", "device");
    check_embeddings(1);
    assert_int_equal(warnings, 2);
    set_variable("VKCLIP_CHECK", "off");
}

static void no_memory_is_an_error(void **state)
{
    (void)state;
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    set_fault("VKCLIP_FAULT_ALLOCATE", "device,host");
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_model(device, MODEL, NULL, &model), VKCLIP_EDEVICEMEMORY);
    assert_non_null(strstr(vkclip_last_error(), "no memory for"));
    assert_null(model);
    assert_int_equal(errors, 1);
    vkclip_close_device(&device);
}

/* ---- Files that change ----------------------------------------------------------------------- */

static void copy_file(const char *folder, const char *name)
{
    char *source = string_format(MODEL "/%s", name), *data = NULL;
    size_t size = 0;
    assert_int_equal(file_read(source, SIZE_MAX, &data, &size), 0);
    scratch_write(folder, name, data, size);
    free(source);
    free(data);
}

/* A tower's weights are read when it first encodes. A file that was cut by then is an error, and
 * one that was removed is still there. */
static void weights_are_read_late(void **state)
{
    (void)state;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    const struct vkclip_model_params model_params = {.size = sizeof(model_params),
                                                     .vocab = MODEL "/vocab.json"};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    float images[N * D], text[TEXTS * D];
    char *folder = scratch_folder(), *path = scratch_path(folder, "model.safetensors");
    copy_file(folder, "config.json");
    copy_file(folder, "preprocessor_config.json");
    copy_file(folder, "model.safetensors");
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_model(device, folder, &model_params, &model), 0);
    assert_int_equal(vkclip_encode_pixels(model, pixels, N, NULL, images), 0);
    assert_int_equal(truncate(path, 1000), 0);
    assert_failed(vkclip_encode_texts(model, texts, TEXTS, NULL, text), VKCLIP_EIO,
                  "was changed while the model was open");
    assert_int_equal(vkclip_encode_pixels(model, pixels, N, NULL, images), 0);
    vkclip_close_model(&model);

    copy_file(folder, "model.safetensors");
    assert_int_equal(vkclip_open_model(device, folder, &model_params, &model), 0);
    remove(path);
    encode_all(model, images, text);
    assert_true(largest_difference(text, expected_texts, TEXTS * D) < 1e-5);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    free(path);
    scratch_remove(folder);
}

/* ---- Training -------------------------------------------------------------------------------- */

struct run {
    struct gpu *gpu;
    struct config config;
    struct weights *weights;
    struct train *train;
};

static int open_run(uint32_t batch, bool mixed, struct run *run)
{
    const struct vkclip_model_params model_params = {.size = sizeof(model_params)};
    const struct train_params params = {
        .batch = batch, .adamw = {0.9f, 0.98f, 1e-6f, 0.2f}, .mixed = mixed};
    *run = (struct run){.gpu = open_gpu("")};
    assert_int_equal(checkpoint_open(MODEL, &model_params, &run->config, &run->weights), 0);
    return train_open(run->gpu, NULL, &run->config, run->weights, &params, &run->train);
}

static void close_run(struct run *run)
{
    train_close(&run->train);
    weights_close(&run->weights);
    config_close(&run->config);
    gpu_close(&run->gpu);
}

/* Computes two steps, and gives the loss and the norm of the gradients of each. */
static void train_two_steps(bool mixed, float values[4])
{
    enum { B = 4, T = 32, END = 2239 };
    struct run run;
    int32_t ids[B * T];
    if (open_run(B, mixed, &run))
        fail_msg("%s", vkclip_last_error());
    for (int i = 0; i < B * T; i++) /* Ids come from the whole table, and each text has an end. */
        ids[i] = i % T == T - 1 ? END : i * 389 % (END - 1);
    for (uint64_t step = 0; step < 2; step++) {
        struct train_result result;
        if (train_step(run.train, pixels, ids, step, 1e-3, &result))
            fail_msg("%s", vkclip_last_error());
        values[2 * step] = result.loss;
        values[2 * step + 1] = result.norm;
    }
    close_run(&run);
}

static bool has_f16(void)
{
    struct gpu *gpu = open_gpu("");
    const bool has = gpu_caps(gpu) & CAP_F16;
    gpu_close(&gpu);
    return has;
}

/* The token table of 1.7 MB is larger than what can be bound, as that of ViT-L/14 is on devices
 * that bind 128 MiB. */
static void small_bindings(void **state)
{
    (void)state;
    for (int mixed = 0; mixed <= has_f16(); mixed++) {
        float whole[4], sliced[4];
        clear_faults(NULL);
        train_two_steps(mixed, whole);
        set_fault("VKCLIP_FAULT_BINDING", "1048576");
        train_two_steps(mixed, sliced);
        printf("losses %g %g, in slices %g %g\n", whole[0], whole[2], sliced[0], sliced[2]);
        for (int i = 0; i < 4; i++)
            assert_true(fabsf(whole[i] - sliced[i]) <= 1e-5f * fabsf(whole[i]));
    }
}

/* A weight that must be bound whole does not get smaller with the batch. */
static void too_small_bindings(void **state)
{
    (void)state;
    struct run run;
    set_fault("VKCLIP_FAULT_BINDING", "300000");
    assert_failed(open_run(1, false, &run), VKCLIP_EUNSUPPORTED, "choose a smaller model");
    close_run(&run);
}

static void training_in_host_memory(void **state)
{
    (void)state;
    float device[4], host[4];
    set_fault("VKCLIP_FAULT_DISCRETE", "1"); /* The type decides which kernels run. */
    train_two_steps(false, device);
    set_fault("VKCLIP_FAULT_ALLOCATE", "device");
    train_two_steps(false, host);
    assert_memory_equal(device, host, sizeof(device));
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "host memory is used"));
}

/* Encodes one row of ids with a T5 on a device with the faults that are set. */
static void encode_with_t5(const char *path, float embed[64])
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    int32_t ids[16];
    for (int32_t i = 0; i < 16; i++)
        ids[i] = i < 15 ? 3 + 7 * i : 1;
    assert_int_equal(vkclip_open_device(&params, &device), 0);
    assert_int_equal(vkclip_open_model(device, path, NULL, &model), 0);
    assert_int_equal(vkclip_encode_tokens(model, ids, 1, 16, NULL, embed), 0);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
}

/* Two of three blocks take 270 KB, which with the activations fit in what three would exceed. */
static void t5_streams_where_its_weights_do_not_fit(void **state)
{
    char *path = golden_path("conditioning/t5/t5-v1_1");
    float whole[64], streamed[64];
    (void)state;
    if (!path) {
        printf("skipped: reference data conditioning/t5/t5-v1_1 is not here\n");
        return;
    }
    set_fault("VKCLIP_FAULT_DISCRETE", "1");
    encode_with_t5(path, whole);
    assert_int_equal(warnings, 0);
    set_fault("VKCLIP_FAULT_DEVICE_MEMORY", "520000");
    encode_with_t5(path, streamed);
    assert_int_equal(warnings, 1);
    assert_non_null(strstr(last_warning, "blocks are read from the files as they run"));
    assert_memory_equal(whole, streamed, sizeof(whole));
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(separate_memory, clear_faults),
        cmocka_unit_test_setup(copies_run_beside, clear_faults),
        cmocka_unit_test_setup(full_memory_halves_batch, clear_faults),
        cmocka_unit_test_setup(full_memory_takes_host_memory, clear_faults),
        cmocka_unit_test_setup(no_memory_is_an_error, clear_faults),
        cmocka_unit_test_setup(weights_are_read_late, clear_faults),
        cmocka_unit_test_setup(small_bindings, clear_faults),
        cmocka_unit_test_setup(too_small_bindings, clear_faults),
        cmocka_unit_test_setup(training_in_host_memory, clear_faults),
        cmocka_unit_test_setup(t5_streams_where_its_weights_do_not_fit, clear_faults),
    };
    return cmocka_run_group_tests(tests, compute_expected, NULL);
}
