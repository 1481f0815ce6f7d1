/* SPDX-License-Identifier: MIT
 *
 * /api/v1/search. A search gives a list, which stays for a while, and a request a piece of it. What
 * a page needs to know of the whole list is given on request: "ratios" are the widths of all
 * pictures as percentages of their heights, from which it knows where each will be shown, "facets"
 * is what there is to choose from, and "cut" asks how many pictures have at least this z.
 */
#include "base/array.h"
#include "base/calendar.h"
#include "base/error.h"
#include "base/file.h"
#include "base/string.h"
#include "server/facets.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"
#include "server/search.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PARTS = 64, MOST_RESULTS = 100000, MOST_LIMIT = 1000, DEFAULT_LIMIT = 100 };

static const char *get_text(const json_t *object, const char *key)
{
    return json_string_value(json_object_get(object, key));
}

/* ---- The query ----------------------------------------------------------------------------------- */

static int read_part(struct request *request, const json_t *json, size_t number,
                     struct search_part *part)
{
    char name[32];
    snprintf(name, sizeof(name), "part %zu of the query", number);
    const char *text = get_text(json, "text"), *image = get_text(json, "image");
    const json_t *id = json_object_get(json, "id"), *weight = json_object_get(json, "weight");
    part->weight = weight ? json_number_value(weight) : 1;
    if (!part->weight || (weight && !json_is_number(weight)))
        return error_fail(VKCLIP_EINVALID, "%s: expected a weight other than 0", name);
    if (!!text + !!image + !!json_is_integer(id) != 1)
        return error_fail(VKCLIP_EINVALID, "%s: expected one of \"text\", \"image\" and \"id\"",
                          name);
    if (image)
        return encode_read_picture(request, image, name, &part->item);
    if (text && !*text)
        return error_fail(VKCLIP_EINVALID, "%s: the text is empty", name);
    part->item.text = text;
    part->id = json_integer_value(id);
    if (!text && part->id <= 0)
        return error_fail(VKCLIP_EINVALID, "%s: expected an id above 0", name);
    return VKCLIP_OK;
}

static int read_query(struct request *request, const json_t *query, struct search_part *parts)
{
    const size_t count = json_array_size(query);
    if (query && !json_is_null(query) && !json_is_array(query))
        return error_fail(VKCLIP_EINVALID, "query: expected an array of parts");
    if (count > MOST_PARTS)
        return error_fail(VKCLIP_EINVALID, "query: expected at most %d parts, found %zu",
                          MOST_PARTS, count);
    for (size_t i = 0; i < count; i++) {
        const int error = read_part(request, json_array_get(query, i), i, &parts[i]);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

/* ---- Filters and limits -------------------------------------------------------------------------- */

static int read_number(const json_t *body, const char *key, double least, double most,
                       double *value)
{
    const json_t *json = json_object_get(body, key);
    if (!json || json_is_null(json))
        return VKCLIP_OK;
    const double given = json_number_value(json);
    if (!json_is_number(json) || !(given >= least && given <= most))
        return error_fail(VKCLIP_EINVALID, "%s: expected a number from %g to %g", key, least, most);
    *value = given; /* Only what is within the limits may be converted to an integer. */
    return VKCLIP_OK;
}

/* The library takes 0 for no limit. The least number above it stands for it, because hardly a score
 * is exactly 0. */
static int read_limit(const json_t *body, const char *key, double least, double most, double *value)
{
    const int error = read_number(body, key, least, most, value);
    if (!error && json_is_number(json_object_get(body, key)) && !*value)
        *value = DBL_MIN;
    return error;
}

static int read_date(const json_t *body, const char *key, int64_t *value)
{
    const json_t *json = json_object_get(body, key);
    if (!json || json_is_null(json))
        return VKCLIP_OK;
    if (!json_is_string(json) || !calendar_read(json_string_value(json), value))
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected a date as 2024, 2024-07, 2024-07-31 or 2024-07-31T12:30",
                          key);
    *value += !*value; /* 0 means no limit: a second later is near enough. */
    return VKCLIP_OK;
}

static int read_near(const json_t *body, struct vkclip_search_params *params)
{
    const json_t *near = json_object_get(body, "near");
    if (!near || json_is_null(near))
        return VKCLIP_OK;
    int error = read_number(near, "latitude", -90, 90, &params->latitude);
    if (!error)
        error = read_number(near, "longitude", -180, 180, &params->longitude);
    if (!error)
        error = read_number(near, "kilometers", 0, 20040, &params->kilometers);
    if (!error && !(params->kilometers > 0))
        error = error_fail(VKCLIP_EINVALID,
                           "near: expected \"latitude\", \"longitude\" and \"kilometers\"");
    return error;
}

static int read_sort(const json_t *body, enum vkclip_sort *sort)
{
    const char *text = get_text(body, "sort");
    *sort = text && !strcmp(text, "date") ? VKCLIP_SORT_DATE : VKCLIP_SORT_SCORE;
    if (text && strcmp(text, "date") && strcmp(text, "score"))
        return error_fail(VKCLIP_EINVALID, "sort: expected score or date, found %s", text);
    return VKCLIP_OK;
}

static int read_params(const json_t *body, struct vkclip_search_params *params)
{
    double width = 0, height = 0, top = MOST_RESULTS;
    *params = (struct vkclip_search_params){.size = sizeof(*params),
                                            .path_glob = get_text(body, "path"),
                                            .camera = get_text(body, "camera"),
                                            .type = get_text(body, "type")};
    int error = read_sort(body, &params->sort);
    if (!error)
        error = read_limit(body, "min_score", -1, 1, &params->min_score);
    if (!error)
        error = read_limit(body, "min_z", -100, 100, &params->min_z);
    if (!error)
        error = read_limit(body, "relative", 0, 1, &params->relative);
    if (!error)
        error = read_number(body, "min_width", 0, UINT32_MAX, &width);
    if (!error)
        error = read_number(body, "min_height", 0, UINT32_MAX, &height);
    if (!error)
        error = read_number(body, "top", 1, MOST_RESULTS, &top);
    if (!error)
        error = read_date(body, "after", &params->after);
    if (!error)
        error = read_date(body, "before", &params->before);
    if (!error)
        error = read_near(body, params);
    params->min_width = (uint32_t)width;
    params->min_height = (uint32_t)height;
    params->top = (size_t)top;
    return error;
}

/* ---- The list ------------------------------------------------------------------------------------ */

/* What a list is kept under: the request without what may differ from piece to piece, and the
 * number of passes, because a pass may have changed the index. */
static char *make_key(struct request *request, const json_t *body)
{
    static const char *const left_out[] = {"offset", "limit", "ratios", "cut", "fresh"};
    struct index_status status;
    json_t *copy = json_copy((json_t *)(uintptr_t)body);
    for (size_t i = 0; i < ARRAY_COUNT(left_out); i++)
        json_object_del(copy, left_out[i]);
    server_index_get_status(request->server->index, &status);
    char *text = copy ? json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS) : NULL;
    char *key = text ? string_format("%llu %s", (unsigned long long)status.passes, text) : NULL;
    free(text);
    json_decref(copy);
    return key;
}

static int search(struct request *request, const json_t *body, struct result_list *list)
{
    const json_t *query = json_object_get(body, "query");
    struct vkclip_search_params params;
    const size_t count = json_array_size(query);
    struct search_part *parts = calloc(count + 1, sizeof(*parts));
    int error = parts && list ? read_query(request, query, parts)
                              : error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = read_params(body, &params);
    if (!error)
        error = search_find(request, parts, count, &params, list);
    for (size_t i = 0; parts && i < count; i++)
        free(parts[i].item.data);
    free(parts);
    if (!error && json_is_true(json_object_get(body, "facets"))) {
        list->facets = facets_count(list->hits, list->count);
        error = list->facets ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    }
    if (error)
        return error;
    list->truncated = list->count >= params.top;
    server_results_cut(list, params.top);
    return VKCLIP_OK;
}

/* Finds a kept list, or searches. With "fresh" a search runs in any case, because the index has
 * changed. */
static int find_list(struct request *request, const json_t *body, const char *key,
                     const struct result_list **found)
{
    struct results *results = request->server->results;
    const bool fresh = json_is_true(json_object_get(body, "fresh"));
    *found = fresh ? NULL : server_results_find(results, key);
    if (*found)
        return VKCLIP_OK;
    struct result_list *list = server_results_begin();
    const int error = search(request, body, list);
    if (error) {
        server_results_release(results, list);
        return error;
    }
    server_results_keep(results, key, list);
    *found = list;
    return VKCLIP_OK;
}

static json_t *pack_ratios(const struct result_list *list)
{
    json_t *ratios = json_array();
    for (size_t i = 0; i < list->count; i++) {
        const struct vkclip_hit *hit = &list->hits[i];
        const double height = hit->height ? hit->height : 1;
        json_array_append_new(ratios, json_integer((json_int_t)(100 * hit->width / height + 0.5)));
    }
    return ratios;
}

static size_t count_above(const struct result_list *list, double cut)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        count += (double)list->hits[i].z >= cut;
    return count;
}

/* The piece of the list that the request wants, and what it wants to know of the whole list. */
struct piece {
    double offset, limit;
    double cut; /* NAN: it was not asked for */
    bool ratios;
};

static int read_piece(const json_t *body, struct piece *piece)
{
    *piece = (struct piece){.limit = DEFAULT_LIMIT,
                            .cut = NAN,
                            .ratios = json_is_true(json_object_get(body, "ratios"))};
    int error = read_number(body, "offset", 0, MOST_RESULTS, &piece->offset);
    if (!error)
        error = read_number(body, "limit", 0, MOST_LIMIT, &piece->limit);
    if (!error)
        error = read_number(body, "cut", -100, 100, &piece->cut);
    return error;
}

static void answer_list(struct request *request, const struct result_list *list,
                        const struct piece *piece)
{
    const size_t offset = (size_t)piece->offset, limit = (size_t)piece->limit;
    json_t *hits = json_array();
    for (size_t i = offset; i < list->count && i < offset + limit; i++)
        json_array_append_new(hits, picture_pack(&list->hits[i], true));
    json_t *answer = json_pack("{sI sb sI so}", "total", (json_int_t)list->count, "truncated",
                               list->truncated, "offset", (json_int_t)offset, "hits", hits);
    if (answer && piece->ratios)
        json_object_set_new(answer, "ratios", pack_ratios(list));
    if (answer && !isnan(piece->cut))
        json_object_set_new(answer, "above",
                            json_integer((json_int_t)count_above(list, piece->cut)));
    if (answer && list->facets)
        json_object_set_new(answer, "facets", facets_pack(list->facets));
    answer_json(request, 200, answer);
}

void handle_search(struct request *request)
{
    const struct result_list *list = NULL;
    struct piece piece;
    if (!picture_has_index(request))
        return;
    json_t *body = request_json(request);
    if (!body)
        return;
    char *key = make_key(request, body);
    int error = json_is_object(body) ? VKCLIP_OK
                                     : error_fail(VKCLIP_EINVALID, "the body: expected an object");
    if (!error && !key)
        error = error_fail(VKCLIP_EMEMORY, "out of memory");
    if (!error)
        error = read_piece(body, &piece);
    if (!error)
        error = find_list(request, body, key, &list);
    if (error)
        answer_library_error(request, error);
    else
        answer_list(request, list, &piece);
    server_results_release(request->server->results, list);
    free(key);
    json_decref(body);
}
