/* SPDX-License-Identifier: MIT
 *
 * The tensors of a LoRA file are grouped by the matrix that they change, here called a module. A
 * module's name is that of the matrix in transformers' model without ".weight"; kohya's trainer
 * writes "_" for each "." in it.
 */
#include "checkpoint/lora.h"
#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/container.h"
#include "checkpoint/prefixes.h"
#include "checkpoint/names.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct module {
    char *name;         /* as in the file, with its prefix */
    unsigned place;     /* of the text encoder; 0 for other parts of the model */
    const char *matrix; /* the name without the prefix of a text encoder */
    const struct tensor_view *down, *up, *alpha;
    bool merged;
};

struct lora {
    char *path;
    float strength;
    struct container container;
    json_t *adapter;        /* what peft keeps in the file's metadata; NULL: nothing */
    struct module *modules; /* sorted by name */
    size_t count;
};

/* ---- Names ----------------------------------------------------------------------------------- */

/* Each row has the prefix of a text encoder's modules, and the encoder's place. */
static const struct {
    const char *prefix;
    unsigned place;
} prefixes[] = {
    {"lora_te_", 1},      {"lora_te1_", 1},       {"lora_te2_", 2},       {"lora_te3_", 3},
    {"text_encoder.", 1}, {"text_encoder_2.", 2}, {"text_encoder_3.", 3},
};

enum role { DOWN, UP, ALPHA };

/* Each row has an ending of a tensor's name, the ending of its module's name that stands for it,
 * and what the tensor is. The rows with to_q belong to the form that diffusers wrote first. */
static const struct ending {
    const char *ending, *module;
    enum role role;
} endings[] = {
    {".lora_down.weight", "", DOWN},
    {".lora_up.weight", "", UP},
    {".alpha", "", ALPHA},
    {".lora_A.weight", "", DOWN},
    {".lora_B.weight", "", UP},
    {".lora_A.default.weight", "", DOWN},
    {".lora_B.default.weight", "", UP},
    {".lora_linear_layer.down.weight", "", DOWN},
    {".lora_linear_layer.up.weight", "", UP},
    {".to_q_lora.down.weight", ".q_proj", DOWN},
    {".to_q_lora.up.weight", ".q_proj", UP},
    {".to_k_lora.down.weight", ".k_proj", DOWN},
    {".to_k_lora.up.weight", ".k_proj", UP},
    {".to_v_lora.down.weight", ".v_proj", DOWN},
    {".to_v_lora.up.weight", ".v_proj", UP},
    {".to_out_lora.down.weight", ".out_proj", DOWN},
    {".to_out_lora.up.weight", ".out_proj", UP},
};

static const struct ending *find_ending(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        if (string_ends_with(name, endings[i].ending))
            return &endings[i];
    return NULL;
}

/* Returns the place of the text encoder to which a name belongs, and the length of its prefix. */
static unsigned find_place(const char *name, size_t *length)
{
    for (size_t i = 0; i < ARRAY_COUNT(prefixes); i++)
        if (string_begins_with(name, prefixes[i].prefix)) {
            *length = strlen(prefixes[i].prefix);
            return prefixes[i].place;
        }
    *length = 0;
    return 0;
}

/* Tells whether two names of matrices are the same when "_" stands for "." too. */
static bool is_same_matrix(const char *a, const char *b)
{
    for (; *a && *b; a++, b++)
        if (*a != *b && !(strchr("._", *a) && strchr("._", *b)))
            return false;
    return !*a && !*b;
}

/* ---- Opening --------------------------------------------------------------------------------- */

static int refuse_tensor(const struct lora *lora, const char *name)
{
    static const struct {
        const char *part, *form;
    } forms[] = {
        {".hada_", "LoHa"},     {".lokr_", "LoKr"}, {".dora_scale", "DoRA"},
        {".lora_mid", "LoCon"}, {".oft_", "OFT"},   {".diff", "a full difference"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(forms); i++)
        if (strstr(name, forms[i].part))
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: %s: %s cannot be merged into a text encoder, expected a LoRA of "
                              "lora_down and lora_up, or lora_A and lora_B",
                              lora->path, name, forms[i].form);
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: %s: expected a name that ends in lora_down.weight, lora_up.weight, "
                      "alpha, lora_A.weight or lora_B.weight",
                      lora->path, name);
}

/* Returns the name of a tensor's module as a new string. Tensors of other parts may have names of
 * any form, and of these the text up to the last but one "." does. */
static char *module_name(const char *name, const struct ending *ending)
{
    if (ending)
        return string_format("%.*s%s", (int)(strlen(name) - strlen(ending->ending)), name,
                             ending->module);
    const char *last = strrchr(name, '.');
    if (last && !strcmp(last, ".weight"))
        while (last > name && *--last != '.')
            continue;
    return string_format("%.*s", last && last > name ? (int)(last - name) : (int)strlen(name),
                         name);
}

static int compare_modules(const void *a, const void *b)
{
    return strcmp(((const struct module *)a)->name, ((const struct module *)b)->name);
}

/* Makes a module of each tensor. */
static int list_tensor(struct lora *lora, const struct tensor_view *view)
{
    struct module *module = &lora->modules[lora->count];
    const struct ending *ending = find_ending(view->name);
    size_t prefix;
    const unsigned place = find_place(view->name, &prefix);
    if (place && !ending)
        return refuse_tensor(lora, view->name);
    if (place && !dtype_is_readable(view->dtype))
        return error_fail(VKCLIP_EUNSUPPORTED, "%s: %s: expected numbers, found %s", lora->path,
                          view->name, dtype_name(view->dtype));
    module->name = module_name(view->name, ending);
    if (!module->name)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", lora->path);
    lora->count++;
    module->place = place;
    module->matrix = module->name + prefix;
    if (!ending)
        return VKCLIP_OK;
    if (ending->role == DOWN)
        module->down = view;
    else if (ending->role == UP)
        module->up = view;
    else
        module->alpha = view;
    return VKCLIP_OK;
}

/* Gives a module a tensor of another one of the same name. */
static int take_tensor(const struct lora *lora, const char *name, const struct tensor_view *other,
                       const struct tensor_view **tensor)
{
    if (other && *tensor)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: is there twice, as %s and as %s", lora->path,
                          name, (*tensor)->name, other->name);
    if (other)
        *tensor = other;
    return VKCLIP_OK;
}

/* Joins neighbours of one name. */
static int join_modules(struct lora *lora)
{
    size_t kept = 0;
    int error = VKCLIP_OK;
    if (lora->count)
        qsort(lora->modules, lora->count, sizeof(*lora->modules), compare_modules);
    for (size_t i = 0; i < lora->count; i++) {
        struct module *module = &lora->modules[i], *last = &lora->modules[kept ? kept - 1 : 0];
        if (!kept || strcmp(last->name, module->name)) {
            lora->modules[kept++] = *module;
            continue;
        }
        if (!error)
            error = take_tensor(lora, last->name, module->down, &last->down);
        if (!error)
            error = take_tensor(lora, last->name, module->up, &last->up);
        if (!error)
            error = take_tensor(lora, last->name, module->alpha, &last->alpha);
        memory_free(module->name);
    }
    lora->count = kept;
    return error;
}

static int check_module(const struct lora *lora, const struct module *module)
{
    const struct tensor_view *down = module->down, *up = module->up;
    if (!down || !up)
        return error_fail(VKCLIP_EFORMAT, "%s: %s: has no lora_%s (truncated file?)", lora->path,
                          module->name, down ? "up" : "down");
    if (down->rank != 2 || up->rank != 2 || !down->shape[0] || down->shape[0] != up->shape[1])
        return error_fail(VKCLIP_EFORMAT,
                          "%s: %s: expected lora_down of [rank,columns] and lora_up of [rows,rank]",
                          lora->path, module->name);
    if (module->alpha && tensor_view_elements(module->alpha) != 1)
        return error_fail(VKCLIP_EFORMAT, "%s: %s.alpha: expected one number, found %llu",
                          lora->path, module->name,
                          (unsigned long long)tensor_view_elements(module->alpha));
    return VKCLIP_OK;
}

static int list_modules(struct lora *lora)
{
    int error = VKCLIP_OK;
    lora->modules = memory_calloc(lora->container.count + 1, sizeof(*lora->modules));
    if (!lora->modules)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", lora->path);
    for (size_t i = 0; i < lora->container.count && !error; i++)
        error = list_tensor(lora, &lora->container.views[i]);
    if (!error)
        error = join_modules(lora);
    for (size_t i = 0; i < lora->count && !error; i++)
        if (lora->modules[i].place)
            error = check_module(lora, &lora->modules[i]);
    return error;
}

/* Reads the values of peft's configuration that diffusers writes, as "text_encoder.lora_alpha". */
static int read_adapter(struct lora *lora)
{
    const struct safetensors *file = lora->container.safetensors;
    char *text = file ? safetensors_metadata(file, "lora_adapter_metadata") : NULL;
    if (!text)
        return VKCLIP_OK;
    lora->adapter = json_loads(text, 0, NULL);
    memory_free(text);
    if (json_is_object(lora->adapter))
        return VKCLIP_OK;
    return error_fail(VKCLIP_EFORMAT,
                      "%s: lora_adapter_metadata in its metadata: expected a JSON object",
                      lora->path);
}

int lora_open(const char *path, float strength, struct lora **result)
{
    struct lora *lora = *result = memory_calloc(1, sizeof(*lora));
    int error = VKCLIP_OK;
    if (!isfinite(strength))
        error = error_fail(VKCLIP_EINVALID, "%s: strength %g, expected a finite number", path,
                           (double)strength);
    if (!lora || !(lora->path = string_format("%s", path)))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (!error)
        error = container_open(path, &lora->container);
    if (!error)
        prefixes_remove_common(lora->container.views, lora->container.count);
    if (!error)
        error = read_adapter(lora);
    if (!error) {
        lora->strength = strength;
        error = list_modules(lora);
    }
    if (error)
        lora_close(result);
    return error;
}

void lora_close(struct lora **lora)
{
    if (!*lora)
        return;
    for (size_t i = 0; i < (*lora)->count; i++)
        memory_free((*lora)->modules[i].name);
    memory_free((*lora)->modules);
    json_decref((*lora)->adapter);
    container_close(&(*lora)->container);
    memory_free((*lora)->path);
    memory_free(*lora);
    *lora = NULL;
}

/* ---- Merging --------------------------------------------------------------------------------- */

/* A matrix of an encoder as transformers has it: a part of a canonical tensor. */
struct matrix {
    const char *canonical;
    struct names_part part;
};

/* Tells whether a part of a tensor is the module's matrix. Versions of transformers from 5.6 have
 * no "text_model" in names. */
static bool is_matrix(const struct module *module, const struct names_part *part)
{
    static const char tower[] = "text_model.";
    char name[600];
    const size_t length = strlen(part->name);
    if (part->rank != 2 || !string_ends_with(part->name, ".weight"))
        return false;
    snprintf(name, sizeof(name), "%.*s", (int)(length - strlen(".weight")), part->name);
    return is_same_matrix(name, module->matrix) ||
           (string_begins_with(name, tower) &&
            is_same_matrix(name + strlen(tower), module->matrix));
}

/* Finds the matrix of a module. The caller frees part.name, which is NULL if there is none. */
static int find_matrix(const struct weights *weights, const struct module *module,
                       struct matrix *matrix)
{
    *matrix = (struct matrix){0};
    for (size_t i = 0; (matrix->canonical = weights_name(weights, i)); i++) {
        const enum names_form form =
            string_begins_with(matrix->canonical, "encoder.") ? NAMES_T5 : NAMES_HUGGING_FACE;
        const unsigned parts = names_count_parts(form, matrix->canonical);
        uint64_t shape[TENSOR_MAX_RANK];
        unsigned rank;
        weights_shape(weights, matrix->canonical, shape, &rank);
        for (unsigned p = 0; p < parts && rank == 2; p++) {
            int error = names_find_part(form, matrix->canonical, rank, shape, p, &matrix->part);
            if (error || is_matrix(module, &matrix->part))
                return error;
            memory_free(matrix->part.name);
            matrix->part.name = NULL;
        }
    }
    return VKCLIP_OK;
}

/* Reads a matrix, transposed if asked, into new memory. */
static int read_matrix(const struct tensor_view *view, bool transposed, float **values)
{
    const uint64_t rows = view->shape[0], columns = view->shape[1];
    float *stored = memory_alloc((size_t)(rows * columns + 1) * sizeof(*stored));
    *values = stored;
    if (!stored)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", view->name);
    int error = tensor_view_read(view, 0, rows * columns, stored);
    if (error || !transposed)
        return error;
    *values = memory_alloc((size_t)(rows * columns + 1) * sizeof(*stored));
    for (uint64_t i = 0; *values && i < rows * columns; i++)
        (*values)[i % columns * rows + i / columns] = stored[i];
    memory_free(stored);
    return *values ? VKCLIP_OK : error_fail(VKCLIP_EMEMORY, "%s: out of memory", view->name);
}

/* Returns peft's value for a module's text encoder, or NULL if there is none. */
static const json_t *find_adapter_value(const struct lora *lora, const struct module *module,
                                        const char *key)
{
    char name[64];
    snprintf(name, sizeof(name), "%.*s%s", (int)(module->matrix - module->name), module->name, key);
    return json_object_get(lora->adapter, name);
}

/* Returns the value of the first ending of a module's name that alpha_pattern has, or else
 * lora_alpha. */
static double find_adapter_alpha(const struct lora *lora, const struct module *module)
{
    json_t *patterns = (json_t *)find_adapter_value(lora, module, "alpha_pattern"), *value;
    const char *ending;
    json_object_foreach (patterns, ending, value)
        if (string_ends_with(module->name, ending))
            return json_number_value(value);
    return json_number_value(find_adapter_value(lora, module, "lora_alpha"));
}

/* Computes the factor of a module's product. An alpha of 0 means that there is none, for kohya's
 * trainer too. */
static int read_factor(const struct lora *lora, const struct module *module, float *factor)
{
    const double rank = (double)module->down->shape[0];
    const bool root = json_is_true(find_adapter_value(lora, module, "use_rslora"));
    float alpha = (float)find_adapter_alpha(lora, module);
    int error = module->alpha ? tensor_view_read(module->alpha, 0, 1, &alpha) : VKCLIP_OK;
    *factor = lora->strength;
    if (alpha != 0)
        *factor *= (float)(alpha / (root ? sqrt(rank) : rank));
    return error;
}

/* Adds the product of a module to a matrix. The transposed product is down^T @ up^T. */
static int merge_module(const struct lora *lora, const struct module *module,
                        const struct matrix *matrix, struct weights *weights)
{
    const struct names_part *part = &matrix->part;
    const struct tensor_view *left = part->transposed ? module->down : module->up;
    const struct tensor_view *right = part->transposed ? module->up : module->down;
    struct weights_product product = {.rank = module->down->shape[0]};
    float factor;
    if (module->up->shape[0] != part->shape[0] || module->down->shape[1] != part->shape[1])
        return error_fail(
            VKCLIP_EFORMAT,
            "%s: %s: changes a matrix of [%llu,%llu], but %s of %s is [%llu,%llu]: is "
            "it for another model?",
            lora->path, module->name, (unsigned long long)module->up->shape[0],
            (unsigned long long)module->down->shape[1], part->name, weights_path(weights),
            (unsigned long long)part->shape[0], (unsigned long long)part->shape[1]);
    product.rows = part->shape[part->transposed];
    product.columns = part->shape[!part->transposed];
    int error = read_factor(lora, module, &factor);
    if (!error)
        error = read_matrix(left, part->transposed, &product.left);
    if (!error)
        error = read_matrix(right, part->transposed, &product.right);
    if (error) {
        memory_free(product.left);
        memory_free(product.right);
        return error;
    }
    for (uint64_t i = 0; i < product.rows * product.rank; i++)
        product.left[i] *= factor;
    return weights_add_product(weights, matrix->canonical, part->first_row, &product);
}

int lora_check_places(const struct lora *lora, unsigned places)
{
    for (size_t i = 0; i < lora->count; i++) {
        const struct module *module = &lora->modules[i];
        if (module->place && !(places >> module->place & 1))
            return error_fail(VKCLIP_EINVALID,
                              "%s: %s: the model has no text encoder of this name: is the file for "
                              "another model?",
                              lora->path, module->name);
    }
    return VKCLIP_OK;
}

static bool is_t5(const struct weights *weights)
{
    uint64_t shape[TENSOR_MAX_RANK];
    unsigned rank;
    return weights_shape(weights, "encoder.token_embedding.weight", shape, &rank);
}

int lora_merge(struct lora *lora, unsigned place, struct weights *weights)
{
    const unsigned other_place = is_t5(weights) ? LORA_PLACE_T5 : place;
    int error = VKCLIP_OK;
    for (size_t i = 0; i < lora->count && !error; i++) {
        struct module *module = &lora->modules[i];
        struct matrix matrix;
        if (!module->place || (module->place != place && module->place != other_place))
            continue;
        error = find_matrix(weights, module, &matrix);
        if (!error && !matrix.part.name)
            error = error_fail(VKCLIP_EABSENT,
                               "%s: %s: the text encoder of %s has no such matrix: is it for "
                               "another model?",
                               lora->path, module->name, weights_path(weights));
        if (!error)
            error = merge_module(lora, module, &matrix, weights);
        module->merged = true;
        memory_free(matrix.part.name);
    }
    return error;
}

/* ---- Reporting ------------------------------------------------------------------------------- */

/* Returns the length of the part of a module's name that tells the part of the model: "lora_unet",
 * "unet", "transformer". */
static size_t part_length(const char *name)
{
    const size_t begin = string_begins_with(name, "lora_") ? strlen("lora_") : 0;
    return begin + strcspn(name + begin, begin ? "_." : ".");
}

void lora_report(const struct lora *lora)
{
    char others[256] = "";
    size_t merged = 0, others_count = 0;
    for (size_t i = 0, next; i < lora->count; i = next) {
        const char *name = lora->modules[i].name;
        const size_t length = part_length(name), used = strlen(others);
        size_t left = 0;
        for (next = i; next < lora->count; next++) {
            const struct module *module = &lora->modules[next];
            if (part_length(module->name) != length || strncmp(module->name, name, length))
                break;
            left += !module->merged;
            merged += module->merged;
        }
        others_count += left;
        if (left)
            snprintf(others + used, sizeof(others) - used, "%s%zu of %.*s", used ? ", " : "", left,
                     (int)length, name);
    }
    log_message(merged ? VKCLIP_LOG_INFO : VKCLIP_LOG_WARNING,
                "%s: changes %zu matrices of text encoders with strength %g%s%s", lora->path,
                merged, (double)lora->strength, others_count ? ", and leaves alone " : "", others);
}
