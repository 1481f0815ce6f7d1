/* SPDX-License-Identifier: MIT
 *
 * Finds out of which family of diffusion models the given files are, and which of them holds which
 * text encoder. Refuses files that are of no family or could be of several.
 */
#ifndef VKCLIP_ENCODE_SOURCES_H
#define VKCLIP_ENCODE_SOURCES_H

#include "checkpoint/files.h"
#include "checkpoint/pipeline.h"
#include "encode/families.h"

#define SOURCES_NAMES 5 /* names that encoders have */

/* What is known of one path before encoders are opened. */
struct source {
    char *path; /* of a file or folder, also where the caller named a model of the hub */
    bool has[SOURCES_NAMES];
    bool vocabulary;    /* is in the file itself, as GGUF files have it */
    const char *bundle; /* begin of the tensors' names in a file of a whole model; NULL: another */
};

struct sources {
    struct source *list;
    size_t count;
    const char *folder; /* the pipeline's among them, which `pipeline` describes; or NULL */
    struct pipeline pipeline;
};

/* Looks into all files. Names are looked up in the hub's cache `hub_dir`, or in the usual one if
 * that is NULL. sources_close must be called even after an error. */
int sources_open(const char *const *paths, size_t count, const char *hub_dir,
                 struct sources *sources);
void sources_close(struct sources *sources);

/* Finds the family that is called `name` or, if that is NULL, whose files these are. */
int sources_find_family(const struct sources *sources, const char *name,
                        const struct family **family);
/* Refuses a path of which the family would use nothing. */
int sources_check(const struct sources *sources, const struct family *family);
/* Returns the last source with a file that holds an encoder of this name, or NULL. */
const struct source *sources_find_file(const struct sources *sources, const char *name);
/* Tells whether the pipeline's folder has an encoder, and writes the path of its folder. */
bool sources_find_folder(const struct sources *sources, const struct family_encoder *encoder,
                         char path[FILES_PATH_SIZE]);
/* Finds a vocabulary for an encoder beside the file or in the pipeline's folder number `index`:
 * there, or in tokenizer, tokenizer_2 or tokenizer_3 there. */
bool sources_find_vocabulary(const struct sources *sources, size_t index,
                             const struct family_encoder *encoder, char path[FILES_PATH_SIZE]);

#endif
