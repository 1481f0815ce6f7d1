/* SPDX-License-Identifier: MIT */
#include "cli/conditioner.h"
#include "cli/log.h"
#include "cli/print.h"
#include "cli/session.h"

#include <stdlib.h>

#define FIELD(name) offsetof(struct cli_encoder_files, name)
const struct cli_option cli_encoder_files_options[] = {
    CLI_OPTION('m', "model", "PATH", CLI_ITEM, FIELD(models),
               "checkpoint: a file, a folder or a hub name"),
    CLI_OPTION(0, "vocab", "FILE", CLI_ITEM, FIELD(vocabs),
               "vocabulary, if not the one beside the checkpoint"),
    CLI_OPTION(0, "family", "NAME", CLI_TEXT, FIELD(family),
               "family of the model, if its files do not tell it"),
    CLI_OPTION(0, "embedding", "FILE|FOLDER", CLI_ITEM, FIELD(embeddings),
               "a textual inversion, used by its name in prompts"),
    {0}};

int cli_open_conditioner(const struct cli_session *session, const struct cli_encoder_files *files,
                         struct vkclip_conditioner_params params,
                         struct vkclip_conditioner **conditioner,
                         struct vkclip_conditioner_info *info)
{
    const char **models = cli_list_texts(&files->models);
    const char **vocabs = cli_list_texts(&files->vocabs);
    const char **embeddings = cli_list_texts(&files->embeddings);
    int status = CLI_DONE;
    params.family = files->family;
    params.vocabs = vocabs;
    params.vocab_count = files->vocabs.count;
    params.embeddings = embeddings;
    params.embedding_count = files->embeddings.count;
    if (!models || !vocabs || !embeddings)
        status = cli_fail_memory();
    else if (vkclip_open_conditioner(session->device, models, files->models.count, &params,
                                     conditioner) ||
             vkclip_get_conditioner_info(*conditioner, info))
        status = cli_fail_library(session, CLI_NO_MODEL);
    free(models);
    free(vocabs);
    free(embeddings);
    return status;
}
