/* SPDX-License-Identifier: MIT
 *
 * Cancels the long calls on devices, models and conditioners (support/cancel.h).
 */
#define _GNU_SOURCE
#include "support/cancel.h"
#include "support/difference.h"
#include "support/variable.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <unistd.h>

#define CONDITIONER "tests/golden/conditioning/pipelines/chroma"
enum { S = 64, MANY = 64 };

static struct vkclip_conditioner *conditioner;

/* ---- Devices and archives -------------------------------------------------------------------- */

static int open_device(void)
{
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = "", ASK};
    struct vkclip_device *opened = NULL;
    const int error = vkclip_open_device(&params, &opened);
    assert_true(!opened == (error != 0));
    vkclip_close_device(&opened);
    return error;
}

static int open_archive(void)
{
    const struct vkclip_archive_params params = {.size = sizeof(params), ASK};
    struct vkclip_archive *archive = NULL;
    char *path = scratch_path(folder, "pictures.tar");
    const int error = vkclip_open_tar(path, &params, &archive);
    assert_true(!archive == (error != 0));
    if (!error)
        assert_non_null(vkclip_get_archived_name(archive, PICTURES));
    vkclip_close_archive(&archive);
    free(path);
    return error;
}

static void devices(void **state)
{
    (void)state;
    cancel("vkclip_open_device", open_device, NULL);
    if (!strstr(vkclip_get_build(), "tar"))
        return;
    char *command = string_format("tar -C " SAMPLES " -cf \"%s/pictures.tar\" .", folder);
    assert_int_equal(system(command), 0);
    free(command);
    cancel("vkclip_open_tar", open_archive, NULL);
}

/* ---- Models ---------------------------------------------------------------------------------- */

static void check_pictures(struct vkclip_model *opened)
{
    float found[PICTURES * D];
    assert_int_equal(vkclip_encode_files(opened, paths, PICTURES, NULL, found), VKCLIP_OK);
    assert_true(largest_difference(found, expected, PICTURES * D) < 1e-5);
}

static int close_opened(struct vkclip_model *opened, int error)
{
    assert_true(!opened == (error != 0));
    if (!error)
        check_pictures(opened);
    vkclip_close_model(&opened);
    return error;
}

static int open_model(void)
{
    struct vkclip_model_params params = {.size = sizeof(params), ASK};
    struct vkclip_model *opened = NULL;
    const int error = vkclip_open_model(device, MODEL, &params, &opened);
    return close_opened(opened, error);
}

/* The model as one file, of which the descriptor and the bytes are opened. */
static int descriptor;
static char *content;
static size_t content_size;

static void make_file(void)
{
    char *gguf = scratch_path(folder, "whole.gguf");
    assert_int_equal(vkclip_convert_model(MODEL, NULL, gguf, NULL, NULL), VKCLIP_OK);
    assert_int_equal(file_read(gguf, (size_t)1 << 30, &content, &content_size), VKCLIP_OK);
    descriptor = open(gguf, O_RDONLY | O_CLOEXEC);
    assert_true(descriptor >= 0);
    free(gguf);
}

static int open_model_file(void)
{
    struct vkclip_model_params params = {.size = sizeof(params), ASK};
    struct vkclip_model *opened = NULL;
    const int error = vkclip_open_model_file(device, descriptor, 0, 0, &params, &opened);
    return close_opened(opened, error);
}

static int open_model_memory(void)
{
    struct vkclip_model_params params = {.size = sizeof(params), ASK};
    struct vkclip_model *opened = NULL;
    const int error = vkclip_open_model_memory(device, content, content_size, &params, &opened);
    return close_opened(opened, error);
}

static int convert_model(void)
{
    struct vkclip_convert_params params = {.size = sizeof(params), ASK};
    const int error = vkclip_convert_model(MODEL, NULL, output, &params, NULL);
    if (error)
        assert_false(file_exists(output) || folder_exists(output));
    return error;
}

static int compare_models(void)
{
    struct vkclip_comparison found = {.size = sizeof(found)};
    const int error = vkclip_compare_models(device, MODEL, NULL, MODEL, NULL, ask, &asked, &found);
    if (!error)
        assert_true(found.image_min > 0.9999 && found.text_min > 0.9999 && found.images);
    return error;
}

static int init_model(void)
{
    const int error = vkclip_init_model("emoji-clip", 1, output, ask, &asked);
    if (error)
        assert_false(folder_exists(output));
    return error;
}

static int train_tokenizer(void)
{
    const char *texts = "README.md";
    struct vkclip_tokenizer_params params = {.size = sizeof(params), .vocabulary = 2000, ASK};
    struct vkclip_tokenizer_result result = {.size = sizeof(result)};
    const int error = vkclip_train_tokenizer(&texts, 1, &params, output, &result);
    if (error)
        assert_false(folder_exists(output));
    else
        assert_true(result.vocabulary > 1500);
    return error;
}

static void models(void **state)
{
    (void)state;
    cancel("vkclip_open_model", open_model, NULL);
    make_file();
    cancel("vkclip_open_model_file", open_model_file, NULL);
    cancel("vkclip_open_model_memory", open_model_memory, NULL);
    close(descriptor);
    free(content);
    cancel("vkclip_convert_model", convert_model, remove_output);
    remove_output();
    cancel("vkclip_compare_models", compare_models, NULL);
    cancel("vkclip_init_model", init_model, remove_output);
    remove_output();
    cancel("vkclip_train_tokenizer", train_tokenizer, remove_output);
    remove_output();
}

/* Peaks take seconds to measure, so that they are never measured to the end. */
static void peaks(void **state)
{
    (void)state;
    struct vkclip_peaks found = {.size = sizeof(found)};
    for (asked.stop = 1; asked.stop < 4; asked.stop++) {
        asked.calls = 0;
        assert_int_equal(vkclip_measure_peaks(device, ask, &asked, &found), VKCLIP_ECANCELLED);
        assert_int_equal(asked.calls, asked.stop);
    }
    check_pictures(model);
}

/* What gives its results one by one is cancelled by the function that gets them. */
static int take_check(void *user, const struct vkclip_check *check)
{
    assert_non_null(check->kernel);
    return ask(user, 0, 0);
}

static int check_device(void)
{
    size_t wrong = SIZE_MAX;
    const int error = vkclip_check_device(device, "NORMALIZE", take_check, &asked, &wrong);
    if (!error)
        assert_int_equal(wrong, 0);
    return error;
}

static int take_tuning(void *user, const struct vkclip_tuning *tuning)
{
    assert_non_null(tuning->kernel);
    return ask(user, 0, 0);
}

static struct vkclip_device *tuned;

static int list_tuning(void)
{
    return vkclip_list_tuning(tuned, take_tuning, &asked);
}

static int take_node(void *user, const struct vkclip_node *node)
{
    assert_non_null(node->op);
    return ask(user, 0, 0);
}

static int profile(void)
{
    struct vkclip_cost cost = {.size = sizeof(cost)};
    return vkclip_profile(model, VKCLIP_TOWER_TEXT, 1, take_node, &asked, &cost);
}

/* A device that has measured kernels. */
static void open_tuned(void)
{
    const struct vkclip_device_params params = {
        .size = sizeof(params), .cache_dir = "", .tune = VKCLIP_TUNE_FORCE};
    struct vkclip_model *opened = NULL;
    const char *text = "an owl";
    float embed[D];
    assert_int_equal(vkclip_open_device(&params, &tuned), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(tuned, MODEL, NULL, &opened), VKCLIP_OK);
    assert_int_equal(vkclip_encode_texts(opened, &text, 1, NULL, embed), VKCLIP_OK);
    vkclip_close_model(&opened);
}

static void lists(void **state)
{
    (void)state;
    cancel("vkclip_check_device", check_device, NULL);
    cancel("vkclip_profile", profile, NULL);
    open_tuned();
    cancel("vkclip_list_tuning", list_tuning, NULL);
    vkclip_close_device(&tuned);
    check_pictures(model);
}

/* ---- Encoding -------------------------------------------------------------------------------- */

static int encode_files(void)
{
    struct vkclip_encode_params params = {.size = sizeof(params), ASK};
    float found[PICTURES * D];
    const int error = vkclip_encode_files(model, paths, PICTURES, &params, found);
    if (!error)
        assert_true(largest_difference(found, expected, PICTURES * D) < 1e-5);
    return error;
}

static int encode_texts(void)
{
    static const char *const texts[] = {"a", "a b", "a b c"};
    struct vkclip_encode_params params = {.size = sizeof(params), ASK};
    float found[3 * D], alone[3 * D];
    const int error = vkclip_encode_texts(model, texts, 3, &params, found);
    if (error)
        return error;
    assert_int_equal(vkclip_encode_texts(model, texts, 3, NULL, alone), VKCLIP_OK);
    assert_true(largest_difference(found, alone, 3 * D) < 1e-6);
    return error;
}

static int encode_labels(void)
{
    static const char *const labels[] = {"owl", "pizza"}, *const templates[] = {"{}", "a {}"};
    struct vkclip_encode_params params = {.size = sizeof(params), ASK};
    float found[2 * D];
    return vkclip_encode_labels(model, labels, 2, templates, 2, &params, found);
}

static int explain(void)
{
    struct vkclip_explain_params params = {.size = sizeof(params), ASK};
    struct vkclip_grid grid;
    struct vkclip_image image;
    assert_int_equal(vkclip_load_image(paths[0], NULL, &image), VKCLIP_OK);
    assert_int_equal(vkclip_get_grid(model, image.width, image.height, &grid), VKCLIP_OK);
    float *relevance = calloc(2 * (size_t)grid.side * grid.side, sizeof(*relevance)), cosines[2];
    const int error = vkclip_explain(model, &image, expected, 2, &params, relevance, cosines);
    if (!error)
        assert_true(cosines[0] > 0.999F && cosines[1] < 0.999F);
    free(relevance);
    vkclip_free_image(&image);
    return error;
}

static int fit_probe(void)
{
    static const uint32_t labels[PICTURES] = {0, 1, 0, 1};
    struct vkclip_probe_params params = {.size = sizeof(params), ASK};
    struct vkclip_probe_result result = {.size = sizeof(result)};
    float weights[2 * D], biases[2];
    const int error =
        vkclip_fit_probe(expected, labels, PICTURES, D, 2, &params, weights, biases, &result);
    if (!error)
        assert_true(result.converged);
    return error;
}

static void encoding(void **state)
{
    (void)state;
    cancel("vkclip_encode_files", encode_files, NULL);
    cancel("vkclip_encode_texts", encode_texts, NULL);
    cancel("vkclip_encode_labels", encode_labels, NULL);
    cancel("vkclip_explain", explain, NULL);
    cancel("vkclip_fit_probe", fit_probe, NULL);
}

static atomic_size_t prepared;

static int prepare(void *user, size_t index, float *values)
{
    (void)user, (void)index;
    memset(values, 0, sizeof(float) * 3 * S * S);
    prepared++;
    return 0;
}

/* Of the batches after the one at which the caller cancels, only those are made that were already
 * under way: two on the device, and the one whose pictures are being prepared. */
static void a_call_ends_within_a_batch(void **state)
{
    (void)state;
    static float embeds[MANY * D];
    struct vkclip_encode_params params = {.size = sizeof(params), ASK};
    for (size_t stop = 1; stop < 6; stop++) {
        prepared = 0;
        asked.calls = asked.done = 0;
        asked.stop = stop;
        assert_int_equal(vkclip_encode_source(model, prepare, MANY, &params, embeds),
                         VKCLIP_ECANCELLED);
        assert_int_equal(asked.calls, stop);
        if (prepared > asked.done + 3 * BATCH)
            fail_msg("%zu pictures were prepared when %zu were done", (size_t)prepared,
                     (size_t)asked.done);
    }
    check_pictures(model);
}

/* The first call reads weights, builds and checks kernels, and measures them. It asks between these
 * parts, too. Each turn is cancelled a little later, and begins with another model. */
static void a_first_call_can_be_cancelled(void **state)
{
    (void)state;
    struct vkclip_device_params device_params = {.size = sizeof(device_params), .cache_dir = ""};
    struct vkclip_device *own = NULL;
    size_t stop = 1, cancelled = 0;
    int error = VKCLIP_ECANCELLED;
    set_variable("VKCLIP_TUNE", "on");
    set_variable("VKCLIP_CHECK", "on");
    assert_int_equal(vkclip_open_device(&device_params, &own), VKCLIP_OK);
    while (error == VKCLIP_ECANCELLED && cancelled < 40) {
        struct vkclip_encode_params params = {.size = sizeof(params), ASK};
        struct vkclip_model *opened = NULL;
        float found[PICTURES * D];
        asked.calls = 0;
        asked.stop = stop;
        asked.over = false;
        assert_int_equal(vkclip_open_model(own, MODEL, NULL, &opened), VKCLIP_OK);
        error = vkclip_encode_files(opened, paths, PICTURES, &params, found);
        const bool stopped = asked.calls >= stop && !asked.over;
        assert_int_equal(error, stopped ? VKCLIP_ECANCELLED : VKCLIP_OK);
        cancelled += error != 0;
        stop += stop / 2 + 1;
        check_pictures(opened);
        vkclip_close_model(&opened);
    }
    vkclip_close_device(&own);
    set_variable("VKCLIP_TUNE", "off");
    set_variable("VKCLIP_CHECK", "off");
    assert_int_equal(error, VKCLIP_OK);
    assert_true(cancelled > 0);
}

/* ---- Conditioning ---------------------------------------------------------------------------- */

static int open_conditioner(void)
{
    const char *path = CONDITIONER;
    struct vkclip_conditioner_params params = {.size = sizeof(params), ASK};
    vkclip_close_conditioner(&conditioner);
    const int error = vkclip_open_conditioner(device, &path, 1, &params, &conditioner);
    assert_true(!conditioner == (error != 0));
    return error;
}

static int condition(void)
{
    const char *prompt = "a red cat";
    struct vkclip_condition_params params = {
        .size = sizeof(params), .prompts = {&prompt}, .count = 1, ASK};
    struct vkclip_conditioning *made = NULL;
    const int error = vkclip_condition(conditioner, &params, &made);
    assert_true(!made == (error != 0));
    vkclip_free_conditioning(&made);
    return error;
}

static void conditioning(void **state)
{
    (void)state;
    cancel("vkclip_open_conditioner", open_conditioner, NULL);
    cancel("vkclip_condition", condition, NULL);
    vkclip_close_conditioner(&conditioner);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices),
        cmocka_unit_test(models),
        cmocka_unit_test(peaks),
        cmocka_unit_test(lists),
        cmocka_unit_test(encoding),
        cmocka_unit_test(a_call_ends_within_a_batch),
        cmocka_unit_test(a_first_call_can_be_cancelled),
        cmocka_unit_test(conditioning),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
