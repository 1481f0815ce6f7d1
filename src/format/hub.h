/* SPDX-License-Identifier: MIT
 *
 * Finds models by name: which repository a name means, and where the cache of the Hugging Face
 * hub on this machine keeps it. The cache has the layout of the hub's own client in Python:
 *     CACHE/models--ORG--NAME/blobs/ETAG
 *     CACHE/models--ORG--NAME/refs/REVISION            (a file that holds COMMIT)
 *     CACHE/models--ORG--NAME/snapshots/COMMIT/FILE    (a link to ../../blobs/ETAG)
 * This module uses no network and changes no file; `vkclip pull` fills the cache. Every name that
 * could lead out of the cache is refused.
 */
#ifndef VKCLIP_FORMAT_HUB_H
#define VKCLIP_FORMAT_HUB_H

#include "vkclip.h"

#include <string.h>

#define HUB_NAME_SIZE 128
#define HUB_ALPHANUMERIC "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"

/* What the models of one family have in common. */
struct hub_family {
    const char *name;                     /* see struct vkclip_hub_model */
    const char *image, *text, *tokenizer; /* the towers and the tokenizer, in words */
    const char *cases;                    /* the tests' reference data, with spaces between */
};

struct hub_name {
    const struct vkclip_hub_model *model; /* NULL: the text named a repository */
    char repository[HUB_NAME_SIZE];       /* ORG/NAME */
    char revision[HUB_NAME_SIZE];         /* branch, tag or commit; "main" if none is named */
    const char *cache; /* the folder of all models, which a caller may set; NULL: hub_cache's */
};

/* Gives row `index` of the table of models, or NULL after the last row. */
const struct vkclip_hub_model *hub_model(size_t index);
/* Gives row `index` of the table of families, or NULL after the last row. */
const struct hub_family *hub_family(size_t index);
/* Returns the name of the model whose image tower goes with a repository's text tower, or NULL. */
const char *hub_find_partner(const char *repository);
/* Finds the model that the first `length` characters name, or returns NULL. ARCHITECTURE:TAG may
 * also be written ARCHITECTURE__TAG, as immich does, or ARCHITECTURE/TAG, and tags with '-' for
 * '_'. */
const struct vkclip_hub_model *hub_find_model(const char *text, size_t length);

/* Parses a model's name or ORG/NAME, which may have @REVISION after it. Returns false if `text` has
 * another form. */
bool hub_parse_name(const char *text, struct hub_name *name);
/* Tells whether the text is 40 hexadecimal digits. */
bool hub_is_commit(const char *text);
/* Tells whether the text may become the name of a file in the cache: only letters, digits and ._-+,
 * with no dot at the beginning. */
static inline bool hub_is_file_name(const char *text)
{
    return *text && *text != '.' && !text[strspn(text, HUB_ALPHANUMERIC "._-+")];
}

/* The next three functions return, as new strings, the folder where the hub's client keeps its
 * files, the folder of all models, and the folder models--ORG--NAME. They return NULL, with an
 * error, if neither the environment nor the system says where the cache is. */
char *hub_home(void);
char *hub_cache(void);
char *hub_model_folder(const struct hub_name *name);
/* Returns the folder snapshots/COMMIT as a new string, or NULL, without an error, if the cache does
 * not have the revision. */
char *hub_find_snapshot(const struct hub_name *name);

/* Finds the folder or file to open for what a user calls a model, and gives it as a new string: a
 * path that exists, else the snapshot of that name, else the unchanged path if it cannot be a
 * name. `cache` is the folder of all models; NULL or "": hub_cache's. */
int hub_find(const char *path, const char *cache, char **found);

#endif
