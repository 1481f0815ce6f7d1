/* SPDX-License-Identifier: MIT
 *
 * Where inputs come from: lists of paths and texts, and the pictures in folders and tar files. An
 * input that cannot be read is reported and counted as failed; the others are done.
 */
#ifndef VKCLIP_CLI_INPUTS_H
#define VKCLIP_CLI_INPUTS_H

#include "cli/groups.h"

/* Replaces every file of inputs by the inputs that it lists, one per line or, with `null`, each
 * ended by a NUL byte. Empty lines are inputs only if `keep_empty`. Returns an enum cli_exit, as
 * the functions below. */
int cli_read_lists(struct cli_session *session, struct cli_inputs *inputs, bool null,
                   bool keep_empty);
/* Replaces every folder by the pictures in it, sorted by name, and says how many files of which
 * kinds it leaves out. */
int cli_read_folders(struct cli_session *session, struct cli_inputs *inputs, bool recursive);
/* Appends the folders in a folder, sorted by name. Fails if pictures lie beside them, because no
 * folder then names their label. */
int cli_read_subfolders(struct cli_session *session, const char *path, struct cli_inputs *folders);
/* Completes the pictures of a command: appends its arguments, reads the picture "-" from standard
 * input, then lists and folders. */
int cli_read_pictures(struct cli_session *session, struct cli_pictures *pictures);

/* An open tar file. One that cannot be opened stays an input, so that it is reported, and recorded
 * where failures are, in its turn. */
struct cli_archive {
    struct vkclip_archive *handle;
    char *problem; /* why it cannot be opened; NULL: it is open */
    struct cli_archive *next;
};
/* Replaces every .tar, .tar.gz or .tgz file by the pictures in it, which are named "FILE.tar:
 * NAME". The archives are added to the list *archives, which must stay open as long as the inputs
 * are used. */
int cli_read_archives(struct cli_inputs *inputs, struct cli_archive **archives);
void cli_close_archives(struct cli_archive **archives);

#endif
