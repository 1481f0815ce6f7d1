/* SPDX-License-Identifier: MIT
 *
 * Calls on one handle take turns, so that each request has a handle of its own. Handles are kept:
 * opening one costs more than a search.
 */
#define _GNU_SOURCE /* strdup */
#include "server/index.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "base/thread.h"
#include "server/request.h"
#include "server/results.h"
#include "server/signals.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    MOST_KEPT = 16, /* handles without a user */
    MOST_OPEN = 32  /* handles; who wants more waits, because each has threads and memory */
};

/* Identifies the file of an index. It is all zeros where there is none, as of a database on a
 * server. */
struct index_file {
    uint64_t device, inode;
};

/* Whom calls on a handle ask whether to go on, also while they wait for another process. */
struct asked {
    struct served_index *index;
    struct request *request; /* that has taken the handle; NULL: none has */
};

struct served_handle {
    struct vkclip_index *handle; /* NULL: none is open */
    struct index_file file;      /* that it has open */
    bool used;                   /* by a request */
    struct asked *asked;         /* stays where it is as long as the handle is open */
};

struct served_index {
    const struct server_options *options;
    struct results *results;
    char *path;                 /* of the index; NULL: the user's */
    char shown[1024];           /* the same, or that of the user's */
    const char *const *folders; /* [folder_count] to be indexed and watched */
    size_t folder_count;
    bool read_only;
    char *model_name;
    struct vkclip_model *model; /* without a device */
    /* Passes have a device and a model of their own, because a call keeps its device until it ends,
     * and a pass takes long. Only the thread of passes uses them. */
    struct vkclip_device *pass_device;
    struct vkclip_model *pass_model;
    double pass_end; /* of the last one */

    struct mutex lock; /* protects all that follows */
    struct condition changed, given;
    struct served_handle handles[MOST_OPEN];
    struct asked asked[MOST_OPEN]; /* Each belongs to the thread that uses the handle. */
    struct index_status status;
    bool wanted, retry; /* a pass */
    bool cancelled, opened, closing;
    bool has_thread;
    struct thread thread;
};

/* ---- Handles ----------------------------------------------------------------------------------- */

/* Is a vkclip_progress_fn whose `user` is a struct asked. A signal ends the opening at once; later,
 * requests that wait for a comparison may go on for a while. */
static int ask_handle(void *user, uint64_t done, uint64_t total)
{
    const struct asked *asked = user;
    if (asked->request)
        return request_is_over(asked->request, done, total);
    mutex_lock(&asked->index->lock);
    const bool over = asked->index->closing || (!asked->index->opened && signals_want_end());
    mutex_unlock(&asked->index->lock);
    return over;
}

/* Only folders make a new index: a file that is not there is a mistake in its name, or was removed
 * while the server runs. */
static int open_handle(struct served_index *index, bool read_only, struct served_handle *own)
{
    const struct vkclip_index_params params = {.size = sizeof(params),
                                               .path = index->path,
                                               .read_only = read_only,
                                               .progress = ask_handle,
                                               .user = own->asked};
    struct file_status status;
    if (index->path && !strstr(index->path, "://") && !file_status(index->path, &status))
        return error_fail(VKCLIP_EABSENT, "%s: no such folder or index", index->path);
    return vkclip_open_index(&params, &own->handle);
}

static struct index_file find_file(const struct served_index *index)
{
    struct file_status status;
    if (!file_status(index->shown, &status))
        return (struct index_file){0};
    return (struct index_file){status.device, status.inode};
}

/* A handle keeps the file that it has opened. If that was removed or replaced, it would answer from
 * what nobody else can see, and write there what is lost when the server ends. */
static bool is_replaced(const struct served_index *index, const struct served_handle *own)
{
    const struct index_file file = find_file(index);
    return own->handle && (file.device != own->file.device || file.inode != own->file.inode);
}

/* Opens the file that is there now. */
static int refresh_handle(struct served_index *index, bool read_only, struct served_handle *own)
{
    if (is_replaced(index, own)) {
        vkclip_close_index(&own->handle);
        server_results_forget(index->results);
    }
    if (own->handle)
        return VKCLIP_OK;
    own->file = find_file(index);
    return open_handle(index, read_only, own);
}

/* Returns a handle that no request uses, an open one before others; NULL: all are in use. */
static struct served_handle *find_unused(struct served_index *index)
{
    struct served_handle *found = NULL;
    for (size_t i = 0; i < MOST_OPEN; i++) {
        struct served_handle *own = &index->handles[i];
        if (!own->used && (!found || (own->handle && !found->handle)))
            found = own;
    }
    return found;
}

int server_index_take(struct served_index *index, struct request *request,
                      struct vkclip_index **handle)
{
    bool over = false;
    struct served_handle *place, own = {.handle = NULL};
    *handle = NULL;
    mutex_lock(&index->lock);
    while (!(place = find_unused(index)) && !over) {
        condition_wait_for(&index->given, &index->lock, CLOCK_MOMENT);
        over = request && request_is_over(request, 0, 0);
    }
    if (place) {
        own = *place;
        own.asked->request = request;
        *place = (struct served_handle){.used = true, .asked = own.asked};
    }
    mutex_unlock(&index->lock);
    if (!place)
        return error_fail(VKCLIP_ECANCELLED,
                          "the server is busy: the time for the request is over");
    const int error = refresh_handle(index, index->read_only, &own);
    mutex_lock(&index->lock);
    own.used = !error;
    *place = own;
    if (error)
        condition_tell(&index->given);
    mutex_unlock(&index->lock);
    *handle = own.handle;
    return error;
}

void server_index_give(struct served_index *index, struct vkclip_index *handle)
{
    struct vkclip_index *closed = NULL;
    size_t kept = 0;
    mutex_lock(&index->lock);
    for (size_t i = 0; i < MOST_OPEN; i++)
        kept += index->handles[i].handle && !index->handles[i].used;
    for (size_t i = 0; i < MOST_OPEN; i++) {
        struct served_handle *place = &index->handles[i];
        if (place->handle != handle)
            continue;
        place->used = false;
        place->asked->request = NULL;
        if (kept >= MOST_KEPT) {
            closed = handle;
            place->handle = NULL;
        }
    }
    condition_tell(&index->given);
    mutex_unlock(&index->lock);
    vkclip_close_index(&closed);
}

struct vkclip_model *server_index_model(struct served_index *index)
{
    return index->model;
}

const char *server_index_model_name(struct served_index *index)
{
    return index->model_name;
}

/* ---- Passes ------------------------------------------------------------------------------------ */

static bool must_stop(struct served_index *index)
{
    mutex_lock(&index->lock);
    const bool stop = index->cancelled || index->closing;
    mutex_unlock(&index->lock);
    return stop;
}

/* Is a vkclip_update_fn. */
static int take_progress(void *user, const struct vkclip_update_progress *progress)
{
    struct served_index *index = user;
    mutex_lock(&index->lock);
    index->status.progress = *progress;
    mutex_unlock(&index->lock);
    return must_stop(index);
}

/* Is a vkclip_progress_fn. */
static int ask_progress(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return must_stop(user);
}

static int open_for_pass(struct served_index *index)
{
    const struct vkclip_device_params device = {
        .size = sizeof(device), .device = index->options->device_name, .background = true};
    struct vkclip_model_params model = index->options->model_params;
    int error = VKCLIP_OK;
    model.progress = ask_progress;
    model.user = index;
    if (!index->pass_device)
        error = vkclip_open_device(&device, &index->pass_device);
    if (!error && !index->pass_model)
        error =
            vkclip_open_model(index->pass_device, index->model_name, &model, &index->pass_model);
    return error;
}

/* Closes what no pass has used for the time to live. */
static void close_after_pass(struct served_index *index, double seconds)
{
    if (!index->pass_device || seconds < 0 || clock_seconds() < index->pass_end + seconds)
        return;
    vkclip_close_model(&index->pass_model);
    vkclip_close_device(&index->pass_device);
}

static int run_pass(struct served_index *index, struct vkclip_index *handle, bool retry,
                    struct vkclip_update_result *result)
{
    const struct vkclip_update_params params = {.size = sizeof(params),
                                                .thumbnails = true,
                                                .retry = retry,
                                                .max_pixels = index->options->max_pixels,
                                                .progress = take_progress,
                                                .user = index};
    int error = open_for_pass(index);
    if (!error)
        error = vkclip_index_paths(handle, index->pass_model, index->folders, index->folder_count,
                                   &params, result);
    index->pass_end = clock_seconds();
    return error;
}

static void end_pass(struct served_index *index, int error,
                     const struct vkclip_update_result *result)
{
    mutex_lock(&index->lock);
    index->status.updating = false;
    index->status.error = error;
    index->status.result = *result;
    index->status.passes++;
    snprintf(index->status.message, sizeof(index->status.message), "%s",
             error ? vkclip_last_error() : "");
    index->cancelled = false;
    mutex_unlock(&index->lock);
    if (result->added || result->changed || result->moved || result->removed || result->encoded)
        server_results_forget(index->results);
}

/* Waits until a pass is wanted, or until something changes in the folders that are watched. False:
 * the server stops. */
static bool wait_for_pass(struct served_index *index, const struct served_handle *own, bool *retry)
{
    bool wanted = false, closing = false;
    while (!wanted && !closing) {
        const bool replaced = is_replaced(index, own);
        mutex_lock(&index->lock);
        if (!index->wanted && !index->closing && !index->status.watching)
            condition_wait_for(&index->changed, &index->lock, 1);
        wanted = index->wanted || replaced;
        closing = index->closing;
        *retry = index->retry;
        index->wanted = index->retry = false;
        if (wanted && !closing) {
            index->status.updating = true;
            index->status.progress = (struct vkclip_update_progress){0};
        }
        mutex_unlock(&index->lock);
        if (!wanted)
            close_after_pass(index, index->options->ttl);
        if (wanted || closing || !index->status.watching)
            continue;
        const int error = vkclip_watch_index(own->handle, 1, &wanted);
        mutex_lock(&index->lock);
        index->status.watching = !error;
        index->status.updating = !error && wanted;
        mutex_unlock(&index->lock);
    }
    return !closing;
}

/* Begins to watch the folders, and forgets what has changed before. Tells whether that began now.
 */
static bool begin_watching(struct served_index *index, struct vkclip_index *handle)
{
    bool changed;
    const bool can_watch =
        handle && index->folder_count && !vkclip_watch_index(handle, 0, &changed);
    mutex_lock(&index->lock);
    const bool began = can_watch && !index->status.watching;
    index->status.watching = can_watch;
    mutex_unlock(&index->lock);
    return began;
}

static void update_once(struct served_index *index, struct served_handle *own, bool retry)
{
    struct vkclip_update_result result = {.size = sizeof(result)};
    int error = refresh_handle(index, false, own);
    begin_watching(index, own->handle);
    if (!error)
        error = run_pass(index, own->handle, retry, &result);
    end_pass(index, error, &result);
    /* A new index has no folders before its first pass. What changed during that pass is found by
     * another one, which reads nothing twice. */
    if (!error && begin_watching(index, own->handle))
        server_index_start_update(index, false);
}

/* Is the thread that keeps the index up to date. */
static void update(void *user)
{
    struct served_index *index = user;
    struct asked asked = {.index = index};
    struct served_handle own = {.asked = &asked};
    bool retry = false;
    const int error = refresh_handle(index, false, &own);
    if (error)
        end_pass(index, error, &(struct vkclip_update_result){.size = 0});
    while (wait_for_pass(index, &own, &retry))
        update_once(index, &own, retry);
    close_after_pass(index, 0);
    vkclip_close_index(&own.handle);
}

bool server_index_is_writable(const struct served_index *index)
{
    return index->has_thread;
}

bool server_index_start_update(struct served_index *index, bool retry)
{
    mutex_lock(&index->lock);
    const bool good = index->has_thread && !index->status.updating && !index->wanted;
    if (good) {
        index->wanted = true;
        index->retry = retry;
        condition_tell(&index->changed);
    }
    mutex_unlock(&index->lock);
    return good;
}

void server_index_stop_update(struct served_index *index)
{
    mutex_lock(&index->lock);
    index->cancelled = index->status.updating;
    mutex_unlock(&index->lock);
}

void server_index_get_status(struct served_index *index, struct index_status *status)
{
    mutex_lock(&index->lock);
    *status = index->status;
    mutex_unlock(&index->lock);
}

/* ---- Opening ----------------------------------------------------------------------------------- */

static bool is_folder(const char *path)
{
    struct stat status;
    return !stat(path, &status) && S_ISDIR(status.st_mode);
}

/* --index names folders, or one index. A new index would stay empty, because nothing but folders
 * fills it here. */
static int read_paths(struct served_index *index)
{
    const struct server_options *options = index->options;
    size_t folders = 0;
    while (folders < options->indexed_count && is_folder(options->indexed[folders]))
        folders++;
    if (folders == options->indexed_count) {
        index->folders = options->indexed;
        index->folder_count = folders;
        return VKCLIP_OK;
    }
    const char *path = options->indexed[folders];
    if (!strstr(path, "://") && access(path, F_OK))
        return error_fail(VKCLIP_EINVALID, "`index`: %s: no such folder or index", path);
    if (options->indexed_count > 1)
        return error_fail(VKCLIP_EINVALID,
                          "`index`: expected folders or one index, and %s is no folder", path);
    index->path = strdup(path);
    return index->path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
}

/* Without -m the model is the one that the index has, if it has one only. */
static int find_model(struct served_index *index, struct vkclip_index *handle, bool *no_model)
{
    struct vkclip_index_model model = {.size = sizeof(model)};
    const char *name = index->options->model;
    size_t count = 0;
    if (!name) {
        const int error = vkclip_list_index_models(handle, &model, 1, &count);
        if (error)
            return error;
        if (count != 1)
            return error_fail(VKCLIP_EINVALID,
                              "the index has %zu models: name one with `model` (-m)", count);
        name = model.name;
    }
    index->model_name = realpath(name, NULL);
    if (!index->model_name)
        index->model_name = strdup(name);
    if (!index->model_name)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    const int error = vkclip_open_model(NULL, name, &index->options->model_params, &index->model);
    *no_model = error;
    return error;
}

static int find_path(struct served_index *index, struct vkclip_index *handle)
{
    struct vkclip_index_info info = {.size = sizeof(info)};
    const int error = vkclip_get_index_info(handle, &info);
    snprintf(index->shown, sizeof(index->shown), "%s", info.path);
    return error;
}

static int open_parts(struct served_index *index, bool *no_model)
{
    struct served_handle *first = &index->handles[0];
    int error = read_paths(index);
    if (!error)
        error = open_handle(index, false, first);
    if (error == VKCLIP_EIO && !index->folder_count) {
        index->read_only = true;
        error = open_handle(index, true, first);
    }
    if (!error)
        error = find_model(index, first->handle, no_model);
    if (!error)
        error = find_path(index, first->handle);
    first->file = find_file(index);
    mutex_lock(&index->lock);
    index->opened = true;
    mutex_unlock(&index->lock);
    if (!error && !index->read_only)
        index->has_thread = thread_start(&index->thread, update, index);
    if (!error && index->folder_count)
        server_index_start_update(index, false);
    return error;
}

int server_index_open(const struct server_options *options, struct results *results,
                      struct served_index **result, bool *no_model)
{
    *result = NULL;
    if (!options->indexed_count)
        return VKCLIP_OK;
    struct served_index *index = *result = calloc(1, sizeof(*index));
    if (!index)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an index");
    index->options = options;
    index->results = results;
    mutex_init(&index->lock);
    condition_init(&index->changed);
    condition_init(&index->given);
    for (size_t i = 0; i < MOST_OPEN; i++) {
        index->asked[i].index = index;
        index->handles[i].asked = &index->asked[i];
    }
    const int error = open_parts(index, no_model);
    if (error)
        server_index_close(result);
    return error;
}

void server_index_stop(struct served_index *index)
{
    if (!index)
        return;
    mutex_lock(&index->lock);
    index->closing = true;
    condition_tell(&index->changed);
    mutex_unlock(&index->lock);
}

void server_index_close(struct served_index **handle)
{
    struct served_index *index = *handle;
    if (!index)
        return;
    server_index_stop(index);
    if (index->has_thread)
        thread_join(&index->thread);
    for (size_t i = 0; i < MOST_OPEN; i++)
        vkclip_close_index(&index->handles[i].handle);
    vkclip_close_model(&index->model);
    condition_destroy(&index->given);
    condition_destroy(&index->changed);
    mutex_destroy(&index->lock);
    free(index->model_name);
    free(index->path);
    free(index);
    *handle = NULL;
}
