/* SPDX-License-Identifier: MIT
 *
 * The names that clients send never reach the file system as paths: they are aliases, or names of
 * models in the hub's cache.
 */
#define _GNU_SOURCE /* strdup */
#include "server/models.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/thread.h"
#include "base/file.h"
#include "server/options.h"
#include "server/request.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* BROKEN: it is no longer used, and closed by the last one who does. */
enum state { OPENING, OPEN, BROKEN };
enum readiness { UNREAD, READING, READY };
enum { TOWERS = 2 };

struct entry {
    struct loaded_model loaded; /* stands first, and is what requests see */
    char *path;                 /* what vkclip_open_model is given */
    enum state state;
    enum readiness towers[TOWERS];
    size_t users;
    double used; /* when it was last released */
    struct entry *later;
};

/* A model that could not be opened is not tried again for so many seconds, because clients may ask
 * again at once, and those that waited for it would try one after the other. Where memory was
 * missing, the time is what Retry-After says. */
enum { TRY_AGAIN = 2, TRY_MEMORY_AGAIN = 1, MOST_FAILURES = 16 };

enum { MOST_NAME = 4096 }; /* bytes */

struct failure {
    char *path;
    int error;
    char message[ERROR_MESSAGE];
    double until;
};

struct models {
    const struct server_options *options;
    char *path;    /* of the default model, absolute where it is a path; NULL: there is none */
    char *weights; /* the file of its weights, by which an index names it; NULL: there is none */
    atomic_bool stopping;
    struct mutex lock; /* protects all that follows */
    struct condition changed;
    struct entry *first;
    struct failure failures[MOST_FAILURES]; /* the last ones */
    size_t failure_count;
    uint64_t opened; /* how many times a model was opened */
};

/* Opens configuration and vocabulary, so that what cannot work is known when the server starts. */
static int check_model(const struct server_options *options, const char *path,
                       struct vkclip_model_info *info)
{
    struct vkclip_model *model = NULL;
    *info = (struct vkclip_model_info){.size = sizeof(*info)};
    int error = vkclip_open_model(NULL, path, &options->model_params, &model);
    if (!error)
        error = vkclip_get_model_info(model, info);
    vkclip_close_model(&model);
    return error;
}

/* An alias may have the name of a published model, and then clients rely on the width of its
 * embeddings: immich's database has a column of that width. */
static int check_alias(const struct server_options *options, const struct server_alias *alias)
{
    const struct vkclip_hub_model *published = vkclip_find_hub_model(alias->name);
    struct vkclip_model_info info;
    const int error = check_model(options, alias->model, &info);
    if (!error && published && published->embed_dim && published->embed_dim != info.embed_dim)
        log_message(VKCLIP_LOG_WARNING,
                    "--alias %s=%s: the embeddings have %u numbers, but those of the published "
                    "model of this name have %u, which its clients and their databases expect",
                    alias->name, alias->model, info.embed_dim, published->embed_dim);
    return error;
}

static int check_aliases(const struct server_options *options)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; !error && i < options->alias_count; i++)
        error = check_alias(options, &options->aliases[i]);
    return error;
}

int models_set_default(struct models *models, const char *name)
{
    struct vkclip_model_info info;
    const int error = check_model(models->options, name, &info);
    if (error)
        return error;
    models->path = realpath(name, NULL);
    if (!models->path)
        models->path = strdup(name);
    models->weights = realpath(info.weights_path, NULL);
    return models->path ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory for models");
}

int models_open(const struct server_options *options, struct models **result, bool *no_model)
{
    struct models *models = *result = calloc(1, sizeof(*models));
    if (!models)
        return error_fail(VKCLIP_EMEMORY, "out of memory for models");
    models->options = options;
    mutex_init(&models->lock);
    condition_init(&models->changed);
    int error = options->model ? models_set_default(models, options->model) : VKCLIP_OK;
    if (!error)
        error = check_aliases(options);
    *no_model = error;
    if (error)
        models_close(result);
    return error;
}

/* ---- Names ------------------------------------------------------------------------------------- */

/* Letters, digits and -_.: with at most one slash in between, and no file of that name. */
static bool is_hub_name(const char *name)
{
    static const char characters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                     "0123456789-_.:/";
    const char *slash = strchr(name, '/');
    if (!*name || *name == '.' || *name == '/' || name[strspn(name, characters)])
        return false;
    if (slash && (strchr(slash + 1, '/') || slash[1] == '.' || !slash[1]))
        return false;
    return access(name, F_OK) != 0;
}

/* Several names of the default model must not open it several times. */
static bool is_default(const struct models *models, const char *name)
{
    return models->path && (!strcmp(models->path, name) || !strcmp(file_name(models->path), name) ||
                            (models->weights && !strcmp(models->weights, name)));
}

static const char *find_path(const struct models *models, const char *name, bool paths)
{
    const struct server_options *options = models->options;
    if (!name || !*name)
        return models->path;
    if (strlen(name) > MOST_NAME)
        return NULL;
    if (*name == '/' && is_default(models, name))
        return models->path;
    if (paths && *name == '/')
        return name;
    for (size_t i = 0; i < options->alias_count; i++)
        if (!strcmp(options->aliases[i].name, name))
            return options->aliases[i].model;
    if (is_default(models, name))
        return models->path;
    return is_hub_name(name) ? name : NULL;
}

/* ---- Entries ------------------------------------------------------------------------------------- */

static void free_entry(struct entry *entry)
{
    if (!entry)
        return;
    vkclip_close_model(&entry->loaded.model);
    free((char *)entry->loaded.name);
    free(entry->path);
    free(entry);
}

/* Takes an entry out of the list. It is freed without the lock, because closing a model waits for
 * the device. */
static void remove_entry(struct models *models, struct entry *entry)
{
    struct entry **link = &models->first;
    while (*link != entry)
        link = &(*link)->later;
    *link = entry->later;
    condition_tell(&models->changed);
}

static bool is_idle(const struct entry *entry)
{
    return entry->state == OPEN && !entry->users;
}

/* Closes the model that was not used for the longest time. False: all are in use. */
static bool close_oldest(struct models *models)
{
    struct entry *oldest = NULL;
    for (struct entry *entry = models->first; entry; entry = entry->later)
        if (is_idle(entry) && (!oldest || entry->used < oldest->used))
            oldest = entry;
    if (!oldest)
        return false;
    remove_entry(models, oldest);
    mutex_unlock(&models->lock);
    free_entry(oldest);
    mutex_lock(&models->lock);
    return true;
}

static uint64_t total_bytes(const struct models *models)
{
    uint64_t bytes = 0;
    for (const struct entry *entry = models->first; entry; entry = entry->later)
        bytes += entry->loaded.info.weights_bytes;
    return bytes;
}

/* Is a vkclip_progress_fn. */
static int ask_progress(void *user, uint64_t done, uint64_t total)
{
    struct models *models = user;
    (void)done;
    (void)total;
    return atomic_load(&models->stopping);
}

/* Closes models until all that are left, and this one, have the memory that they may take. No model
 * is closed for one that is too large alone. */
static int make_room(struct models *models, const struct entry *entry)
{
    const uint64_t most = models->options->memory, bytes = entry->loaded.info.weights_bytes;
    if (!most)
        return VKCLIP_OK;
    if (bytes > most)
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: its weights take %llu MiB, and those of all models of this server "
                          "may take %llu MiB (--memory)",
                          entry->path, (unsigned long long)(bytes + (1 << 20) - 1) >> 20,
                          (unsigned long long)most >> 20);
    while (total_bytes(models) > most)
        if (!close_oldest(models))
            return error_fail(VKCLIP_EDEVICEMEMORY, "%s: the models in use leave no memory for it",
                              entry->path);
    return VKCLIP_OK;
}

/* Opens without the lock, because it takes long, and again after each model that is closed for it.
 */
static int open_entry(struct models *models, struct entry *entry)
{
    const struct server_options *options = models->options;
    struct vkclip_model_params params = options->model_params;
    struct vkclip_model_info info;
    params.progress = ask_progress;
    params.user = models;
    mutex_unlock(&models->lock);
    int error = check_model(options, entry->path, &info);
    mutex_lock(&models->lock);
    if (error)
        return error;
    entry->loaded.info = info;
    error = make_room(models, entry);
    if (error)
        return error;
    do {
        mutex_unlock(&models->lock);
        error = vkclip_open_model(options->device, entry->path, &params, &entry->loaded.model);
        mutex_lock(&models->lock);
    } while (error == VKCLIP_EDEVICEMEMORY && close_oldest(models));
    return error ? error : vkclip_get_model_info(entry->loaded.model, &entry->loaded.info);
}

static struct entry *add_entry(struct models *models, const char *name, const char *path)
{
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry) {
        entry->path = strdup(path);
        entry->loaded.name = strdup(name && *name ? name : file_name(path));
    }
    if (!entry || !entry->path || !entry->loaded.name) {
        free_entry(entry);
        return NULL;
    }
    entry->later = models->first;
    models->first = entry;
    return entry;
}

static int wait_for_change(struct models *models, struct request *request)
{
    if (request_is_over(request, 0, 0))
        return error_fail(VKCLIP_ECANCELLED,
                          "the time for the request is over while its model is opened");
    condition_wait_for(&models->changed, &models->lock, CLOCK_MOMENT);
    return VKCLIP_OK;
}

/* Waits until the entry of a path is open; NULL: there is none. */
static int find_entry(struct models *models, struct request *request, const char *path,
                      struct entry **entry)
{
    for (;;) {
        *entry = models->first;
        while (*entry && ((*entry)->state == BROKEN || strcmp((*entry)->path, path)))
            *entry = (*entry)->later;
        if (!*entry || (*entry)->state == OPEN)
            return VKCLIP_OK;
        const int error = wait_for_change(models, request);
        if (error)
            return error;
    }
}

/* ---- Failures ------------------------------------------------------------------------------------ */

/* Repeats the error of a model that could not be opened a moment ago. */
static int find_failure(struct models *models, const char *path)
{
    for (size_t i = 0; i < MOST_FAILURES; i++) {
        const struct failure *failure = &models->failures[i];
        if (failure->path && !strcmp(failure->path, path) && clock_seconds() < failure->until)
            return error_fail(failure->error, "%s", failure->message);
    }
    return VKCLIP_OK;
}

/* A call that was cancelled says nothing about the model. */
static void note_failure(struct models *models, const char *path, int error)
{
    struct failure *failure = &models->failures[models->failure_count % MOST_FAILURES];
    const bool is_memory = error == VKCLIP_EDEVICEMEMORY || error == VKCLIP_EMEMORY;
    if (error == VKCLIP_ECANCELLED)
        return;
    models->failure_count++;
    free(failure->path);
    failure->path = strdup(path);
    failure->error = error;
    failure->until = clock_seconds() + (is_memory ? TRY_MEMORY_AGAIN : TRY_AGAIN);
    snprintf(failure->message, sizeof(failure->message), "%s", vkclip_last_error());
    /* immich's server does not show its users why a request was refused. */
    log_message(VKCLIP_LOG_WARNING, "%s", failure->message);
}

/* ---- Use ----------------------------------------------------------------------------------------- */

/* The name came from a client: what it does not find is the client's error, and is told without the
 * folders of the server. */
static int explain_absence(const char *name, int error)
{
    if (error != VKCLIP_EIO || vkclip_has_cached_model(name, NULL))
        return error;
    if (is_hub_name(name) && (vkclip_find_hub_model(name) || strchr(name, '/')))
        return error_fail(VKCLIP_EABSENT,
                          "%s: the server does not have this model: 'vkclip pull %s' on its "
                          "machine fetches it",
                          name, name);
    return error_fail(VKCLIP_EABSENT,
                      "%s: the server has no such model; /v1/models lists those "
                      "that it has",
                      name);
}

/* Opens a model that has no entry yet. The lock is released meanwhile. */
static int open_model(struct models *models, const char *name, const char *path,
                      struct entry **entry)
{
    int error = find_failure(models, path);
    if (error)
        return error;
    *entry = add_entry(models, path == models->path ? NULL : name, path);
    if (!*entry)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    error = open_entry(models, *entry);
    if (error && path == name)
        error = explain_absence(name, error);
    if (!error) {
        (*entry)->state = OPEN;
        models->opened++;
        condition_tell(&models->changed);
        return VKCLIP_OK;
    }
    note_failure(models, path, error);
    remove_entry(models, *entry);
    mutex_unlock(&models->lock);
    free_entry(*entry);
    mutex_lock(&models->lock);
    return error;
}

int models_use(struct models *models, struct request *request, const char *name, bool paths,
               const struct loaded_model **model)
{
    const char *path = find_path(models, name, paths);
    int error = VKCLIP_OK;
    *model = NULL;
    if (!path && (!name || !*name))
        return error_fail(VKCLIP_EABSENT, "the request names no model, and the server has no "
                                          "default one (-m)");
    if (!path)
        return explain_absence(name, VKCLIP_EIO);
    mutex_lock(&models->lock);
    struct entry *entry;
    error = find_entry(models, request, path, &entry);
    if (!error && !entry)
        error = open_model(models, name, path, &entry);
    if (!error) {
        entry->users++;
        *model = &entry->loaded;
    }
    mutex_unlock(&models->lock);
    return error;
}

void models_release(struct models *models, const struct loaded_model *model)
{
    struct entry *entry = (struct entry *)(uintptr_t)model;
    if (!model)
        return;
    mutex_lock(&models->lock);
    entry->users--;
    entry->used = clock_seconds();
    const bool is_last = !entry->users && entry->state == BROKEN;
    if (is_last)
        remove_entry(models, entry);
    mutex_unlock(&models->lock);
    if (is_last)
        free_entry(entry);
}

/* ---- Towers -------------------------------------------------------------------------------------- */

static bool has_tower(const struct vkclip_model_info *info, enum vkclip_tower tower)
{
    return tower == VKCLIP_TOWER_IMAGE ? info->image.width : info->text.width && info->tokenizer;
}

/* Encodes an item, for which the library reads the weights. */
static int encode_anything(const struct loaded_model *model, enum vkclip_tower tower)
{
    static const char *const texts[] = {"a"};
    const struct vkclip_model_info *info = &model->info;
    const size_t side = info->image_size;
    float *pixels = calloc(3 * side * side + 1, sizeof(*pixels));
    float *embed = calloc((size_t)info->embed_dim + info->text_embed_dim, sizeof(*embed));
    int error = VKCLIP_OK;
    if (!pixels || !embed)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for a model");
    else if (tower == VKCLIP_TOWER_IMAGE)
        error = vkclip_encode_pixels(model->model, pixels, 1, NULL, embed);
    else
        error = vkclip_encode_texts(model->model, texts, 1, NULL, embed);
    free(embed);
    free(pixels);
    return error;
}

/* What says nothing about the model's files is told by the batch, which tries again. */
static int read_tower(struct models *models, struct entry *entry, enum vkclip_tower tower)
{
    entry->towers[tower] = READING;
    mutex_unlock(&models->lock);
    const int error = encode_anything(&entry->loaded, tower);
    mutex_lock(&models->lock);
    entry->towers[tower] = error ? UNREAD : READY;
    if (error && error != VKCLIP_ELOST && error != VKCLIP_ECANCELLED) {
        entry->state = BROKEN;
        note_failure(models, entry->path, error);
    }
    condition_tell(&models->changed);
    return entry->state == BROKEN ? error : VKCLIP_OK;
}

int models_prepare(struct models *models, struct request *request, const struct loaded_model *model,
                   enum vkclip_tower tower)
{
    struct entry *entry = (struct entry *)(uintptr_t)model;
    int error = VKCLIP_OK;
    if (!has_tower(&model->info, tower))
        return VKCLIP_OK; /* The library has a message for it. */
    mutex_lock(&models->lock);
    while (!error && entry->towers[tower] == READING)
        error = wait_for_change(models, request);
    if (!error && entry->state == BROKEN)
        error = find_failure(models, entry->path);
    else if (!error && entry->towers[tower] == UNREAD)
        error = read_tower(models, entry, tower);
    mutex_unlock(&models->lock);
    return error;
}

/* Takes out a model that nobody has used since `oldest`. */
static struct entry *find_expired(struct models *models, double oldest)
{
    mutex_lock(&models->lock);
    struct entry *entry = models->first;
    while (entry && !(is_idle(entry) && entry->used < oldest))
        entry = entry->later;
    if (entry)
        remove_entry(models, entry);
    mutex_unlock(&models->lock);
    return entry;
}

void models_expire(struct models *models)
{
    struct entry *entry;
    if (models->options->ttl < 0)
        return;
    while ((entry = find_expired(models, clock_seconds() - models->options->ttl)))
        free_entry(entry);
}

void models_stop(struct models *models)
{
    atomic_store(&models->stopping, true);
}

static const struct loaded_model *find_open(const struct models *models, const char *path)
{
    for (const struct entry *entry = models->first; entry; entry = entry->later)
        if (entry->state == OPEN && !strcmp(entry->path, path))
            return &entry->loaded;
    return NULL;
}

void models_list(struct models *models, models_list_fn *fn, void *user)
{
    const struct server_options *options = models->options;
    mutex_lock(&models->lock);
    if (models->path)
        fn(user, file_name(models->path), find_open(models, models->path));
    for (size_t i = 0; i < options->alias_count; i++)
        fn(user, options->aliases[i].name, find_open(models, options->aliases[i].model));
    for (const struct entry *entry = models->first; entry; entry = entry->later)
        if (entry->state == OPEN)
            fn(user, entry->loaded.name, &entry->loaded);
    mutex_unlock(&models->lock);
}

uint64_t models_count_opened(struct models *models)
{
    mutex_lock(&models->lock);
    const uint64_t count = models->opened;
    mutex_unlock(&models->lock);
    return count;
}

void models_close(struct models **handle)
{
    struct models *models = *handle;
    if (!models)
        return;
    while (models->first) {
        struct entry *entry = models->first;
        remove_entry(models, entry);
        free_entry(entry);
    }
    for (size_t i = 0; i < MOST_FAILURES; i++)
        free(models->failures[i].path);
    condition_destroy(&models->changed);
    mutex_destroy(&models->lock);
    free(models->weights);
    free(models->path);
    free(models);
    *handle = NULL;
}
