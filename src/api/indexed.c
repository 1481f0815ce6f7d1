/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that give what an index has of one picture.
 */
#include "api/index_call.h"
#include "base/memory.h"
#include "search/file_hash.h"
#include "search/search.h"

/* ---- Thumbnails -------------------------------------------------------------------------------- */

/* Copies the thumbnail's file, which the caller frees. */
static int read_thumbnail(struct vkclip_index *index, const char *function, int64_t id, void **data,
                          size_t *size)
{
    struct index_call call;
    int error = index_enter(&call, function, index);
    if (error)
        return error;
    error = index_leave(&call, index->store->read->read_thumbnail(index->store, id, data, size));
    if (!error && !*data)
        error = error_fail(VKCLIP_EABSENT, "id:%lld: the index has no thumbnail", (long long)id);
    return error;
}

int vkclip_load_thumbnail(struct vkclip_index *index, int64_t id, struct vkclip_image *image)
{
    void *data = NULL;
    size_t size = 0;
    if (!index || !image)
        return error_fail(VKCLIP_EINVALID, "vkclip_load_thumbnail: index and image expected");
    int error = read_thumbnail(index, __func__, id, &data, &size);
    if (!error)
        error = vkclip_decode_image(data, size, "thumbnail", NULL, image);
    memory_free(data);
    return error;
}

int vkclip_read_thumbnail(struct vkclip_index *index, int64_t id, vkclip_bytes_fn *bytes,
                          void *user)
{
    void *data = NULL;
    size_t size = 0;
    if (!index || !bytes)
        return error_fail(VKCLIP_EINVALID, "vkclip_read_thumbnail: index and function expected");
    const int error = read_thumbnail(index, __func__, id, &data, &size);
    if (!error)
        bytes(user, data, size);
    memory_free(data);
    return error;
}

/* ---- Files ------------------------------------------------------------------------------------- */

/* Goes through the files of one content. */
struct visit {
    vkclip_hit_fn *hit; /* NULL: the first picture file that is unchanged is opened */
    void *user;
    size_t count;
    int file; /* -1: none is open */
    uint64_t size;
};

/* Is a store_picture_fn. */
static int visit_file(void *user, const struct store_picture *picture)
{
    struct visit *visit = user;
    visit->count++;
    if (!visit->hit) {
        /* What was never decoded has no width. A link with a picture's name may lead to any file,
         * which the index must not give away. */
        if (visit->file < 0 && picture->facts.width)
            file_hash_open(picture->path, &picture->stamp, &visit->file);
        visit->size = picture->stamp.size;
        return 0;
    }
    struct vkclip_hit hit = search_describe(picture);
    hit.copies = 1;
    if (visit->hit(visit->user, &hit))
        return error_fail(VKCLIP_ECANCELLED, "the list was stopped by the caller's function");
    return 0;
}

static int visit_files(struct vkclip_index *index, const char *function, int64_t id,
                       struct visit *visit)
{
    struct index_call call;
    int error = index_enter(&call, function, index);
    if (error)
        return error;
    error = index_leave(&call, index->store->read->each_copy(index->store, id, visit_file, visit));
    if (!error && !visit->count)
        error = error_fail(VKCLIP_EABSENT, "id:%lld: the index has no such picture", (long long)id);
    return error;
}

int vkclip_find_indexed(struct vkclip_index *index, int64_t id, vkclip_hit_fn *hit, void *user)
{
    struct visit visit = {.hit = hit, .user = user};
    if (!index || !hit)
        return error_fail(VKCLIP_EINVALID, "vkclip_find_indexed: index and hit function expected");
    return visit_files(index, __func__, id, &visit);
}

int vkclip_open_indexed(struct vkclip_index *index, int64_t id, int *file, uint64_t *size)
{
    struct visit visit = {.file = -1};
    if (!index || !file || !size)
        return error_fail(VKCLIP_EINVALID, "vkclip_open_indexed: index, file and size expected");
    *file = -1;
    const int error = visit_files(index, __func__, id, &visit);
    if (!error && visit.file < 0)
        return error_fail(
            VKCLIP_EABSENT,
            "id:%lld: none of its files is there as it was when it was indexed as a picture",
            (long long)id);
    *file = visit.file;
    *size = visit.size;
    return error;
}
