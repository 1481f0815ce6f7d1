/* SPDX-License-Identifier: MIT
 *
 * Opens the file with a vocabulary once, so that each kind of tokenizer can look whether it is one
 * of its own: GGUF is parsed, JSON is parsed, any other file is read and unpacked. In a safetensors
 * file the U8 tensor `spiece_model` is the file, as ComfyUI's UMT5 encoders have it.
 */
#ifndef VKCLIP_TEXT_VOCABULARY_SOURCE_H
#define VKCLIP_TEXT_VOCABULARY_SOURCE_H

#include "base/file_source.h"
#include "format/gguf.h"

#include <jansson.h>

struct vocabulary_source {
    const char *path;        /* for messages, and to find other files in the same folder */
    bool in_memory;          /* There is no such path, and no folder to look in. */
    const char *data;        /* [size], NULL for GGUF */
    size_t size;             /* a NUL follows if the data were read from a file */
    json_t *root;            /* the JSON object; NULL: the data are no JSON */
    const struct gguf *gguf; /* NULL: the data are no GGUF */
    char *owned_data;        /* data and file that are freed with the source */
    struct gguf *owned_gguf;
};

/* The file's name must outlive the source. Of files without a path only GGUF and safetensors are
 * read. On an error nothing needs to be closed. */
int vocabulary_source_open(const struct file_source *file, struct vocabulary_source *source);
/* Both view a file in memory, which must outlive the source. */
int vocabulary_source_view(const void *data, size_t size, const char *name,
                           struct vocabulary_source *source);
struct vocabulary_source vocabulary_source_gguf(const struct gguf *file);
void vocabulary_source_close(struct vocabulary_source *source);

#endif
