/* SPDX-License-Identifier: MIT
 *
 * /api/v1/index: what the index has, and the pass that brings it up to date.
 */
#include "server/handlers.h"
#include "server/index.h"
#include "server/input.h"
#include "server/internal.h"
#include "server/picture.h"

enum { MOST_FAILURES = 1000 };

static json_t *pack_status(const struct index_status *status)
{
    const struct vkclip_update_result *result = &status->result;
    return json_pack("{sb sb sI sI sI sI so s{sI sI sI sI sI sI sI}}", "updating", status->updating,
                     "watching", status->watching, "found", (json_int_t)status->progress.found,
                     "total", (json_int_t)status->progress.total, "done",
                     (json_int_t)status->progress.done, "passes", (json_int_t)status->passes,
                     "error", picture_pack_text(status->message), "last", "indexed",
                     (json_int_t)result->indexed, "added", (json_int_t)result->added, "changed",
                     (json_int_t)result->changed, "moved", (json_int_t)result->moved, "removed",
                     (json_int_t)result->removed, "failed", (json_int_t)result->failed, "encoded",
                     (json_int_t)result->encoded);
}

/* Is a vkclip_folder_fn. */
static int take_folder(void *user, const char *path)
{
    json_array_append_new(user, picture_pack_text(path));
    return 0;
}

void handle_index(struct request *request)
{
    struct vkclip_index *handle;
    struct vkclip_index_info info = {.size = sizeof(info)};
    struct index_status status;
    json_t *folders = json_array();
    if (!picture_has_index(request)) {
        json_decref(folders);
        return;
    }
    int error = server_index_take(request->server->index, request, &handle);
    if (!error) {
        error = vkclip_get_index_info(handle, &info);
        if (!error)
            error = vkclip_list_index_folders(handle, take_folder, folders);
        server_index_give(request->server->index, handle);
    }
    if (error) {
        json_decref(folders);
        answer_library_error(request, error);
        return;
    }
    server_index_get_status(request->server->index, &status);
    answer_json(request, 200,
                json_pack("{ss sb sI sI sI sI sI ss so so}", "path", info.path, "writable",
                          server_index_is_writable(request->server->index), "files",
                          (json_int_t)info.files, "pictures", (json_int_t)info.pictures, "missing",
                          (json_int_t)info.missing, "failed", (json_int_t)info.failed, "bytes",
                          (json_int_t)info.bytes, "model",
                          server_index_model_name(request->server->index), "folders", folders,
                          "update", pack_status(&status)));
}

void handle_index_update(struct request *request)
{
    size_t retry = 0;
    if (!picture_has_index(request))
        return;
    const int error = input_read_number(request, "retry", 1, &retry);
    if (error)
        answer_library_error(request, error);
    else if (server_index_start_update(request->server->index, retry))
        answer_json(request, 202, json_pack("{sb}", "updating", 1));
    else
        answer_error(request, 409, "the index is being updated, or cannot be written");
}

void handle_index_stop(struct request *request)
{
    if (!picture_has_index(request))
        return;
    server_index_stop_update(request->server->index);
    answer_json(request, 202, json_pack("{sb}", "updating", 0));
}

/* ---- Failures ---------------------------------------------------------------------------------- */

/* The piece of the list of failures that a request wants. */
struct failures {
    struct request *request;
    json_t *list;
    size_t offset, limit, total;
};

/* Is a vkclip_failure_fn. */
static int take_failure(void *user, const char *path, int error, const char *message)
{
    struct failures *failures = user;
    const size_t number = failures->total++;
    if (number >= failures->offset && number - failures->offset < failures->limit)
        json_array_append_new(failures->list,
                              json_pack("{so si so}", "path", picture_pack_text(path), "error",
                                        error, "message", picture_pack_text(message)));
    return request_is_over(failures->request, 0, 0);
}

static int list_failures(struct failures *failures)
{
    struct served_index *index = failures->request->server->index;
    struct vkclip_index *handle;
    int error = input_read_number(failures->request, "offset", SIZE_MAX, &failures->offset);
    if (!error)
        error = input_read_number(failures->request, "limit", MOST_FAILURES, &failures->limit);
    if (!error)
        error = server_index_take(index, failures->request, &handle);
    if (error)
        return error;
    error = vkclip_list_index_failures(handle, take_failure, failures);
    server_index_give(index, handle);
    return error;
}

void handle_index_failures(struct request *request)
{
    struct failures failures = {.request = request, .limit = MOST_FAILURES};
    if (!picture_has_index(request))
        return;
    failures.list = json_array();
    const int error = list_failures(&failures);
    if (error)
        answer_library_error(request, error);
    else
        answer_json(request, 200,
                    json_pack("{sI sI sO}", "total", (json_int_t)failures.total, "offset",
                              (json_int_t)failures.offset, "failures", failures.list));
    json_decref(failures.list);
}
