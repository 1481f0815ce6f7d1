/* SPDX-License-Identifier: MIT
 *
 * Cancels every long call when its caller is asked for the first time and in the middle, and then
 * makes the same call again, which must give the right result: no handle is left unusable and no
 * file half written.
 */
#define _GNU_SOURCE
#include "support/difference.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "support/variable.h"

#include <fcntl.h>
#include <math.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODEL "models/emoji-clip"
#define SAMPLES MODEL "/samples"
#define CONDITIONER "tests/golden/conditioning/pipelines/chroma"
enum { D = 128, S = 64, PICTURES = 4, MANY = 64, BATCH = 4 };

static const char *const paths[PICTURES] = {SAMPLES "/owl.png", SAMPLES "/pizza.png",
                                            SAMPLES "/robot.png", SAMPLES "/ghost.png"};

static struct vkclip_device *device;
static struct vkclip_model *model;
static struct vkclip_index *pictures;
static struct vkclip_conditioner *conditioner;
static struct vkclip_trainer *trainer;
static char *folder, *output;
static float expected[PICTURES * D];

/* How often the caller was asked, and when it cancels. */
static struct {
    size_t calls, stop; /* 0: never */
    uint64_t done;
    bool over; /* All was done when the caller cancelled. */
} asked;

static int ask(void *user, uint64_t done, uint64_t total)
{
    assert_ptr_equal(user, &asked);
    assert_true(done <= total || !total);
    asked.done = done;
    asked.over |= asked.calls + 1 == asked.stop && total && done == total;
    return ++asked.calls == asked.stop;
}

#define ASK .progress = ask, .user = &asked

static char logged[256]; /* the last error that was logged */

static void keep_error(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    if (level == VKCLIP_LOG_ERROR)
        snprintf(logged, sizeof(logged), "%s", message);
}

typedef int call_fn(void);

/* Makes a call that is cancelled at question number `stop`, and returns how many there were. */
static size_t call_until(const char *name, call_fn *call, size_t stop)
{
    asked.calls = 0;
    asked.stop = stop;
    asked.over = false;
    *logged = '\0';
    const int error = call();
    const bool cancelled = stop && asked.calls >= stop && !asked.over;
    if (error != (cancelled ? VKCLIP_ECANCELLED : VKCLIP_OK))
        fail_msg("%s: %d after %zu questions, cancelled at %zu: %s", name, error, asked.calls, stop,
                 vkclip_last_error());
    if (cancelled && asked.calls > stop)
        fail_msg("%s: asked %zu times more after it was cancelled", name, asked.calls - stop);
    if (cancelled && !strstr(vkclip_last_error(), "stopped by the caller"))
        fail_msg("%s: says '%s'", name, vkclip_last_error());
    if (*logged)
        fail_msg("%s: logs the error '%s'", name, logged);
    return asked.calls;
}

/* Cancels a call at the first question and in the middle. `clear`, which may be NULL, makes room
 * for the same call again. */
static void cancel(const char *name, call_fn *call, void (*clear)(void))
{
    call_until(name, call, 1);
    const size_t calls = call_until(name, call, 0);
    if (!calls)
        fail_msg("%s never asks", name);
    if (clear)
        clear();
    call_until(name, call, calls / 2 + 1);
    if (clear)
        clear();
    call_until(name, call, 0);
}

static int open_all(void **state)
{
    (void)state;
    struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_model_params small = {.size = sizeof(small), .max_batch = BATCH};
    folder = scratch_folder();
    output = scratch_path(folder, "output");
    assert_int_equal(vkclip_open_device(&params, &device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(device, MODEL, &small, &model), VKCLIP_OK);
    assert_int_equal(vkclip_encode_files(model, paths, PICTURES, NULL, expected), VKCLIP_OK);
    vkclip_set_log(keep_error, NULL);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    scratch_remove(folder);
    free(output);
    return 0;
}

static void remove_output(void)
{
    folder_remove(output);
}

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

/* ---- The index ------------------------------------------------------------------------------- */

static int ask_update(void *user, const struct vkclip_update_progress *progress)
{
    return ask(user, progress->done, progress->total);
}

static int update(void)
{
    const char *path = SAMPLES;
    struct vkclip_update_params params = {
        .size = sizeof(params), .progress = ask_update, .user = &asked};
    struct vkclip_update_result result = {.size = sizeof(result)};
    const int error = vkclip_index_paths(pictures, model, &path, 1, &params, &result);
    if (!error)
        assert_true(result.indexed >= 8);
    return error;
}

static int take_owl(void *user, const struct vkclip_hit *hit)
{
    (void)user;
    assert_non_null(strstr(hit->path, "owl.png"));
    return 0;
}

static int search(void)
{
    const struct vkclip_query_part part = {.value = "a picture of a owl"};
    const struct vkclip_search_params params = {
        .size = sizeof(params), .parts = &part, .part_count = 1, .top = 1, .progress = ask};
    return vkclip_search(pictures, model, &params, take_owl, &asked);
}

static int ask_share(void *user, double share)
{
    assert_true(share >= 0 && share <= 1);
    return ask(user, 0, 0); /* A share of 1 can be refused, too. */
}

static int take_group(void *user, const struct vkclip_group *group)
{
    (void)user;
    assert_true(group->count > 1);
    return 0;
}

static int find_duplicates(void)
{
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = 0.2, .progress = ask_share};
    return vkclip_find_duplicates(pictures, device, &params, take_group, &asked);
}

static char *rclip;

/* Writes a database of rclip with the samples that are encoded here. */
static void make_rclip(void)
{
    sqlite3 *connection = NULL;
    sqlite3_stmt *insert = NULL;
    assert_int_equal(sqlite3_open(rclip, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection,
                                  "CREATE TABLE images(id INTEGER PRIMARY KEY, deleted BOOLEAN,"
                                  " filepath NVARCHAR UNIQUE, modified_at DATETIME, size INTEGER,"
                                  " vector BLOB, indexing BOOLEAN, hash NVARCHAR)",
                                  NULL, NULL, NULL),
                     SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(connection,
                                        "INSERT INTO images(filepath, modified_at, size, vector)"
                                        " VALUES(?, ?, ?, ?)",
                                        -1, &insert, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < PICTURES; i++) {
        struct stat status;
        char *path = realpath(paths[i], NULL);
        assert_int_equal(stat(path, &status), 0);
        sqlite3_bind_text(insert, 1, path, -1, SQLITE_TRANSIENT);
        sqlite3_bind_double(insert, 2,
                            (double)status.st_mtim.tv_sec + (double)status.st_mtim.tv_nsec * 1e-9);
        sqlite3_bind_int64(insert, 3, status.st_size);
        sqlite3_bind_blob(insert, 4, &expected[i * D], D * sizeof(float), SQLITE_TRANSIENT);
        assert_int_equal(sqlite3_step(insert), SQLITE_DONE);
        sqlite3_reset(insert);
        free(path);
    }
    sqlite3_finalize(insert);
    sqlite3_close(connection);
}

static int import(void)
{
    struct vkclip_import_result result = {.size = sizeof(result)};
    return vkclip_import_rclip(pictures, model, rclip, ask, &asked, &result);
}

static void indexes(void **state)
{
    (void)state;
    char *path = scratch_path(folder, "index.db");
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    assert_int_equal(vkclip_open_index(&params, &pictures), VKCLIP_OK);
    /* Some questions come from other threads, which may ask once more before they stop. */
    asked.stop = 1;
    asked.calls = 0;
    assert_int_equal(update(), VKCLIP_ECANCELLED);
    call_until("vkclip_index_paths", update, 0);
    cancel("vkclip_search", search, NULL);
    cancel("vkclip_find_duplicates", find_duplicates, NULL);
    rclip = scratch_path(folder, "rclip.sqlite3");
    make_rclip();
    cancel("vkclip_import_rclip", import, NULL);
    free(rclip);
    vkclip_close_index(&pictures);
    free(path);
}

/* An index whose handle has the function. */
static struct vkclip_index *asking;
static char *database;
static uint64_t missing;

static int open_index(void)
{
    const struct vkclip_index_params params = {.size = sizeof(params), .path = database, ASK};
    vkclip_close_index(&asking);
    const int error = vkclip_open_index(&params, &asking);
    assert_true(!asking == (error != 0));
    return error;
}

static int list_models(void)
{
    size_t count = 0;
    const int error = vkclip_list_index_models(asking, NULL, 0, &count);
    if (!error)
        assert_int_equal(count, 1);
    return error;
}

static int export(void)
{
    uint64_t exported;
    const int error = vkclip_export_index(asking, model, output, &exported);
    assert_true(folder_exists(output) == !error);
    if (!error)
        assert_true(exported >= 8);
    return error;
}

static int upload(void)
{
    return vkclip_upload_index(asking, model);
}

static int read_embedding(void)
{
    float embed[D];
    return vkclip_read_embedding(asking, model, 1, embed);
}

static int watch(void)
{
    bool changed = true;
    const int error = vkclip_watch_index(asking, 0.3, &changed);
    if (!error)
        assert_false(changed);
    return error;
}

/* Only an index in PostgreSQL has this index of its vectors. */
static void add_hnsw(void)
{
    asked.calls = 0;
    asked.stop = 1;
    assert_int_equal(vkclip_add_hnsw_index(asking), VKCLIP_ECANCELLED);
    asked.calls = asked.stop = 0;
    assert_int_equal(vkclip_add_hnsw_index(asking), VKCLIP_EUNSUPPORTED);
}

static uint64_t count_missing(void)
{
    struct vkclip_index_info info = {.size = sizeof(info)};
    asked.calls = asked.stop = 0;
    assert_int_equal(vkclip_get_index_info(asking, &info), VKCLIP_OK);
    return info.missing;
}

static int prune(void)
{
    uint64_t removed = 0;
    const int error = vkclip_prune_index(asking, &removed);
    if (!error)
        assert_int_equal(removed, missing);
    return error;
}

/* Lets the index know many files that are gone. */
static void add_missing(void)
{
    sqlite3 *connection = NULL;
    missing = 200000;
    assert_int_equal(sqlite3_open(database, &connection), SQLITE_OK);
    assert_int_equal(
        sqlite3_exec(connection,
                     "WITH RECURSIVE number(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM number"
                     " WHERE i < 200000) INSERT INTO file(path, size, inode, modified, changed,"
                     " missing) SELECT '/gone/' || i, 1, 1, 1, 1, 1 FROM number",
                     NULL, NULL, NULL),
        SQLITE_OK);
    sqlite3_close(connection);
}

/* Removing many files is one statement of the database, which is cancelled within it. */
static void prune_much(void)
{
    add_missing();
    assert_int_equal(count_missing(), missing);
    call_until("vkclip_prune_index", prune, 1);
    assert_int_equal(count_missing(), missing);
    call_until("vkclip_prune_index", prune, 2);
    assert_int_equal(count_missing(), missing);
    const size_t calls = call_until("vkclip_prune_index", prune, 0);
    if (calls < 4)
        fail_msg("vkclip_prune_index asks %zu times", calls);
    assert_int_equal(count_missing(), 0);
}

/* An index that another connection writes to for long. */
static void wait_for_lock(void)
{
    sqlite3 *connection = NULL;
    assert_int_equal(sqlite3_open(database, &connection), SQLITE_OK);
    assert_int_equal(sqlite3_exec(connection, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    call_until("vkclip_prune_index", prune, 5);
    sqlite3_close(connection);
    missing = 0;
    call_until("vkclip_prune_index", prune, 0);
}

static void calls_of_an_index(void **state)
{
    (void)state;
    database = scratch_path(folder, "index.db");
    cancel("vkclip_open_index", open_index, NULL);
    cancel("vkclip_list_index_models", list_models, NULL);
    cancel("vkclip_export_index", export, remove_output);
    remove_output();
    cancel("vkclip_upload_index", upload, NULL);
    cancel("vkclip_read_embedding", read_embedding, NULL);
    cancel("vkclip_watch_index", watch, NULL);
    add_hnsw();
    prune_much();
    wait_for_lock();
    asked.calls = asked.stop = 0;
    vkclip_close_index(&asking);
    free(database);
}

/* ---- Training -------------------------------------------------------------------------------- */

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
        cmocka_unit_test(devices),
        cmocka_unit_test(models),
        cmocka_unit_test(peaks),
        cmocka_unit_test(lists),
        cmocka_unit_test(encoding),
        cmocka_unit_test(a_call_ends_within_a_batch),
        cmocka_unit_test(a_first_call_can_be_cancelled),
        cmocka_unit_test(conditioning),
        cmocka_unit_test(indexes),
        cmocka_unit_test(calls_of_an_index),
        cmocka_unit_test(training),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
