/* SPDX-License-Identifier: MIT
 *
 * A model's identity is XXH3 of 128 bits: fast enough to read all weights, and good enough where
 * nobody makes collisions on purpose.
 */
#include "encode/identity.h"
#include "base/cache.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "checkpoint/weights.h"

#include <stdio.h>
#include <string.h>

#ifdef VKCLIP_WITH_SEARCH
#include <xxhash.h>

enum { PIECE = 1 << 18 }; /* values that are converted to fp32 at once */

static int hash_tensor(const struct weights *weights, const char *name, float *values,
                       XXH3_state_t *state)
{
    uint64_t shape[TENSOR_MAX_RANK] = {0}, length = 1;
    unsigned rank = 0;
    weights_shape(weights, name, shape, &rank);
    for (unsigned i = 1; i < rank; i++)
        length *= shape[i];
    XXH3_128bits_update(state, name, strlen(name) + 1);
    XXH3_128bits_update(state, shape, rank * sizeof(*shape));
    const uint64_t rows = rank ? shape[0] : 1;
    const uint64_t step = length < PIECE ? PIECE / (length ? length : 1) : 1;
    float *piece = length > PIECE ? memory_alloc(length * sizeof(*piece)) : values;
    int error = piece ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    for (uint64_t row = 0; row < rows && !error; row += step) {
        const uint64_t count = rows - row < step ? rows - row : step;
        error = progress_check();
        if (!error)
            error = weights_read(weights, name, row, count, piece);
        if (!error)
            XXH3_128bits_update(state, piece, count * length * sizeof(*piece));
    }
    if (piece != values)
        memory_free(piece);
    return error;
}

/* Writes what besides the weights decides an embedding. Numbers are written in full, because a
 * struct's padding has no value. */
static void describe_preparation(const struct config *config, char *text, size_t size)
{
    const float *mean = config->image_mean, *std = config->image_std;
    snprintf(text, size, "%u %d %d %d %a %a %a %a %a %a", config->image_size, config->rgb_first,
             (int)config->image.activation, (int)config->text.activation, (double)mean[0],
             (double)mean[1], (double)mean[2], (double)std[0], (double)std[1], (double)std[2]);
}

static int hash_model(const struct vkclip_model *model, const char *preparation,
                      char identity[IDENTITY_SIZE])
{
    XXH3_state_t *state = XXH3_createState();
    float *values = memory_alloc(PIECE * sizeof(*values));
    int error = VKCLIP_OK;
    const char *name;
    if (!state || !values || XXH3_128bits_reset(state))
        error = error_fail(VKCLIP_EMEMORY, "out of memory for a hash");
    if (!error)
        XXH3_128bits_update(state, preparation, strlen(preparation));
    for (size_t i = 0; !error && (name = weights_name(model->weights, i)); i++)
        error = hash_tensor(model->weights, name, values, state);
    if (!error) {
        const XXH128_hash_t hash = XXH3_128bits_digest(state);
        snprintf(identity, IDENTITY_SIZE, "%016llx%016llx", (unsigned long long)hash.high64,
                 (unsigned long long)hash.low64);
    }
    XXH3_freeState(state);
    memory_free(values);
    return error;
}

/* Returns the path of the file that keeps the identity, or NULL where it cannot be kept. */
static char *find_kept_file(const struct weights *weights, const char *preparation,
                            const char *cache_folder)
{
    const char *encoder = weights_encoder(weights);
    uint64_t key = weights_stamp(weights);
    char name[32];
    if (!key || !cache_folder)
        return NULL;
    key = hash_bytes(key, preparation, strlen(preparation));
    if (encoder)
        key = hash_bytes(key, encoder, strlen(encoder));
    snprintf(name, sizeof(name), "identity-%016llx", (unsigned long long)key);
    return cache_path(cache_folder, name);
}

int identity_of_model(const struct vkclip_model *model, const char *cache_folder,
                      char identity[IDENTITY_SIZE])
{
    char preparation[256];
    struct cache_content kept;
    if (!model->weights)
        return error_fail(VKCLIP_EINVALID, "the model has no weights");
    describe_preparation(&model->spec.config, preparation, sizeof(preparation));
    char *path = find_kept_file(model->weights, preparation, cache_folder);
    cache_read(path, &kept);
    const bool found = kept.size == IDENTITY_SIZE;
    if (found)
        memcpy(identity, kept.data, IDENTITY_SIZE);
    cache_release(&kept);
    int error = found ? VKCLIP_OK : hash_model(model, preparation, identity);
    if (!error && !found && path)
        cache_write(path, identity, IDENTITY_SIZE);
    memory_free(path);
    return error;
}
#else
int identity_of_model(const struct vkclip_model *model, const char *cache_folder,
                      char identity[IDENTITY_SIZE])
{
    (void)model;
    (void)cache_folder;
    (void)identity;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "this build has no picture search: it needs SQLite and xxHash");
}
#endif
