/* SPDX-License-Identifier: MIT
 *
 * One pass over files: compares what lies in folders with what the index knows, reads and hashes
 * what is new or changed, and writes the results. Who decodes and encodes takes entries from
 * pass_next, on any number of threads, and hands each back once, to pass_finish or pass_fail.
 */
#ifndef VKCLIP_SEARCH_PASS_H
#define VKCLIP_SEARCH_PASS_H

#include "search/entry.h"
#include "search/index.h"

struct pass;

struct pass_params {
    struct vkclip_index_model model; /* identity, name and embed_dim */
    struct vkclip_update_params update;
    /* Does what the contents need that pass_next gives, at most `count`. Not called if there is
     * nothing. */
    int (*encode)(void *user, struct pass *pass, uint64_t count);
    void *user;
};

int pass_run(struct vkclip_index *index, const struct pass_params *params, const char *const *paths,
             size_t count, struct vkclip_update_result *result);

/* Gives the next content; NULL: there are no more, or the pass was stopped. */
struct pass_entry *pass_next(struct pass *pass);
/* Frees the bytes of the file, or reads them again. */
void pass_release_data(struct pass_entry *entry);
int pass_load_data(struct pass_entry *entry);
/* Ends an entry with its embedding of unit length, which is NULL if the entry is encoded. */
void pass_finish(struct pass *pass, struct pass_entry *entry, const float *embedding);
/* Ends an entry that cannot be decoded. One that is encoded stays in the index without a thumbnail.
 */
void pass_fail(struct pass *pass, struct pass_entry *entry, int error, const char *message);
/* Writes what has ended, if the last time was some time ago. To be called after a batch. */
int pass_flush(struct pass *pass);

#endif
