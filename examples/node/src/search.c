/* SPDX-License-Identifier: MIT
 *
 * The index of pictures.
 */
#include "failure.h"
#include "functions.h"

/* ---- Opening --------------------------------------------------------------------------------- */

struct index_call {
    struct call call;
    struct vkclip_index_params params;
    struct vkclip_index *index;
    struct vkclip_index_info info;
};

static const struct member index_members[] = {
    MEMBER(TEXT, vkclip_index_params, path, "path"),
    MEMBER(BOOL, vkclip_index_params, read_only, "readOnly"),
    {0}};
static const struct member info_members[] = {MEMBER(CHARS, vkclip_index_info, path, "path"),
                                             MEMBER(U64, vkclip_index_info, files, "files"),
                                             MEMBER(U64, vkclip_index_info, pictures, "pictures"),
                                             MEMBER(U64, vkclip_index_info, missing, "missing"),
                                             MEMBER(U64, vkclip_index_info, failed, "failed"),
                                             MEMBER(U64, vkclip_index_info, folders, "folders"),
                                             MEMBER(U64, vkclip_index_info, models, "models"),
                                             MEMBER(U64, vkclip_index_info, bytes, "bytes"),
                                             {0}};

static void read_open(struct call *call)
{
    struct index_call *open = (struct index_call *)call;
    open->params.size = sizeof(open->params);
    value_read(call, call->arguments[0], index_members, &open->params);
    handle_new(call, HANDLE_INDEX);
}

static int run_open(struct call *call)
{
    return vkclip_open_index(&((struct index_call *)call)->params, &call->opened->index);
}

const struct function function_open_index = {"openIndex", sizeof(struct index_call), read_open,
                                             run_open, handle_give};

static struct vkclip_index *get_index(struct call *call)
{
    const struct handle *handle = handle_get(call, call->arguments[0], HANDLE_INDEX);
    return handle ? handle->index : NULL;
}

static struct vkclip_model *get_model(struct call *call)
{
    const struct handle *handle = handle_get(call, call->arguments[1], HANDLE_MODEL);
    return handle ? handle->model : NULL;
}

static void read_info(struct call *call)
{
    ((struct index_call *)call)->index = get_index(call);
}

static int run_info(struct call *call)
{
    struct index_call *info = (struct index_call *)call;
    info->info.size = sizeof(info->info);
    return vkclip_get_index_info(info->index, &info->info);
}

static napi_value finish_info(struct call *call)
{
    return value_write(call->env, info_members, &((struct index_call *)call)->info);
}

const struct function function_index_info = {"indexInfo", sizeof(struct index_call), read_info,
                                             run_info, finish_info};

/* ---- Adding ---------------------------------------------------------------------------------- */

struct add {
    struct call call;
    struct vkclip_index *index;
    struct vkclip_model *model;
    const char *const *paths;
    size_t count;
    struct vkclip_update_params params;
    struct vkclip_update_result result;
    struct failures failures;
};

static const struct member update_members[] = {
    MEMBER(BOOL, vkclip_update_params, thumbnails, "thumbnails"),
    MEMBER(BOOL, vkclip_update_params, retry, "retry"),
    MEMBER(BOOL, vkclip_update_params, exact_decode, "exactDecode"),
    MEMBER(U64, vkclip_update_params, max_pixels, "maxPixels"),
    {0}};
static const struct member result_members[] = {
    MEMBER(U64, vkclip_update_result, indexed, "indexed"),
    MEMBER(U64, vkclip_update_result, added, "added"),
    MEMBER(U64, vkclip_update_result, changed, "changed"),
    MEMBER(U64, vkclip_update_result, moved, "moved"),
    MEMBER(U64, vkclip_update_result, removed, "removed"),
    MEMBER(U64, vkclip_update_result, failed, "failed"),
    MEMBER(U64, vkclip_update_result, encoded, "encoded"),
    MEMBER(U64, vkclip_update_result, thumbnails, "thumbnails"),
    {0}};

/* The library calls this and the next function on threads of its own, never at the same time. */
static int report_update(void *user, const struct vkclip_update_progress *progress)
{
    struct add *add = user;
    return call_report(&add->call, progress->done, progress->total, progress->found);
}

static int take_failure(void *user, const char *path, int error, const char *message)
{
    struct add *add = user;
    failure_add(&add->call, &add->failures, path, 0, error, message);
    return 0;
}

static void read_add(struct call *call)
{
    struct add *add = (struct add *)call;
    add->params = (struct vkclip_update_params){.size = sizeof(add->params),
                                                .progress = report_update,
                                                .failure = take_failure,
                                                .user = add};
    add->result.size = sizeof(add->result);
    add->index = get_index(call);
    add->model = get_model(call);
    add->paths = value_strings(call, call->arguments[2], "paths", &add->count, NULL);
    value_read(call, call->arguments[3], update_members, &add->params);
}

static int run_add(struct call *call)
{
    struct add *add = (struct add *)call;
    return vkclip_index_paths(add->index, add->model, add->paths, add->count, &add->params,
                              &add->result);
}

static napi_value finish_add(struct call *call)
{
    const struct add *add = (const struct add *)call;
    return failure_give(call, value_write(call->env, result_members, &add->result), &add->failures);
}

const struct function function_add = {"add", sizeof(struct add), read_add, run_add, finish_add};

/* ---- Searching ------------------------------------------------------------------------------- */

struct hit {
    struct hit *next;
    struct vkclip_hit hit;
};

struct search {
    struct call call;
    struct vkclip_index *index;
    struct vkclip_model *model;
    struct vkclip_search_params params;
    struct hit *hits, **end;
};

static const char *const query_kinds[] = {"text", "image", "id", "embed", NULL};
static const struct member part_members[] = {
    MEMBER(CHOICE, vkclip_query_part, kind, "kind", .words = query_kinds),
    MEMBER(TEXT, vkclip_query_part, value, "value"),
    MEMBER(I64, vkclip_query_part, id, "id"),
    MEMBER(F64, vkclip_query_part, weight, "weight"),
    {0}};
static const char *const sorts[] = {"score", "date", NULL};
static const struct member search_members[] = {
    MEMBER(SIZE, vkclip_search_params, top, "top"),
    MEMBER(CHOICE, vkclip_search_params, sort, "sort", .words = sorts),
    MEMBER(F64, vkclip_search_params, min_score, "minScore"),
    MEMBER(F64, vkclip_search_params, min_z, "minZ"),
    MEMBER(F64, vkclip_search_params, relative, "relative"),
    MEMBER(TEXT, vkclip_search_params, path_glob, "pathGlob"),
    MEMBER(I64, vkclip_search_params, after, "after"),
    MEMBER(I64, vkclip_search_params, before, "before"),
    MEMBER(F64, vkclip_search_params, latitude, "latitude"),
    MEMBER(F64, vkclip_search_params, longitude, "longitude"),
    MEMBER(F64, vkclip_search_params, kilometers, "kilometers"),
    MEMBER(TEXT, vkclip_search_params, camera, "camera"),
    MEMBER(TEXT, vkclip_search_params, type, "type"),
    MEMBER(U32, vkclip_search_params, min_width, "minWidth"),
    MEMBER(U32, vkclip_search_params, min_height, "minHeight"),
    MEMBER(U64, vkclip_search_params, max_pixels, "maxPixels"),
    {0}};
static const struct member hit_members[] = {MEMBER(I64, vkclip_hit, id, "id"),
                                            MEMBER(TEXT, vkclip_hit, path, "path"),
                                            MEMBER(SIZE, vkclip_hit, copies, "copies"),
                                            MEMBER(F32, vkclip_hit, score, "score"),
                                            MEMBER(F32, vkclip_hit, z, "z"),
                                            MEMBER(U32, vkclip_hit, width, "width"),
                                            MEMBER(U32, vkclip_hit, height, "height"),
                                            MEMBER(I64, vkclip_hit, date, "date"),
                                            MEMBER(BOOL, vkclip_hit, taken, "taken"),
                                            MEMBER(F64, vkclip_hit, latitude, "latitude"),
                                            MEMBER(F64, vkclip_hit, longitude, "longitude"),
                                            MEMBER(TEXT, vkclip_hit, camera, "camera"),
                                            MEMBER(TEXT, vkclip_hit, format, "format"),
                                            {0}};

static int take_hit(void *user, const struct vkclip_hit *found)
{
    struct search *search = user;
    struct hit *hit = call_allocate(&search->call, 1, sizeof(*hit));
    if (!hit)
        return 1;
    hit->hit = *found;
    hit->hit.path = call_copy(&search->call, found->path);
    hit->hit.camera = call_copy(&search->call, found->camera);
    hit->hit.format = call_copy(&search->call, found->format);
    *search->end = hit;
    search->end = &hit->next;
    return 0;
}

static void read_part(struct call *call, napi_value value, struct vkclip_query_part *part)
{
    napi_value data = NULL;
    void *elements = NULL;
    size_t count = 0;
    value_read(call, value, part_members, part);
    napi_get_named_property(call->env, value, "data", &data);
    if (value_elements(call->env, data, napi_uint8_array, &elements, &count))
        part->size = count;
    else if (value_elements(call->env, data, napi_float32_array, &elements, &count))
        part->size = count * sizeof(float);
    else
        return;
    part->data = elements;
}

/* The arguments are the index, the model, the parts of the query, and the options. */
static void read_search(struct call *call)
{
    struct search *search = (struct search *)call;
    search->end = &search->hits;
    search->index = get_index(call);
    search->model = get_model(call);
    const uint32_t count = value_count(call, call->arguments[2], "query");
    struct vkclip_query_part *parts = call_reserve(call, count, sizeof(*parts));
    for (uint32_t i = 0; i < count && !call->failed; i++)
        read_part(call, value_element(call->env, call->arguments[2], i), &parts[i]);
    search->params = (struct vkclip_search_params){.size = sizeof(search->params),
                                                   .parts = parts,
                                                   .part_count = count,
                                                   .progress = call_progress};
    value_read(call, call->arguments[3], search_members, &search->params);
}

static int run_search(struct call *call)
{
    struct search *search = (struct search *)call;
    return vkclip_search(search->index, search->model, &search->params, take_hit, search);
}

static napi_value finish_search(struct call *call)
{
    napi_value array = NULL;
    uint32_t count = 0;
    napi_create_array(call->env, &array);
    for (const struct hit *hit = ((struct search *)call)->hits; hit; hit = hit->next)
        napi_set_element(call->env, array, count++, value_write(call->env, hit_members, &hit->hit));
    return array;
}

const struct function function_search = {"search", sizeof(struct search), read_search, run_search,
                                         finish_search};
