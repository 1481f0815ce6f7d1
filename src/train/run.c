/* SPDX-License-Identifier: MIT
 *
 * Writing and finding checkpoints. A model with a ViT goes into Hugging Face's layout, unless it
 * came in OpenCLIP's; a ModifiedResNet, for which there is no other, into OpenCLIP's.
 */
#include "train/run.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"

#include "checkpoint/convert.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "checkpoint-"
#define STATE_MAX (1u << 20)

static char *path_of(const char *folder, const char *name)
{
    return string_format("%s/%s", folder, name);
}

static int no_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

/* ---- Tensors --------------------------------------------------------------------------------- */

uint64_t checkpoint_elements(const struct checkpoint_tensor *tensor)
{
    uint64_t count = 1;
    for (unsigned i = 0; i < tensor->rank; i++)
        count *= tensor->shape[i];
    return count;
}

struct list {
    struct checkpoint_tensor *tensors;
    size_t count, capacity;
};

static int add_tensor(void *user, const char *name, unsigned rank, const uint64_t *shape)
{
    struct list *list = user;
    if (list->count == list->capacity) {
        const size_t capacity = list->capacity ? 2 * list->capacity : 256;
        void *tensors = realloc(list->tensors, capacity * sizeof(*list->tensors));
        if (!tensors)
            return error_fail(VKCLIP_EMEMORY, "out of memory for the list of tensors");
        list->tensors = tensors;
        list->capacity = capacity;
    }
    struct checkpoint_tensor *tensor = &list->tensors[list->count++];
    *tensor = (struct checkpoint_tensor){.rank = rank};
    snprintf(tensor->name, sizeof(tensor->name), "%s", name);
    for (unsigned i = 0; i < rank; i++)
        tensor->shape[i] = shape[i];
    return VKCLIP_OK;
}

int checkpoint_list(const struct config *config, struct checkpoint_tensor **tensors, size_t *count)
{
    struct list list = {0};
    int error = add_tensor(&list, "logit_scale", 0, NULL);
    error = error ? error : config_each_tensor(config, add_tensor, &list);
    if (error) {
        free(list.tensors);
        list = (struct list){0};
    }
    *tensors = list.tensors;
    *count = list.count;
    return error;
}

/* ---- Tensors of a file ----------------------------------------------------------------------- */

/* A tensor of a file and the one that it is a part of. */
struct piece {
    struct weights_stored stored;
    enum checkpoint_value which;
    size_t tensor;
};

struct writer {
    const struct checkpoint *checkpoint;
    struct piece *pieces;
    struct tensor_view *views;
    size_t count;
    float *values; /* of tensor `read`, whole */
    float *row;    /* of a transposed one */
    size_t read;
    enum checkpoint_value read_which;
};

static int write_transposed(struct writer *writer, const struct weights_stored *stored,
                            struct file_output *output)
{
    const uint64_t rows = stored->shape[0], width = stored->shape[1];
    int error = VKCLIP_OK;
    for (uint64_t r = 0; r < rows && !error; r++) {
        for (uint64_t i = 0; i < width; i++)
            writer->row[i] = writer->values[i * rows + r];
        error = file_output_write(output, writer->row, width * sizeof(float));
    }
    return error;
}

static int give_piece(void *user, const struct tensor_view *view, struct file_output *output)
{
    struct writer *writer = user;
    const struct piece *piece = &writer->pieces[view - writer->views];
    const struct checkpoint_tensor *tensor = &writer->checkpoint->tensors[piece->tensor];
    int error = VKCLIP_OK;
    if (writer->read != piece->tensor || writer->read_which != piece->which) /* q, k, v: once */
        error = writer->checkpoint->read(writer->checkpoint->user, piece->tensor, piece->which,
                                         writer->values);
    writer->read = error ? SIZE_MAX : piece->tensor;
    writer->read_which = piece->which;
    if (error)
        return error;
    if (piece->stored.transposed)
        return write_transposed(writer, &piece->stored, output);
    const uint64_t row = tensor->rank ? checkpoint_elements(tensor) / tensor->shape[0] : 1;
    return file_output_write(output, writer->values + piece->stored.first * row,
                             (size_t)view->size);
}

static int open_writer(struct writer *writer, const struct checkpoint *checkpoint)
{
    uint64_t most = 1;
    *writer = (struct writer){.checkpoint = checkpoint, .read = SIZE_MAX};
    for (size_t i = 0; i < checkpoint->count; i++) {
        uint64_t count = checkpoint_elements(&checkpoint->tensors[i]);
        most = count > most ? count : most;
    }
    writer->pieces = calloc(3 * checkpoint->count + 1, sizeof(*writer->pieces));
    writer->views = calloc(3 * checkpoint->count + 1, sizeof(*writer->views));
    writer->values = malloc(most * sizeof(float));
    writer->row = malloc(most * sizeof(float));
    return writer->pieces && writer->views && writer->values && writer->row
               ? VKCLIP_OK
               : error_fail(VKCLIP_EMEMORY, "out of memory for a checkpoint");
}

static void close_writer(struct writer *writer)
{
    for (size_t i = 0; i < writer->count; i++)
        free(writer->pieces[i].stored.name);
    free(writer->pieces);
    free(writer->views);
    free(writer->values);
    free(writer->row);
}

static void add_piece(struct writer *writer, const struct piece *piece)
{
    struct tensor_view *view = &writer->views[writer->count];
    *view = (struct tensor_view){.name = piece->stored.name,
                                 .dtype = DTYPE_F32,
                                 .rank = piece->stored.rank,
                                 .size = sizeof(float)};
    for (unsigned i = 0; i < view->rank; i++)
        view->size *= view->shape[i] = piece->stored.shape[i];
    writer->pieces[writer->count++] = *piece;
}

static int write_model_file(const struct checkpoint *checkpoint, enum weights_form form,
                            const char *path)
{
    static const char *const metadata[] = {"format", "pt", NULL}; /* transformers wants it */
    struct writer writer;
    int error = open_writer(&writer, checkpoint);
    for (size_t i = 0; i < checkpoint->count && !error; i++) {
        const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];
        for (unsigned part = 0; !error; part++) {
            struct piece piece = {.tensor = i};
            error = weights_store_shape(tensor->name, tensor->rank, tensor->shape, form, part,
                                        &piece.stored);
            if (!error)
                add_piece(&writer, &piece);
        }
        error = error == VKCLIP_EABSENT ? VKCLIP_OK : error; /* behind the last part */
    }
    error = error ? error
                  : safetensors_write_by(path, writer.views, writer.count, metadata, give_piece,
                                         &writer);
    close_writer(&writer);
    return error;
}

static int write_moments(const struct checkpoint *checkpoint, const char *path)
{
    struct writer writer;
    int error = open_writer(&writer, checkpoint);
    for (size_t i = 0; i < checkpoint->count && !error; i++)
        for (int k = 0; checkpoint->tensors[i].moments && k < 2 && !error; k++) {
            const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];
            struct piece piece = {.which = k ? CHECKPOINT_MOMENT2 : CHECKPOINT_MOMENT1,
                                  .tensor = i};
            piece.stored.rank = tensor->rank;
            memcpy(piece.stored.shape, tensor->shape, sizeof(piece.stored.shape));
            piece.stored.name = string_format("%c.%s", "mv"[k], tensor -> name);
            error = piece.stored.name ? VKCLIP_OK : no_memory(path);
            if (!error)
                add_piece(&writer, &piece);
        }
    error = error
                ? error
                : safetensors_write_by(path, writer.views, writer.count, NULL, give_piece, &writer);
    close_writer(&writer);
    return error;
}

/* ---- State ----------------------------------------------------------------------------------- */

static int write_state(const struct checkpoint_state *state, const char *path)
{
    char options[17], data[17], *text = NULL;
    snprintf(options, sizeof(options), "%016" PRIx64, state->options);
    snprintf(data, sizeof(data), "%016" PRIx64, state->data);
    json_t *json =
        json_pack("{sI sI ss ss sf sI}", "step", (json_int_t)state->step, "seed",
                  (json_int_t)state->seed, "options", options, "data", data, "loss_scale",
                  state->loss_scale, "loss_scale_steps", (json_int_t)state->loss_scale_steps);
    text = json ? json_dumps(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    struct file_part parts[] = {{text, text ? strlen(text) : 0}, {"\n", 1}};
    int error = text ? file_write(path, parts, 2) : no_memory(path);
    free(text);
    return error;
}

int checkpoint_read_state(const char *path, struct checkpoint_state *state)
{
    char *file = path_of(path, "training.json"), *text = NULL;
    const char *options, *data;
    json_int_t step, seed, loss_scale_steps;
    size_t size = 0;
    json_t *json = NULL;
    *state = (struct checkpoint_state){0};
    int error = file ? file_read(file, STATE_MAX, &text, &size) : no_memory(path);
    if (error)
        goto done;
    json = json_loadb(text, size, 0, NULL);
    if (json_unpack(json, "{sI sI ss ss sF sI}", "step", &step, "seed", &seed, "options", &options,
                    "data", &data, "loss_scale", &state->loss_scale, "loss_scale_steps",
                    &loss_scale_steps) ||
        step < 0) {
        error = error_fail(VKCLIP_EFORMAT, "%s: not the state of a training run", file);
        goto done;
    }
    state->step = (uint64_t)step;
    state->seed = (uint64_t)seed;
    state->options = strtoull(options, NULL, 16);
    state->data = strtoull(data, NULL, 16);
    state->loss_scale_steps = (uint64_t)loss_scale_steps;
done:
    json_decref(json);
    free(text);
    free(file);
    return error;
}

/* ---- Folders --------------------------------------------------------------------------------- */

static int write_model(const struct checkpoint *checkpoint, const char *folder)
{
    const struct config *config = checkpoint->config;
    const enum weights_form form = config->family == VKCLIP_FAMILY_HF ? WEIGHTS_HF : WEIGHTS_OPENAI;
    struct convert_beside beside = {.folder = string_format("%s", folder)};
    char *path =
        path_of(folder, form == WEIGHTS_HF ? "model.safetensors" : "open_clip_model.safetensors");
    int error = beside.folder && path ? VKCLIP_OK : no_memory(folder);
    error = error ? error : convert_write_beside(&beside, config, form);
    error = error ? error : write_model_file(checkpoint, form, path);
    convert_close_beside(&beside, error);
    free(path);
    return error;
}

int checkpoint_write_model(const struct checkpoint *checkpoint, const char *run)
{
    return write_model(checkpoint, run);
}

static int write_folder(const struct checkpoint *checkpoint, const char *folder)
{
    char *moments = path_of(folder, "training.safetensors"),
         *state = path_of(folder, "training.json");
    int error = moments && state ? VKCLIP_OK : no_memory(folder);
    error = error ? error : folder_make(folder);
    error = error ? error : write_model(checkpoint, folder);
    error = error ? error : write_moments(checkpoint, moments);
    error = error ? error : write_state(&checkpoint->state, state);
    free(moments);
    free(state);
    return error;
}

int checkpoint_write(const struct checkpoint *checkpoint, const char *run, char **path)
{
    char *to = string_format("%s/" PREFIX "%" PRIu64, run, checkpoint->state.step),
         *beside = to ? string_format("%s.tmp", to) : NULL;
    int error = beside ? VKCLIP_OK : no_memory(run);
    if (!error) {
        folder_remove(beside);
        error = write_folder(checkpoint, beside);
        error = error ? error : folder_replace(beside, to);
    }
    if (error && beside)
        folder_remove(beside);
    free(beside);
    if (!error && path)
        *path = to;
    else
        free(to);
    return error;
}

/* The step that a folder's name tells; false: it is no checkpoint's. */
static bool step_of(const char *name, uint64_t *step)
{
    char *end = NULL;
    const char *number = name + strlen(PREFIX);
    if (!string_begins_with(name, PREFIX) || *number < '0' || *number > '9')
        return false;
    errno = 0;
    *step = strtoull(number, &end, 10);
    return !*end && !errno;
}

int checkpoint_latest(const char *run, char **path)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t newest = 0, step;
    const char *found = NULL;
    *path = NULL;
    int error = folder_list(run, &names, &count);
    for (size_t i = 0; i < count && !error; i++)
        if (step_of(names[i], &step) && (!found || step > newest)) {
            found = names[i];
            newest = step;
        }
    if (found && !(*path = path_of(run, found)))
        error = no_memory(run);
    else if (!error && !found)
        error = error_fail(VKCLIP_EABSENT, "%s: no checkpoint in it", run);
    folder_free_names(&names, count);
    return error;
}

void checkpoint_prune(const char *run, size_t keep)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t step, other;
    if (folder_list(run, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        const bool left =
            string_begins_with(names[i], PREFIX) && string_ends_with(names[i], ".tmp");
        size_t newer = 0;
        if (!left && !step_of(names[i], &step))
            continue;
        for (size_t j = 0; j < count && !left; j++)
            newer += step_of(names[j], &other) && other > step;
        char *path = left || newer >= keep ? path_of(run, names[i]) : NULL;
        if (path)
            folder_remove(path);
        free(path);
    }
    folder_free_names(&names, count);
}

/* ---- Moments --------------------------------------------------------------------------------- */

int checkpoint_read_moments(const char *path, const struct checkpoint_tensor *tensors, size_t count,
                            checkpoint_write_fn *write, void *user)
{
    char *name = path_of(path, "training.safetensors");
    struct safetensors *file = NULL;
    int error = name ? safetensors_open(name, &file) : no_memory(path);
    for (size_t i = 0; i < count && !error; i++)
        for (int k = 0; tensors[i].moments && k < 2 && !error; k++) {
            char *full = string_format("%c.%s", "mv"[k], tensors[i].name);
            const struct tensor_view *view = full ? safetensors_find(file, full) : NULL;
            const uint64_t elements = checkpoint_elements(&tensors[i]);
            float *values = malloc(elements * sizeof(*values) + 1);
            if (!full || !values) {
                error = no_memory(path);
            } else if (!view || view->dtype != DTYPE_F32 || view->rank != tensors[i].rank ||
                       memcmp(view->shape, tensors[i].shape, view->rank * sizeof(*view->shape))) {
                error =
                    error_fail(VKCLIP_EFORMAT, "%s: no tensor %s of the model's shape", name, full);
            } else {
                tensor_floats(view, 0, elements, values);
                error = write(user, i, k ? CHECKPOINT_MOMENT2 : CHECKPOINT_MOMENT1, values);
            }
            free(values);
            free(full);
        }
    safetensors_close(&file);
    free(name);
    return error;
}
