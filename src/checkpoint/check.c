/* SPDX-License-Identifier: MIT
 *
 * Compares the tensors of a checkpoint with the list of those that the model needs.
 */
#include "checkpoint/check.h"
#include "base/array.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"
#include "model/tensors.h"
#include "model/tower.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void show_shape(const uint64_t *shape, unsigned rank, char *text, size_t size)
{
    size_t length = (size_t)snprintf(text, size, "[");
    for (unsigned i = 0; i < rank && length < size; i++)
        length += (size_t)snprintf(text + length, size - length, "%s%llu", i ? "," : "",
                                   (unsigned long long)shape[i]);
    if (length < size)
        snprintf(text + length, size - length, "]");
}

static int check_shape(const struct weights *weights, const struct model_tensor *tensor)
{
    uint64_t found[TENSOR_MAX_RANK];
    unsigned rank;
    char expected_text[192], found_text[192] = "none: it is missing";
    const bool present = weights_shape(weights, tensor->name, found, &rank);
    if (present && rank == tensor->rank && !memcmp(found, tensor->shape, rank * sizeof(*found)))
        return VKCLIP_OK;
    int error = present ? VKCLIP_OK : weights_explain_absence(weights, tensor->name);
    if (error)
        return error;
    show_shape(tensor->shape, tensor->rank, expected_text, sizeof(expected_text));
    if (present)
        show_shape(found, rank, found_text, sizeof(found_text));
    return error_fail(VKCLIP_EFORMAT, "%s: tensor %s: expected shape %s, found %s",
                      weights_path(weights), tensor->name, expected_text, found_text);
}

static int compare_names(const void *a, const void *b)
{
    const struct model_tensor *first = a, *second = b;
    return strcmp(first->name, second->name);
}

static int compare_to_name(const void *name, const void *tensor)
{
    return strcmp(name, ((const struct model_tensor *)tensor)->name);
}

static bool is_claimed(const struct tower_row *row, const char *name)
{
    bool claimed = string_begins_with(name, row->closed);
    for (size_t i = 0; i < ARRAY_COUNT(row->reserved) && row->reserved[i]; i++)
        claimed |= string_begins_with(name, row->reserved[i]);
    return claimed;
}

/* Refuses a tensor that is not in `tensors`, which are sorted by name, but has a prefix that a
 * tower claims. */
static int check_unknown(const struct weights *weights, const struct config *config,
                         enum tower tower, const struct model_tensor *tensors, size_t count)
{
    const struct tower_row *row = tower_find(config, tower);
    const char *name;
    if (!row)
        return VKCLIP_OK;
    for (size_t i = 0; (name = weights_name(weights, i)); i++)
        if (is_claimed(row, name) && !(row->unused && string_begins_with(name, row->unused)) &&
            !bsearch(name, tensors, count, sizeof(*tensors), compare_to_name))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: tensor %s: not part of a CLIP tower of %u layers, as the "
                              "configuration says it is",
                              weights_path(weights), name, config_tower(config, tower)->layers);
    return VKCLIP_OK;
}

/* Refuses a tensor with Hugging Face's names that no rule knows, but that belongs to a part of the
 * model which rules do know. Other names say by themselves which tower a tensor belongs to, see
 * check_unknown. Tensors of other parts, such as a classifier's, change no embedding. */
static int check_unruled(const struct weights *weights)
{
    const enum names_form form = weights_form(weights);
    const char *name;
    for (size_t i = 0; names_is_hugging_face(form) && (name = weights_name(weights, i)); i++)
        if (!weights_is_ruled(weights, i) && names_belongs(form, name))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: tensor %s: not part of CLIP, whose results it would change",
                              weights_path(weights), name);
    return VKCLIP_OK;
}

int check_tensors(const struct weights *weights, const struct config *config)
{
    struct model_tensor *tensors;
    size_t count;
    int error = tensors_list(config, &tensors, &count);
    for (size_t i = 0; i < count && !error; i++)
        if (!(tensors[i].flags & TENSOR_OPTIONAL))
            error = check_shape(weights, &tensors[i]);
    if (!error) {
        qsort(tensors, count, sizeof(*tensors), compare_names);
        error = check_unknown(weights, config, TOWER_TEXT, tensors, count);
    }
    if (!error)
        error = check_unknown(weights, config, TOWER_IMAGE, tensors, count);
    if (!error)
        error = check_unruled(weights);
    memory_free(tensors);
    return error;
}
