/* SPDX-License-Identifier: MIT
 *
 * The protocol of clip-retrieval's back end (clip_retrieval/clip_back.py): /indices-list,
 * /knn-service and /metadata. A picture is sent as its thumbnail, and not as the whole file in
 * base64 as the original does, whose answers of a thousand pictures took half a minute.
 */
#include "base/base64.h"
#include "base/error.h"
#include "base/file.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"
#include "server/search.h"

#include <stdlib.h>
#include <string.h>

/* Pictures of a higher cosine are duplicates, as in the original. */
#define DUPLICATE 0.94f

/* The front end shows the first 40 results and asks for the numbers of 3,000; its download asks for
 * 10,000. */
enum { MOST_RESULTS = 10000, MOST_COMPARED = 3000, LANES = 8 };

static const char index_name[] = "vkclip";

void handle_knn_indices(struct request *request)
{
    answer_json(request, 200, request->server->index ? json_pack("[s]", index_name) : json_array());
}

/* ---- The query ----------------------------------------------------------------------------------- */

struct knn {
    struct request *request;
    json_t *body;
    size_t images, ids; /* how many results are described, and how many only numbered */
    bool deduplicate;
    struct search_part part;
    float *embed;
    struct result_list *list;
    bool *left_out; /* [list->count] duplicates of an earlier result */
};

static int read_count(const json_t *body, const char *key, size_t otherwise, size_t *count)
{
    const json_t *json = json_object_get(body, key);
    const json_int_t value = json_integer_value(json);
    *count = otherwise;
    if (!json || json_is_null(json))
        return VKCLIP_OK;
    if (!json_is_integer(json) || value < 1 || value > MOST_RESULTS)
        return error_fail(VKCLIP_EINVALID, "%s: expected a number from 1 to %d", key, MOST_RESULTS);
    *count = (size_t)value;
    return VKCLIP_OK;
}

static int read_embedding(struct knn *knn, const json_t *numbers)
{
    struct vkclip_model_info info = {.size = sizeof(info)};
    const int error = vkclip_get_model_info(server_index_model(knn->request->server->index), &info);
    if (error)
        return error;
    if (json_array_size(numbers) != info.embed_dim)
        return error_fail(VKCLIP_EINVALID,
                          "embedding_input: expected %u numbers as the model has, found %zu",
                          info.embed_dim, json_array_size(numbers));
    knn->embed = calloc(info.embed_dim, sizeof(*knn->embed));
    if (!knn->embed)
        return error_fail(VKCLIP_EMEMORY, "out of memory for an embedding");
    for (size_t i = 0; i < info.embed_dim; i++) {
        const json_t *number = json_array_get(numbers, i);
        if (!json_is_number(number))
            return error_fail(VKCLIP_EINVALID, "embedding_input: expected numbers only");
        knn->embed[i] = (float)json_number_value(number);
    }
    knn->part.embed = knn->embed;
    return VKCLIP_OK;
}

static int read_query(struct knn *knn)
{
    const json_t *embedding = json_object_get(knn->body, "embedding_input");
    const char *text = json_string_value(json_object_get(knn->body, "text"));
    const char *image = json_string_value(json_object_get(knn->body, "image"));
    const char *url = json_string_value(json_object_get(knn->body, "image_url"));
    knn->part.weight = 1;
    if (text && *text) {
        knn->part.item.text = text;
        return VKCLIP_OK;
    }
    if (image || url)
        return encode_read_picture(knn->request, image ? image : url, image ? "image" : "image_url",
                                   &knn->part.item);
    if (json_is_array(embedding))
        return read_embedding(knn, embedding);
    return error_fail(VKCLIP_EINVALID,
                      "expected one of text, image, image_url and embedding_input");
}

static int check_name(const json_t *body)
{
    const char *name = json_string_value(json_object_get(body, "indice_name"));
    if (name && *name && strcmp(name, index_name))
        return error_fail(VKCLIP_EABSENT, "%s: no such index; there is %s", name, index_name);
    return VKCLIP_OK;
}

static int read_request(struct knn *knn)
{
    const char *modality = json_string_value(json_object_get(knn->body, "modality"));
    if (!json_is_object(knn->body))
        return error_fail(VKCLIP_EINVALID, "the body: expected an object");
    if (modality && strcmp(modality, "image"))
        return error_fail(VKCLIP_EUNSUPPORTED, "modality: expected image, found %s", modality);
    knn->deduplicate = json_is_true(json_object_get(knn->body, "deduplicate"));
    int error = check_name(knn->body);
    if (!error)
        error = read_count(knn->body, "num_images", 10, &knn->images);
    if (!error)
        error = read_count(knn->body, "num_result_ids", knn->images, &knn->ids);
    return error ? error : read_query(knn);
}

/* ---- Duplicates -------------------------------------------------------------------------------- */

/* The sums are independent of each other, so that compilers add them side by side. */
static float dot(const float *a, const float *b, size_t dim)
{
    float sums[LANES] = {0}, sum = 0;
    size_t i = 0;
    for (; i + LANES <= dim; i += LANES)
        for (size_t lane = 0; lane < LANES; lane++)
            sums[lane] += a[i + lane] * b[i + lane];
    for (; i < dim; i++)
        sum += a[i] * b[i];
    for (size_t lane = 0; lane < LANES; lane++)
        sum += sums[lane];
    return sum;
}

/* Each result points to an earlier one of its group, and the first of a group to itself. */
static size_t find_first(const size_t *earlier, size_t number)
{
    while (earlier[number] != number)
        number = earlier[number];
    return number;
}

static void join(size_t *earlier, size_t a, size_t b)
{
    const size_t first = find_first(earlier, a), second = find_first(earlier, b);
    earlier[first > second ? first : second] = first > second ? second : first;
}

/* Reads the embeddings [count,dim] of the first results, and joins those that are near each other.
 */
static int find_groups(struct knn *knn, struct vkclip_index *handle, size_t count, size_t dim,
                       float *embeds, size_t *earlier)
{
    struct vkclip_model *model = server_index_model(knn->request->server->index);
    for (size_t i = 0; i < count; i++) {
        earlier[i] = i;
        const int error =
            vkclip_read_embedding(handle, model, knn->list->hits[i].id, embeds + i * dim);
        if (error)
            return error;
        for (size_t k = 0; k < i; k++)
            if (dot(embeds + i * dim, embeds + k * dim, dim) > DUPLICATE)
                join(earlier, i, k);
        if (request_is_over(knn->request, 0, 0))
            return error_fail(VKCLIP_ECANCELLED, "the time for the request is over");
    }
    return VKCLIP_OK;
}

/* Leaves out all results of a group but the best. A group is what pairs of near pictures connect,
 * as in the original. */
static int leave_out_duplicates(struct knn *knn, struct vkclip_index *handle)
{
    struct vkclip_model_info info = {.size = sizeof(info)};
    const size_t count = knn->list->count < MOST_COMPARED ? knn->list->count : MOST_COMPARED;
    int error = vkclip_get_model_info(server_index_model(knn->request->server->index), &info);
    const size_t dim = info.embed_dim;
    float *embeds = malloc((count + 1) * (dim + 1) * sizeof(*embeds));
    size_t *earlier = calloc(count + 1, sizeof(*earlier));
    if (!error && (!embeds || !earlier))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for embeddings");
    if (!error)
        error = find_groups(knn, handle, count, dim, embeds, earlier);
    for (size_t i = 0; !error && i < count; i++)
        knn->left_out[i] = earlier[i] != i;
    free(earlier);
    free(embeds);
    return error;
}

/* ---- Answers ----------------------------------------------------------------------------------- */

/* Where a picture's thumbnail goes. */
struct thumbnail {
    struct request *request;
    json_t *json;
    bool no_room;
};

/* Is a vkclip_bytes_fn. */
static void take_thumbnail(void *user, const void *data, size_t size)
{
    struct thumbnail *thumbnail = user;
    char *text = base64_encode(data, size);
    thumbnail->no_room = text && !request_hold(thumbnail->request, strlen(text));
    if (text && !thumbnail->no_room)
        json_object_set_new(thumbnail->json, "image", json_string(text));
    free(text);
}

/* Some pictures have none. Answers of 10,000 of them take long, and much memory. */
static int add_thumbnail(struct request *request, struct vkclip_index *handle, int64_t id,
                         json_t *json)
{
    struct thumbnail thumbnail = {request, json, false};
    vkclip_read_thumbnail(handle, id, take_thumbnail, &thumbnail);
    if (thumbnail.no_room)
        return request_fail_memory();
    if (request_is_over(request, 0, 0))
        return error_fail(VKCLIP_ECANCELLED, "the time for the request is over");
    return VKCLIP_OK;
}

/* Adds what the original has of a picture, for which the front end waits. */
static void describe(json_t *json, const char *path)
{
    json_object_set_new(json, "image_path", picture_pack_text(path));
    json_object_set_new(json, "caption", picture_pack_text(file_name(path)));
}

static int add_result(struct knn *knn, struct vkclip_index *handle, const struct vkclip_hit *hit,
                      json_t *results)
{
    const bool whole = json_array_size(results) < knn->images;
    json_t *json =
        json_pack("{sI sf}", "id", (json_int_t)hit->id, "similarity", (double)hit->score);
    if (json_array_append_new(results, json))
        return error_fail(VKCLIP_EMEMORY, "out of memory for results");
    if (!whole)
        return VKCLIP_OK;
    describe(json, hit->path);
    return add_thumbnail(knn->request, handle, hit->id, json);
}

static int search(struct knn *knn)
{
    struct vkclip_search_params params = {.size = sizeof(params), .top = knn->ids};
    struct served_index *index = knn->request->server->index;
    struct vkclip_index *handle;
    knn->list = server_results_begin();
    if (!knn->list)
        return error_fail(VKCLIP_EMEMORY, "out of memory for results");
    int error = search_find(knn->request, &knn->part, 1, &params, knn->list);
    if (error)
        return error;
    knn->left_out = calloc(knn->list->count + 1, sizeof(*knn->left_out));
    if (!knn->left_out)
        return error_fail(VKCLIP_EMEMORY, "out of memory for results");
    error = server_index_take(index, knn->request, &handle);
    if (error)
        return error;
    if (knn->deduplicate)
        error = leave_out_duplicates(knn, handle);
    json_t *results = json_array();
    for (size_t i = 0; !error && i < knn->list->count; i++)
        if (!knn->left_out[i])
            error = add_result(knn, handle, &knn->list->hits[i], results);
    server_index_give(index, handle);
    if (error)
        json_decref(results);
    else
        answer_json(knn->request, 200, results);
    return error;
}

void handle_knn(struct request *request)
{
    struct knn knn = {.request = request};
    if (!picture_has_index(request))
        return;
    knn.body = request_json(request);
    if (!knn.body)
        return;
    int error = read_request(&knn);
    if (!error)
        error = search(&knn);
    if (error)
        answer_library_error(request, error);
    server_results_release(request->server->results, knn.list);
    free(knn.left_out);
    free(knn.embed);
    free(knn.part.item.data);
    json_decref(knn.body);
}

/* ---- Metadata ---------------------------------------------------------------------------------- */

/* Is a vkclip_hit_fn: the first file of a picture. */
static int take_metadata(void *user, const struct vkclip_hit *hit)
{
    json_t **metadata = user;
    if (!*metadata) {
        *metadata = picture_pack(hit, false);
        describe(*metadata, hit->path);
    }
    return 0;
}

/* The original leaves out what it does not have, too. */
static int add_metadata(struct request *request, struct vkclip_index *handle, const json_t *id,
                        json_t *list)
{
    json_t *metadata = NULL;
    if (!json_is_integer(id))
        return error_fail(VKCLIP_EINVALID, "ids: expected numbers only");
    const int error = vkclip_find_indexed(handle, json_integer_value(id), take_metadata, &metadata);
    if (error)
        return error == VKCLIP_EABSENT ? VKCLIP_OK : error;
    if (json_array_append_new(
            list, json_pack("{sI so}", "id", json_integer_value(id), "metadata", metadata)))
        return error_fail(VKCLIP_EMEMORY, "out of memory for results");
    return add_thumbnail(request, handle, json_integer_value(id), metadata);
}

static int read_ids(const json_t *body, const json_t **ids)
{
    *ids = json_object_get(body, "ids");
    if (!json_is_array(*ids) || json_array_size(*ids) > MOST_RESULTS)
        return error_fail(VKCLIP_EINVALID, "ids: expected an array of at most %d numbers",
                          MOST_RESULTS);
    return check_name(body);
}

void handle_knn_metadata(struct request *request)
{
    struct served_index *index = request->server->index;
    struct vkclip_index *handle = NULL;
    const json_t *ids = NULL;
    if (!picture_has_index(request))
        return;
    json_t *body = request_json(request), *list = json_array();
    int error = body ? read_ids(body, &ids) : VKCLIP_OK;
    if (body && !error)
        error = server_index_take(index, request, &handle);
    for (size_t i = 0; handle && !error && i < json_array_size(ids); i++)
        error = add_metadata(request, handle, json_array_get(ids, i), list);
    if (handle)
        server_index_give(index, handle);
    if (error)
        answer_library_error(request, error);
    else if (body)
        answer_json(request, 200, json_incref(list));
    json_decref(list);
    json_decref(body);
}
