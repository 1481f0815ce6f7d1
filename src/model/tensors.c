/* SPDX-License-Identifier: MIT
 *
 * Lists the tensors of a model, tower by tower.
 */
#include "model/tensors.h"
#include "base/error.h"
#include "base/memory.h"
#include "model/tower.h"

/* The mean is the logarithm of the published factor of the similarities (paper, section 2.5): ln(1
 * / 0.07). */
static const struct model_tensor logit_scale = {
    .name = "logit_scale",
    .tower = TOWER_COUNT,
    .flags = TENSOR_OPTIONAL,
    .mean = 2.6592600369327779,
};

/* Models with a probability of each pair begin with a scale of 10 and this bias, by which most of
 * the many wrong pairs are right from the beginning (Zhai et al. 2023, section 3.3). */
static const struct model_tensor logit_bias = {
    .name = "logit_bias",
    .tower = TOWER_COUNT,
    .flags = TENSOR_OPTIONAL,
    .mean = -10,
};
static const double sigmoid_logit_scale = 2.302585092994046; /* ln 10 */

uint64_t tensors_elements(const struct model_tensor *tensor)
{
    uint64_t count = 1;
    for (unsigned i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

static size_t count_rows(const struct config *config, enum tower tower)
{
    const struct tower_row *row = tower_find(config, tower);
    struct tensor_group group;
    size_t count = 0;
    for (uint32_t i = 0; row && row->group(config, i, &group); i++)
        count += group.count;
    return count;
}

static uint32_t find_lock_group(const struct config *config, enum tower tower,
                                const struct model_tensor *tensor, uint32_t block)
{
    const uint32_t layers = config_tower(config, tower)->layers;
    if (tensor->flags & TENSOR_HEAD)
        return layers + 1;
    return tensor->flags & TENSOR_FINAL ? layers : block;
}

/* Tells each of a tower's tensors how many groups there are. */
static void count_lock_groups(struct model_tensor *tensors, size_t count)
{
    uint32_t groups = 0;
    for (size_t i = 0; i < count; i++)
        groups = tensors[i].lock_group >= groups ? tensors[i].lock_group + 1 : groups;
    for (size_t i = 0; i < count; i++)
        tensors[i].lock_groups = groups;
}

/* Appends the tensors of a tower to a list that has room for them; returns their number. */
static size_t list_tower(const struct config *config, enum tower tower,
                         struct model_tensor *tensors)
{
    const struct tower_row *row = tower_find(config, tower);
    struct tensor_group group;
    size_t count = 0;
    for (uint32_t i = 0; row && row->group(config, i, &group); i++)
        for (size_t r = 0; r < group.count; r++) {
            if (!group_has(&group, r))
                continue;
            struct model_tensor *tensor = &tensors[count++];
            group_tensor(&group, r, tensor);
            tensor->tower = tower;
            tensor->lock_group = find_lock_group(config, tower, tensor, group.block);
        }
    count_lock_groups(tensors, count);
    return count;
}

int tensors_list(const struct config *config, struct model_tensor **tensors, size_t *count)
{
    const size_t most = 2 + count_rows(config, TOWER_TEXT) + count_rows(config, TOWER_IMAGE);
    *count = 0; /* `most` counts the rows that towers lack too. */
    *tensors = memory_calloc(most, sizeof(**tensors));
    if (!*tensors)
        return error_fail(VKCLIP_EMEMORY, "out of memory for the list of tensors");
    (*tensors)[(*count)++] = logit_scale;
    if (config->sigmoid) {
        (*tensors)->mean = sigmoid_logit_scale;
        (*tensors)[(*count)++] = logit_bias;
    }
    *count += list_tower(config, TOWER_TEXT, *tensors + *count);
    *count += list_tower(config, TOWER_IMAGE, *tensors + *count);
    return VKCLIP_OK;
}
