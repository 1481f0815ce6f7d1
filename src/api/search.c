/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that search an index: they encode the query and hand it to
 * search/.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/index_call.h"
#include "base/half.h"
#include "base/memory.h"
#include "encode/identity.h"
#include "encode/pictures.h"
#include "encode/texts.h"
#include "image/decode.h"
#include "search/file_hash.h"
#include "search/filter.h"
#include "search/query.h"
#include "search/search.h"

#include <string.h>

/* The parts of a query, and what is known of each. */
struct request {
    struct vkclip_index *index;
    struct vkclip_model *model;
    const struct vkclip_search_params *params;
    struct index_call call;
    vkclip_hit_fn *hit;
    void *user;
    char identity[IDENTITY_SIZE]; /* of the model */
    int64_t number;               /* of the model in the index */
    size_t dim;
    int64_t *ids;  /* [part_count] the picture of the index that a part names; 0: none */
    float *embeds; /* [part_count,dim] */
};

/* Finds the vectors of a model in an index. */
static int find_vectors(struct vkclip_index *index, const struct vkclip_model *model,
                        char identity[IDENTITY_SIZE], int64_t *number)
{
    const struct vectors *vectors = NULL;
    int error = identity_of_model(model, index->cache_folder, identity);
    if (!error)
        error = current_find_model(&index->current, identity, model_name(model), number);
    if (!error)
        error =
            current_vectors(&index->current, identity, *number, model->info.embed_dim, &vectors);
    if (!error && !vectors->count)
        error = current_refuse_model(&index->current, model_name(model));
    return error;
}

/* ---- The parts of a query ---------------------------------------------------------------------- */

/* Reads the embedding of a picture of the index; *found is false where it has none. */
static int read_embedding(struct vkclip_index *index, int64_t model, int64_t id, size_t dim,
                          float *embed, bool *found)
{
    struct store *store = index->store;
    uint16_t *row = memory_alloc(dim * sizeof(*row));
    if (!row)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an embedding");
    const int error = store->read->read_vector(store, id, model, row, dim, found);
    for (size_t i = 0; !error && *found && i < dim; i++)
        embed[i] = half_to_float(row[i]);
    memory_free(row);
    return error;
}

static int refuse_id(int64_t id)
{
    return error_fail(VKCLIP_EABSENT, "id:%lld: the index has no such picture of this model",
                      (long long)id);
}

static int find_id(struct request *request, size_t part)
{
    bool found = false;
    request->ids[part] = request->params->parts[part].id;
    const int error = read_embedding(request->index, request->number, request->ids[part],
                                     request->dim, request->embeds + part * request->dim, &found);
    return error || found ? error : refuse_id(request->ids[part]);
}

static int copy_embedding(const struct request *request, size_t part)
{
    const struct vkclip_query_part *embedding = &request->params->parts[part];
    float *embed = request->embeds + part * request->dim;
    if (embedding->size != request->dim * sizeof(*embed))
        return error_fail(VKCLIP_EINVALID,
                          "part %zu of the query: expected an embedding of %zu numbers (%zu "
                          "bytes), found %zu bytes",
                          part, request->dim, request->dim * sizeof(*embed), embedding->size);
    memcpy(embed, embedding->data, embedding->size);
    return VKCLIP_OK;
}

/* A picture file whose content the index knows is not encoded again. */
static int find_picture(struct request *request, size_t part, bool *found)
{
    struct store *store = request->index->store;
    const struct vkclip_query_part *picture = &request->params->parts[part];
    struct store_stamp stamp;
    struct store_hash hash;
    struct store_content content = {0};
    void *data = NULL;
    size_t size;
    int error = VKCLIP_OK;
    if (picture->data)
        file_hash_bytes(picture->data, picture->size, &hash);
    else
        error = file_hash_read(picture->value, &stamp, &hash, &data, &size);
    memory_free(data);
    if (!error)
        error = store->read->find_content(store, &hash, request->number, &content);
    request->ids[part] = content.id;
    if (!error && content.id)
        error = read_embedding(request->index, request->number, request->ids[part], request->dim,
                               request->embeds + part * request->dim, found);
    return error;
}

static int load_picture(const struct request *request, size_t part, struct vkclip_image *image)
{
    const struct vkclip_query_part *picture = &request->params->parts[part];
    const struct image_options options = {.max_pixels = request->params->max_pixels,
                                          .orient = true};
    if (picture->data)
        return image_decode(picture->data, picture->size, picture->value, &options, image, NULL);
    return image_load(picture->value, &options, image, NULL);
}

/* Encodes the parts of one kind whose embeddings are not there yet, and puts each in its place. */
static int encode_parts(struct request *request, enum vkclip_query_kind kind, const bool *done)
{
    const struct vkclip_search_params *params = request->params;
    const char **strings = memory_calloc(params->part_count, sizeof(*strings));
    struct vkclip_image *images = memory_calloc(params->part_count, sizeof(*images));
    float *embeds = memory_calloc(params->part_count * request->dim, sizeof(*embeds));
    size_t count = 0;
    int error =
        strings && images && embeds ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    for (size_t i = 0; !error && i < params->part_count; i++) {
        if (params->parts[i].kind != kind || done[i])
            continue;
        strings[count] = params->parts[i].value;
        if (kind == VKCLIP_QUERY_IMAGE)
            error = load_picture(request, i, &images[count]);
        count++;
    }
    const struct text_items texts = {.strings = strings};
    const struct pictures pictures = {.images = images};
    if (!error && count)
        error = kind == VKCLIP_QUERY_TEXT
                    ? texts_encode(request->model, &texts, count, NULL, embeds)
                    : pictures_encode(request->model, &pictures, count, NULL, embeds);
    for (size_t i = 0; i < count; i++)
        image_free(&images[i]);
    count = 0;
    for (size_t i = 0; !error && i < params->part_count; i++)
        if (params->parts[i].kind == kind && !done[i])
            memcpy(request->embeds + i * request->dim, embeds + count++ * request->dim,
                   request->dim * sizeof(*embeds));
    memory_free(strings);
    memory_free(images);
    memory_free(embeds);
    return error;
}

/* Finds or computes the embeddings of all parts. */
static int find_embeddings(struct request *request)
{
    const struct vkclip_search_params *params = request->params;
    bool *done = memory_calloc(params->part_count, sizeof(*done));
    int error = done ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "out of memory");
    for (size_t i = 0; !error && i < params->part_count; i++) {
        if (params->parts[i].kind == VKCLIP_QUERY_ID)
            error = find_id(request, i);
        else if (params->parts[i].kind == VKCLIP_QUERY_EMBED)
            error = copy_embedding(request, i);
        else if (params->parts[i].kind == VKCLIP_QUERY_IMAGE)
            error = find_picture(request, i, &done[i]);
    }
    if (!error)
        error = encode_parts(request, VKCLIP_QUERY_TEXT, done);
    if (!error)
        error = encode_parts(request, VKCLIP_QUERY_IMAGE, done);
    memory_free(done);
    return error;
}

/* ---- The search -------------------------------------------------------------------------------- */

/* Is a vkclip_hit_fn. All hits have been found when the first one is given, so that the program's
 * function may use the index and the model. */
static int give_hit(void *user, const struct vkclip_hit *hit)
{
    struct request *request = user;
    guard_leave(&request->call.turn, VKCLIP_OK);
    return request->hit(request->user, hit);
}

static int search_parts(struct request *request)
{
    const struct vkclip_search_params *params = request->params;
    float *query = memory_calloc(request->dim, sizeof(*query));
    request->ids = memory_calloc(params->part_count, sizeof(*request->ids));
    request->embeds = memory_calloc(params->part_count * request->dim, sizeof(*request->embeds));
    int error = query && request->ids && request->embeds
                    ? find_embeddings(request)
                    : error_fail(VKCLIP_EMEMORY, "out of memory for a query");
    for (size_t i = 0; !error && i < params->part_count; i++)
        error = query_add(query, request->embeds + i * request->dim, request->dim,
                          params->parts[i].weight != 0 ? params->parts[i].weight : 1);
    if (!error)
        error = query_normalize(query, request->dim);
    const struct search search = {.current = &request->index->current,
                                  .identity = request->identity,
                                  .model = request->number,
                                  .dim = request->dim,
                                  .params = params,
                                  .query = query,
                                  .left_out = request->ids,
                                  .left_out_count = params->part_count};
    if (!error)
        error = search_run(&search, give_hit, request);
    memory_free(query);
    memory_free(request->ids);
    memory_free(request->embeds);
    return error;
}

int vkclip_search(struct vkclip_index *index, struct vkclip_model *model,
                  const struct vkclip_search_params *params, vkclip_hit_fn *hit, void *user)
{
    struct vkclip_search_params full;
    struct request request = {
        .index = index, .model = model, .params = &full, .hit = hit, .user = user};
    struct progress progress;
    int error = GROWTH_READ(vkclip_search_params, &full, params);
    if (error)
        return error;
    if (!index || !model || !params || !hit)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_search: index, model, params and hit function expected");
    if (!full.part_count)
        return error_fail(VKCLIP_EINVALID, "the query has no part");
    error = arguments_check_search(&full);
    if (!error)
        error = filter_check(&full);
    if (error)
        return error;
    index_ask(&request.call, index);
    progress_begin(&progress, full.progress, user, 1);
    progress.independent = true;
    error = guard_enter_both(&request.call.turn, __func__, model->guard, index->guard);
    if (error)
        return progress_end(&request.call.progress, progress_end(&progress, error));
    error = progress_check();
    if (!error)
        error = find_vectors(index, model, request.identity, &request.number);
    request.dim = model->info.embed_dim;
    if (!error)
        error = search_parts(&request);
    error = progress_end(&progress, guard_leave(&request.call.turn, error));
    return progress_end(&request.call.progress, error);
}

int vkclip_upload_index(struct vkclip_index *index, struct vkclip_model *model)
{
    char identity[IDENTITY_SIZE];
    int64_t number;
    if (!index || !model)
        return error_fail(VKCLIP_EINVALID, "vkclip_upload_index: index and model expected");
    if (!model->device)
        return error_fail(VKCLIP_ENODEVICE, "%s: the model was opened without a device",
                          model_name(model));
    struct index_call call;
    int error = index_enter_both(&call, __func__, model->guard, index);
    if (error)
        return error;
    error = find_vectors(index, model, identity, &number);
    if (!error)
        error = guard_attach_device(index->guard, model->device);
    if (!error)
        error = current_keep(&index->current, model->device->gpus[0], model->device->tuners[0]);
    return index_leave(&call, error);
}

int vkclip_list_indexed(struct vkclip_index *index, const struct vkclip_model *model,
                        const struct vkclip_search_params *params, vkclip_indexed_fn *fn,
                        void *user)
{
    char identity[IDENTITY_SIZE];
    struct vkclip_search_params full;
    struct search search = {.identity = identity, .params = params ? &full : NULL};
    struct index_call call;
    if (!index || !model || !fn)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_list_indexed: index, model and function expected");
    int error = GROWTH_READ(vkclip_search_params, &full, params);
    if (!error && params)
        error = ARGUMENTS_CHECK_ENUM(sort, full.sort, VKCLIP_SORT_DATE);
    if (!error && params)
        error = filter_check(&full);
    if (!error)
        error = index_enter_both(&call, __func__, model->guard, index);
    if (error)
        return error;
    error = find_vectors(index, model, identity, &search.model);
    search.current = &index->current;
    search.dim = model->info.embed_dim;
    return index_leave(&call, error ? error : search_list(&search, fn, user));
}

int vkclip_read_embedding(struct vkclip_index *index, const struct vkclip_model *model, int64_t id,
                          float *embed)
{
    char identity[IDENTITY_SIZE];
    int64_t number;
    bool found = false;
    if (!index || !model || !embed)
        return error_fail(VKCLIP_EINVALID,
                          "vkclip_read_embedding: index, model and embedding expected");
    struct index_call call;
    int error = index_enter_both(&call, __func__, model->guard, index);
    if (error)
        return error;
    error = identity_of_model(model, index->cache_folder, identity);
    if (!error)
        error = current_find_model(&index->current, identity, model_name(model), &number);
    if (!error)
        error = read_embedding(index, number, id, model->info.embed_dim, embed, &found);
    if (!error && !found)
        error = refuse_id(id);
    return index_leave(&call, error);
}
