/* SPDX-License-Identifier: MIT
 *
 * Handles on one device may be closed in any order. A device that is closed first keeps its memory
 * until the last of them is closed, which the log says; what needs the device fails from then on.
 * The sanitizers find what is used after it was freed, and what never is.
 */
#define _GNU_SOURCE
#include "support/open_trainer.h"
#include "support/scratch.h"
#include "support/testing.h"

#define SAMPLES MODEL "/samples"
#define CONDITIONER "tests/golden/conditioning/pipelines/chroma"
enum { D = 128 };

/* One handle of each kind, all on one device. */
static struct handles {
    struct vkclip_device *device;
    struct vkclip_model *model;
    struct vkclip_conditioner *conditioner;
    struct vkclip_trainer *trainer;
    struct vkclip_index *index;
} handles;
static char *folder;
static size_t early; /* lines of the log that tell of a device that was closed early */

static void count_early(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level == VKCLIP_LOG_ERROR && strstr(message, "still open"))
        early++;
}

static void must(int error)
{
    if (error)
        fail_msg("%d: %s", error, vkclip_last_error());
}

/* Opens an index whose vectors the device has. */
static void open_index(void)
{
    char *path = scratch_path(folder, "index.db"), *samples = realpath(SAMPLES, NULL);
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    must(vkclip_open_index(&params, &handles.index));
    must(vkclip_index_paths(handles.index, handles.model, (const char *const *)&samples, 1, NULL,
                            NULL));
    must(vkclip_upload_index(handles.index, handles.model));
    free(path);
    free(samples);
}

static void open_model_and_index(void)
{
    const struct vkclip_device_params device = {.size = sizeof(device), .cache_dir = ""};
    folder = scratch_folder();
    must(vkclip_open_device(&device, &handles.device));
    must(vkclip_open_model(handles.device, MODEL, NULL, &handles.model));
    open_index();
}

static void open_all(void)
{
    const char *conditioner = CONDITIONER;
    open_model_and_index();
    must(vkclip_open_conditioner(handles.device, &conditioner, 1, NULL, &handles.conditioner));
    handles.trainer = open_trainer(handles.device, folder, 9);
}

/* ---- What the handles can do ------------------------------------------------------------------ */

static int encode(void)
{
    float embed[D];
    const char *text = "an owl";
    return vkclip_encode_texts(handles.model, &text, 1, NULL, embed);
}

static int condition(void)
{
    const char *prompt = "a red cat";
    const struct vkclip_condition_params params = {
        .size = sizeof(params), .prompts = {&prompt}, .count = 1};
    struct vkclip_conditioning *made = NULL;
    const int error = vkclip_condition(handles.conditioner, &params, &made);
    vkclip_free_conditioning(&made);
    return error;
}

static int train(void)
{
    struct vkclip_train_result result = {.size = sizeof(result)};
    return vkclip_train_step(handles.trainer, &result);
}

static int count_hit(void *user, const struct vkclip_hit *hit)
{
    assert_non_null(hit->path);
    ++*(size_t *)user;
    return 0;
}

static int search(void)
{
    const struct vkclip_query_part part = {.value = "an owl"};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1, .top = 1};
    size_t hits = 0;
    return vkclip_search(handles.index, handles.model, &params, count_hit, &hits);
}

static void check(const char *name, int error, bool usable)
{
    if (usable)
        must(error);
    else if (error != VKCLIP_EINVALID || strncmp(vkclip_last_error(), name, strlen(name)) ||
             !strstr(vkclip_last_error(), "its device was closed"))
        fail_msg("%d: %s", error, vkclip_last_error());
}

/* Uses what is still open. Only what needs the device fails when it was closed. */
static void use_all(void)
{
    const bool usable = handles.device;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_trainer_info trainer = {.size = sizeof(trainer)};
    struct vkclip_index_info index = {.size = sizeof(index)};
    int32_t ids[16];
    size_t count;
    if (handles.model) {
        check("vkclip_encode_texts", encode(), usable);
        must(vkclip_get_model_info(handles.model, &info));
        must(vkclip_tokenize(handles.model, "owl", 3, 0, ids, ARRAY_COUNT(ids), &count));
    }
    if (handles.conditioner)
        check("vkclip_condition", condition(), usable);
    if (handles.trainer) {
        check("vkclip_train_step", train(), usable);
        must(vkclip_get_trainer_info(handles.trainer, &trainer));
    }
    if (handles.index)
        must(vkclip_get_index_info(handles.index, &index));
    if (handles.index && handles.model)
        check("vkclip_search", search(), usable);
}

/* ---- Orders ---------------------------------------------------------------------------------- */

static bool close_one(char kind)
{
    switch (kind) {
    case 'D':
        vkclip_close_device(&handles.device);
        return !handles.device;
    case 'M':
        vkclip_close_model(&handles.model);
        return !handles.model;
    case 'C':
        vkclip_close_conditioner(&handles.conditioner);
        return !handles.conditioner;
    case 'T':
        vkclip_close_trainer(&handles.trainer);
        return !handles.trainer;
    default:
        vkclip_close_index(&handles.index);
        return !handles.index;
    }
}

static void close_in_order(const char *order)
{
    early = 0;
    open_all();
    use_all();
    for (const char *kind = order; *kind; kind++) {
        assert_true(close_one(*kind));
        assert_int_equal(early, !handles.device && strchr(order, 'D')[1]);
        use_all();
    }
    scratch_remove(folder);
}

/* Each of two handles is closed before the other in one of the first two orders. */
static void any_order(void **state)
{
    (void)state;
    vkclip_set_log(count_early, NULL);
    close_in_order("DMCTI");
    close_in_order("ITCMD");
    close_in_order("MIDTC");
    vkclip_set_log(NULL, NULL);
}

/* An index that was uploaded to two devices one after the other closes after both. */
static void two_devices(void **state)
{
    struct vkclip_device *second = NULL;
    struct vkclip_model *model = NULL;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    (void)state;
    open_model_and_index();
    must(vkclip_open_device(&params, &second));
    must(vkclip_open_model(second, MODEL, NULL, &model));
    must(vkclip_upload_index(handles.index, model));
    must(search());
    vkclip_close_model(&handles.model);
    vkclip_close_device(&handles.device);
    vkclip_close_model(&model);
    vkclip_close_device(&second);
    vkclip_close_index(&handles.index);
    scratch_remove(folder);
}

/* A model without a device has a lock of its own, and NULL closes as nothing. */
static void without_device(void **state)
{
    struct vkclip_model *model = NULL;
    struct vkclip_device *device = NULL;
    const char *text = "an owl";
    float embed[D];
    (void)state;
    must(vkclip_open_model(NULL, MODEL, NULL, &model));
    assert_int_equal(vkclip_encode_texts(model, &text, 1, NULL, embed), VKCLIP_ENODEVICE);
    vkclip_close_model(&model);
    vkclip_close_model(&model);
    vkclip_close_model(NULL);
    vkclip_close_device(&device);
    vkclip_close_device(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(any_order),
        cmocka_unit_test(two_devices),
        cmocka_unit_test(without_device),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
