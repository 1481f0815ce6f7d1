/* SPDX-License-Identifier: MIT
 *
 * A call that takes long gives way to a text on another model, wherever it can be interrupted: the
 * text is encoded before the long call has returned. The long call holds its turn until the text
 * waits for it, so that no speed matters, and gives the bits that it gives alone.
 */
#define _GNU_SOURCE
#include "base/half.h"
#include "search/index.h"
#include "support/eager.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "support/within.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define MODEL "models/emoji-clip"
#define SAMPLES "tests/golden/emoji-clip/samples"
#define CONDITIONER "tests/golden/conditioning/pipelines/flux"
enum { D = 128, BATCH = 2, STEPS = 3, PAIRS = 6, VECTORS = 2000, TEXTS = 16 };

static struct vkclip_device *device;
static struct vkclip_model *model, *other;
static char *folder, *pairs;
static float alone[D]; /* the text's embedding */

/* ---- The text -------------------------------------------------------------------------------- */

static struct {
    size_t asked, start; /* questions of the long call, and at which of them the text begins */
    bool started;
    pthread_t thread;
    bool wanted; /* The long call saw that the text waits for it. */
    atomic_bool ended;
    int error;
    float embed[D];
} text;

static void must(int error)
{
    if (error)
        fail_msg("%d: %s", error, vkclip_last_error());
}

static int encode_text(float *embed)
{
    const char *owl = "an owl";
    return vkclip_encode_texts(other, &owl, 1, NULL, embed);
}

static void *run_text(void *argument)
{
    struct turn around, *before = begin_within(&around);
    (void)argument;
    text.error = encode_text(text.embed);
    turn_adopt(before);
    text.ended = true;
    return NULL;
}

static void sleep_millisecond(void)
{
    nanosleep(&(const struct timespec){.tv_nsec = 1000000}, NULL);
}

/* Is called on the thread of the long call: starts the text, and waits until it is its turn that
 * the text waits for. A call that gives way to nobody goes on after five seconds. */
static void start_text(void)
{
    if (text.started || ++text.asked < text.start)
        return;
    text.started = true;
    assert_int_equal(pthread_create(&text.thread, NULL, run_text, NULL), 0);
    for (int i = 0; i < 5000 && !text.ended && !text.wanted; i++) {
        sleep_millisecond();
        text.wanted = turn_is_wanted();
    }
}

static int ask(void *user, uint64_t done, uint64_t total)
{
    if (user && (done < total || !total)) /* It is still under way. */
        start_text();
    return 0;
}

typedef int call_fn(void *user);

/* Makes a long call within which a text is encoded, from its question number `start` on. Returns
 * whether the call has given way to it, which is too late at one of the last questions. */
static bool give_way(const char *name, call_fn *call, void *user, size_t start)
{
    text.asked = 0;
    text.start = start;
    text.started = text.wanted = false;
    text.ended = false;
    text.embed[D - 1] = NAN;
    const int error = call(user);
    /* The text's own thread may not have seen yet that it is encoded. */
    const bool in_time = !isnan(text.embed[D - 1]);
    if (text.started)
        assert_int_equal(pthread_join(text.thread, NULL), 0);
    if (error)
        fail_msg("%s: %d: %s", name, error, vkclip_last_error());
    if (!text.started)
        return false;
    assert_int_equal(text.error, VKCLIP_OK);
    assert_memory_equal(text.embed, alone, sizeof(alone));
    return text.wanted && in_time;
}

static void must_give_way(const char *name, call_fn *call, void *user)
{
    if (!give_way(name, call, user, 1))
        fail_msg("%s: %s", name, text.started ? "the text was encoded after it" : "never asks");
}

static int open_all(void **state)
{
    (void)state;
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    folder = scratch_folder();
    pairs = scratch_path(folder, "pairs.tsv");
    must(vkclip_open_device(&params, &device));
    must(vkclip_open_model(device, MODEL, NULL, &model));
    must(vkclip_open_model(device, MODEL, NULL, &other));
    must(encode_text(alone));
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_model(&other);
    vkclip_close_device(&device);
    scratch_remove(folder);
    free(pairs);
    return 0;
}

/* ---- Training -------------------------------------------------------------------------------- */

struct training {
    struct vkclip_trainer *trainer;
    struct vkclip_train_result results[STEPS];
    size_t steps;
    struct vkclip_validation validation;
};

static void write_pairs(void)
{
    char *samples = realpath(SAMPLES, NULL);
    char **names = NULL;
    size_t count = 0;
    FILE *file = fopen(pairs, "w");
    assert_true(samples && file);
    assert_int_equal(folder_list(samples, &names, &count), 0);
    assert_true(count >= PAIRS);
    fprintf(file, "filepath\ttitle\n");
    for (size_t i = 0; i < PAIRS; i++)
        fprintf(file, "%s/%s\tpicture %zu\n", samples, names[i], i);
    assert_int_equal(fclose(file), 0);
    folder_free_names(&names, count);
    free(samples);
}

static int open_trainer(void *user)
{
    struct training *training = user;
    const char *data = pairs;
    char *output = scratch_path(folder, "run");
    const struct vkclip_trainer_params params = {.size = sizeof(params),
                                                 .model = MODEL,
                                                 .data = &data,
                                                 .data_count = 1,
                                                 .val_data = pairs,
                                                 .output = output,
                                                 .batch_size = BATCH,
                                                 .accum_freq = PAIRS / BATCH,
                                                 .steps = 100,
                                                 .workers = 1,
                                                 .seed = 7,
                                                 .progress = ask,
                                                 .user = training};
    const int error = vkclip_open_trainer(device, &params, &training->trainer);
    free(output);
    return error;
}

static int train_step(void *user)
{
    struct training *training = user;
    struct vkclip_train_result *result = &training->results[training->steps++];
    *result = (struct vkclip_train_result){.size = sizeof(*result)};
    return vkclip_train_step(training->trainer, result);
}

static int validate(void *user)
{
    struct training *training = user;
    training->validation = (struct vkclip_validation){.size = sizeof(training->validation)};
    return vkclip_validate_trainer(training->trainer, &training->validation);
}

static int save(void *user)
{
    const struct training *training = user;
    char path[1024];
    return vkclip_save_trainer(training->trainer, path, sizeof(path));
}

static int save_model(void *user)
{
    const struct training *training = user;
    return vkclip_save_trained_model(training->trainer);
}

static void close_training(struct training *training)
{
    char *output = scratch_path(folder, "run");
    vkclip_close_trainer(&training->trainer);
    folder_remove(output);
    free(output);
}

static void compare_training(const struct training *found, const struct training *expected)
{
    for (size_t i = 0; i < STEPS; i++) {
        const struct vkclip_train_result *a = &found->results[i], *b = &expected->results[i];
        assert_int_equal(a->step, b->step);
        assert_memory_equal(&a->loss, &b->loss, sizeof(a->loss));
        assert_memory_equal(&a->grad_norm, &b->grad_norm, sizeof(a->grad_norm));
    }
    assert_memory_equal(&found->validation.loss, &expected->validation.loss,
                        sizeof(expected->validation.loss));
}

static void training(void **state)
{
    (void)state;
    struct training plain = {0}, shared = {0};
    text.started = true; /* No text begins. */
    write_pairs();
    must(open_trainer(&plain));
    for (size_t i = 0; i < STEPS; i++)
        must(train_step(&plain));
    must(validate(&plain));
    close_training(&plain);
    must_give_way("vkclip_open_trainer", open_trainer, &shared);
    must_give_way("vkclip_train_step", train_step, &shared);
    /* The first step has prepared all kernels, so that the others give way among micro-batches. */
    while (shared.steps < STEPS)
        must_give_way("vkclip_train_step", train_step, &shared);
    must_give_way("vkclip_validate_trainer", validate, &shared);
    must_give_way("vkclip_save_trainer", save, &shared);
    must_give_way("vkclip_save_trained_model", save_model, &shared);
    close_training(&shared);
    compare_training(&shared, &plain);
}

/* ---- Conditioning and streaming -------------------------------------------------------------- */

struct condition {
    struct vkclip_conditioner *conditioner;
    struct vkclip_conditioning *made;
};

static int condition(void *user)
{
    struct condition *condition = user;
    const char *prompt = "a red cat";
    const struct vkclip_condition_params params = {.size = sizeof(params),
                                                   .prompts = {&prompt},
                                                   .count = 1,
                                                   .progress = ask,
                                                   .user = condition};
    vkclip_free_conditioning(&condition->made);
    return vkclip_condition(condition->conditioner, &params, &condition->made);
}

static void conditioning(void **state)
{
    (void)state;
    const char *path = CONDITIONER;
    struct condition plain = {0}, shared = {0};
    text.started = true; /* No text begins. */
    must(vkclip_open_conditioner(device, &path, 1, NULL, &plain.conditioner));
    must(vkclip_open_conditioner(device, &path, 1, NULL, &shared.conditioner));
    must(condition(&plain));
    /* The first call loads the encoders. */
    for (int i = 0; i < 2; i++) {
        must_give_way("vkclip_condition", condition, &shared);
        assert_int_equal(shared.made->tensor_count, plain.made->tensor_count);
        for (size_t t = 0; t < plain.made->tensor_count; t++) {
            const struct vkclip_tensor *tensor = &plain.made->tensors[t];
            assert_int_equal(shared.made->tensors[t].size, tensor->size);
            assert_memory_equal(shared.made->tensors[t].data, tensor->data, tensor->size);
        }
    }
    vkclip_free_conditioning(&plain.made);
    vkclip_free_conditioning(&shared.made);
    vkclip_close_conditioner(&plain.conditioner);
    vkclip_close_conditioner(&shared.conditioner);
}

/* Encodes texts of one length on a model whose blocks pass through two slots. */
struct streaming {
    struct vkclip_model *model;
    float embeds[TEXTS * D];
};

static int encode_streamed(void *user)
{
    struct streaming *streaming = user;
    static char texts[TEXTS][32];
    const char *pointers[TEXTS];
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = ask, .user = streaming};
    struct eager eager;
    for (size_t i = 0; i < TEXTS; i++) { /* Texts that are alike are encoded once. */
        snprintf(texts[i], sizeof(texts[i]), "%zu red hearts", 1000 + i);
        pointers[i] = texts[i];
    }
    eager_begin(&eager);
    return eager_end(
        &eager, vkclip_encode_texts(streaming->model, pointers, TEXTS, &params, streaming->embeds));
}

/* The call is asked at first before its batch, and then among blocks. */
static void streaming(void **state)
{
    (void)state;
    static struct streaming plain, shared;
    const struct vkclip_model_params params = {.size = sizeof(params), .stream = true};
    must(vkclip_open_model(device, MODEL, &params, &plain.model));
    shared.model = plain.model;
    text.started = true; /* No text begins while the plan of such a batch is made. */
    must(encode_streamed(&plain));
    if (!give_way("vkclip_encode_texts", encode_streamed, &shared, 2))
        fail_msg("%s", text.started ? "the text was encoded after it" : "asks once");
    assert_memory_equal(shared.embeds, plain.embeds, sizeof(plain.embeds));
    vkclip_close_model(&plain.model);
}

/* ---- Explanations and profiles --------------------------------------------------------------- */

enum { SIDE = 16, EXPLAINED = 2 };

struct explaining {
    float relevance[EXPLAINED * SIDE * SIDE], cosines[EXPLAINED];
};

static int explain(void *user)
{
    struct explaining *explaining = user;
    static uint8_t pixels[SIDE * SIDE * 3];
    float embeds[EXPLAINED][D];
    const struct vkclip_image image = {
        .pixels = pixels, .width = SIDE, .height = SIDE, .channels = 3};
    const struct vkclip_explain_params params = {
        .size = sizeof(params), .progress = ask, .user = explaining};
    for (size_t i = 0; i < sizeof(pixels); i++)
        pixels[i] = (uint8_t)(i * i);
    memcpy(embeds[0], alone, sizeof(alone));
    for (size_t i = 0; i < D; i++)
        embeds[1][i] = -alone[i];
    return vkclip_explain(model, &image, embeds[0], EXPLAINED, &params, explaining->relevance,
                          explaining->cosines);
}

static void explanations(void **state)
{
    (void)state;
    static struct explaining plain, shared;
    struct vkclip_grid grid;
    must(vkclip_get_grid(model, SIDE, SIDE, &grid));
    assert_true(grid.side <= SIDE);
    text.started = true; /* No text begins while the weights are loaded. */
    must(explain(&plain));
    must_give_way("vkclip_explain", explain, &shared);
    assert_memory_equal(shared.relevance, plain.relevance, sizeof(plain.relevance));
    assert_memory_equal(shared.cosines, plain.cosines, sizeof(plain.cosines));
}

struct profiling {
    struct vkclip_model *model;
    struct vkclip_cost cost;
};

/* The function has no question of its own, but asks for calls around it. */
static int profile(void *user)
{
    struct profiling *profiling = user;
    struct progress around;
    profiling->cost = (struct vkclip_cost){.size = sizeof(profiling->cost)};
    progress_begin(&around, ask, profiling, 1);
    return progress_end(&around, vkclip_profile(profiling->model, VKCLIP_TOWER_IMAGE, 1, NULL, NULL,
                                                &profiling->cost));
}

/* It gives way while it loads the weights. */
static void profiles(void **state)
{
    (void)state;
    struct profiling plain = {.model = model}, shared = {0};
    text.started = true; /* No text begins. */
    must(profile(&plain));
    must(vkclip_open_model(device, MODEL, NULL, &shared.model));
    must_give_way("vkclip_profile", profile, &shared);
    assert_true(shared.cost.operations == plain.cost.operations);
    vkclip_close_model(&shared.model);
}

/* ---- Devices and models ---------------------------------------------------------------------- */

struct checks {
    size_t count, wrong;
    double error;
};

static int take_check(void *user, const struct vkclip_check *check)
{
    struct checks *checks = user;
    checks->count++;
    checks->error += check->error;
    start_text();
    return 0;
}

static int check_device(void *user)
{
    struct checks *checks = user;
    *checks = (struct checks){0};
    return vkclip_check_device(device, "NORMALIZE", take_check, checks, &checks->wrong);
}

static int compare_models(void *user)
{
    struct vkclip_comparison *found = user;
    *found = (struct vkclip_comparison){.size = sizeof(*found)};
    return vkclip_compare_models(device, MODEL, NULL, MODEL, NULL, ask, found, found);
}

/* Peaks take seconds to measure, so that they are measured until the text has ended. */
static int ask_until_text(void *user, uint64_t done, uint64_t total)
{
    ask(user, done, total);
    return text.ended;
}

static int measure_peaks(void *user)
{
    struct vkclip_peaks *found = user;
    const int error = vkclip_measure_peaks(device, ask_until_text, found, found);
    return error == VKCLIP_ECANCELLED ? VKCLIP_OK : error;
}

static void devices(void **state)
{
    (void)state;
    struct checks plain, shared;
    struct vkclip_comparison before, within;
    struct vkclip_peaks peaks = {.size = sizeof(peaks)};
    text.started = true; /* No text begins. */
    must(check_device(&plain));
    must_give_way("vkclip_check_device", check_device, &shared);
    assert_int_equal(shared.wrong, 0);
    assert_int_equal(shared.count, plain.count);
    assert_memory_equal(&shared.error, &plain.error, sizeof(plain.error));
    text.started = true;
    must(compare_models(&before));
    must_give_way("vkclip_compare_models", compare_models, &within);
    assert_memory_equal(&within, &before, sizeof(before));
    must_give_way("vkclip_measure_peaks", measure_peaks, &peaks);
}

/* ---- Indexes --------------------------------------------------------------------------------- */

struct searching {
    struct vkclip_index *index;
    int64_t ids[8];
    size_t count; /* of hits or groups */
};

static int ask_share(void *user, double share)
{
    (void)share;
    (void)user;
    start_text();
    return 0;
}

static int take_hit(void *user, const struct vkclip_hit *hit)
{
    struct searching *searching = user;
    searching->ids[searching->count++] = hit->id;
    return 0;
}

static int take_group(void *user, const struct vkclip_group *group)
{
    struct searching *searching = user;
    (void)group;
    searching->count++;
    return 0;
}

static int search(void *user)
{
    struct searching *searching = user;
    const struct vkclip_query_part part = {
        .kind = VKCLIP_QUERY_EMBED, .data = alone, .size = sizeof(alone)};
    const struct vkclip_search_params params = {.size = sizeof(params),
                                                .parts = &part,
                                                .part_count = 1,
                                                .top = ARRAY_COUNT(searching->ids)};
    searching->count = 0;
    return vkclip_search(searching->index, model, &params, take_hit, searching);
}

static int upload(void *user)
{
    const struct searching *searching = user;
    return vkclip_upload_index(searching->index, model);
}

static int find_duplicates(void *user)
{
    struct searching *searching = user;
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = 0.2, .progress = ask_share};
    searching->count = 0;
    return vkclip_find_duplicates(searching->index, device, &params, take_group, searching);
}

static void open_index(const char *path, bool asks, struct searching *searching)
{
    const struct vkclip_index_params params = {
        .size = sizeof(params), .path = path, .progress = asks ? ask : NULL, .user = searching};
    must(vkclip_open_index(&params, &searching->index));
}

/* Adds random vectors of unit length, of pictures that are nowhere. */
static void add_vectors(struct store *store)
{
    uint32_t random = 1;
    must(store->write->begin(store));
    for (uint32_t i = 0; i < VECTORS; i++) {
        struct store_hash hash = {.bytes = {1}};
        uint16_t row[D];
        int64_t id;
        memcpy(&hash.bytes[1], &i, sizeof(i));
        for (size_t d = 0; d < D; d++) {
            random = random * 1664525 + 1013904223;
            row[d] = half_from_float(((float)(random >> 8) / 8388608 - 1) / 6.53F);
        }
        must(store->write->put_content(store, &hash, &id));
        must(store->write->put_vector(store, id, 1, row, D));
    }
    must(store->write->commit(store));
}

static void indexes(void **state)
{
    (void)state;
    char *path = scratch_path(folder, "index.db"), *samples = realpath(SAMPLES, NULL);
    struct searching plain = {0}, shared = {0};
    text.started = true; /* No text begins. */
    open_index(path, false, &plain);
    must(vkclip_index_paths(plain.index, model, (const char *const *)&samples, 1, NULL, NULL));
    add_vectors(plain.index->store);
    open_index(path, true, &shared);
    /* The first search reads all vectors from the database. */
    must_give_way("vkclip_search", search, &shared);
    must(search(&plain));
    assert_int_equal(shared.count, plain.count);
    assert_memory_equal(shared.ids, plain.ids, sizeof(plain.ids));
    must_give_way("vkclip_upload_index", upload, &shared);
    text.started = true;
    must(search(&shared));
    assert_memory_equal(shared.ids, plain.ids, sizeof(plain.ids));
    must(find_duplicates(&plain));
    const size_t groups = plain.count;
    must_give_way("vkclip_find_duplicates", find_duplicates, &plain);
    assert_int_equal(plain.count, groups);
    vkclip_close_index(&plain.index);
    vkclip_close_index(&shared.index);
    free(samples);
    free(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(training),     cmocka_unit_test(conditioning), cmocka_unit_test(streaming),
        cmocka_unit_test(explanations), cmocka_unit_test(profiles),     cmocka_unit_test(devices),
        cmocka_unit_test(indexes),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
