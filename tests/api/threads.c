/* SPDX-License-Identifier: MIT
 *
 * Different devices are independent: threads that list, open, use and close devices of their own at
 * the same time do not disturb each other. One model serves many threads: their calls give the bits
 * that they give alone. The build with ThreadSanitizer runs this test to find data races; the
 * drivers there decide whether the threads' devices are of one driver or of two.
 */
#define _GNU_SOURCE
#include "support/difference.h"
#include "support/eager.h"
#include "support/scratch.h"
#include "support/testing.h"
#include "support/within.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#define MODEL "models/emoji-clip"
enum { THREADS = 4, ROUNDS = 2, PICTURES = 2, TEXTS = 2, D = 128 };

struct user {
    unsigned number;
    int error;
    char message[256];
    float embeds[(PICTURES + TEXTS) * D];
};

static int encode_items(struct vkclip_model *model, float *embeds)
{
    static const char *const texts[TEXTS] = {"an owl", "a picture of a red heart"};
    static const char *const paths[PICTURES] = {MODEL "/samples/owl.png",
                                                MODEL "/samples/penguin.png"};
    int error = vkclip_encode_files(model, paths, PICTURES, NULL, embeds);
    if (!error)
        error = vkclip_encode_texts(model, texts, TEXTS, NULL, &embeds[PICTURES * D]);
    return error;
}

/* The threads take the devices in turn, so that each device is also used by several of them. */
static int use_device(struct user *user)
{
    struct vkclip_device_info infos[16] = {{.size = sizeof(infos[0])}};
    struct vkclip_device *device = NULL;
    struct vkclip_model *model = NULL;
    size_t count = 0;
    char number[16];
    int error = vkclip_list_devices(infos, ARRAY_COUNT(infos), &count);
    if (error)
        return error;
    snprintf(number, sizeof(number), "%zu", user->number % count);
    const struct vkclip_device_params params = {
        .size = sizeof(params), .device = number, .cache_dir = ""};
    error = vkclip_open_device(&params, &device);
    if (!error)
        error = vkclip_open_model(device, MODEL, NULL, &model);
    if (!error)
        error = encode_items(model, user->embeds);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return error;
}

static void *run_user(void *argument)
{
    struct user *user = argument;
    for (int round = 0; round < ROUNDS && !user->error; round++)
        user->error = use_device(user);
    snprintf(user->message, sizeof(user->message), "%s", vkclip_last_error());
    return NULL;
}

static void devices_are_independent(void **state)
{
    static struct user users[THREADS];
    pthread_t threads[THREADS];
    (void)state;
    for (unsigned i = 0; i < THREADS; i++) {
        users[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_user, &users[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        if (users[i].error)
            fail_msg("thread %u: %s", i, users[i].message);
        for (size_t j = 0; j < ARRAY_COUNT(users[i].embeds); j++)
            assert_float_equal(users[i].embeds[j], users[0].embeds[j], 1e-4);
    }
}

/* ---- One model for all threads --------------------------------------------------------------- */

enum { CALLS = 2 };

static struct shared {
    struct vkclip_device *device;
    struct vkclip_model *model;
    float texts[TEXTS * D], pictures[PICTURES * D];
    int32_t ids[16];
    size_t id_count;
    uint8_t pixels[64 * 64 * 3];
} shared;

static struct vkclip_image shared_image(size_t index)
{
    return (struct vkclip_image){.pixels = shared.pixels + 3 * index,
                                 .width = 48,
                                 .height = 48 + (uint32_t)index,
                                 .channels = 3,
                                 .stride = 64 * 3};
}

static int encode_shared_texts(float *embeds)
{
    static const char *const texts[TEXTS] = {"an owl", "a picture of a red heart"};
    return vkclip_encode_texts(shared.model, texts, TEXTS, NULL, embeds);
}

static int encode_shared_pictures(float *embeds)
{
    struct vkclip_image images[PICTURES];
    for (size_t i = 0; i < PICTURES; i++)
        images[i] = shared_image(i);
    return vkclip_encode_images(shared.model, images, PICTURES, NULL, embeds);
}

static int tokenize_shared(int32_t *ids, size_t *count)
{
    static const char text[] = "a picture of a red heart";
    return vkclip_tokenize(shared.model, text, strlen(text), 0, ids, 16, count);
}

/* Makes calls that queue for the device and calls that do not. Returns 0, or which call failed or
 * gave something else than it gave alone. */
static int use_model(unsigned number)
{
    float embeds[(TEXTS > PICTURES ? TEXTS : PICTURES) * D];
    int32_t ids[16];
    size_t count = 0;
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_device_info device_info = {.size = sizeof(device_info)};
    for (unsigned i = 0; i < CALLS; i++) {
        if (vkclip_get_model_info(shared.model, &info) || info.embed_dim != D)
            return 1;
        if (vkclip_get_device_info(shared.device, &device_info) || !device_info.usable)
            return 2;
        if ((i + number) % 2) {
            if (encode_shared_texts(embeds) || memcmp(embeds, shared.texts, sizeof(shared.texts)))
                return 3;
        } else if (encode_shared_pictures(embeds) ||
                   memcmp(embeds, shared.pictures, sizeof(shared.pictures)))
            return 4;
        if (tokenize_shared(ids, &count) || count != shared.id_count ||
            memcmp(ids, shared.ids, count * sizeof(*ids)))
            return 5;
    }
    return 0;
}

/* Half of the threads also open and close a model of their own on the same device. */
static int use_models(unsigned number)
{
    struct vkclip_model *own = NULL;
    if (number % 2 && vkclip_open_model(shared.device, MODEL, NULL, &own))
        return 6;
    const int failed = use_model(number);
    vkclip_close_model(&own);
    return failed;
}

static void *run_shared(void *argument)
{
    struct user *user = argument;
    user->error = use_models(user->number);
    snprintf(user->message, sizeof(user->message), "%s", vkclip_last_error());
    return NULL;
}

static void one_model_serves_all(void **state)
{
    static struct user users[THREADS];
    pthread_t threads[THREADS];
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    (void)state;
    for (size_t i = 0; i < sizeof(shared.pixels); i++)
        shared.pixels[i] = (uint8_t)(i * 7 + i / 191);
    assert_int_equal(vkclip_open_device(&params, &shared.device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(shared.device, MODEL, NULL, &shared.model), VKCLIP_OK);
    assert_int_equal(encode_shared_texts(shared.texts), VKCLIP_OK);
    assert_int_equal(encode_shared_pictures(shared.pictures), VKCLIP_OK);
    assert_int_equal(tokenize_shared(shared.ids, &shared.id_count), VKCLIP_OK);
    for (unsigned i = 0; i < THREADS; i++) {
        users[i].number = i;
        assert_int_equal(pthread_create(&threads[i], NULL, run_shared, &users[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < THREADS; i++)
        if (users[i].error)
            fail_msg("thread %u, call %d: %s", i, users[i].error, users[i].message);
    vkclip_close_model(&shared.model);
    vkclip_close_device(&shared.device);
}

/* ---- Closing during a call ------------------------------------------------------------------- */

/* Closes what another thread uses, as soon as that thread is within its call. */
static void *close_shared(void *argument)
{
    (void)argument;
    vkclip_close_model(&shared.model);
    vkclip_close_device(&shared.device);
    return NULL;
}

struct closing {
    pthread_t thread;
    bool started;
    size_t items;
};

static int start_closing(void *user, const struct vkclip_item *item)
{
    struct closing *closing = user;
    assert_non_null(item->embed);
    closing->items++;
    if (!closing->started)
        assert_int_equal(pthread_create(&closing->thread, NULL, close_shared, NULL), 0);
    closing->started = true;
    return 0;
}

static void closing_waits_for_the_call(void **state)
{
    enum { MANY = 8 };
    struct closing closing = {0};
    struct vkclip_image images[MANY];
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    /* The first items are given while others are still to be computed. */
    const struct vkclip_model_params model = {.size = sizeof(model), .max_batch = 2};
    const struct vkclip_encode_params encode = {
        .size = sizeof(encode), .item = start_closing, .user = &closing};
    (void)state;
    for (size_t i = 0; i < MANY; i++)
        images[i] = shared_image(i);
    assert_int_equal(vkclip_open_device(&params, &shared.device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(shared.device, MODEL, &model, &shared.model), VKCLIP_OK);
    assert_int_equal(vkclip_encode_images(shared.model, images, MANY, &encode, NULL), VKCLIP_OK);
    assert_int_equal(closing.items, MANY);
    assert_int_equal(pthread_join(closing.thread, NULL), 0);
    assert_null(shared.model);
    assert_null(shared.device);
}

/* A call that waits for its turn can be cancelled. */
struct waiting {
    pthread_t thread;
    bool started;
    int error;
};

static int cancel_at_once(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    assert_int_equal(done, 0);
    assert_int_equal(total, TEXTS);
    return 1;
}

static void *wait_in_vain(void *argument)
{
    struct waiting *waiting = argument;
    static const char *const texts[TEXTS] = {"a", "b"};
    float embeds[TEXTS * D];
    const struct vkclip_encode_params params = {.size = sizeof(params), .progress = cancel_at_once};
    waiting->error = vkclip_encode_texts(shared.model, texts, TEXTS, &params, embeds);
    return NULL;
}

/* Waits for the other thread within a call, whose turn does not end before. */
static int wait_for_waiting(void *user, const struct vkclip_item *item)
{
    struct waiting *waiting = user;
    (void)item;
    if (!waiting->started) {
        assert_int_equal(pthread_create(&waiting->thread, NULL, wait_in_vain, waiting), 0);
        assert_int_equal(pthread_join(waiting->thread, NULL), 0);
    }
    waiting->started = true;
    return 0;
}

static void waiting_is_cancelled(void **state)
{
    struct waiting waiting = {0};
    const struct vkclip_image image = shared_image(0);
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    const struct vkclip_encode_params encode = {
        .size = sizeof(encode), .item = wait_for_waiting, .user = &waiting};
    (void)state;
    assert_int_equal(vkclip_open_device(&params, &shared.device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(shared.device, MODEL, NULL, &shared.model), VKCLIP_OK);
    assert_int_equal(vkclip_encode_images(shared.model, &image, 1, &encode, NULL), VKCLIP_OK);
    assert_int_equal(waiting.error, VKCLIP_ECANCELLED);
    close_shared(NULL);
}

/* ---- Calls between the batches of others ----------------------------------------------------- */

enum { LONG_PICTURES = 64, BATCH = 4, S = 64 };

/* A long call, another one that begins within it, and their results. */
static struct {
    atomic_bool short_runs, short_ended, long_ended;
    size_t done_before; /* items of the long one before the short one ended */
    bool started;
    int patience; /* milliseconds that are left for waiting */
    pthread_t thread;
    int error;
    float pictures[LONG_PICTURES * D], texts[TEXTS * D];
} pair;

static void sleep_milliseconds(long milliseconds)
{
    nanosleep(&(const struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}

static int prepare_values(void *user, size_t index, float *values)
{
    (void)user;
    for (size_t i = 0; i < 3 * S * S; i++)
        values[i] = (float)((i * (index + 3)) % 17) / 8 - 1;
    return 0;
}

static void *encode_short(void *argument)
{
    struct turn around, *before = begin_within(&around);
    (void)argument;
    pair.error = encode_shared_texts(pair.texts);
    pair.short_ended = true;
    turn_adopt(before);
    return NULL;
}

static void *open_short(void *argument)
{
    struct vkclip_model *opened = NULL;
    (void)argument;
    pair.error = vkclip_open_model(shared.device, MODEL, NULL, &opened);
    pair.short_ended = true;
    vkclip_close_model(&opened); /* It has to wait, too. */
    return NULL;
}

static void wait_a_little(void)
{
    sleep_milliseconds(1);
    pair.patience--;
}

/* Starts the short call within the long one, and waits until it is this one that it waits for. */
static void start_short(void *(*run)(void *), void *argument)
{
    pair.started = true;
    assert_int_equal(pthread_create(&pair.thread, NULL, run, argument), 0);
    while (pair.patience && !turn_is_wanted())
        wait_a_little();
}

/* Is asked on the thread of the long call. Once the short one no longer waits for it, it ends
 * without it, although its thread may not have run yet. */
static int note_short(void *user, uint64_t done, uint64_t total)
{
    assert_int_equal(total, LONG_PICTURES);
    if (!pair.started)
        start_short(*(void *(**)(void *))user, NULL);
    while (pair.patience && !pair.short_ended && !turn_is_wanted())
        wait_a_little();
    if (!pair.short_ended)
        pair.done_before = done;
    return 0;
}

/* Where there are two devices, the calls use both. They give other bits, so that a picture's depend
 * on which of them has computed it. */
static size_t device_count;

static void check_bits(const float *found, const float *expected, size_t count)
{
    if (device_count > 1)
        assert_true(largest_difference(found, expected, count) < 1e-5);
    else
        assert_memory_equal(found, expected, count * sizeof(*found));
}

static int open_pair(void **state)
{
    (void)state;
    struct vkclip_device_info infos[2] = {{.size = sizeof(infos[0])}};
    assert_int_equal(vkclip_list_devices(infos, 2, &device_count), VKCLIP_OK);
    const struct vkclip_device_params params = {
        .size = sizeof(params), .cache_dir = "", .device = device_count > 1 ? "0,1" : NULL};
    const struct vkclip_model_params model = {.size = sizeof(model), .max_batch = BATCH};
    assert_int_equal(vkclip_open_device(&params, &shared.device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(shared.device, MODEL, &model, &shared.model), VKCLIP_OK);
    assert_int_equal(encode_shared_texts(shared.texts), VKCLIP_OK);
    return 0;
}

static int close_pair(void **state)
{
    (void)state;
    close_shared(NULL);
    return 0;
}

static void begin_pair(void)
{
    pair.short_runs = pair.short_ended = pair.long_ended = pair.started = false;
    pair.done_before = 0;
    pair.patience = 60000; /* for calls that give way to none */
}

/* A text does not wait until many pictures are encoded, whether these are a call's or a job's, nor
 * do opening and closing another model. */
static void short_calls_run_within_long_ones(void **state)
{
    static float alone[LONG_PICTURES * D];
    (void)state;
    assert_int_equal(vkclip_encode_source(shared.model, prepare_values, LONG_PICTURES, NULL, alone),
                     VKCLIP_OK);
    for (int round = 0; round < 3; round++) {
        const bool as_job = round == 1, opens = round == 2;
        void *(*run)(void *) = opens ? open_short : encode_short;
        struct vkclip_job *job = NULL;
        struct vkclip_encode_params params = {
            .size = sizeof(params), .progress = note_short, .user = &run};
        begin_pair();
        params.job = as_job ? &job : NULL;
        int error = vkclip_encode_source(shared.model, prepare_values, LONG_PICTURES, &params,
                                         pair.pictures);
        if (!error && as_job)
            error = vkclip_wait_job(job, -1, NULL);
        assert_int_equal(error, VKCLIP_OK);
        assert_true(pair.started);
        assert_int_equal(pthread_join(pair.thread, NULL), 0);
        vkclip_close_job(&job);
        assert_int_equal(pair.error, VKCLIP_OK);
        if (pair.done_before > LONG_PICTURES / 2)
            fail_msg("a %s was done after %zu of %d pictures", opens ? "model" : "text",
                     pair.done_before, LONG_PICTURES);
        check_bits(pair.texts, shared.texts, TEXTS * D);
        check_bits(pair.pictures, alone, LONG_PICTURES * D);
    }
}

/* Has the device until the other call has ended. */
static int prepare_after_long(void *user, size_t index, float *values)
{
    (void)user, (void)index;
    pair.short_runs = true;
    while (!pair.long_ended)
        sleep_milliseconds(1);
    memset(values, 0, 3 * S * S * sizeof(*values));
    return 0;
}

static void *encode_blocking(void *argument)
{
    float embeds[D];
    (void)argument;
    pair.error = vkclip_encode_source(shared.model, prepare_after_long, 1, NULL, embeds);
    return NULL;
}

static int cancel_while_other_runs(void *user, uint64_t done, uint64_t total)
{
    (void)done, (void)total;
    if (!pair.started)
        start_short(*(void *(**)(void *))user, NULL);
    return pair.short_runs;
}

/* A call that has given way can be cancelled although the other one never ends. */
static void giving_way_is_cancelled(void **state)
{
    void *(*run)(void *) = encode_blocking;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = cancel_while_other_runs, .user = &run};
    (void)state;
    begin_pair();
    const int error =
        vkclip_encode_source(shared.model, prepare_values, LONG_PICTURES, &params, pair.pictures);
    pair.long_ended = true;
    assert_int_equal(error, VKCLIP_ECANCELLED);
    assert_int_equal(pthread_join(pair.thread, NULL), 0);
    assert_int_equal(pair.error, VKCLIP_OK);
    assert_int_equal(encode_shared_texts(pair.texts), VKCLIP_OK);
    check_bits(pair.texts, shared.texts, TEXTS * D);
}

/* A model on a new device, which loads its image tower in its first call. */
static struct {
    struct vkclip_device *device;
    struct vkclip_model *model, *other;
    unsigned asked;
    bool passed; /* The texts of the other call were there when this one had its pictures. */
} loading;

static int encode_small(struct vkclip_model *model)
{
    static const char *const texts[TEXTS] = {"an owl", "a picture of a red heart"};
    return vkclip_encode_texts(model, texts, TEXTS, NULL, pair.texts);
}

static void *encode_beside(void *argument)
{
    struct turn around, *before = begin_within(&around);
    pair.error = encode_small(*(struct vkclip_model **)argument);
    turn_adopt(before);
    return NULL;
}

/* Starts the other call when this one has begun to load, which is after the first question. */
static int start_while_loading(void *user, uint64_t done, uint64_t total)
{
    assert_int_equal(total, PICTURES);
    if (done)
        loading.passed = !isnan(pair.texts[TEXTS * D - 1]);
    else if (++loading.asked == 2)
        start_short(encode_beside, user);
    return 0;
}

static void encode_while_loading(struct vkclip_model **beside, bool passes)
{
    struct vkclip_image images[PICTURES];
    struct eager eager;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = start_while_loading, .user = beside};
    for (size_t i = 0; i < PICTURES; i++)
        images[i] = shared_image(i);
    begin_pair();
    loading.asked = 0;
    pair.texts[TEXTS * D - 1] = NAN;
    eager_begin(&eager);
    assert_int_equal(eager_end(&eager, vkclip_encode_images(loading.model, images, PICTURES,
                                                            &params, pair.pictures)),
                     VKCLIP_OK);
    assert_true(pair.started);
    assert_int_equal(pthread_join(pair.thread, NULL), 0);
    assert_int_equal(pair.error, VKCLIP_OK);
    assert_int_equal(loading.passed, passes);
    assert_memory_equal(pair.texts, shared.texts, TEXTS * D * sizeof(float));
    assert_memory_equal(pair.pictures, shared.pictures, PICTURES * D * sizeof(float));
}

/* While a model loads, calls on other models run, and those on the model itself wait. */
static void short_calls_run_while_a_model_loads(void **state)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    struct vkclip_device **device = &loading.device;
    (void)state;
    if (device_count > 1)
        skip(); /* One thread must drive all. */
    assert_int_equal(encode_shared_pictures(shared.pictures), VKCLIP_OK);
    assert_int_equal(vkclip_open_device(&params, device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(*device, MODEL, NULL, &loading.other), VKCLIP_OK);
    assert_int_equal(encode_small(loading.other), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(*device, MODEL, NULL, &loading.model), VKCLIP_OK);
    encode_while_loading(&loading.other, true);
    vkclip_close_model(&loading.model);
    assert_int_equal(vkclip_open_model(*device, MODEL, NULL, &loading.model), VKCLIP_OK);
    encode_while_loading(&loading.model, false);
    vkclip_close_model(&loading.model);
    vkclip_close_model(&loading.other);
    vkclip_close_device(device);
}

/* ---- Calls while an index is updated --------------------------------------------------------- */

#define SAMPLES "tests/golden/emoji-clip/samples"

static struct vkclip_index *updated;

/* A function of a call that waits for the update, or for which the update waits. In the first case
 * the function itself waits until the update has ended. */
static int use_updated(void *user, uint64_t done, uint64_t total)
{
    struct vkclip_index_info info = {.size = sizeof(info)};
    (void)done, (void)total;
    const int error = vkclip_get_index_info(updated, &info);
    const bool refused = error == VKCLIP_EINVALID && strstr(vkclip_last_error(), "has given way");
    *(bool *)user &= !error || refused;
    return 0;
}

static int note_end(void *user, const struct vkclip_item *item)
{
    (void)user, (void)item;
    pair.short_ended = true;
    return 0;
}

static void *encode_within_update(void *argument)
{
    static const char *const texts[TEXTS] = {"an owl", "a picture of a red heart"};
    bool right = true;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .progress = use_updated, .user = &right};
    const struct vkclip_encode_params first = {.size = sizeof(first), .item = note_end};
    struct turn around, *before = begin_within(&around);
    (void)argument;
    pair.error = vkclip_encode_texts(shared.model, texts, TEXTS, &first, pair.texts);
    turn_adopt(before);
    if (!pair.error)
        pair.error = vkclip_encode_texts(shared.model, texts, TEXTS, &params, pair.texts);
    if (!right)
        pair.error = VKCLIP_EIO;
    return NULL;
}

/* Is called on threads of the library, never at the same time. */
static int slow_down(void *user, const struct vkclip_update_progress *progress)
{
    (void)user;
    if (!pair.short_ended)
        pair.done_before = progress->done;
    if (progress->done && !pair.started)
        start_short(encode_within_update, NULL);
    sleep_milliseconds(20);
    return 0;
}

/* An update gives way to calls that use its model, but not its index. */
static void short_calls_run_within_updates(void **state)
{
    char *folder = scratch_folder(), *path = scratch_path(folder, "index.db");
    char *samples = realpath(SAMPLES, NULL);
    const struct vkclip_index_params params = {.size = sizeof(params), .path = path};
    const struct vkclip_update_params update = {.size = sizeof(update), .progress = slow_down};
    const char *const paths[] = {samples};
    struct vkclip_update_result result = {.size = sizeof(result)};
    (void)state;
    begin_pair();
    int error = vkclip_open_index(&params, &updated);
    if (!error) {
        error = vkclip_index_paths(updated, shared.model, paths, 1, &update, &result);
        assert_int_equal(error, VKCLIP_OK);
        assert_true(pair.started);
        assert_int_equal(pthread_join(pair.thread, NULL), 0);
        assert_int_equal(pair.error, VKCLIP_OK);
        assert_int_equal(result.added, 60);
        if (pair.done_before >= 60)
            fail_msg("texts were encoded after %zu of 60 pictures", pair.done_before);
        check_bits(pair.texts, shared.texts, TEXTS * D);
    } else {
        assert_int_equal(error, VKCLIP_EUNSUPPORTED); /* The build has no search. */
    }
    vkclip_close_index(&updated);
    scratch_remove(folder);
    free(path);
    free(samples);
}

enum { CALLERS = 3, MANY_TEXTS = 100 };

struct caller {
    size_t number;
    int error;
    float embeds[MANY_TEXTS * D];
};

/* Each caller has texts of its own. */
static int encode_many_texts(struct caller *caller)
{
    char texts[MANY_TEXTS][32];
    const char *list[MANY_TEXTS];
    for (size_t i = 0; i < MANY_TEXTS; i++) {
        snprintf(texts[i], sizeof(texts[i]), "picture %zu of %zu", i, caller->number);
        list[i] = texts[i];
    }
    return vkclip_encode_texts(shared.model, list, MANY_TEXTS, NULL, caller->embeds);
}

static void *run_caller(void *argument)
{
    struct caller *caller = argument;
    caller->error = encode_many_texts(caller);
    return NULL;
}

/* Long calls of one kind on one model take turns, and give what they give alone. */
static void long_calls_take_turns(void **state)
{
    static struct caller callers[CALLERS], alone[CALLERS];
    pthread_t threads[CALLERS];
    (void)state;
    if (device_count > 1)
        skip(); /* The host does the same. */
    for (size_t i = 0; i < CALLERS; i++) {
        callers[i].number = alone[i].number = i;
        assert_int_equal(encode_many_texts(&alone[i]), VKCLIP_OK);
    }
    for (size_t i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run_caller, &callers[i]), 0);
    for (size_t i = 0; i < CALLERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(callers[i].error, VKCLIP_OK);
        check_bits(callers[i].embeds, alone[i].embeds, MANY_TEXTS * D);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(devices_are_independent),
        cmocka_unit_test(one_model_serves_all),
        cmocka_unit_test(closing_waits_for_the_call),
        cmocka_unit_test(waiting_is_cancelled),
    };
    const struct CMUnitTest of_one_model[] = {
        cmocka_unit_test(short_calls_run_within_long_ones),
        cmocka_unit_test(giving_way_is_cancelled),
        cmocka_unit_test(short_calls_run_while_a_model_loads),
        cmocka_unit_test(short_calls_run_within_updates),
        cmocka_unit_test(long_calls_take_turns),
    };
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    return failed + cmocka_run_group_tests(of_one_model, open_pair, close_pair);
}
