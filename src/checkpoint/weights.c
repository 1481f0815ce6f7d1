/* SPDX-License-Identifier: MIT
 *
 * Works on the list of tensor views that the reader of every file format returns.
 */
#include "checkpoint/weights.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/clip_cpp.h"
#include "checkpoint/container.h"
#include "checkpoint/diffusion.h"
#include "checkpoint/prefixes.h"
#include "checkpoint/scales.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* A product that is added to rows of a tensor. */
struct addend {
    struct weights_product product;
    uint64_t first; /* row of the tensor */
    struct addend *next;
};

struct weight {
    char *name; /* canonical name */
    unsigned rank;
    uint64_t shape[TENSOR_MAX_RANK];
    /* Parts along the first dimension: query, key and value, gate and value, or one part that is
     * the whole tensor. A part that is NULL is zero. */
    const struct tensor_view *views[3];
    unsigned view_count;
    unsigned part, parts; /* of a tensor in parts until they are stacked, see names.h */
    bool keyless;         /* The second part is zero and in no file. */
    bool transposed;      /* stored as [D,width], while the canonical shape is [width,D] */
    bool copy;            /* of another tensor, if there is one of the same name */
    bool ruled;           /* The file's form has a rule for the stored name. */
    struct tensor_view *replacement; /* NULL, or views[0] with memory of its own */
    struct addend *addends;          /* in the order in which they are added */
    float *appended;                 /* the last `appended_rows` rows, which no file has; or NULL */
    uint64_t appended_rows;
};

struct weights {
    struct file_source source; /* kept by file_source_keep */
    const char *path;          /* the source's name */
    struct container container;
    struct file_stamp *stamps; /* of the source, and after it of each shard */
    const struct diffusion_encoder *encoder;
    struct tensor_view *views; /* sorted by name; the format owns data and most names */
    char *names;               /* of views that lost a wrapper within their names; or NULL */
    size_t view_count;
    struct tensor_view *slices; /* rows of views that are tensors of their own */
    size_t slice_count;
    enum vkclip_family family;
    enum names_form form;
    enum dtype dtype;
    uint64_t parameters, bytes;
    struct weight *tensors; /* sorted by name */
    size_t count;
};

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

static void free_weight(struct weight *weight)
{
    memory_free(weight->name);
    if (weight->replacement)
        memory_free((void *)weight->replacement->data);
    memory_free(weight->replacement);
    free_addends(weight);
    memory_free(weight->appended);
}

void weights_close(struct weights **weights)
{
    if (!weights || !*weights)
        return;
    for (size_t i = 0; i < (*weights)->count; i++)
        free_weight(&(*weights)->tensors[i]);
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

static struct weight *find_weight(const struct weights *weights, const char *name)
{
    if (!weights->count)
        return NULL;
    return bsearch(name, weights->tensors, weights->count, sizeof(struct weight), compare_name);
}

bool weights_shape(const struct weights *weights, const char *name, uint64_t shape[TENSOR_MAX_RANK],
                   unsigned *rank)
{
    const struct weight *weight = find_weight(weights, name);
    if (!weight)
        return false;
    memcpy(shape, weight->shape, sizeof(weight->shape));
    *rank = weight->rank;
    return true;
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Reads rows of the canonical [width,D], which are columns of the stored [D,width]. */
static int read_transposed(const struct tensor_view *view, uint64_t first, uint64_t rows,
                           float *values)
{
    const uint64_t stored_rows = view->shape[0], width = view->shape[1];
    float piece[256];
    for (uint64_t stored_row = 0; stored_row < stored_rows; stored_row++)
        for (uint64_t row = 0; row < rows; row += ARRAY_COUNT(piece)) {
            const uint64_t left = rows - row;
            const uint64_t taken = left < ARRAY_COUNT(piece) ? left : ARRAY_COUNT(piece);
            int error = tensor_view_read(view, stored_row * width + first + row, taken, piece);
            if (error)
                return error;
            for (uint64_t i = 0; i < taken; i++)
                values[(row + i) * stored_rows + stored_row] = piece[i];
        }
    return VKCLIP_OK;
}

/* Reads rows of a tensor whose parts are stacked along its first dimension. */
static int read_stacked(const struct weight *weight, uint64_t first, uint64_t rows, float *values)
{
    const uint64_t all_rows = weight->rank ? weight->shape[0] - weight->appended_rows : 1;
    const uint64_t part_rows = all_rows / weight->view_count;
    const uint64_t length = tensor_view_elements(weight->views[0]) / part_rows;
    while (rows) {
        const uint64_t part_first = first % part_rows, left = part_rows - part_first;
        const uint64_t taken = left < rows ? left : rows;
        const struct tensor_view *view = weight->views[first / part_rows];
        int error = VKCLIP_OK;
        if (view)
            error = tensor_view_read(view, part_first * length, taken * length, values);
        else
            memset(values, 0, taken * length * sizeof(*values));
        if (error)
            return error;
        values += taken * length;
        first += taken;
        rows -= taken;
    }
    return VKCLIP_OK;
}

/* Adds a product to rows [first, first + rows) of the tensor that it belongs to. */
static void add_product(const struct addend *addend, uint64_t first, uint64_t rows, float *values)
{
    const struct weights_product *product = &addend->product;
    const uint64_t columns = product->columns;
    for (uint64_t row = 0; row < rows; row++) {
        float *target = values + row * columns;
        if (first + row < addend->first || first + row - addend->first >= product->rows)
            continue;
        const float *left = product->left + (first + row - addend->first) * product->rank;
        for (uint64_t i = 0; i < product->rank; i++)
            for (uint64_t column = 0; column < columns; column++)
                target[column] += left[i] * product->right[i * columns + column];
    }
}

/* Copies those of the rows that no file has, and returns how many others come before them. */
static uint64_t read_appended(const struct weight *weight, uint64_t all_rows, uint64_t first,
                              uint64_t rows, float *values)
{
    const uint64_t stored = all_rows - weight->appended_rows, end = first + rows;
    if (end <= stored)
        return rows;
    const uint64_t length = tensor_view_elements(weight->views[0]) / stored;
    const uint64_t begin = first > stored ? first : stored;
    memcpy(values + (begin - first) * length, weight->appended + (begin - stored) * length,
           (end - begin) * length * sizeof(*values));
    return begin - first;
}

int weights_read(const struct weights *weights, const char *name, uint64_t first, uint64_t rows,
                 float *values)
{
    const struct weight *weight = find_weight(weights, name);
    if (!weight)
        return error_fail(VKCLIP_EABSENT, "%s: tensor %s is missing", weights_path(weights), name);
    const uint64_t all_rows = weight->rank ? weight->shape[0] : 1;
    if (first > all_rows || rows > all_rows - first)
        return error_fail(VKCLIP_EINVALID, "%s: %s: has %llu rows, asked for %llu from %llu on",
                          weights_path(weights), name, (unsigned long long)all_rows,
                          (unsigned long long)rows, (unsigned long long)first);
    if (!rows || !weight->views[0]->size)
        return VKCLIP_OK;
    const uint64_t stored = read_appended(weight, all_rows, first, rows, values);
    int error = weight->transposed ? read_transposed(weight->views[0], first, stored, values)
                                   : read_stacked(weight, first, stored, values);
    for (const struct addend *addend = weight->addends; addend && !error; addend = addend->next)
        add_product(addend, first, rows, values);
    return error;
}

/* ---- Replacing ------------------------------------------------------------------------------- */

int weights_replace(struct weights *weights, const char *name, const uint64_t *shape, float *values)
{
    struct weight *weight = find_weight(weights, name);
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
    struct weight *weight = find_weight(weights, name);
    if (!weight)
        return;
    const size_t after = (size_t)(&weights->tensors[weights->count] - (weight + 1));
    free_weight(weight);
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
    struct weight *weight = find_weight(weights, name);
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
    struct weight *weight = find_weight(weights, name);
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
