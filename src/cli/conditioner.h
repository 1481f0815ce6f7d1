/* SPDX-License-Identifier: MIT
 *
 * Opens the text encoders of a diffusion model that the options name.
 */
#ifndef VKCLIP_CLI_CONDITIONER_H
#define VKCLIP_CLI_CONDITIONER_H

#include "cli/groups.h"
#include "cli/list.h"

struct cli_encoder_files {
    struct cli_inputs models, vocabs, embeddings;
    const char *family; /* NULL: the files tell it */
};
extern const struct cli_option cli_encoder_files_options[];

/* Opens the encoders on the session's device, or without one where none is open. `params` has what
 * the files do not say. Returns an enum cli_exit; the caller closes *conditioner. */
int cli_open_conditioner(const struct cli_session *session, const struct cli_encoder_files *files,
                         struct vkclip_conditioner_params params,
                         struct vkclip_conditioner **conditioner,
                         struct vkclip_conditioner_info *info);

#endif
