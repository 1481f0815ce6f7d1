/* SPDX-License-Identifier: MIT
 *
 * Jobs give the bits that the same calls give without them, in the order in which they were
 * started. They can be waited for, cancelled and closed at any time, and what they work with may be
 * closed meanwhile. The build with ThreadSanitizer runs this test.
 */
#define _GNU_SOURCE
#include "base/progress.h"
#include "support/testing.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

#define MODEL "models/emoji-clip"
#define SAMPLES MODEL "/samples"
enum { D = 128, S = 64, LENGTH = 8, COUNT = 2, MANY = 24, VALUES = 3 * S * S };

static const char *const texts[COUNT] = {"an owl", "a picture of a red heart"};
static const char *const paths[COUNT] = {SAMPLES "/owl.png", SAMPLES "/penguin.png"};
static const char *const broken[COUNT] = {SAMPLES "/owl.png", "no such file"};
static const int32_t ids[COUNT * LENGTH] = {1, 2, 3, 4, 5, 6, 7, 8, 8, 7, 6, 5, 4, 3, 2, 1};
static uint8_t bytes[S * S * 3];
static float pixels[COUNT * VALUES];
static struct vkclip_image images[MANY];
static struct vkclip_device *device;
static struct vkclip_model *model;

static int open_all(void **state)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .cache_dir = ""};
    /* The first items are given while others are still to be computed. */
    const struct vkclip_model_params small = {.size = sizeof(small), .max_batch = 2};
    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)(i * 7 + i / 191);
    for (size_t i = 0; i < ARRAY_COUNT(pixels); i++)
        pixels[i] = (float)(i % 251) / 251;
    for (uint32_t i = 0; i < MANY; i++)
        images[i] = (struct vkclip_image){
            .pixels = bytes, .width = S, .height = S - i, .channels = 3, .stride = S * 3};
    assert_int_equal(vkclip_open_device(&params, &device), VKCLIP_OK);
    assert_int_equal(vkclip_open_model(device, MODEL, &small, &model), VKCLIP_OK);
    return 0;
}

static int close_all(void **state)
{
    (void)state;
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    return 0;
}

static int write_pixels(void *user, size_t index, float *pixel_values)
{
    (void)user;
    memcpy(pixel_values, &pixels[index * VALUES], VALUES * sizeof(*pixels));
    return 0;
}

enum kind { FILES, IMAGES, PIXELS, SOURCE, TEXTS, TOKENS, KINDS };

static int encode(enum kind kind, const struct vkclip_encode_params *params, float *embeds)
{
    switch (kind) {
    case FILES:
        return vkclip_encode_files(model, paths, COUNT, params, embeds);
    case IMAGES:
        return vkclip_encode_images(model, images, COUNT, params, embeds);
    case PIXELS:
        return vkclip_encode_pixels(model, pixels, COUNT, params, embeds);
    case SOURCE:
        return vkclip_encode_source(model, write_pixels, COUNT, params, embeds);
    case TEXTS:
        return vkclip_encode_texts(model, texts, COUNT, params, embeds);
    default:
        return vkclip_encode_tokens(model, ids, COUNT, LENGTH, params, embeds);
    }
}

/* ---- Results --------------------------------------------------------------------------------- */

/* What the functions of jobs have noted. */
static struct {
    pthread_t thread; /* of the test */
    atomic_size_t done, wrong;
    int error;
    char message[256];
} noted;

static void note_done(void *user, int error, const char *message)
{
    const size_t *number = user; /* of the jobs that were started before */
    if (number && *number != noted.done)
        noted.wrong++;
    if (pthread_equal(pthread_self(), noted.thread))
        noted.wrong++;
    noted.error = error;
    snprintf(noted.message, sizeof(noted.message), "%s", message);
    noted.done++;
}

static void clear_notes(void)
{
    noted.thread = pthread_self();
    noted.done = noted.wrong = 0;
    noted.error = 0;
}

static void expect_end(struct vkclip_job *job, int expected)
{
    bool ended = false;
    const int error = vkclip_wait_job(job, -1, &ended);
    if (error != expected || !ended)
        fail_msg("the job gave %d, expected %d: %s", error, expected, vkclip_last_error());
}

/* Its params lie on a stack that is gone when the jobs run. */
static void start_jobs(struct vkclip_job **jobs, size_t *numbers, float (*embeds)[COUNT * D])
{
    for (size_t i = 0; i < KINDS; i++) {
        numbers[i] = i;
        struct vkclip_features features = {.layer = -1, .norm = true, .pooled = true};
        struct vkclip_encode_params params = {
            .size = sizeof(params), .job = &jobs[i], .done = note_done, .user = &numbers[i]};
        features.projected = true;
        params.features = i == IMAGES ? &features : NULL;
        assert_int_equal(encode((enum kind)i, &params, embeds[i]), VKCLIP_OK);
        assert_non_null(jobs[i]);
        memset(&features, 0xff, sizeof(features));
        memset(&params, 0xff, sizeof(params));
    }
}

static void jobs_give_what_calls_give(void **state)
{
    static float expected[KINDS][COUNT * D], found[KINDS][COUNT * D];
    const struct vkclip_features features = {
        .layer = -1, .norm = true, .pooled = true, .projected = true};
    const struct vkclip_encode_params params = {.size = sizeof(params), .features = &features};
    struct vkclip_job *jobs[KINDS] = {0};
    size_t numbers[KINDS];
    (void)state;
    for (int i = 0; i < KINDS; i++)
        assert_int_equal(encode((enum kind)i, i == IMAGES ? &params : NULL, expected[i]),
                         VKCLIP_OK);
    clear_notes();
    start_jobs(jobs, numbers, found);
    for (size_t i = KINDS; i-- > 0;)
        expect_end(jobs[i], VKCLIP_OK);
    assert_int_equal(noted.done, KINDS);
    assert_int_equal(noted.wrong, 0);
    assert_string_equal(noted.message, "");
    assert_memory_equal(found, expected, sizeof(found));
    for (size_t i = 0; i < KINDS; i++) {
        expect_end(jobs[i], VKCLIP_OK);
        vkclip_close_job(&jobs[i]);
        assert_null(jobs[i]);
    }
}

static void errors_are_delivered(void **state)
{
    float embeds[COUNT * D];
    struct vkclip_job *job = NULL;
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .job = &job, .done = note_done};
    (void)state;
    clear_notes();
    assert_int_equal(vkclip_encode_files(model, broken, COUNT, &params, embeds), VKCLIP_OK);
    expect_end(job, VKCLIP_EIO);
    assert_non_null(strstr(vkclip_last_error(), "no such file"));
    assert_int_equal(noted.error, VKCLIP_EIO);
    assert_string_equal(noted.message, vkclip_last_error());
    assert_int_equal(vkclip_wait_job(job, 0, NULL), VKCLIP_EIO);
    vkclip_close_job(&job);
}

/* ---- Functions of a job ---------------------------------------------------------------------- */

/* Holds its job up at the first item until it is let go. */
struct held {
    struct vkclip_job *job, *other;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool arrived, released, cancels, starts;
    bool closes; /* The job is let go when it is cancelled. */
    size_t items;
    struct vkclip_job *inner; /* that a function of the job has started */
    float embeds[COUNT * D];
    int failed; /* number of what went wrong within a function of the job */
};

#define HELD                                                                   \
    {                                                                          \
        .lock = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER \
    }

static void hold(struct held *held)
{
    pthread_mutex_lock(&held->lock);
    held->arrived = true;
    pthread_cond_broadcast(&held->changed);
    while (!held->released && !held->closes)
        pthread_cond_wait(&held->changed, &held->lock);
    pthread_mutex_unlock(&held->lock);
    for (int i = 0; i < 60000 && held->closes && !held->released; i++) {
        usleep(1000);
        held->released = progress_is_cancelled();
    }
}

static void await_arrival(struct held *held)
{
    pthread_mutex_lock(&held->lock);
    while (!held->arrived)
        pthread_cond_wait(&held->changed, &held->lock);
    pthread_mutex_unlock(&held->lock);
}

static void release(struct held *held)
{
    pthread_mutex_lock(&held->lock);
    held->released = true;
    pthread_cond_broadcast(&held->changed);
    pthread_mutex_unlock(&held->lock);
}

static bool is_refused(int error)
{
    return error == VKCLIP_EINVALID && strstr(vkclip_last_error(), "was called by a function");
}

/* Makes calls that must not wait for the job which has called, or which it would hold up. */
static void call_refused(struct held *held)
{
    struct vkclip_job *job = held->job;
    bool ended = true;
    if (!is_refused(vkclip_wait_job(job, 1, &ended)) || ended)
        held->failed = 1;
    if (held->other && !is_refused(vkclip_wait_job(held->other, -1, NULL)))
        held->failed = 2;
    if (vkclip_wait_job(job, 0, &ended) || ended)
        held->failed = 3;
    vkclip_close_job(&job);
    if (!job)
        held->failed = 4;
}

static int hold_item(void *user, const struct vkclip_item *item)
{
    struct held *held = user;
    held->items++;
    if (item->index)
        return 0;
    hold(held);
    call_refused(held);
    if (held->starts) {
        const struct vkclip_encode_params params = {.size = sizeof(params), .job = &held->inner};
        held->failed |= encode(TEXTS, &params, held->embeds);
    }
    if (held->cancels)
        held->failed |= vkclip_cancel_job(held->job);
    return 0;
}

static void start_held(struct held *held)
{
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .item = hold_item, .user = held, .job = &held->job};
    assert_int_equal(vkclip_encode_images(model, images, MANY, &params, NULL), VKCLIP_OK);
    await_arrival(held);
}

static void check_model(void)
{
    float embeds[COUNT * D];
    assert_int_equal(encode(TEXTS, NULL, embeds), VKCLIP_OK);
}

static void start_texts(struct vkclip_job **job, float *embeds)
{
    const struct vkclip_encode_params params = {.size = sizeof(params), .job = job};
    assert_int_equal(encode(TEXTS, &params, embeds), VKCLIP_OK);
}

static void waiting_ends_in_time(void **state)
{
    struct held held = HELD;
    float embeds[COUNT * D];
    bool ended = true;
    (void)state;
    held.starts = true;
    start_held(&held);
    start_texts(&held.other, embeds);
    assert_int_equal(vkclip_wait_job(held.job, 0, &ended), VKCLIP_OK);
    assert_false(ended);
    assert_int_equal(vkclip_wait_job(held.other, 0.1, &ended), VKCLIP_OK);
    assert_false(ended);
    release(&held);
    expect_end(held.job, VKCLIP_OK);
    expect_end(held.other, VKCLIP_OK);
    assert_int_equal(held.failed, 0);
    assert_int_equal(held.items, MANY);
    expect_end(held.inner, VKCLIP_OK);
    assert_memory_equal(held.embeds, embeds, sizeof(embeds));
    vkclip_close_job(&held.inner);
    vkclip_close_job(&held.job);
    vkclip_close_job(&held.other);
}

static void a_job_is_cancelled(void **state)
{
    struct held held = HELD;
    struct vkclip_job *queued = NULL;
    float embeds[COUNT * D];
    (void)state;
    held.cancels = true;
    start_held(&held);
    start_texts(&queued, embeds);
    assert_int_equal(vkclip_cancel_job(queued), VKCLIP_OK);
    expect_end(queued, VKCLIP_ECANCELLED); /* It never had its turn. */
    release(&held);
    expect_end(held.job, VKCLIP_ECANCELLED);
    assert_non_null(strstr(vkclip_last_error(), "stopped by the caller"));
    assert_int_equal(held.failed, 0);
    assert_true(held.items < MANY);
    assert_int_equal(vkclip_cancel_job(held.job), VKCLIP_OK);
    vkclip_close_job(&held.job);
    vkclip_close_job(&queued);
    check_model();
}

static void closing_cancels(void **state)
{
    struct held held = HELD;
    struct vkclip_job *queued = NULL;
    float embeds[COUNT * D];
    (void)state;
    held.closes = true;
    start_held(&held);
    start_texts(&queued, embeds);
    vkclip_close_job(&queued);
    assert_null(queued);
    struct vkclip_job *job = held.job;
    vkclip_close_job(&job);
    assert_null(job);
    assert_true(held.released && held.items < MANY);
    check_model();
}

/* ---- Calls within `done` --------------------------------------------------------------------- */

struct chain {
    struct vkclip_job *first, *second;
    float embeds[COUNT * D];
    int failed;
};

/* The job has left the device, but closing it would still wait for this function. */
static void start_second(void *user, int error, const char *message)
{
    struct chain *chain = user;
    struct vkclip_job *job = chain->first;
    const struct vkclip_encode_params params = {.size = sizeof(params), .job = &chain->second};
    chain->failed = error || *message;
    vkclip_close_job(&job);
    if (!job || !is_refused(vkclip_wait_job(job, -1, NULL)))
        chain->failed = 1;
    if (encode(FILES, NULL, chain->embeds) || encode(TEXTS, &params, chain->embeds))
        chain->failed = 2;
}

static void done_may_go_on(void **state)
{
    struct chain chain = {0};
    float embeds[COUNT * D];
    const struct vkclip_encode_params params = {
        .size = sizeof(params), .job = &chain.first, .done = start_second, .user = &chain};
    (void)state;
    assert_int_equal(encode(TEXTS, &params, embeds), VKCLIP_OK);
    expect_end(chain.first, VKCLIP_OK);
    assert_int_equal(chain.failed, 0);
    expect_end(chain.second, VKCLIP_OK);
    assert_memory_equal(chain.embeds, embeds, sizeof(embeds));
    vkclip_close_job(&chain.first);
    vkclip_close_job(&chain.second);
}

/* ---- Other processes and handles that go ----------------------------------------------------- */

static int use_inherited(struct vkclip_job *job)
{
    bool ended;
    alarm(60);
    if (vkclip_wait_job(job, -1, &ended) != VKCLIP_EINVALID)
        return 1;
    if (vkclip_cancel_job(job) != VKCLIP_EINVALID)
        return 2;
    vkclip_close_job(&job);
    return job ? 3 : 0;
}

static void a_child_has_no_jobs(void **state)
{
    struct held held = HELD;
    int status = 0;
    (void)state;
    start_held(&held);
    const pid_t child = fork();
    if (!child)
        _exit(use_inherited(held.job));
    release(&held);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    expect_end(held.job, VKCLIP_OK);
    vkclip_close_job(&held.job);
}

static void *release_later(void *argument)
{
    usleep(50000);
    release(argument);
    return NULL;
}

/* Closes the model and the device, which the tests before have used. */
static void closing_the_model_waits(void **state)
{
    struct held held = HELD;
    float embeds[COUNT * D];
    pthread_t thread;
    (void)state;
    start_held(&held);
    start_texts(&held.other, embeds);
    assert_int_equal(pthread_create(&thread, NULL, release_later, &held), 0);
    vkclip_close_model(&model);
    vkclip_close_device(&device);
    assert_null(model);
    assert_null(device);
    assert_true(held.released && held.items == MANY);
    expect_end(held.job, VKCLIP_OK);
    expect_end(held.other, VKCLIP_OK);
    assert_int_equal(held.failed, 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    vkclip_close_job(&held.job);
    vkclip_close_job(&held.other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(jobs_give_what_calls_give), cmocka_unit_test(errors_are_delivered),
        cmocka_unit_test(waiting_ends_in_time),      cmocka_unit_test(a_job_is_cancelled),
        cmocka_unit_test(closing_cancels),           cmocka_unit_test(done_may_go_on),
        cmocka_unit_test(a_child_has_no_jobs),       cmocka_unit_test(closing_the_model_waits),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
