/* SPDX-License-Identifier: MIT
 *
 * Writes random weights into the folder "initial" of the run's folder and reads them back, so that
 * every run begins with a model on disk.
 */
#include "train/start.h"
#include "base/error.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/string.h"
#include "checkpoint/initial.h"

#include <stdlib.h>

static int no_memory(void)
{
    return error_fail(VKCLIP_EMEMORY, "out of memory for the start of a training run");
}

int start_make_folder(const char *output)
{
    return folder_exists(output) ? VKCLIP_OK : folder_make(output);
}

void start_remove(const char *output)
{
    char *initial = string_format("%s/initial", output);
    if (initial)
        folder_remove(initial);
    free(initial);
    folder_remove(output);
}

/* Writes random weights, and replaces those of a run that was interrupted before its first step. */
static int write_initial(const struct start_params *params, const char *path)
{
    int error = start_make_folder(params->output);
    if (error)
        return error;
    if (folder_exists(path))
        folder_remove(path);
    return initial_write(params->init, params->seed, path);
}

/* Finds the path of a new run's weights as a new string, or NULL if they are only planned. */
static int find_new(const struct start_params *params, char **path)
{
    if (!params->model == !params->init)
        return error_fail(VKCLIP_EINVALID, "expected either a model to start from "
                                           "(`model`) or an architecture (`init`)");
    if (!params->model && params->dry)
        return VKCLIP_OK;
    if (params->model)
        *path = string_format("%s", params->model);
    else
        *path = string_format("%s/initial", params->output);
    if (!*path)
        return no_memory();
    return params->model ? VKCLIP_OK : write_initial(params, *path);
}

static int find_path(const struct start_params *params, char **path, bool *resumed)
{
    int error = run_latest(params->output, path);
    *resumed = !error;
    if (error == VKCLIP_EABSENT || error == VKCLIP_EIO)
        return find_new(params, path);
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
    free(config->tokenizer_path);
    config->tokenizer_path = string_format("%s", vocab);
    return config->tokenizer_path ? VKCLIP_OK : no_memory();
}

int start_open(const struct start_params *params, struct start *start)
{
    const struct vkclip_model_params model = {.vocab = params->vocab};
    bool resumed = false;
    *start = (struct start){.weights = NULL};
    int error = find_path(params, &start->path, &resumed);
    if (!error && start->path)
        error = checkpoint_open(start->path, &model, &start->config, &start->weights);
    else if (!error)
        error = initial_read_config(params->init, &start->config);
    if (!error && resumed)
        error = run_read_state(start->path, &start->state);
    if (!error)
        error = set_vocabulary(&start->config, params->vocab);
    if (!error && resumed)
        log_message(VKCLIP_LOG_INFO, "%s: resumes after step %llu", start->path,
                    (unsigned long long)start->state.step);
    if (error)
        start_close(start);
    return error;
}

void start_close(struct start *start)
{
    weights_close(&start->weights);
    config_close(&start->config);
    free(start->path);
    *start = (struct start){.weights = NULL};
}
