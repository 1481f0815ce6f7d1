/* SPDX-License-Identifier: MIT
 *
 * Opens data sets: chooses the reader by the end of the path, and checks prepared batches.
 */
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/string.h"
#include "data/build.h"

/* Makes a data set that is empty. `others` is what messages say behind the path. */
static int new_dataset(const char *path, const char *others, struct dataset **result)
{
    struct dataset *dataset = *result = memory_calloc(1, sizeof(*dataset));
    if (dataset)
        dataset->path = string_format("%s%s", path, others);
    if (dataset && dataset->path)
        return VKCLIP_OK;
    dataset_close(result);
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory for a data set", path);
}

/* ---- Pictures with captions ------------------------------------------------------------------ */

static bool is_tar(const char *path)
{
    static const char *const endings[] = {".tar",     ".tgz",    ".tar.gz",
                                          ".tar.zst", ".tar.xz", ".tar.bz2"};
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        if (string_ends_with(path, endings[i]))
            return true;
    return false;
}

/* Reads all samples of one source. */
static int read_source(struct builder *builder, const char *path)
{
    const bool shards = builder->params->pictures_only || is_tar(path);
    build_begin_source(builder, path);
    int error = shards ? build_from_shards(builder) : build_from_table(builder);
    return error ? error : build_end_source(builder);
}

static int build(struct dataset *dataset, const char *const *paths, size_t count,
                 const struct dataset_params *params)
{
    struct builder builder = {.dataset = dataset, .params = params};
    int error = VKCLIP_OK;
    dataset->sources = memory_calloc(count, sizeof(*dataset->sources));
    if (!dataset->sources)
        error = dataset_no_memory(dataset);
    for (size_t i = 0; i < count && !error; i++)
        error = read_source(&builder, paths[i]);
    if (!error)
        error = build_finish(&builder);
    build_close(&builder);
    return error;
}

int dataset_open(const char *const *paths, size_t count, const struct dataset_params *params,
                 struct dataset **result)
{
    static const struct dataset_params defaults;
    char others[48] = "";
    if (count > 1)
        snprintf(others, sizeof(others), " and %zu more", count - 1);
    int error = new_dataset(paths[0], others, result);
    if (error)
        return error;
    error = build(*result, paths, count, params ? params : &defaults);
    if (error)
        dataset_close(result);
    return error;
}

/* ---- Prepared batches ------------------------------------------------------------------------ */

static int check_raw(const struct dataset *dataset)
{
    const struct tensor_view *images = dataset->images, *ids = dataset->ids;
    if (!images || !ids)
        return error_fail(VKCLIP_EFORMAT, "%s: no tensor %s, expected images and input_ids",
                          dataset->path, images ? "input_ids" : "images");
    if (images->rank != 5 || images->shape[2] != 3 ||
        (images->dtype != DTYPE_F32 && images->dtype != DTYPE_F16))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: images has rank %u and dtype %s, expected [S,B,3,H,W], F16 or F32",
                          dataset->path, images->rank, dtype_name(images->dtype));
    if (ids->rank != 3 || (ids->dtype != DTYPE_I32 && ids->dtype != DTYPE_I64))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: input_ids has rank %u and dtype %s, expected [S,B,T], I32 or I64",
                          dataset->path, ids->rank, dtype_name(ids->dtype));
    if (images->shape[0] != ids->shape[0] || images->shape[1] != ids->shape[1])
        return error_fail(VKCLIP_EFORMAT,
                          "%s: images has %llu batches of %llu, input_ids %llu of %llu",
                          dataset->path, (unsigned long long)images->shape[0],
                          (unsigned long long)images->shape[1], (unsigned long long)ids->shape[0],
                          (unsigned long long)ids->shape[1]);
    if (!images->size || !ids->size || images->shape[1] > UINT32_MAX || ids->shape[2] > UINT32_MAX)
        return error_fail(VKCLIP_EFORMAT, "%s: batches of no pictures, of no ids, or too large",
                          dataset->path);
    return VKCLIP_OK;
}

/* The identity leaves out the pixels, whose hash would take a pass over data that may be far larger
 * than memory. */
static int identify_raw(struct dataset *dataset)
{
    uint8_t piece[4096];
    int error = VKCLIP_OK;
    dataset->identity = hash_bytes(0, dataset->images->shape, 5 * sizeof(uint64_t));
    for (uint64_t done = 0; done < dataset->ids->size && !error; done += sizeof(piece)) {
        const uint64_t left = dataset->ids->size - done;
        const size_t size = left < sizeof(piece) ? (size_t)left : sizeof(piece);
        error = tensor_view_copy(dataset->ids, done, size, piece);
        if (!error)
            dataset->identity = hash_bytes(dataset->identity, piece, size);
    }
    return error;
}

static int open_raw(struct dataset *dataset)
{
    int error = safetensors_open(dataset->path, &dataset->prepared);
    if (error)
        return error;
    dataset->images = safetensors_find(dataset->prepared, "images");
    dataset->ids = safetensors_find(dataset->prepared, "input_ids");
    error = check_raw(dataset);
    if (error)
        return error;
    return identify_raw(dataset);
}

int dataset_open_raw(const char *path, struct dataset **result)
{
    int error = new_dataset(path, "", result);
    if (!error)
        error = open_raw(*result);
    if (error)
        dataset_close(result);
    return error;
}
