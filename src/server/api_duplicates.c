/* SPDX-License-Identifier: MIT
 *
 * /api/v1/duplicates: a piece of the groups, or how far the comparison is.
 */
#include "base/array.h"
#include "base/error.h"
#include "server/comparison.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"
#include "server/results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_FORGOTTEN = 100 };

static const char *const kinds[] = {
    [VKCLIP_GROUP_EXACT] = "exact", [VKCLIP_GROUP_SAME] = "same", [VKCLIP_GROUP_NEAR] = "near"};

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

static int find_groups(struct request *request, double distance, const struct result_list **list,
                       double *share)
{
    const double wait = read_number(request, "wait", INFINITY);
    if (!(distance >= 0 && distance < 1))
        return error_fail(VKCLIP_EINVALID, "distance: expected a number from 0 to 1");
    if (!(wait >= 0))
        return error_fail(VKCLIP_EINVALID, "wait: expected seconds from 0 up");
    return comparison_find(request->server->comparison, request, distance, wait, list, share);
}

void handle_duplicates(struct request *request)
{
    const struct result_list *list = NULL;
    const double distance = read_number(request, "distance", 0);
    const double offset = read_number(request, "offset", 0);
    const double limit = read_number(request, "limit", 1e6);
    double share = 0;
    if (!picture_has_index(request))
        return;
    const int error =
        offset >= 0 && offset <= 1e9 && limit >= 0 && limit <= 1e9
            ? find_groups(request, distance, &list, &share)
            : error_fail(VKCLIP_EINVALID, "offset, limit: expected numbers from 0 to 1e9");
    if (error)
        answer_library_error(request, error);
    else if (!list)
        answer_json(request, 202, json_pack("{sf}", "done", share));
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
