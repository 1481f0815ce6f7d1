/* SPDX-License-Identifier: MIT
 *
 * Opens the device and the model that the options name.
 */
#ifndef VKCLIP_CLI_MODEL_H
#define VKCLIP_CLI_MODEL_H

#include "cli/groups.h"

/* Both return an enum cli_exit and leave what they open in the session. */
int cli_open_device(struct cli_session *session, const struct cli_device_options *device);
/* Opens the model on the session's device, or without one where none is open. */
int cli_open_model(struct cli_session *session, const struct cli_model_options *model);
/* Opens the device and then the model on it, if the options name a model. */
int cli_open_model_on_device(struct cli_session *session, const struct cli_model_options *model,
                             const struct cli_device_options *device);
struct vkclip_model_params cli_model_params(const struct cli_model_options *model);

/* Names the model and what else decides the numbers of its embeddings, so that files which were
 * made with different ones can be told apart. The folder of the model is left out, because it may
 * differ from machine to machine. */
void cli_describe_model(const struct cli_session *session, const char *path, bool normalized,
                        char *text, size_t size);

/* A command may need parts of the model that not every checkpoint has. */
enum cli_need {
    CLI_NEED_IMAGES = 1,
    CLI_NEED_TEXTS = 2,
    CLI_NEED_VOCABULARY = 4,
    CLI_NEED_ALL = 7
};
/* Fails with a line that names the first of the `needs` that the model lacks. */
int cli_check_model(const struct cli_session *session, const char *path, unsigned needs);

#endif
