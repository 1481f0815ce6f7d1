/* SPDX-License-Identifier: MIT
 *
 * The sentences into which labels are set: those of the command line, of files, and those with
 * names.
 */
#ifndef VKCLIP_CLI_TEMPLATES_H
#define VKCLIP_CLI_TEMPLATES_H

#include "cli/list.h"
#include "cli/session.h"

/* Fails with wrong usage if a template has no {}. */
int cli_check_templates(const struct cli_session *session, const struct cli_inputs *templates);
/* Replaces the lists of templates by what they list, "simple" by the paper's sentence, and "openai"
 * by the sentences that OpenAI uses for ImageNet. Python programs name the place of the label {c},
 * which becomes {}. Fails if a template has neither, or a list is empty or cannot be read. */
int cli_read_templates(struct cli_session *session, struct cli_inputs *templates);

#endif
