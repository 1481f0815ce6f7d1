/* SPDX-License-Identifier: MIT
 *
 * Computes random weights with the mean and deviation from each tower's table of tensors. Uses only
 * integers and square roots, because logarithms and cosines differ between C libraries.
 */
#include "checkpoint/initial.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/hash.h"
#include "base/rng.h"
#include "base/string.h"
#include "checkpoint/open.h"
#include "checkpoint/write.h"
#include "model/arch.h"
#include "model/tensors.h"

#include <string.h>

int initial_read_config(const char *arch, struct config *config)
{
    return string_ends_with(arch, ".json") ? checkpoint_read_config(arch, config)
                                           : arch_find(arch, config);
}

/* Returns an approximately normal number with deviation 1: the sum of twelve uniform numbers of 16
 * bits. */
static double random_normal(uint64_t key, uint64_t index)
{
    uint64_t sum = 0;
    for (uint64_t i = 0; i < 3; i++) {
        const uint64_t word = rng_word(key, 3 * index + i);
        sum += (word & 0xffff) + (word >> 16 & 0xffff) + (word >> 32 & 0xffff) + (word >> 48);
    }
    return ((double)sum - 6.0 * 0xffff) / 0x10000;
}

struct initial_model {
    struct config config;
    struct model_tensor *tensors;
    size_t count;
    uint64_t seed;
};

static int fill_tensor(void *user, size_t index, float *values)
{
    const struct initial_model *model = user;
    const struct model_tensor *tensor = &model->tensors[index];
    const uint64_t key = rng_word(hash_bytes(0, tensor->name, strlen(tensor->name)), model->seed);
    const uint64_t count = tensors_elements(tensor);
    for (uint64_t i = 0; i < count; i++) {
        double value = tensor->mean;
        if (tensor->deviation > 0)
            value += tensor->deviation * random_normal(key, i);
        values[i] = (float)value;
    }
    return VKCLIP_OK;
}

int initial_write(const char *arch, uint64_t seed, const char *path)
{
    struct initial_model model = {.seed = seed};
    int error = initial_read_config(arch, &model.config);
    if (!error)
        error = progress_check();
    if (!error)
        error = folder_make_new(path);
    if (!error)
        error = tensors_list(&model.config, &model.tensors, &model.count);
    if (!error) {
        const struct checkpoint_source source = {.config = &model.config,
                                                 .tensors = model.tensors,
                                                 .count = model.count,
                                                 .read = fill_tensor,
                                                 .user = &model};
        error = checkpoint_write(&source, path);
        if (error == VKCLIP_ECANCELLED)
            folder_remove(path); /* It was new or empty. */
    }
    memory_free(model.tensors);
    return error;
}
