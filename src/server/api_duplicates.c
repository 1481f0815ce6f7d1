/* SPDX-License-Identifier: MIT
 *
 * /api/v1/duplicates. Comparing all pictures takes the device for long, so that the groups are kept
 * as the results of a search are, and a request gets a piece of them.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"
#include "server/results.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_FORGOTTEN = 100 };

static const char *const kinds[] = {
    [VKCLIP_GROUP_EXACT] = "exact", [VKCLIP_GROUP_SAME] = "same", [VKCLIP_GROUP_NEAR] = "near"};

/* ---- Finding groups ---------------------------------------------------------------------------- */

/* The groups as they are found, and the ids of their pictures, which are described later. */
struct finding {
    struct request *request;
    struct result_list *list;
    int64_t *ids; /* [id_count] */
    size_t id_count, capacity;
    bool only_first, has_first, no_memory;
};

/* Is a vkclip_group_fn. */
static int take_group(void *user, const struct vkclip_group *group)
{
    struct finding *finding = user;
    const struct result_group added = {group->kind, group->cosine, finding->id_count, group->count};
    if (finding->id_count + group->count > finding->capacity) {
        const size_t capacity = 2 * (finding->id_count + group->count);
        void *ids = realloc(finding->ids, capacity * sizeof(*finding->ids));
        finding->no_memory = !ids;
        if (!ids)
            return 1;
        finding->ids = ids;
        finding->capacity = capacity;
    }
    memcpy(finding->ids + finding->id_count, group->ids, group->count * sizeof(*finding->ids));
    finding->id_count += group->count;
    finding->no_memory = !server_results_add_group(finding->list, &added);
    return finding->no_memory;
}

/* Is a vkclip_share_fn. */
static int ask_share(void *user, double share)
{
    const struct finding *finding = user;
    (void)share;
    return request_is_over(finding->request, 0, 0);
}

/* Is a vkclip_hit_fn. */
static int take_file(void *user, const struct vkclip_hit *hit)
{
    struct finding *finding = user;
    if (finding->only_first && finding->has_first)
        return 0;
    finding->has_first = true;
    finding->no_memory = !server_results_add(finding->list, hit);
    return finding->no_memory;
}

/* Describes the files of the groups. A picture that has gone meanwhile is left out. */
static int describe(struct finding *finding, struct vkclip_index *handle)
{
    struct result_list *list = finding->list;
    for (size_t i = 0; i < list->group_count; i++) {
        struct result_group *group = &list->groups[i];
        const int64_t *ids = finding->ids + group->first;
        /* All files of an exact group are files of one picture. */
        const size_t ids_count = group->kind == VKCLIP_GROUP_EXACT ? 1 : group->count;
        finding->only_first = group->kind != VKCLIP_GROUP_EXACT;
        group->first = list->count;
        for (size_t k = 0; k < ids_count; k++) {
            finding->has_first = false;
            const int error = vkclip_find_indexed(handle, ids[k], take_file, finding);
            if (error && error != VKCLIP_EABSENT)
                return error;
        }
        group->count = list->count - group->first;
    }
    return VKCLIP_OK;
}

/* The comparison has a device of its own: a call keeps its device until it ends, so that all other
 * requests would wait for this one. */
static int find_groups(struct request *request, double distance, struct result_list *list)
{
    struct served_index *index = request->server->index;
    struct finding finding = {.request = request, .list = list};
    struct vkclip_index *handle = NULL;
    struct vkclip_device *device = NULL;
    const struct vkclip_device_params device_params = {.size = sizeof(device_params),
                                                       .device =
                                                           request->server->options.device_name,
                                                       .background = true,
                                                       .progress = request_is_over,
                                                       .user = request};
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = distance, .progress = ask_share};
    int error = vkclip_open_device(&device_params, &device);
    if (!error)
        error = server_index_take(index, request, &handle);
    if (!error)
        error = vkclip_find_duplicates(handle, device, &params, take_group, &finding);
    if (!error)
        error = describe(&finding, handle);
    if (handle)
        server_index_give(index, handle);
    vkclip_close_device(&device);
    free(finding.ids);
    return finding.no_memory ? error_fail(VKCLIP_EMEMORY, "out of memory for duplicates") : error;
}

static int make_list(struct request *request, double distance, const char *key,
                     const struct result_list **made)
{
    struct result_list *list = server_results_begin();
    if (!list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for duplicates");
    *made = list;
    const int error = find_groups(request, distance, list);
    if (!error)
        server_results_keep(request->server->results, key, list);
    return error;
}

/* One request at a time, because it takes the device for long, and others most likely want the same
 * list. */
static int find_list(struct request *request, double distance, const struct result_list **found)
{
    struct results *results = request->server->results;
    struct index_status status;
    server_index_get_status(request->server->index, &status);
    char *key = string_format("%llu duplicates %g", (unsigned long long)status.passes, distance);
    *found = NULL;
    int error = key ? gate_enter(request->server->comparing, request, 1)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for duplicates");
    if (!error) {
        *found = server_results_find(results, key);
        if (!*found)
            error = make_list(request, distance, key, found);
        gate_leave(request->server->comparing, 1);
    }
    free(key);
    return error;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

static json_t *pack_group(const struct result_list *list, const struct result_group *group)
{
    json_t *pictures = json_array();
    for (size_t i = group->first; i < group->first + group->count; i++)
        json_array_append_new(pictures, picture_pack(&list->hits[i], false));
    return json_pack("{ss sf so}", "kind", kinds[group->kind], "cosine", group->cosine, "pictures",
                     pictures);
}

/* Packs the groups of a kind, NULL: of all, from number `offset` on. */
static json_t *pack_groups(const struct result_list *list, const char *kind, size_t offset,
                           size_t limit)
{
    size_t counts[ARRAY_COUNT(kinds)] = {0}, number = 0;
    json_t *groups = json_array();
    for (size_t i = 0; i < list->group_count; i++) {
        const struct result_group *group = &list->groups[i];
        if (group->count < 2)
            continue;
        counts[group->kind]++;
        if (kind && strcmp(kind, kinds[group->kind]))
            continue;
        if (number >= offset && number - offset < limit)
            json_array_append_new(groups, pack_group(list, group));
        number++;
    }
    return json_pack("{sI sI s{sI sI sI} so}", "total", (json_int_t)number, "offset",
                     (json_int_t)offset, "counts", kinds[0], (json_int_t)counts[0], kinds[1],
                     (json_int_t)counts[1], kinds[2], (json_int_t)counts[2], "groups", groups);
}

static double read_number(const struct request *request, const char *name, double otherwise)
{
    const char *text = request_query(request, name);
    return text ? strtod(text, NULL) : otherwise;
}

void handle_duplicates(struct request *request)
{
    const struct result_list *list = NULL;
    const double distance = read_number(request, "distance", 0);
    const double offset = read_number(request, "offset", 0);
    const double limit = read_number(request, "limit", 1e6);
    if (!picture_has_index(request))
        return;
    int error = VKCLIP_OK;
    if (!(distance >= 0 && distance < 1))
        error = error_fail(VKCLIP_EINVALID, "distance: expected a number from 0 to 1");
    else if (!(offset >= 0 && offset <= 1e9 && limit >= 0 && limit <= 1e9))
        error = error_fail(VKCLIP_EINVALID, "offset, limit: expected numbers from 0 to 1e9");
    else
        error = find_list(request, distance, &list);
    if (error)
        answer_library_error(request, error);
    else
        answer_json(
            request, 200,
            pack_groups(list, request_query(request, "kind"), (size_t)offset, (size_t)limit));
    server_results_release(request->server->results, list);
}

/* ---- Forgetting -------------------------------------------------------------------------------- */

static bool are_ids(const json_t *ids)
{
    for (size_t i = 0; i < json_array_size(ids); i++)
        if (json_integer_value(json_array_get(ids, i)) <= 0)
            return false;
    return true;
}

/* Remembers that no two of the pictures are duplicates. */
static int forget(struct vkclip_index *handle, const json_t *ids)
{
    char a[32], b[32];
    int error = VKCLIP_OK;
    for (size_t i = 0; !error && i < json_array_size(ids); i++)
        for (size_t k = i + 1; !error && k < json_array_size(ids); k++) {
            snprintf(a, sizeof(a), "id:%lld",
                     (long long)json_integer_value(json_array_get(ids, i)));
            snprintf(b, sizeof(b), "id:%lld",
                     (long long)json_integer_value(json_array_get(ids, k)));
            error = vkclip_forget_duplicates(handle, a, b);
        }
    return error;
}

/* {"ids": [A, B, ...]}: no two of them are duplicates. */
void handle_forget_duplicates(struct request *request)
{
    struct vkclip_index *handle;
    if (!picture_has_index(request))
        return;
    json_t *body = request_json(request);
    if (!body)
        return;
    const json_t *ids = json_object_get(body, "ids");
    const size_t count = json_array_size(ids);
    int error = count < 2 || count > MOST_FORGOTTEN || !are_ids(ids)
                    ? error_fail(VKCLIP_EINVALID, "ids: expected an array of 2 to %d numbers",
                                 MOST_FORGOTTEN)
                    : server_index_take(request->server->index, request, &handle);
    if (!error) {
        error = forget(handle, ids);
        server_index_give(request->server->index, handle);
    }
    json_decref(body);
    server_results_forget(request->server->results);
    if (error)
        answer_library_error(request, error);
    else
        answer_json(request, 200, json_pack("{}"));
}
