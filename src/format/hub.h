/* SPDX-License-Identifier: MIT
 *
 * Models by name: what a name stands for, and where the Hugging Face hub's cache on this machine
 * keeps it, laid out as the hub's own client in Python does:
 *     CACHE/models--ORG--NAME/{blobs/ETAG, refs/REVISION, snapshots/COMMIT/FILE ->
 * ../../blobs/ETAG} Knows no network and changes nothing; `vkclip pull` fills the cache.
 */
#ifndef VKCLIP_FORMAT_HUB_H
#define VKCLIP_FORMAT_HUB_H

#include "vkclip.h"

#define HUB_NAME_SIZE 128

struct hub_name {
    char repository[HUB_NAME_SIZE]; /* ORG/NAME */
    char revision[HUB_NAME_SIZE];   /* branch, tag or commit; "main" where none is named */
};

/* An alias or ORG/NAME, each with @REVISION if wanted. False: `text` is neither. */
bool hub_parse_name(const char *text, struct hub_name *name);
bool hub_is_commit(const char *text); /* 40 hexadecimal digits */
/* What may become the name of a file in the cache: letters, digits and ._-+, no dot in front. */
bool hub_is_file_name(const char *text);

/* Row `index` of the table of aliases; false behind the last. */
bool hub_alias(size_t index, const char **name, const char **repository);

/* New strings; NULL with an error where no variable of the environment tells the place. */
char *hub_home(void);                                 /* where the hub's client keeps its files */
char *hub_cache(void);                                /* folder of all models */
char *hub_model_folder(const struct hub_name *name);  /* the folder models--ORG--NAME */
char *hub_find_snapshot(const struct hub_name *name); /* NULL without an error: not there */

/* The folder or file to open for what a user calls a model: a path that exists, else the snapshot
 * of that name, else the path as it is when it cannot be a name. A new string. */
int hub_find(const char *path, char **found);

#endif
