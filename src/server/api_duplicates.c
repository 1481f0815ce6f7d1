/* SPDX-License-Identifier: MIT
 *
 * /api/v1/duplicates. Comparing all pictures takes the device for long, so that one request at a
 * time does so, and its answer stays for the pages that follow.
 */
#include "base/error.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"

#include <stdlib.h>

struct groups {
    struct request *request;
    json_t *list;
};

/* Is a vkclip_group_fn. */
static int take_group(void *user, const struct vkclip_group *group)
{
    static const char *const kinds[] = {
        [VKCLIP_GROUP_EXACT] = "exact", [VKCLIP_GROUP_SAME] = "same", [VKCLIP_GROUP_NEAR] = "near"};
    struct groups *groups = user;
    json_t *pictures = json_array();
    for (size_t i = 0; i < group->count; i++)
        json_array_append_new(pictures, json_pack("{sI so}", "id", (json_int_t)group->ids[i],
                                                  "path", picture_pack_text(group->paths[i])));
    json_array_append_new(groups->list, json_pack("{ss sf so}", "kind", kinds[group->kind],
                                                  "cosine", group->cosine, "pictures", pictures));
    return 0;
}

/* Is a vkclip_share_fn. */
static int ask_share(void *user, double share)
{
    const struct groups *groups = user;
    (void)share;
    return request_is_over(groups->request, 0, 0);
}

static double read_distance(const struct request *request)
{
    const char *text = request_query(request, "distance");
    return text ? strtod(text, NULL) : 0;
}

void handle_duplicates(struct request *request)
{
    struct vkclip_index *handle;
    struct groups groups = {.request = request, .list = json_array()};
    const double distance = read_distance(request);
    if (!picture_has_index(request)) {
        json_decref(groups.list);
        return;
    }
    struct served_index *index = request->server->index;
    const struct loaded_model *model = NULL;
    const struct vkclip_duplicates_params params = {
        .size = sizeof(params), .distance = distance, .progress = ask_share};
    int error =
        distance >= 0 && distance < 1
            ? models_use(request->server->models, server_index_model_name(index), true, &model)
            : error_fail(VKCLIP_EINVALID, "distance: expected a number from 0 to 1");
    if (!error)
        error = server_index_take(index, &handle);
    if (!error) {
        error = vkclip_find_duplicates(handle, request->server->options.device, &params, take_group,
                                       &groups);
        server_index_give(index, handle);
    }
    models_release(request->server->models, model);
    if (!error) {
        answer_json(request, 200, json_pack("{so}", "groups", groups.list));
        return;
    }
    json_decref(groups.list);
    answer_library_error(request, error);
}

/* {"ids": [A, B]}: the two are no duplicates. */
void handle_forget_duplicates(struct request *request)
{
    struct vkclip_index *handle;
    char a[32], b[32];
    json_int_t first, second;
    if (!picture_has_index(request))
        return;
    json_t *body = request_json(request);
    if (!body)
        return;
    int error = json_unpack(body, "{s[II!]}", "ids", &first, &second)
                    ? error_fail(VKCLIP_EINVALID, "expected {\"ids\": [A, B]}")
                    : server_index_take(request->server->index, &handle);
    if (!error) {
        snprintf(a, sizeof(a), "id:%lld", (long long)first);
        snprintf(b, sizeof(b), "id:%lld", (long long)second);
        error = vkclip_forget_duplicates(handle, a, b);
        server_index_give(request->server->index, handle);
    }
    json_decref(body);
    if (error)
        answer_library_error(request, error);
    else
        answer_json(request, 200, json_pack("{}"));
}
