/* SPDX-License-Identifier: MIT
 *
 * Writes a step into checkpoint-STEP.tmp and then renames the folder, so that an interrupted save
 * cannot be mistaken for a complete one.
 */
#include "train/run.h"
#include "base/dump.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "base/turns.h"
#include "format/safetensors.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PREFIX "checkpoint-"
#define STATE_MAX (16u << 20) /* bytes of training.json, which names all sources of data */

static char *path_join(const char *folder, const char *name)
{
    return string_format("%s/%s", folder, name);
}

static int no_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

/* ---- Moments --------------------------------------------------------------------------------- */

/* Returns the name of a moment in the file as a new string. */
static char *moment_name(const struct model_tensor *tensor, enum run_moment moment)
{
    return string_format("%c.%s", moment == RUN_MOMENT_M ? 'm' : 'v', tensor->name);
}

/* Says which moment a tensor of the file holds. */
struct stored_moment {
    size_t tensor; /* number of the tensor in the model */
    enum run_moment moment;
};

struct moments_writer {
    const struct run_step *step;
    struct tensor_view *views; /* [count], views of the file's tensors; the list owns their names */
    struct stored_moment *stored;
    size_t count;
    float *values; /* room for the values of the largest tensor */
};

static int add_moment(struct moments_writer *writer, size_t index, enum run_moment moment)
{
    const struct model_tensor *tensor = &writer->step->model.tensors[index];
    char *name = moment_name(tensor, moment);
    if (!name)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a saved step");
    struct tensor_view *view = &writer->views[writer->count];
    *view = (struct tensor_view){.name = name,
                                 .dtype = DTYPE_F32,
                                 .rank = tensor->rank,
                                 .size = tensors_elements(tensor) * sizeof(float)};
    memcpy(view->shape, tensor->shape, tensor->rank * sizeof(*tensor->shape));
    writer->stored[writer->count++] = (struct stored_moment){index, moment};
    return VKCLIP_OK;
}

static int open_moments(struct moments_writer *writer, const struct run_step *step)
{
    const size_t most = RUN_MOMENT_COUNT * step->model.count + 1;
    uint64_t largest = 1;
    *writer = (struct moments_writer){.step = step};
    for (size_t i = 0; i < step->model.count; i++) {
        const uint64_t elements = tensors_elements(&step->model.tensors[i]);
        largest = elements > largest ? elements : largest;
    }
    writer->views = memory_calloc(most, sizeof(*writer->views));
    writer->stored = memory_calloc(most, sizeof(*writer->stored));
    writer->values = memory_alloc(largest * sizeof(float));
    if (!writer->views || !writer->stored || !writer->values)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a saved step");
    int error = VKCLIP_OK;
    for (size_t i = 0; i < step->model.count; i++)
        for (int moment = 0; step->has_moments[i] && moment < RUN_MOMENT_COUNT && !error; moment++)
            error = add_moment(writer, i, (enum run_moment)moment);
    return error;
}

static void close_moments(struct moments_writer *writer)
{
    for (size_t i = 0; i < writer->count; i++)
        memory_free((char *)writer->views[i].name);
    memory_free(writer->views);
    memory_free(writer->stored);
    memory_free(writer->values);
}

/* Implements safetensors_data_fn. */
static int write_moment(void *user, const struct tensor_view *view, struct file_output *output)
{
    struct moments_writer *writer = user;
    const struct stored_moment *stored = &writer->stored[view - writer->views];
    int error = turn_pause();
    if (!error)
        error = writer->step->read_moment(writer->step->model.user, stored->tensor, stored->moment,
                                          writer->values);
    return error ? error : file_output_write(output, writer->values, (size_t)view->size);
}

static int write_moments(const struct run_step *step, const char *path)
{
    struct moments_writer writer;
    int error = open_moments(&writer, step);
    if (!error)
        error = safetensors_write_streamed(path, writer.views, writer.count, NULL, write_moment,
                                           &writer);
    close_moments(&writer);
    return error;
}

/* Reads a tensor's moment from an open file into new memory. */
static int read_moment(const struct safetensors *file, const struct model_tensor *tensor,
                       enum run_moment moment, float **values)
{
    const uint64_t elements = tensors_elements(tensor);
    char *name = moment_name(tensor, moment);
    const struct tensor_view *view = name ? safetensors_find(file, name) : NULL;
    int error = VKCLIP_OK;
    *values = memory_alloc(elements * sizeof(**values) + 1);
    if (!name || !*values)
        error = no_memory(file->path);
    else if (!view || view->dtype != DTYPE_F32 || view->rank != tensor->rank ||
             memcmp(view->shape, tensor->shape, view->rank * sizeof(*view->shape)))
        error =
            error_fail(VKCLIP_EFORMAT, "%s: no tensor %s of the model's shape", file->path, name);
    else
        error = tensor_view_read(view, 0, elements, *values);
    memory_free(name);
    return error;
}

int run_read_moments(const char *path, const struct model_tensor *tensors, const bool *has_moments,
                     size_t count, run_write_fn *write, void *user)
{
    char *name = path_join(path, "training.safetensors");
    struct safetensors *file = NULL;
    int error = name ? safetensors_open(name, &file) : no_memory(path);
    for (size_t i = 0; i < count && !error; i++)
        for (int moment = 0; has_moments[i] && moment < RUN_MOMENT_COUNT && !error; moment++) {
            float *values = NULL;
            error = read_moment(file, &tensors[i], (enum run_moment)moment, &values);
            if (!error)
                error = write(user, i, (enum run_moment)moment, values);
            memory_free(values);
        }
    safetensors_close(&file);
    memory_free(name);
    return error;
}

/* ---- State ----------------------------------------------------------------------------------- */

static int write_state(const struct run_state *state, const char *path)
{
    char data[17], *text = NULL;
    snprintf(data, sizeof(data), "%016" PRIx64, state->data);
    json_t *json = json_pack("{sI sI ss sf sI sO*}", "step", (json_int_t)state->step, "seed",
                             (json_int_t)state->seed, "data", data, "loss_scale", state->loss_scale,
                             "loss_scale_steps", (json_int_t)state->loss_scale_steps, "options",
                             state->options);
    text = json ? dump_json(json, JSON_INDENT(2) | JSON_REAL_PRECISION(17)) : NULL;
    json_decref(json);
    if (!text)
        return no_memory(path);
    const struct file_part parts[] = {{text, strlen(text)}, {"\n", 1}};
    int error = file_write(path, parts, 2);
    memory_free(text);
    return error;
}

static bool parse_state(const json_t *json, struct run_state *state)
{
    const char *data;
    json_int_t step, seed, loss_scale_steps;
    double loss_scale;
    if (json_unpack((json_t *)json, "{sI sI ss sF sI}", "step", &step, "seed", &seed, "data", &data,
                    "loss_scale", &loss_scale, "loss_scale_steps", &loss_scale_steps) ||
        step < 0)
        return false;
    *state = (struct run_state){.step = (uint64_t)step,
                                .seed = (uint64_t)seed,
                                .data = strtoull(data, NULL, 16),
                                .options = json_incref(json_object_get(json, "options")),
                                .loss_scale = loss_scale,
                                .loss_scale_steps = (uint64_t)loss_scale_steps};
    return true;
}

int run_read_state(const char *path, struct run_state *state)
{
    char *file = path_join(path, "training.json"), *text = NULL;
    size_t size = 0;
    *state = (struct run_state){0};
    int error = file ? file_read(file, STATE_MAX, &text, &size) : no_memory(path);
    if (!error) {
        json_t *json = json_loadb(text, size, 0, NULL);
        if (!parse_state(json, state))
            error = error_fail(VKCLIP_EFORMAT, "%s: not the state of a training run", file);
        json_decref(json);
    }
    memory_free(text);
    memory_free(file);
    return error;
}

/* ---- Saved steps ----------------------------------------------------------------------------- */

char *run_averages_path(const char *folder)
{
    return path_join(folder, "ema");
}

int run_write_averages(const struct run_step *step, const char *folder)
{
    if (!step->read_average)
        return VKCLIP_OK;
    struct checkpoint_source averages = step->model;
    averages.read = step->read_average;
    char *path = run_averages_path(folder);
    int error = path ? VKCLIP_OK : no_memory(folder);
    if (!error && !folder_exists(path))
        error = folder_make(path);
    if (!error)
        error = checkpoint_write(&averages, path);
    memory_free(path);
    return error;
}

/* Makes the folder and writes the complete step into it. */
static int write_step(const struct run_step *step, const char *folder)
{
    char *moments = path_join(folder, "training.safetensors");
    char *state = path_join(folder, "training.json");
    int error = moments && state ? folder_make(folder) : no_memory(folder);
    if (!error)
        error = checkpoint_write(&step->model, folder);
    if (!error)
        error = run_write_averages(step, folder);
    if (!error)
        error = write_moments(step, moments);
    if (!error)
        error = write_state(&step->state, state);
    memory_free(moments);
    memory_free(state);
    return error;
}

int run_save(const struct run_step *step, const char *run, char **path)
{
    char *target = string_format("%s/" PREFIX "%" PRIu64, run, step->state.step);
    char *unfinished = target ? string_format("%s.tmp", target) : NULL;
    if (!unfinished) {
        memory_free(target);
        return no_memory(run);
    }
    folder_remove(unfinished);
    int error = write_step(step, unfinished);
    if (!error)
        error = folder_replace(unfinished, target);
    if (error)
        folder_remove(unfinished);
    memory_free(unfinished);
    if (!error && path)
        *path = target;
    else
        memory_free(target);
    return error;
}

/* Reads the step from the name of a folder. Returns false if it is not the name of a saved step. */
static bool parse_step(const char *name, uint64_t *step)
{
    char *end = NULL;
    if (!string_begins_with(name, PREFIX))
        return false;
    const char *number = name + strlen(PREFIX);
    if (*number < '0' || *number > '9')
        return false;
    errno = 0;
    *step = strtoull(number, &end, 10);
    return !*end && !errno;
}

int run_latest(const char *run, char **path)
{
    char **names = NULL;
    size_t count = 0;
    uint64_t newest = 0, step;
    const char *found = NULL;
    *path = NULL;
    if (!folder_exists(run))
        return VKCLIP_OK;
    int error = folder_list(run, &names, &count);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++)
        if (parse_step(names[i], &step) && (!found || step > newest)) {
            found = names[i];
            newest = step;
        }
    if (found && !(*path = path_join(run, found)))
        error = no_memory(run);
    folder_free_names(&names, count);
    return error;
}

/* Returns how many of the names belong to saved steps later than `step`. */
static size_t count_later(char *const *names, size_t count, uint64_t step)
{
    size_t later = 0;
    uint64_t other;
    for (size_t i = 0; i < count; i++)
        if (parse_step(names[i], &other) && other > step)
            later++;
    return later;
}

/* Tells whether a file lies in a folder. */
static bool is_inside(const char *file, const char *folder)
{
    const size_t length = strlen(folder);
    return file && string_begins_with(file, folder) && strchr("/\\", file[length]);
}

/* Removes the files of a folder that a process which was killed did not complete. */
static void remove_left_over(const char *folder)
{
    char **names = NULL;
    size_t count = 0;
    if (!folder || !folder_exists(folder) || folder_list(folder, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        char *path = file_is_left_over(names[i]) ? path_join(folder, names[i]) : NULL;
        if (path)
            file_remove(path);
        memory_free(path);
    }
    folder_free_names(&names, count);
}

void run_prune(const char *run, size_t keep, const char *needed)
{
    char *averages = run_averages_path(run);
    remove_left_over(run);
    remove_left_over(averages);
    memory_free(averages);

    char **names = NULL;
    size_t count = 0;
    if (folder_list(run, &names, &count))
        return;
    for (size_t i = 0; i < count; i++) {
        uint64_t step;
        bool unwanted = string_begins_with(names[i], PREFIX) && string_ends_with(names[i], ".tmp");
        if (parse_step(names[i], &step))
            unwanted = count_later(names, count, step) >= keep;
        char *path = unwanted ? path_join(run, names[i]) : NULL;
        if (path && !is_inside(needed, path))
            folder_remove(path);
        memory_free(path);
    }
    folder_free_names(&names, count);
}
