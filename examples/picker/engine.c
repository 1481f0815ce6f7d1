/* SPDX-License-Identifier: MIT
 *
 * Each kind of request has one thread and handles of its own. Calls on one device or index take
 * turns, so that a search through the handles of an update would wait until all is indexed.
 */
#include "engine.h"

#include <math.h>
#include <stdlib.h>
#include <vkclip.h>

#define MOST_RESULTS 500
#define PROMPT "a picture of %s" /* Models learn from sentences, and people type words. */

enum kind { UPDATE, FIND, DRAW, KINDS };

struct session {
    struct vkclip_device *device;
    struct vkclip_model *model;
    struct vkclip_index *index;
};

struct engine {
    char *model, *index;
    int closing; /* atomic */
    GThreadPool *threads[KINDS];
    struct session sessions[KINDS]; /* each belongs to the thread of its kind */
    GMutex mutex;                   /* protects the three numbers */
    guint64 found, total, done;     /* as in struct vkclip_update_progress */
};

/* What a thread is to do, and the `user` of all functions that vkclip calls. */
struct request {
    struct engine *engine;
    enum kind kind;
    int (*run)(struct request *request, struct session *session); /* sets `result` */
    GCancellable *cancellable;
    char *folder;
    struct query query;
    gint64 id;
    double least_z; /* from which pictures stand out */
    gpointer result;
    GDestroyNotify free_result;
};

G_DEFINE_FINAL_TYPE(PickerPicture, picker_picture, G_TYPE_OBJECT)

static void picker_picture_init(PickerPicture *picture)
{
    (void)picture;
}

static void finalize_picture(GObject *object)
{
    g_free(PICKER_PICTURE(object)->path);
    G_OBJECT_CLASS(picker_picture_parent_class)->finalize(object);
}

static void picker_picture_class_init(PickerPictureClass *class)
{
    G_OBJECT_CLASS(class)->finalize = finalize_picture;
}

gboolean query_is_empty(const struct query *query)
{
    return !query->text && !query->path && !query->bytes;
}

void query_clear(struct query *query)
{
    g_clear_pointer(&query->text, g_free);
    g_clear_pointer(&query->path, g_free);
    g_clear_pointer(&query->bytes, g_bytes_unref);
}

/* ---- Requests -------------------------------------------------------------------------------- */

static void free_request(gpointer data)
{
    struct request *request = data;
    if (request->result)
        request->free_result(request->result);
    g_clear_object(&request->cancellable);
    g_free(request->folder);
    query_clear(&request->query);
    g_free(request);
}

static int is_cancelled(const struct request *request)
{
    return g_atomic_int_get(&request->engine->closing) ||
           g_cancellable_is_cancelled(request->cancellable);
}

/* Is a vkclip_progress_fn. */
static int check_cancelled(void *user, uint64_t done, uint64_t total)
{
    (void)done;
    (void)total;
    return is_cancelled(user);
}

/* Opens what is not open yet. What fails is tried again by the next request. */
static int open_session(struct request *request, struct session *session)
{
    const struct engine *engine = request->engine;
    const struct vkclip_index_params index = {.size = sizeof(index), .path = engine->index};
    const struct vkclip_device_params device = {.size = sizeof(device),
                                                .background = request->kind == UPDATE};
    const struct vkclip_model_params model = {
        .size = sizeof(model), .progress = check_cancelled, .user = request};
    int error = VKCLIP_OK;
    if (!session->index)
        error = vkclip_open_index(&index, &session->index);
    if (!error && !session->device && request->kind != DRAW)
        error = vkclip_open_device(&device, &session->device);
    if (!error && !session->model && request->kind != DRAW)
        error = vkclip_open_model(session->device, engine->model, &model, &session->model);
    return error;
}

/* Runs on the thread of the request's kind. */
static void run_request(gpointer data, gpointer user)
{
    GTask *task = data;
    struct request *request = g_task_get_task_data(task);
    struct session *session = &request->engine->sessions[request->kind];
    (void)user;
    if (is_cancelled(request)) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_CANCELLED, "cancelled");
    } else if (open_session(request, session) || request->run(request, session)) {
        g_task_return_new_error(task, G_IO_ERROR, G_IO_ERROR_FAILED, "%s", vkclip_last_error());
    } else {
        g_task_return_pointer(task, request->result, request->free_result);
        request->result = NULL;
    }
    g_object_unref(task);
}

static void start_request(const struct request *request, GAsyncReadyCallback callback,
                          gpointer user)
{
    GTask *task = g_task_new(NULL, request->cancellable, callback, user);
    struct request *copy = g_memdup2(request, sizeof(*request));
    if (copy->cancellable)
        g_object_ref(copy->cancellable);
    g_task_set_task_data(task, copy, free_request);
    g_thread_pool_push(request->engine->threads[request->kind], task, NULL);
}

gpointer engine_finish(GAsyncResult *result, GError **error)
{
    return g_task_propagate_pointer(G_TASK(result), error);
}

/* ---- Updates --------------------------------------------------------------------------------- */

/* Is a vkclip_update_fn, which is called on threads of the library. */
static int note_progress(void *user, const struct vkclip_update_progress *progress)
{
    struct engine *engine = ((struct request *)user)->engine;
    g_mutex_lock(&engine->mutex);
    engine->found = progress->found;
    engine->total = progress->total;
    engine->done = progress->done;
    g_mutex_unlock(&engine->mutex);
    return is_cancelled(user);
}

/* Is a vkclip_failure_fn. The first file that fails is told as an example. */
static int note_failure(void *user, const char *path, int error, const char *message)
{
    struct request *request = user;
    g_autofree char *name = g_filename_display_basename(path);
    (void)error;
    if (!request->result)
        request->result = g_strdup_printf("%s: %s", name, message);
    return is_cancelled(request);
}

static int run_update(struct request *request, struct session *session)
{
    const struct vkclip_update_params params = {.size = sizeof(params),
                                                .thumbnails = true,
                                                .progress = note_progress,
                                                .failure = note_failure,
                                                .user = request};
    const char *folder = request->folder;
    const int error = vkclip_index_paths(session->index, session->model, &folder, 1, &params, NULL);
    if (!request->result)
        request->result = g_strdup("");
    return error;
}

void engine_update(struct engine *engine, const char *folder, GCancellable *cancellable,
                   GAsyncReadyCallback callback, gpointer user)
{
    const struct request request = {.engine = engine,
                                    .kind = UPDATE,
                                    .run = run_update,
                                    .cancellable = cancellable,
                                    .folder = g_strdup(folder),
                                    .free_result = g_free};
    g_mutex_lock(&engine->mutex);
    engine->found = engine->total = engine->done = 0;
    g_mutex_unlock(&engine->mutex);
    start_request(&request, callback, user);
}

char *engine_describe_update(struct engine *engine, double *share)
{
    g_mutex_lock(&engine->mutex);
    const guint64 found = engine->found, total = engine->total, done = engine->done;
    g_mutex_unlock(&engine->mutex);
    *share = total ? (double)done / (double)total : -1;
    if (total)
        return g_strdup_printf("Indexing %" G_GUINT64_FORMAT " of %" G_GUINT64_FORMAT, done, total);
    return g_strdup_printf("Looking for pictures: %" G_GUINT64_FORMAT, found);
}

/* ---- Searches -------------------------------------------------------------------------------- */

/* Returns the highest z that is expected of `count` pictures that have nothing to do with a query:
 * their scores are roughly normal, and this approximates the mean of the largest of so many. */
static double expect_highest_z(double count)
{
    const double bound = sqrt(2 * log(fmax(count, 4))), euler = 0.57721566490153286;
    return bound - (log(2 * G_PI * bound * bound) - 2 * euler) / (2 * bound);
}

/* Is a vkclip_hit_fn. */
static int add_hit(void *user, const struct vkclip_hit *hit)
{
    struct request *request = user;
    PickerPicture *picture = g_object_new(PICKER_TYPE_PICTURE, NULL);
    picture->id = hit->id;
    picture->path = g_strdup(hit->path);
    picture->score = hit->score;
    picture->z = hit->z;
    picture->stands_out = (double)hit->z >= request->least_z;
    g_ptr_array_add(request->result, picture);
    return is_cancelled(request);
}

/* Is a vkclip_indexed_fn, as the next function is. */
static int add_indexed(void *user, const struct vkclip_hit *picture, const float *embed)
{
    (void)embed;
    return add_hit(user, picture);
}

static int stop(void *user, const struct vkclip_hit *picture, const float *embed)
{
    (void)user;
    (void)picture;
    (void)embed;
    return 1;
}

/* Makes the path_glob of all below a folder. The index has paths without links, and the names of
 * folders may have what else would be wildcards. */
static char *make_glob(const char *folder)
{
    char *path = realpath(folder, NULL);
    GString *glob = g_string_new(NULL);
    for (const char *c = path ? path : folder; *c; c++) {
        if (strchr("*?[\\", *c))
            g_string_append_c(glob, '\\');
        g_string_append_c(glob, *c);
    }
    free(path);
    return g_string_free(g_string_append(glob, "/*"), FALSE);
}

static int run_find(struct request *request, struct session *session)
{
    const struct query *query = &request->query;
    g_autofree char *prompt = query->text ? g_strdup_printf(PROMPT, query->text) : NULL;
    const struct vkclip_query_part text = {.kind = VKCLIP_QUERY_TEXT, .value = prompt};
    struct vkclip_query_part parts[2], image = {.kind = VKCLIP_QUERY_IMAGE, .value = query->path};
    g_autofree char *glob = make_glob(request->folder);
    struct vkclip_search_params params = {.size = sizeof(params),
                                          .parts = parts,
                                          .top = MOST_RESULTS,
                                          .path_glob = glob,
                                          .progress = check_cancelled};
    struct vkclip_index_info info = {.size = sizeof(info)};
    if (query->bytes) {
        image.value = "picture";
        image.data = g_bytes_get_data(query->bytes, &image.size);
    }
    if (prompt)
        parts[params.part_count++] = text;
    if (image.value)
        parts[params.part_count++] = image;

    request->result = g_ptr_array_new_with_free_func(g_object_unref);
    request->least_z = -INFINITY;
    int error = vkclip_list_indexed(session->index, session->model, &params,
                                    params.part_count ? stop : add_indexed, request);
    if (error == VKCLIP_EABSENT) /* The index has no picture of this model yet. */
        return VKCLIP_OK;
    if (!params.part_count || (error && error != VKCLIP_ECANCELLED))
        return error;
    error = vkclip_get_index_info(session->index, &info);
    request->least_z = expect_highest_z((double)info.pictures);
    if (!error)
        error = vkclip_search(session->index, session->model, &params, add_hit, request);
    return error;
}

void engine_find(struct engine *engine, const char *folder, const struct query *query,
                 GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user)
{
    const struct request request = {
        .engine = engine,
        .kind = FIND,
        .run = run_find,
        .cancellable = cancellable,
        .folder = g_strdup(folder),
        .query = {.text = g_strdup(query->text),
                  .path = g_strdup(query->path),
                  .bytes = query->bytes ? g_bytes_ref(query->bytes) : NULL},
        .free_result = (GDestroyNotify)g_ptr_array_unref};
    start_request(&request, callback, user);
}

/* ---- Thumbnails ------------------------------------------------------------------------------ */

static int run_draw(struct request *request, struct session *session)
{
    struct vkclip_image image = {0};
    const int error = vkclip_load_thumbnail(session->index, request->id, &image);
    if (error)
        return error;
    const gsize stride = image.stride ? image.stride : (gsize)image.width * image.channels;
    g_autoptr(GBytes) bytes = g_bytes_new(image.pixels, stride * image.height);
    request->result = gdk_memory_texture_new((int)image.width, (int)image.height, GDK_MEMORY_R8G8B8,
                                             bytes, stride);
    vkclip_free_image(&image);
    return VKCLIP_OK;
}

void engine_draw(struct engine *engine, gint64 id, GCancellable *cancellable,
                 GAsyncReadyCallback callback, gpointer user)
{
    const struct request request = {.engine = engine,
                                    .kind = DRAW,
                                    .run = run_draw,
                                    .cancellable = cancellable,
                                    .id = id,
                                    .free_result = g_object_unref};
    start_request(&request, callback, user);
}

/* ---- The engine ------------------------------------------------------------------------------ */

/* Is a vkclip_log_fn. What a request fails with is shown in the window, and the rest is for those
 * who look for it: G_MESSAGES_DEBUG=all. */
static void write_log(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
    (void)level;
    g_debug("%s", message);
}

struct engine *engine_new(const char *model, const char *index)
{
    struct engine *engine = g_new0(struct engine, 1);
    engine->model = g_strdup(model);
    engine->index = g_strdup(index);
    g_mutex_init(&engine->mutex);
    vkclip_set_log(write_log, NULL);
    for (enum kind kind = 0; kind < KINDS; kind++)
        engine->threads[kind] = g_thread_pool_new(run_request, NULL, 1, FALSE, NULL);
    return engine;
}

void engine_free(struct engine *engine)
{
    g_atomic_int_set(&engine->closing, 1);
    for (enum kind kind = 0; kind < KINDS; kind++)
        g_thread_pool_free(engine->threads[kind], FALSE, TRUE);
    while (g_main_context_iteration(NULL, FALSE)) /* Callbacks release what they hold. */
        ;
    for (enum kind kind = 0; kind < KINDS; kind++) {
        vkclip_close_index(&engine->sessions[kind].index);
        vkclip_close_model(&engine->sessions[kind].model);
        vkclip_close_device(&engine->sessions[kind].device);
    }
    g_mutex_clear(&engine->mutex);
    g_free(engine->model);
    g_free(engine->index);
    g_free(engine);
}
