/* SPDX-License-Identifier: MIT
 *
 * Makes the list of weights of the tensor views that the reader of every file format returns, and
 * tells what is known of them.
 */
#include "checkpoint/weights_internal.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "checkpoint/clip_cpp.h"
#include "checkpoint/diffusion.h"
#include "checkpoint/prefixes.h"
#include "checkpoint/scales.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- The file -------------------------------------------------------------------------------- */

/* Finds what stamp number `index` belongs to. Returns false after the last. */
static bool find_stamped(const struct weights *weights, size_t index, struct file_source *source)
{
    if (index > weights->container.shards.file_count)
        return false;
    *source = weights->source;
    if (index > 0)
        *source = file_source_path(shards_path(&weights->container.shards, index - 1));
    return true;
}

static int take_stamps(struct weights *weights)
{
    struct file_source source;
    weights->stamps =
        memory_calloc(weights->container.shards.file_count + 1, sizeof(*weights->stamps));
    if (!weights->stamps)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", weights->path);
    for (size_t i = 0; find_stamped(weights, i, &source); i++)
        weights->stamps[i] = file_source_stamp(&source);
    return VKCLIP_OK;
}

int weights_check(const struct weights *weights)
{
    struct file_source source;
    for (size_t i = 0; find_stamped(weights, i, &source); i++)
        if (file_source_is_changed(&source, &weights->stamps[i]))
            return error_fail(VKCLIP_EIO,
                              "%s: was changed while the model was open: open the model again",
                              source.name);
    return VKCLIP_OK;
}

uint64_t weights_stamp(const struct weights *weights)
{
    enum { RESOLUTION = 2 }; /* seconds: the coarsest times of a file system, those of FAT */
    struct file_source source;
    uint64_t hash = 0;
    for (size_t i = 0; find_stamped(weights, i, &source); i++) {
        const struct file_stamp *stamp = &weights->stamps[i];
        if (source.kind == FILE_SOURCE_MEMORY)
            return 0;
        if (stamp->modified + RESOLUTION >= (int64_t)time(NULL))
            return 0;
        hash = hash_bytes(hash, stamp, sizeof(*stamp));
        if (source.kind == FILE_SOURCE_DESCRIPTOR) { /* One file may hold several models. */
            hash = hash_bytes(hash, &source.offset, sizeof(source.offset));
            hash = hash_bytes(hash, &source.size, sizeof(source.size));
        }
    }
    return hash;
}

/* Copies the list of views, because an encoder is selected from it and clip.cpp's logit scale is
 * added to it. */
static int list_views(struct weights *weights)
{
    struct container *container = &weights->container;
    int error = container_open_source(&weights->source, container);
    if (error)
        return error;
    const size_t count = container->count;
    weights->views = memory_calloc(count + 2, sizeof(*weights->views));
    weights->tensors = memory_calloc(NAMES_SLICES * (count + 2), sizeof(*weights->tensors));
    weights->slices = memory_calloc(NAMES_SLICES * (count + 2), sizeof(*weights->slices));
    if (!weights->views || !weights->tensors || !weights->slices)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", weights->path);
    if (count)
        memcpy(weights->views, container->views, count * sizeof(*weights->views));
    weights->view_count = count;
    if (!container->gguf)
        return VKCLIP_OK;
    bool found = false;
    error = clip_cpp_find_logit_scale(container->gguf, &weights->views[count], &found);
    weights->view_count += found;
    return error;
}

static enum vkclip_family find_family(struct weights *weights)
{
    enum vkclip_family family = VKCLIP_FAMILY_NONE;
    for (size_t i = 0; i < weights->view_count && !family; i++)
        family =
            names_family(weights->views[i].name, weights->container.gguf != NULL, &weights->form);
    for (size_t i = 0; i < weights->view_count && family == VKCLIP_FAMILY_HF; i++)
        if (!weights->container.gguf && names_show_form(weights->views[i].name, &weights->form))
            break;
    return family;
}

/* Finds the family by the tensors' names. First selects the requested set of weights and, in a
 * Stable Diffusion checkpoint, the requested encoder, and removes their prefixes from the names. */
static int settle_family(struct weights *weights, const struct weights_selection *selection)
{
    const char *encoder = selection->encoder;
    int error =
        prefixes_choose_set(weights->path, selection->state_dict, weights->container.gguf != NULL,
                            weights->views, &weights->view_count, &weights->names);
    if (!error && (encoder || !find_family(weights)))
        error = diffusion_pick_encoder(weights->path, encoder, weights->views, &weights->view_count,
                                       &weights->encoder);
    if (error)
        return error;
    weights->family = find_family(weights);
    if (weights->family)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: neither CLIP nor T5: expected tensors named text_model... or "
                      "vision_model... (Hugging Face), visual... or transformer.resblocks... "
                      "(OpenAI, OpenCLIP), encoder.block... (T5)%s, found %s",
                      weights->path,
                      weights->container.gguf ? ", t... or v... (clip.cpp), enc.blk... (llama.cpp)"
                                              : "",
                      weights->view_count ? weights->views[0].name : "none");
}

/* ---- The list of tensors --------------------------------------------------------------------- */

static int refuse_type(const char *path, const struct tensor_view *view)
{
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: %s: expected F32, F16, BF16, F64, F8_E4M3 or F8_E5M2, found %s", path,
                      view->name, dtype_name(view->dtype));
}

/* Makes a view of the rows of a stored tensor that are a canonical one, in the canonical shape. */
static int slice_view(struct weights *weights, const struct names_canonical *canonical,
                      const struct tensor_view **view)
{
    struct tensor_view *slice = &weights->slices[weights->slice_count++];
    *slice = **view;
    *view = slice;
    if (canonical->thirds) {
        if (!slice->rank || slice->shape[0] % 3)
            return error_fail(VKCLIP_EFORMAT,
                              "%s: %s: expected rows of query, key and value, of each as many",
                              weights->path, slice->name);
        const uint64_t row = slice->shape[0] ? slice->size / slice->shape[0] : 0;
        const uint64_t third = slice->shape[0] / 3;
        slice->data = (const char *)slice->data + canonical->first_third * third * row;
        slice->shape[0] = canonical->thirds * third;
        slice->size = slice->shape[0] * row;
    }
    if (canonical->leading) {
        if (slice->rank == TENSOR_MAX_RANK)
            return error_fail(VKCLIP_EFORMAT, "%s: %s: too many dimensions", weights->path,
                              slice->name);
        memmove(slice->shape + 1, slice->shape, slice->rank++ * sizeof(*slice->shape));
        slice->shape[0] = 1;
    }
    return VKCLIP_OK;
}

/* Adds the canonical tensor of a view. Takes ownership of its name. */
static int add_canonical(struct weights *weights, const struct names_canonical *canonical,
                         const struct tensor_view *view)
{
    struct weight *weight = &weights->tensors[weights->count++];
    *weight = (struct weight){.name = canonical->name,
                              .part = canonical->part,
                              .parts = canonical->parts,
                              .keyless = canonical->keyless,
                              .transposed = canonical->transposed,
                              .copy = canonical->copy,
                              .ruled = canonical->ruled};
    int error = VKCLIP_OK;
    if (canonical->leading || canonical->thirds)
        error = slice_view(weights, canonical, &view);
    weight->rank = view->rank;
    weight->views[0] = view;
    weight->view_count = 1;
    memcpy(weight->shape, view->shape, sizeof(weight->shape));
    if (error || !weight->transposed)
        return error;
    if (view->rank != 2)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected 2 dimensions, found %u", weights->path,
                          view->name, view->rank);
    weight->shape[0] = view->shape[1];
    weight->shape[1] = view->shape[0];
    return VKCLIP_OK;
}

/* Adds the canonical tensors of a stored one, unless it holds no numbers and no rule knows its
 * name: counters and masks are stored beside weights. */
static int add_tensor(struct weights *weights, const struct tensor_view *view)
{
    struct names_canonical canonical;
    for (unsigned i = 0; i < NAMES_SLICES; i++) {
        int error = names_find_canonical(weights->form, view->name, i, &canonical);
        if (error || !canonical.name)
            return error;
        if (!dtype_is_readable(view->dtype)) {
            memory_free(canonical.name);
            return canonical.ruled ? refuse_type(weights->path, view) : VKCLIP_OK;
        }
        error = add_canonical(weights, &canonical, view);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

static int compare_weights(const void *a, const void *b)
{
    const struct weight *x = a, *y = b;
    int order = strcmp(x->name, y->name);
    if (!order)
        order = x->copy - y->copy;
    return order ? order : (x->part > y->part) - (x->part < y->part);
}

/* Merges the `found` neighbours that share a name, which must be all parts of one shape, into one
 * tensor. */
static int stack_parts(const struct weights *weights, struct weight *group, size_t found)
{
    const struct tensor_view *first = group->views[0];
    const unsigned step = group->keyless ? 2 : 1; /* from one part that files have to the next */
    const char *const parts = group->keyless ? "query and value" : "query, key and value";
    bool good = found == (group->parts + step - 1) / step && first->rank >= 1;
    for (unsigned i = 0; good && i < found; i++) {
        const struct tensor_view *view = group[i].views[0];
        good = group[i].part == i * step + 1 && view->rank == first->rank &&
               !memcmp(view->shape, first->shape, sizeof(first->shape));
        group->views[i * step] = view;
    }
    if (!good)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected %s of one shape beside it",
                          weights->path, first->name, group->parts == 3 ? parts : "gate and value");
    group->view_count = group->parts;
    group->shape[0] *= group->parts;
    return VKCLIP_OK;
}

/* Sorts the tensors and merges those that share a name. */
static int merge_tensors(struct weights *weights)
{
    size_t kept = 0;
    int error = VKCLIP_OK;
    if (weights->count)
        qsort(weights->tensors, weights->count, sizeof(*weights->tensors), compare_weights);
    for (size_t i = 0, next; i < weights->count; i = next) {
        struct weight *group = &weights->tensors[i];
        for (next = i + 1; next < weights->count; next++)
            if (strcmp(group->name, weights->tensors[next].name))
                break;
        const bool copied = next == i + 2 && weights->tensors[i + 1].copy;
        if (!error && group->part == 0 && next > i + 1 && !copied)
            error = error_fail(VKCLIP_EFORMAT, "%s: %s is there twice, under two families' names",
                               weights->path, group->name);
        if (!error && group->part)
            error = stack_parts(weights, group, next - i);
        for (size_t j = i + 1; j < next; j++)
            memory_free(weights->tensors[j].name);
        weights->tensors[kept++] = *group;
    }
    weights->count = kept;
    return error;
}

static void count_tensors(struct weights *weights)
{
    uint64_t largest = 0;
    for (size_t i = 0; i < weights->count; i++)
        for (unsigned j = 0; j < weights->tensors[i].view_count; j++) {
            const struct tensor_view *view = weights->tensors[i].views[j];
            if (!view)
                continue;
            weights->parameters += tensor_view_elements(view);
            weights->bytes += view->size;
            if (view->size > largest) {
                largest = view->size;
                weights->dtype = view->dtype;
            }
        }
}

static int add_tensors(struct weights *weights)
{
    int error = VKCLIP_OK;
    for (size_t i = 0; i < weights->view_count && !error; i++)
        if (!names_is_buffer(weights->views[i].name))
            error = add_tensor(weights, &weights->views[i]);
    if (!error)
        error = merge_tensors(weights);
    if (!error)
        count_tensors(weights);
    return error;
}

/* ---- Opening --------------------------------------------------------------------------------- */

int weights_open(const char *path, struct weights **weights)
{
    return weights_open_encoder(path, NULL, weights);
}

int weights_open_encoder(const char *path, const char *encoder, struct weights **weights)
{
    const struct file_source source = file_source_path(path);
    return weights_open_selection(&source, &(struct weights_selection){.encoder = encoder},
                                  weights);
}

int weights_open_selection(const struct file_source *source,
                           const struct weights_selection *selection, struct weights **result)
{
    const char *path = source->name;
    int error = VKCLIP_OK;
    struct weights *weights = memory_calloc(1, sizeof(*weights));
    if (weights)
        error = file_source_keep(source, &weights->source);
    else
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        weights->path = weights->source.name;
    if (!error)
        error = list_views(weights);
    if (!error)
        error = take_stamps(weights);
    if (!error)
        error = settle_family(weights, selection);
    if (!error)
        error = scales_apply(path, weights->views, &weights->view_count);
    if (!error)
        error = add_tensors(weights);
    if (error)
        weights_close(&weights);
    *result = weights;
    return error;
}

void weights_close(struct weights **weights)
{
    if (!weights || !*weights)
        return;
    for (size_t i = 0; i < (*weights)->count; i++)
        weights_free_one(&(*weights)->tensors[i]);
    memory_free((*weights)->tensors);
    container_close(&(*weights)->container);
    memory_free((*weights)->stamps);
    memory_free((*weights)->views);
    memory_free((*weights)->slices);
    memory_free((*weights)->names);
    file_source_release(&(*weights)->source);
    memory_free(*weights);
    *weights = NULL;
}

/* ---- What is known of them ------------------------------------------------------------------- */

enum vkclip_family weights_family(const struct weights *weights)
{
    return weights->family;
}

enum names_form weights_form(const struct weights *weights)
{
    return weights->form;
}

const char *weights_run(const struct weights *weights)
{
    return weights->container.torch_pt ? weights->container.torch_pt->run : NULL;
}

const struct gguf *weights_gguf(const struct weights *weights)
{
    return weights->container.gguf;
}

bool weights_has_vocabulary(const struct weights *weights)
{
    const struct container *container = &weights->container;
    if (container->gguf)
        return gguf_find(container->gguf, "tokenizer.ggml.tokens");
    return container->safetensors && safetensors_find(container->safetensors, "spiece_model");
}

const char *weights_encoder(const struct weights *weights)
{
    return weights->encoder ? weights->encoder->name : NULL;
}

const char *weights_encoder_prefix(const struct weights *weights)
{
    return weights->encoder ? weights->encoder->prefix : NULL;
}

enum dtype weights_dtype(const struct weights *weights)
{
    return weights->dtype;
}

bool weights_are_halves(const struct weights *weights)
{
    for (size_t i = 0; i < weights->count; i++)
        for (unsigned j = 0; j < weights->tensors[i].view_count; j++) {
            const struct tensor_view *view = weights->tensors[i].views[j];
            if (view && (view->dtype != DTYPE_F16 || view->scaled || weights->tensors[i].addends))
                return false;
        }
    return true;
}

const char *weights_path(const struct weights *weights)
{
    return weights->path;
}

const struct file_source *weights_source(const struct weights *weights)
{
    return &weights->source;
}

uint64_t weights_parameters(const struct weights *weights)
{
    return weights->parameters;
}

uint64_t weights_bytes(const struct weights *weights)
{
    return weights->bytes;
}

bool weights_uses_file(const struct weights *weights, const char *path)
{
    bool used = file_is_same(weights->path, path);
    for (size_t i = 0; i < weights->container.shards.file_count && !used; i++)
        used = file_is_same(shards_path(&weights->container.shards, i), path);
    return used;
}

const char *weights_name(const struct weights *weights, size_t index)
{
    return index < weights->count ? weights->tensors[index].name : NULL;
}

bool weights_is_ruled(const struct weights *weights, size_t index)
{
    return weights->tensors[index].ruled;
}

int weights_explain_absence(const struct weights *weights, const char *name)
{
    const struct tensor_view *view = tensor_view_find(weights->views, weights->view_count, name);
    return view && !dtype_is_readable(view->dtype) ? refuse_type(weights->path, view) : VKCLIP_OK;
}

static int compare_name(const void *name, const void *weight)
{
    return strcmp(name, ((const struct weight *)weight)->name);
}

struct weight *weights_find(const struct weights *weights, const char *name)
{
    if (!weights->count)
        return NULL;
    return bsearch(name, weights->tensors, weights->count, sizeof(struct weight), compare_name);
}

bool weights_shape(const struct weights *weights, const char *name, uint64_t shape[TENSOR_MAX_RANK],
                   unsigned *rank)
{
    const struct weight *weight = weights_find(weights, name);
    if (!weight)
        return false;
    memcpy(shape, weight->shape, sizeof(weight->shape));
    *rank = weight->rank;
    return true;
}
