/* SPDX-License-Identifier: MIT
 *
 * Files of pictures with captions. A name that ends in .jsonl has an object per line, .txt has
 * lines PATH<TAB>CAPTION, and any other is a table whose first row names the columns, as vkclip
 * train reads it. Paths are relative to the file's folder. A row without a picture or a caption is
 * reported and counted as a failed input.
 */
#ifndef VKCLIP_CLI_CAPTIONS_H
#define VKCLIP_CLI_CAPTIONS_H

#include "cli/groups.h"

struct cli_caption_options {
    const char *path;
    const char *separator, *picture_key, *caption_key; /* NULL: train's defaults */
};
extern const struct cli_option cli_caption_options[];

/* Each picture once, sorted by path. Those of picture i have the captions from first[i] to
 * first[i + 1]. */
struct cli_captions {
    struct cli_inputs pictures, captions;
    size_t *first; /* [pictures.count + 1] */
};

/* Reads --csv-separator into *separator, which stays 0 if it was not given. Both return an enum
 * cli_exit. */
int cli_take_separator(const struct cli_session *session, const char *text, char *separator);
int cli_read_captions(struct cli_session *session, const struct cli_caption_options *options,
                      struct cli_captions *captions);
void cli_free_captions(struct cli_captions *captions);

#endif
