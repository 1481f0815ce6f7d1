/* SPDX-License-Identifier: MIT
 *
 * Texts and pictures of a query are encoded in the batches of all requests; the search itself needs
 * no device.
 */
#include "server/search.h"
#include "base/error.h"
#include "server/index.h"
#include "server/internal.h"

#include <stdlib.h>
#include <string.h>

struct finding {
    struct request *request;
    struct result_list *list;
    bool no_memory;
};

/* Is a vkclip_hit_fn. Long lists are memory of the request, as its body is. */
static int take_hit(void *user, const struct vkclip_hit *hit)
{
    struct finding *finding = user;
    const size_t bytes =
        sizeof(*hit) + strlen(hit->path) + strlen(hit->camera) + strlen(hit->format);
    finding->no_memory =
        !request_hold(finding->request, bytes) || !server_results_add(finding->list, hit);
    return finding->no_memory || request_is_over(finding->request, 0, 0);
}

/* Is a vkclip_indexed_fn. The files of one picture, which has one id, follow each other. */
static int take_indexed(void *user, const struct vkclip_hit *hit, const float *embed)
{
    struct finding *finding = user;
    struct result_list *list = finding->list;
    (void)embed;
    if (list->count && list->hits[list->count - 1].id == hit->id) {
        list->hits[list->count - 1].copies++;
        return request_is_over(finding->request, 0, 0);
    }
    return take_hit(user, hit);
}

/* Is a vkclip_progress_fn whose `user` is the finding. */
static int ask_progress(void *user, uint64_t done, uint64_t total)
{
    const struct finding *finding = user;
    return request_is_over(finding->request, done, total);
}

static int compare_dates(const void *a, const void *b)
{
    const struct vkclip_hit *x = a, *y = b;
    if (x->date != y->date)
        return x->date < y->date ? 1 : -1;
    return (x->id > y->id) - (x->id < y->id);
}

/* ---- The parts of a query ------------------------------------------------------------------------ */

/* Encodes the parts that are texts or pictures, each with its own row of `embeds` [count,dim]. */
static int encode_parts(struct request *request, struct search_part *parts, size_t count,
                        size_t dim, float *embeds)
{
    const char *name = server_index_model_name(request->server->index);
    const struct loaded_model *model = NULL;
    struct encode_item *items = calloc(count + 1, sizeof(*items));
    float *encoded = malloc((count + 1) * dim * sizeof(*encoded));
    size_t item_count = 0;
    int error = items && encoded ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    for (size_t i = 0; !error && i < count; i++)
        if (!parts[i].id && !parts[i].embed)
            items[item_count++] = parts[i].item;
    if (!error && item_count) {
        error = models_use(request->server->models, request, name, true, &model);
        if (!error)
            error = encode_items(request, model, items, item_count, encoded);
        models_release(request->server->models, model);
    }
    item_count = 0;
    for (size_t i = 0; !error && i < count; i++)
        if (parts[i].embed)
            memcpy(embeds + i * dim, parts[i].embed, dim * sizeof(*embeds));
        else if (!parts[i].id)
            memcpy(embeds + i * dim, encoded + item_count++ * dim, dim * sizeof(*embeds));
    free(encoded);
    free(items);
    return error;
}

static int run_search(struct finding *finding, struct vkclip_index *handle,
                      struct vkclip_model *model, const struct search_part *parts, size_t count,
                      size_t dim, const float *embeds, struct vkclip_search_params *params)
{
    struct vkclip_query_part *query = calloc(count, sizeof(*query));
    if (!query)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    for (size_t i = 0; i < count; i++)
        query[i] =
            (struct vkclip_query_part){.kind = parts[i].id ? VKCLIP_QUERY_ID : VKCLIP_QUERY_EMBED,
                                       .id = parts[i].id,
                                       .weight = parts[i].weight,
                                       .data = embeds + i * dim,
                                       .size = dim * sizeof(*embeds)};
    params->parts = query;
    params->part_count = count;
    params->progress = ask_progress;
    const int error = vkclip_search(handle, model, params, take_hit, finding);
    free(query);
    return error;
}

int search_find(struct request *request, struct search_part *parts, size_t count,
                struct vkclip_search_params *params, struct result_list *list)
{
    struct finding finding = {.request = request, .list = list};
    struct served_index *index = request->server->index;
    struct vkclip_model *model = server_index_model(index);
    struct vkclip_model_info info = {.size = sizeof(info)};
    struct vkclip_index *handle = NULL;
    int error = vkclip_get_model_info(model, &info);
    const size_t dim = info.embed_dim;
    float *embeds = calloc(count + 1, (dim + 1) * sizeof(*embeds));
    if (!error && !embeds)
        error = error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = encode_parts(request, parts, count, dim, embeds);
    if (!error)
        error = server_index_take(index, request, &handle);
    if (!error && count) {
        error = run_search(&finding, handle, model, parts, count, dim, embeds, params);
    } else if (!error) {
        error = vkclip_list_indexed(handle, model, params, take_indexed, &finding);
        if (list->count) /* Without any, there is no array. */
            qsort(list->hits, list->count, sizeof(*list->hits), compare_dates);
    }
    if (handle)
        server_index_give(index, handle);
    free(embeds);
    if (finding.no_memory)
        return error_fail(VKCLIP_EMEMORY, "out of memory for %zu results", list->count);
    return error;
}
