/* SPDX-License-Identifier: MIT
 *
 * Replaces tensors by others, adds and removes them, and keeps what is added to their values.
 */
#include "checkpoint/weights_internal.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/string.h"

#include <string.h>

/* ---- Freeing --------------------------------------------------------------------------------- */

static void free_product(const struct weights_product *product)
{
    memory_free(product->left);
    memory_free(product->right);
}

static void free_addends(struct weight *weight)
{
    for (struct addend *addend = weight->addends, *next; addend; addend = next) {
        next = addend->next;
        free_product(&addend->product);
        memory_free(addend);
    }
}

void weights_free_one(struct weight *weight)
{
    memory_free(weight->name);
    if (weight->replacement)
        memory_free((void *)weight->replacement->data);
    memory_free(weight->replacement);
    free_addends(weight);
    memory_free(weight->appended);
}

/* ---- Replacing ------------------------------------------------------------------------------- */

int weights_replace(struct weights *weights, const char *name, const uint64_t *shape, float *values)
{
    struct weight *weight = weights_find(weights, name);
    struct tensor_view *view = weight ? memory_calloc(1, sizeof(*view)) : NULL;
    if (!view || weight->replacement) {
        memory_free(view);
        memory_free(values);
        if (!weight)
            return error_fail(VKCLIP_EABSENT, "%s: has no tensor %s", weights->path, name);
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    }
    *view = (struct tensor_view){.name = weight->name,
                                 .dtype = DTYPE_F32,
                                 .rank = weight->rank,
                                 .data = values,
                                 .size = sizeof(float),
                                 .resident = true};
    for (unsigned i = 0; i < weight->rank; i++) {
        weight->shape[i] = view->shape[i] = shape[i];
        view->size *= shape[i];
    }
    weight->views[0] = weight->replacement = view;
    weight->view_count = 1;
    weight->transposed = false;
    return VKCLIP_OK;
}

/* ---- Adding ---------------------------------------------------------------------------------- */

void weights_remove(struct weights *weights, const char *name)
{
    struct weight *weight = weights_find(weights, name);
    if (!weight)
        return;
    const size_t after = (size_t)(&weights->tensors[weights->count] - (weight + 1));
    weights_free_one(weight);
    memmove(weight, weight + 1, after * sizeof(*weight));
    weights->count--;
}

/* Makes room for a tensor at its place in the list. Returns NULL if memory runs out or if there is
 * a tensor of that name. */
static struct weight *insert_weight(struct weights *weights, const char *name)
{
    struct weight *tensors =
        memory_realloc(weights->tensors, (weights->count + 1) * sizeof(*weights->tensors));
    size_t place = 0;
    if (!tensors)
        return NULL;
    weights->tensors = tensors;
    while (place < weights->count && strcmp(tensors[place].name, name) < 0)
        place++;
    if (place < weights->count && !strcmp(tensors[place].name, name))
        return NULL;
    memmove(&tensors[place + 1], &tensors[place], (weights->count - place) * sizeof(*tensors));
    tensors[place] = (struct weight){0};
    weights->count++;
    return &tensors[place];
}

int weights_add(struct weights *weights, const char *name, unsigned rank, const uint64_t *shape,
                float *values)
{
    char *copy = string_format("%s", name);
    struct tensor_view *view = memory_calloc(1, sizeof(*view));
    struct weight *weight = copy && view ? insert_weight(weights, name) : NULL;
    if (!weight) {
        memory_free(copy);
        memory_free(view);
        memory_free(values);
        return error_fail(VKCLIP_EMEMORY, "%s: no place for the tensor %s", weights->path, name);
    }
    *view = (struct tensor_view){.name = copy,
                                 .dtype = DTYPE_F32,
                                 .rank = rank,
                                 .data = values,
                                 .size = sizeof(float),
                                 .resident = true};
    *weight = (struct weight){
        .name = copy, .rank = rank, .views = {view}, .view_count = 1, .replacement = view};
    for (unsigned i = 0; i < rank; i++) {
        weight->shape[i] = view->shape[i] = shape[i];
        view->size *= shape[i];
    }
    return VKCLIP_OK;
}

int weights_append_rows(struct weights *weights, const char *name, uint64_t rows, float *values)
{
    struct weight *weight = weights_find(weights, name);
    if (!weight || weight->rank != 2 || weight->view_count != 1 || weight->transposed ||
        weight->appended) {
        memory_free(values);
        return error_fail(VKCLIP_EINVALID, "%s: %s cannot get more rows", weights->path, name);
    }
    weight->appended = values;
    weight->appended_rows = rows;
    weight->shape[0] += rows;
    return VKCLIP_OK;
}

int weights_add_product(struct weights *weights, const char *name, uint64_t first,
                        const struct weights_product *product)
{
    struct weight *weight = weights_find(weights, name);
    struct addend *addend = NULL;
    int error = VKCLIP_OK;
    if (!weight)
        error = error_fail(VKCLIP_EABSENT, "%s: has no tensor %s", weights->path, name);
    else if (weight->rank != 2 || weight->shape[1] != product->columns ||
             first > weight->shape[0] || product->rows > weight->shape[0] - first)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: %s: a product of %llu rows and %llu columns does not fit into it",
                           weights->path, name, (unsigned long long)product->rows,
                           (unsigned long long)product->columns);
    else if (!(addend = memory_alloc(sizeof(*addend))))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    if (error) {
        free_product(product);
        return error;
    }
    *addend = (struct addend){.product = *product, .first = first};
    struct addend **last = &weight->addends;
    while (*last)
        last = &(*last)->next;
    *last = addend;
    return VKCLIP_OK;
}
