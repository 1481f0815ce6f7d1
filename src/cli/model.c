/* SPDX-License-Identifier: MIT
 *
 * Opens the device and the model that the options name.
 */
#include "cli/model.h"
#include "base/file.h"
#include "cli/log.h"
#include "cli/print.h"

struct vkclip_model_params cli_model_params(const struct cli_model_options *model)
{
    return (struct vkclip_model_params){
        .size = sizeof(struct vkclip_model_params),
        .precision = model->precision,
        .vocab = model->vocab,
        .activation = model->activation,
        .max_batch = model->batch,
        .text_encoder = model->text_encoder,
        .image_size = model->image_size,
        .weights = model->weights,
        .stream = model->stream,
        .compute = model->compute,
        .state_dict = model->state_dict,
    };
}

int cli_open_device(struct cli_session *session, const struct cli_device_options *device)
{
    const struct vkclip_device_params params = {.size = sizeof(params), .device = device->name};
    if (vkclip_open_device(&params, &session->device))
        return cli_fail_library(session, CLI_NO_DEVICE);
    return CLI_DONE;
}

int cli_open_model(struct cli_session *session, const struct cli_model_options *model)
{
    const struct vkclip_model_params params = cli_model_params(model);
    if (!model->path && !model->vocab)
        return cli_fail_usage(session, "name a model with -m");
    int error = vkclip_open_model(session->device, model->path, &params, &session->model);
    if (!error)
        error = vkclip_get_model_info(session->model, &session->info);
    return error ? cli_fail_library(session, CLI_NO_MODEL) : CLI_DONE;
}

int cli_open_model_on_device(struct cli_session *session, const struct cli_model_options *model,
                             const struct cli_device_options *device)
{
    if (!model->path)
        return cli_fail_usage(session, "name a model with -m");
    int status = cli_open_device(session, device);
    if (!status)
        status = cli_open_model(session, model);
    return status;
}

int cli_check_model(const struct cli_session *session, const char *path, unsigned needs)
{
    const struct vkclip_model_info *info = &session->info;
    const char *lacks = NULL;
    if ((needs & CLI_NEED_IMAGES) && !info->image.width)
        lacks = "no image tower, only a text tower";
    else if ((needs & CLI_NEED_TEXTS) && !info->text.width)
        lacks = "no text tower, only an image tower";
    else if ((needs & CLI_NEED_VOCABULARY) && !info->tokenizer)
        lacks = "no vocabulary beside it; name one with --vocab";
    if (lacks)
        return cli_fail(CLI_NO_MODEL, "%s: the checkpoint has %s", path, lacks);
    return CLI_DONE;
}

void cli_describe_model(const struct cli_session *session, const char *path, bool normalized,
                        char *text, size_t size)
{
    const struct vkclip_model_info *info = &session->info;
    snprintf(text, size, "%.200s, %llu parameters, %u and %u numbers, %s, %u pixels%s",
             file_name(path), (unsigned long long)info->parameters, info->embed_dim,
             info->text_embed_dim, info->precision == VKCLIP_PRECISION_F16 ? "f16" : "f32",
             info->image_size, normalized ? "" : ", not normalised");
}
