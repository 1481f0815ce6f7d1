/* SPDX-License-Identifier: MIT
 *
 * Writes random weights into the folder "initial" of the run's folder and reads them back, so that
 * every run begins with a model on disk.
 */
#include "train/start.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/initial.h"
#include "checkpoint/write.h"

static int no_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the start of a training run");
}

static int make_folder(const char *output)
{
    return folder_exists(output) ? VKCLIP_OK : folder_make(output);
}

static char *initial_path(const char *output)
{
    return string_format("%s/initial", output);
}

void start_remove_initial(const char *output)
{
    char *initial = initial_path(output);
    if (initial)
        folder_remove(initial);
    memory_free(initial);
}

int start_check_folder(const struct start *start, const char *output)
{
    int error = make_folder(output);
    return error ? error : checkpoint_check_folder(&start->config, output, start->state.step > 0);
}

static bool is_model(const char *folder)
{
    char *hugging_face = string_format("%s/config.json", folder);
    char *openclip = string_format("%s/open_clip_config.json", folder);
    const bool found =
        (hugging_face && file_exists(hugging_face)) || (openclip && file_exists(openclip));
    memory_free(hugging_face);
    memory_free(openclip);
    return found;
}

/* Writes random weights. Those of a run that was interrupted before its first step are replaced if
 * that run is resumed. */
static int write_initial(const struct start_params *params, const char *path)
{
    int error = make_folder(params->output);
    if (error)
        return error;
    if (folder_exists(path) && !(params->resume && is_model(path)))
        return error_fail(VKCLIP_EINVALID,
                          "%s: is there already: continue the run that made it (`resume`), or name "
                          "another folder",
                          path);
    folder_remove(path);
    return initial_write(params->init, params->seed, path);
}

/* Finds the path of a new run's weights as a new string, or NULL if they are only planned. */
static int find_new(const struct start_params *params, char **path, bool *made_initial)
{
    if (!params->model == !params->init)
        return error_fail(VKCLIP_EINVALID, "expected either a model to start from "
                                           "(`model`) or an architecture (`init`)");
    if (!params->model && params->dry)
        return VKCLIP_OK;
    *path = params->model ? string_format("%s", params->model) : initial_path(params->output);
    if (!*path)
        return no_memory();
    int error = params->model ? VKCLIP_OK : write_initial(params, *path);
    *made_initial = !error && !params->model;
    return error;
}

static int find_path(const struct start_params *params, struct start *start, bool *resumed)
{
    int error = run_latest(params->output, &start->path);
    *resumed = start->path != NULL;
    if (!error && !start->path)
        return find_new(params, &start->path, &start->made_initial);
    if (!error && !params->resume)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: a run has left saved steps here: resume it (`resume`), or "
                           "name another folder",
                           params->output);
    return error;
}

static int set_vocabulary(struct config *config, const char *vocab)
{
    if (!vocab)
        return VKCLIP_OK;
    memory_free(config->tokenizer_path);
    config->tokenizer_path = string_format("%s", vocab);
    return config->tokenizer_path ? VKCLIP_OK : no_memory();
}

/* The loss compares pictures with texts. Without this check the data would be read first, and a
 * setting that the absent tower does not have would be named instead. */
static int check_towers(const struct start_params *params, const struct start *start)
{
    const char *lacks = !start->config.image.kind  ? "image"
                        : !start->config.text.kind ? "text"
                                                   : NULL;
    if (!lacks)
        return VKCLIP_OK;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: training needs an image and a text tower, found no %s tower",
                      start->path ? start->path : params->init, lacks);
}

int start_open(const struct start_params *params, struct start *start)
{
    struct vkclip_model_params model = {.vocab = params->vocab};
    bool resumed = false;
    *start = (struct start){.weights = NULL};
    int error = find_path(params, start, &resumed);
    if (!resumed && params->model) { /* What a run has written names its activation. */
        model.activation = params->activation;
        model.state_dict = params->state_dict;
    }
    if (!error && start->path)
        error = checkpoint_open(start->path, &model, &start->config, &start->weights);
    else if (!error)
        error = initial_read_config(params->init, &start->config);
    if (!error)
        error = check_towers(params, start);
    if (!error && resumed)
        error = run_read_state(start->path, &start->state);
    if (!error)
        error = set_vocabulary(&start->config, params->vocab);
    if (!error && resumed)
        log_message(VKCLIP_LOG_INFO, "%s: resumes after step %llu", start->path,
                    (unsigned long long)start->state.step);
    if (error && start->made_initial)
        start_remove_initial(params->output);
    if (error)
        start_close(start);
    return error;
}

void start_close(struct start *start)
{
    weights_close(&start->weights);
    config_close(&start->config);
    json_decref(start->state.options);
    memory_free(start->path);
    *start = (struct start){.weights = NULL};
}
