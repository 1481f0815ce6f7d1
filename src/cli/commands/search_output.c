/* SPDX-License-Identifier: MIT
 *
 * What vkclip search prints of the pictures that it finds.
 */
#include "cli/commands/search_output.h"
#include "base/process.h"
#include "base/string.h"
#include "base/calendar.h"
#include "cli/commands/limits.h"
#include "cli/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Twelve rows leave room for two or three pictures on a usual screen. Their characters are seldom
 * higher than 40 pixels, so that a picture need not be decoded in a larger size. */
enum { PREVIEW_ROWS = 12, PREVIEW_PIXELS = PREVIEW_ROWS * 40 };

void search_output_begin(struct search_output *output, const char *line)
{
    free(output->best);
    output->best = NULL;
    output->line = line;
    output->count = 0;
    output->results = line && output->session->common.json ? json_array() : NULL;
}

/* ---- Previews ---------------------------------------------------------------------------------- */

/* Shows the thumbnail of the index, or the picture itself where there is none. A picture that
 * cannot be shown is no failure of the search. */
static void show_picture(const struct search_output *output, const struct vkclip_hit *hit)
{
    const struct vkclip_image_params params = {
        .size = sizeof(params), .orient = true, .least_side = PREVIEW_PIXELS};
    struct vkclip_image image;
    struct preview preview;
    if (vkclip_load_thumbnail(output->index, hit->id, &image) &&
        vkclip_load_image(hit->path, &params, &image)) {
        cli_say("%s", vkclip_last_error());
        return;
    }
    if (preview_scale(&image, &output->screen, PREVIEW_ROWS, &preview))
        preview_write(&preview, output->screen.protocol, stdout);
    preview_free(&preview);
    vkclip_free_image(&image);
}

/* ---- Results ----------------------------------------------------------------------------------- */

static json_t *describe_hit(const struct vkclip_hit *hit)
{
    json_t *json = cli_json_name("path", hit->path, strlen(hit->path));
    json = cli_json_with(json, "score", json_real((double)hit->score));
    json = cli_json_with(json, "z", json_real((double)hit->z));
    return cli_json_with(json, "id", json_integer((json_int_t)hit->id));
}

static void print_row(const struct search_output *output, const struct vkclip_hit *hit)
{
    char day[32];
    if (output->count == 1)
        puts(" score     z       id  date        picture");
    calendar_write_day(hit->date, day);
    printf("%6.3f %5.1f %8lld  %s  ", (double)hit->score, (double)hit->z, (long long)hit->id, day);
    cli_print_text(hit->path, 0);
    if (hit->copies > 1)
        printf(" (%zu copies)", hit->copies);
    putchar('\n');
}

/* Prints the system's bytes for another program, and no control characters for a person. */
static void print_path(const struct search_output *output, const char *path)
{
    if (!output->nul && cli_prints_to_terminal())
        cli_print_text(path, 0);
    else
        fputs(path, stdout);
    putchar(output->nul ? 0 : '\n');
}

int search_output_hit(void *user, const struct vkclip_hit *hit)
{
    struct search_output *output = user;
    cli_clear_progress();
    if (!output->count++)
        output->best = string_format("%s", hit->path);
    if (output->results)
        return json_array_append_new(output->results, describe_hit(hit));
    if (output->session->common.json)
        return !cli_print_json(describe_hit(hit), stdout);
    if (output->paths_only)
        print_path(output, hit->path);
    else
        print_row(output, hit);
    if (output->preview && !output->paths_only)
        show_picture(output, hit);
    return ferror(stdout);
}

/* With --stdin, whoever wrote the query waits for its results: all of them are in one object, or
 * they end with an empty line or path. */
bool search_output_end(struct search_output *output, const char *error)
{
    if (output->results) {
        json_t *object =
            json_pack("{so so}", "query", cli_json_text(output->line, strlen(output->line)),
                      "results", output->results);
        output->results = NULL;
        if (error)
            json_object_set_new(object, "error", cli_json_text(error, strlen(error)));
        cli_print_json(object, stdout);
    } else if (output->line) {
        putchar(output->nul ? 0 : '\n');
    }
    return !fflush(stdout);
}

/* ---- The desktop's viewer ----------------------------------------------------------------------- */

int search_output_open(const char *path)
{
    const char *program;
    if (process_show(path, &program))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "%s: %s, which opens pictures", program, strerror(errno));
}
