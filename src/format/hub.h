/* SPDX-License-Identifier: MIT
 *
 * Models by name: what a name stands for, and where the cache of the Hugging Face hub on this
 * machine keeps it. The cache is laid out as the hub's own client in Python does it:
 *     CACHE/models--ORG--NAME/blobs/ETAG
 *     CACHE/models--ORG--NAME/refs/REVISION            (a file that holds COMMIT)
 *     CACHE/models--ORG--NAME/snapshots/COMMIT/FILE    (a link to ../../blobs/ETAG)
 * Knows no network and changes nothing; `vkclip pull` fills the cache. Refused is every name that
 * could lead out of the cache.
 */
#ifndef VKCLIP_FORMAT_HUB_H
#define VKCLIP_FORMAT_HUB_H

#include "vkclip.h"

#define HUB_NAME_SIZE 128

struct hub_name {
    char repository[HUB_NAME_SIZE]; /* ORG/NAME */
    char revision[HUB_NAME_SIZE];   /* branch, tag or commit; "main" if none is named */
};

/* Parses an alias or ORG/NAME, either with @REVISION after it. False if `text` is neither. */
bool hub_parse_name(const char *text, struct hub_name *name);
/* Whether the text is 40 hexadecimal digits. */
bool hub_is_commit(const char *text);
/* Whether the text may become the name of a file in the cache: letters, digits and ._-+, and no dot
 * at the beginning. */
bool hub_is_file_name(const char *text);

/* Row `index` of the table of aliases; false after the last. */
bool hub_alias(size_t index, const char **name, const char **repository);

/* These give new strings, or NULL with an error if no variable of the environment says where the
 * cache is: where the hub's client keeps its files, the folder of all models, and the folder
 * models--ORG--NAME. */
char *hub_home(void);
char *hub_cache(void);
char *hub_model_folder(const struct hub_name *name);
/* The folder snapshots/COMMIT, a new string; NULL, without an error, if the cache does not have the
 * revision. */
char *hub_find_snapshot(const struct hub_name *name);

/* The folder or file to open for what a user calls a model: a path that exists, else the snapshot
 * of that name, else the path as it is if it cannot be a name. A new string. */
int hub_find(const char *path, char **found);

#endif
