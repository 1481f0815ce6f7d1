/* SPDX-License-Identifier: MIT
 *
 * What vkclip search prints of the pictures that it finds: a table, JSON, or paths for other
 * programs, and previews.
 */
#ifndef VKCLIP_CLI_COMMANDS_SEARCH_OUTPUT_H
#define VKCLIP_CLI_COMMANDS_SEARCH_OUTPUT_H

#include "cli/commands/terminal.h"
#include "cli/print.h"

struct search_output {
    struct cli_session *session;
    struct vkclip_index *index; /* for thumbnails */
    bool paths_only, nul;       /* nul: paths end with NUL */
    bool preview;
    struct preview_screen screen; /* of previews */

    /* Of one query. */
    const char *line; /* the line of --stdin that it came from, or NULL */
    json_t *results;  /* with `line` and --json: one object holds all results */
    size_t count;
    char *best; /* path of the first picture */
};

/* Begins the output of a query; `line` may be NULL. */
void search_output_begin(struct search_output *output, const char *line);
/* Is a vkclip_hit_fn. */
int search_output_hit(void *user, const struct vkclip_hit *hit);
/* Ends the output of a query; `error` is the message if it failed, or NULL. False: nothing more can
 * be printed. */
bool search_output_end(struct search_output *output, const char *error);

/* Opens a picture with the desktop's viewer. Returns an enum cli_exit. */
int search_output_open(const char *path);

#endif
