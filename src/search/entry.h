/* SPDX-License-Identifier: MIT
 *
 * A content on its way through a pass: what was read of it, the files that have it, and what has
 * become of it.
 */
#ifndef VKCLIP_SEARCH_ENTRY_H
#define VKCLIP_SEARCH_ENTRY_H

#include "search/store.h"

/* A content that must be encoded, or needs a thumbnail. Threads other than the one that got it do
 * not use it. */
struct pass_entry {
    const char *path; /* a file with this content */
    void *data;       /* its bytes; NULL after pass_release_data */
    size_t size;
    bool encoded; /* The index has its embedding: it needs nothing but a thumbnail. */
    bool wants_thumbnail;
    /* The receiver sets these. */
    struct image_facts facts;
    void *thumbnail; /* in memory of memory_alloc */
    size_t thumbnail_size;
};

struct file_link {
    char *path;
    struct store_stamp stamp;
    struct file_link *next;
};

struct entry {
    struct pass_entry open; /* comes first, because receivers have a pointer to it */
    bool hashed;            /* The file could be read. */
    struct store_hash hash;
    struct file_link *files; /* the first is that which was read */
    uint16_t *vector;        /* NULL: the content needs none, or has failed */
    int error;
    char *message;
    struct entry *next; /* in a list */
};

/* Reads a file into a new entry, and takes the memory of its path over. An entry whose file is gone
 * has no files. Returns NULL when out of memory. */
struct entry *entry_read(char *path);
/* Sets why an entry has failed. */
void entry_fail(struct entry *entry, int error, const char *message);
/* Returns the entry of a list that has this content, or NULL. */
struct entry *entry_find(struct entry *list, const struct store_hash *hash);
/* Moves the files of an entry to another one of the same content. */
void entry_join(struct entry *target, struct entry *source);
void entry_push(struct entry **list, struct entry *entry);
/* Takes the first entry out of a list; NULL: there is none. */
struct entry *entry_pop(struct entry **list);
void entry_free(struct entry *entry);
void entry_free_all(struct entry **list);

#endif
