/* SPDX-License-Identifier: MIT
 *
 * Cancels long calls when their caller is asked for the first time and in the middle, and then
 * makes the same calls again, which must give the right result: no handle is left unusable and no
 * file half written. The tests that include this file have the calls.
 */
#ifndef VKCLIP_TESTS_SUPPORT_CANCEL_H
#define VKCLIP_TESTS_SUPPORT_CANCEL_H

#include "support/scratch.h"
#include "support/testing.h"

#define MODEL "models/emoji-clip"
#define SAMPLES MODEL "/samples"
enum { D = 128, PICTURES = 4, BATCH = 4 };

static const char *const paths[PICTURES] = {SAMPLES "/owl.png", SAMPLES "/pizza.png",
                                            SAMPLES "/robot.png", SAMPLES "/ghost.png"};

static struct vkclip_device *device;
static struct vkclip_model *model;
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

#endif
