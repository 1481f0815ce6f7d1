/* SPDX-License-Identifier: MIT
 *
 * Pictures against texts: the part that vkclip classify and vkclip similarity share.
 */
#include "cli/commands/compare.h"
#include "base/array.h"
#include "cli/log.h"
#include "cli/print.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A column for longer names would leave too little of a terminal for the figures. */
enum { MAX_COLUMNS = 60 };

int compare_open(struct compare *compare, size_t count)
{
    const struct vkclip_model_info *info = &compare->session->info;
    compare->embeds = calloc(count * info->text_embed_dim + 1, sizeof(*compare->embeds));
    compare->logits = calloc(count + 1, sizeof(*compare->logits));
    if (!compare->embeds || !compare->logits)
        return cli_fail_memory();
    return CLI_DONE;
}

void compare_close(struct compare *compare)
{
    free(compare->embeds);
    free(compare->logits);
}

double compare_probability(float logit)
{
    return 1 / (1 + exp(-(double)logit));
}

int compare_columns(const struct cli_inputs *inputs)
{
    int most = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        const int columns = cli_text_columns(inputs->items[i].text);
        most = columns > most ? columns : most;
    }
    return most < MAX_COLUMNS ? most : MAX_COLUMNS;
}

void compare_print_header(const struct compare *compare)
{
    const struct cli_session *session = compare->session;
    struct vkclip_device_info devices[16] = {{.size = sizeof(devices[0])}};
    size_t count = 0;
    if (session->common.json || !compare->pictures->images.count ||
        vkclip_get_device_infos(session->device, devices, ARRAY_COUNT(devices), &count))
        return;
    printf("Model ");
    cli_print_text(compare->model_path, 0);
    printf(" in %s", session->info.precision == VKCLIP_PRECISION_F16 ? "f16" : "f32");
    for (size_t i = 0; i < count; i++) {
        fputs(i ? " and " : " on ", stdout);
        cli_print_text(devices[i].name, 0);
    }
    printf("\n\n");
}

/* Fills the logits of one picture; false: it is unusable, which was reported. */
static bool compare_picture(struct compare *compare, const struct cli_input *picture,
                            const float *embed)
{
    struct cli_session *session = compare->session;
    const size_t count = compare->texts->count;
    if (vkclip_similarity(session->model, embed, 1, compare->embeds, count, compare->logits)) {
        cli_fail_input(session, "%s: %s", picture->text, vkclip_last_error());
        return false;
    }
    return cli_check_finite(session, picture, compare->logits, count);
}

/* Compares an encoded picture with the texts and prints the result at once. */
static bool take_picture(void *user, const struct cli_input *picture, const float *embed,
                         size_t width)
{
    struct compare *compare = user;
    (void)width;
    cli_clear_progress();
    if (!compare_picture(compare, picture, embed))
        return true;
    return compare->print(compare, picture) && !fflush(stdout);
}

int compare_pictures(struct compare *compare)
{
    const struct cli_pictures *pictures = compare->pictures;
    const struct cli_encoding encoding = {
        .decoding = pictures->decoding, .embed = take_picture, .user = compare};
    compare->picture_columns = compare_columns(&pictures->images);
    compare->text_columns = compare_columns(compare->texts);
    return cli_encode_files(compare->session, &encoding, &pictures->images);
}

/* Is a vkclip_indexed_fn. */
static int take_indexed(void *user, const struct vkclip_hit *hit, const float *embed)
{
    struct compare *compare = user;
    const struct cli_input picture = {.text = (char *)hit->path, .length = strlen(hit->path)};
    return !take_picture(compare, &picture, embed, 0);
}

int compare_index(struct compare *compare, struct vkclip_index *index)
{
    compare->picture_columns = MAX_COLUMNS;
    compare->text_columns = compare_columns(compare->texts);
    if (vkclip_list_indexed(index, compare->session->model, NULL, take_indexed, compare) &&
        !ferror(stdout))
        return cli_fail_library(compare->session, CLI_FAILED);
    return CLI_DONE;
}
