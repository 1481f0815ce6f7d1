/* SPDX-License-Identifier: MIT
 *
 * Zero-shot accuracy of a checkpoint on a labelled folder: how often the picture's own label is the
 * best, or among the five best, of all labels (paper, section 3.1).
 */
#include "cli/cli.h"

#include <stdlib.h>
#include <string.h>

struct scores {
    struct cli *cli;
    const float *embeds; /* of the labels [L,D] */
    float *logits;       /* of one picture */
    size_t images, best, among;
};

/* The name of the folder that a picture is in: `length` bytes of the path. */
static const char *folder_name(const char *path, size_t *length)
{
    const char *end = strrchr(path, '/');
    end = end ? end : path;
    const char *name = end;
    while (name > path && name[-1] != '/')
        name--;
    *length = (size_t)(end - name);
    return name;
}

/* The number of a picture's label; the count of labels where it has none. */
static size_t label_of(const struct cli *cli, const char *path)
{
    size_t length, i = 0;
    const char *name = folder_name(path, &length);
    for (; i < cli->labels.count; i++)
        if (cli->labels.items[i].length == length &&
            !memcmp(cli->labels.items[i].text, name, length))
            break;
    return i;
}

int cli_prepare_evaluation(struct cli *cli)
{
    cli->recursive = true;
    if (!cli_add_input(&cli->images, cli->eval, strlen(cli->eval)))
        return cli_fail(CLI_FAILED, "out of memory");
    int status = cli_read_folders(cli, &cli->images);
    status = status ? status : cli_read_lists(cli, &cli->labels, false);
    if (!status && !cli->images.count)
        status = cli_fail(CLI_FAILED, "%s: no pictures to evaluate with", cli->eval);
    const bool given = cli->labels.count > 0;
    for (size_t i = 0; i < cli->images.count && !status; i++) {
        const char *path = cli->images.items[i].text;
        size_t length;
        const char *name = folder_name(path, &length);
        if (label_of(cli, path) < cli->labels.count)
            continue;
        if (given)
            status = cli_fail(CLI_FAILED, "%s: its folder's name is none of the labels", path);
        else if (!cli_add_input(&cli->labels, name, length))
            status = cli_fail(CLI_FAILED, "out of memory");
    }
    if (!status && cli->labels.count < 2)
        status =
            cli_fail(CLI_FAILED, "%s: expected a folder for each label, at least two", cli->eval);
    return status;
}

static bool score_group(void *user, const struct cli_input *const *inputs, size_t count,
                        const float *embeds, size_t width)
{
    struct scores *scores = user;
    struct cli *cli = scores->cli;
    for (size_t i = 0; i < count; i++) {
        if (vkclip_similarity(cli->model, embeds + i * width, 1, scores->embeds, cli->labels.count,
                              scores->logits))
            return false;
        const size_t own = label_of(cli, inputs[i]->text);
        size_t better = 0;
        for (size_t l = 0; l < cli->labels.count; l++)
            better += scores->logits[l] > scores->logits[own];
        scores->images++;
        scores->best += better < 1;
        scores->among += better < 5;
    }
    return true;
}

int cli_evaluate(struct cli *cli, const char *path, struct cli_evaluation *evaluation)
{
    struct scores scores = {.cli = cli};
    float *embeds = NULL;
    cli->model_path = path;
    int status = cli_open_model(cli, true); /* on the device that is open */
    status = status ? status : cli_need(cli, true, true, true);
    if (!status) {
        scores.embeds = embeds = calloc(cli->labels.count, cli->info.embed_dim * sizeof(*embeds));
        scores.logits = calloc(cli->labels.count, sizeof(*scores.logits));
        status = embeds && scores.logits ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    }
    status = status ? status : cli_encode_labels(cli, &cli->eval_templates, embeds);
    if (!status) {
        const struct cli_run run = {.inputs = cli->images.items,
                                    .count = cli->images.count,
                                    .images = true,
                                    .group = score_group,
                                    .user = &scores};
        status = cli_encode(cli, &run);
    }
    const double each = scores.images ? 100.0 / (double)scores.images : 0;
    *evaluation = (struct cli_evaluation){.images = scores.images,
                                          .top1 = each * (double)scores.best,
                                          .top5 = each * (double)scores.among};
    free(embeds);
    free(scores.logits);
    vkclip_close_model(&cli->model);
    return status;
}
