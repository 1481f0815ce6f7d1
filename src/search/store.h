/* SPDX-License-Identifier: MIT
 *
 * Keeps an index: files with their paths, contents with what is known about them, and the contents'
 * vectors by several models. A store is a table of functions, so that other databases can be added;
 * search/store_sqlite.c has the one that is a single SQLite file, and search/store_postgres.c the
 * one that is a schema of a PostgreSQL database. Nothing outside of the stores knows SQL. Refuses
 * databases of other programs and of newer versions.
 *
 * A file is a path with its stamp; a content is the bytes of one or several files, known by their
 * hash. An id is a content's id everywhere in search/. One thread at a time may use a store.
 */
#ifndef VKCLIP_SEARCH_STORE_H
#define VKCLIP_SEARCH_STORE_H

#include "base/error.h"
#include "image/facts.h"

struct store {
    void (*close)(struct store *store);
    const struct store_readers *read;
    const struct store_writers *write;
};

/* ---- Rows ------------------------------------------------------------------------------------ */

/* By its stamp a file is known to be unchanged without reading it. The time of change catches what
 * the time of modification does not: a file that was overwritten, and whose time of modification
 * was set back. */
struct store_stamp {
    uint64_t size, inode;
    int64_t modified, changed; /* nanoseconds since 1970 */
};

/* The XXH3 hash of 128 bits of a file's bytes, in its canonical order of bytes. */
struct store_hash {
    uint8_t bytes[16];
};

/* What the index knows of a path. */
enum store_state {
    STORE_UNKNOWN,    /* There is no such file, or it has another stamp. */
    STORE_INCOMPLETE, /* The content has no vector by the model, or no thumbnail that is wanted. */
    STORE_FAILED,     /* The file or its content could not be read or decoded. */
    STORE_INDEXED
};

struct store_seen {
    enum store_state state;
    char message[256]; /* of STORE_FAILED, if it is the content that cannot be decoded */
};

/* What is known of a picture besides its vectors. Texts are NULL where nothing is known. */
struct store_facts {
    const char *format, *camera;
    uint32_t width, height;     /* pixels as shown; 0: not decoded */
    uint32_t orientation;       /* as EXIF numbers them, applied to width and height */
    int64_t taken;              /* seconds since 1970 by the camera's clock; INT64_MIN: not known */
    double latitude, longitude; /* degrees; NAN: not known */
};

/* A file that is present, and its content. Texts are valid during the call of the function. */
struct store_picture {
    int64_t id; /* of the content */
    const char *path;
    struct store_stamp stamp;
    struct store_facts facts;
};

/* What is known of a content whose hash was computed. */
struct store_content {
    int64_t id;
    bool encoded;      /* It has a vector by the model. */
    bool thumbnail;    /* It has a thumbnail. */
    int error;         /* why it cannot be decoded; VKCLIP_OK: it can, or nobody tried */
    char message[256]; /* of that error */
};

/* A file whose content must be read. */
struct store_work {
    int64_t number; /* position in the list of work, from 1 */
    char *path;     /* The caller frees it. */
};

struct store_model {
    int64_t id;
    struct vkclip_index_model info;
};

/* Tells whether a copy of a model's vectors is up to date. Counters could not tell: an index that
 * was restored from a backup, or lost its last commits in a power cut, counts again to numbers for
 * which a copy with other vectors exists. */
struct store_generation {
    int64_t changes; /* checksum of the vectors in the order in which they were put */
    /* A random number that every commit draws anew that does more than add vectors after the last
     * id. While it stays, an older copy is the beginning of the vectors, unless `changes` disagrees
     * when those that follow are added to the copy's checksum. */
    int64_t rewrites;
};

/* Functions that list rows call these for each; a nonzero result stops the list and is returned. */
typedef int store_vector_fn(void *user, int64_t id, const uint16_t *row);
typedef int store_picture_fn(void *user, const struct store_picture *picture);
typedef int store_id_fn(void *user, int64_t id);
typedef int store_pair_fn(void *user, int64_t a, int64_t b);
typedef int store_model_fn(void *user, const struct store_model *model);

/* ---- Functions ------------------------------------------------------------------------------- */

struct store_readers {
    /* Between `begin` and `end`, what is read does not change, whatever other processes write.
     * Without them every function sees what was committed last. */
    int (*begin)(struct store *store);
    int (*end)(struct store *store);
    int (*count)(struct store *store, struct vkclip_index_info *info);
    /* Lists the models that have vectors. */
    int (*each_model)(struct store *store, store_model_fn *fn, void *user);
    /* Finds the model with an identity; *id is 0 if there is none. */
    int (*find_model)(struct store *store, const char *identity, int64_t *id);
    int (*read_generation)(struct store *store, int64_t model, struct store_generation *generation);
    /* Lists the vectors with ids above `after` in the order of ids: fp16, of unit length, as many
     * values as the model's embed_dim. */
    int (*each_vector)(struct store *store, int64_t model, int64_t after, store_vector_fn *fn,
                       void *user);
    /* Lists the contents of which a file is present, in the order of ids. */
    int (*each_present)(struct store *store, store_id_fn *fn, void *user);
    /* Lists the files that are present, in the order of ids and then of paths. */
    int (*each_picture)(struct store *store, store_picture_fn *fn, void *user);
    /* Lists those of one content. */
    int (*each_copy)(struct store *store, int64_t id, store_picture_fn *fn, void *user);
    /* Finds a content by its hash; content->id is 0 if there is none. */
    int (*find_content)(struct store *store, const struct store_hash *hash, int64_t model,
                        struct store_content *content);
    /* Reads a content's vector, `dim` values; *found is false if it has none. */
    int (*read_vector)(struct store *store, int64_t id, int64_t model, uint16_t *row, size_t dim,
                       bool *found);
    /* Copies a content's thumbnail, a JPEG that the caller frees; NULL if there is none. */
    int (*read_thumbnail)(struct store *store, int64_t id, void **data, size_t *size);
    int (*each_failure)(struct store *store, vkclip_failure_fn *fn, void *user);
    int (*each_root)(struct store *store, vkclip_folder_fn *fn, void *user);
    /* Lists the pairs of contents that the user called different, with a < b. */
    int (*each_distinct_pair)(struct store *store, store_pair_fn *fn, void *user);
};

struct store_writers {
    /* All other functions must be called between these. `begin` waits for half a minute for another
     * process that writes. After an error the caller calls `rollback`. */
    int (*begin)(struct store *store);
    int (*commit)(struct store *store);
    void (*rollback)(struct store *store);

    /* Finds or adds a model. Refuses a model whose name is known with another identity, unless that
     * model has no vectors: its place is taken then. */
    int (*put_model)(struct store *store, const struct vkclip_index_model *model, int64_t *id);
    int (*put_root)(struct store *store, const char *path);
    int (*put_distinct_pair)(struct store *store, int64_t a, int64_t b);
    /* Finds or adds a content. */
    int (*put_content)(struct store *store, const struct store_hash *hash, int64_t *id);
    /* Links a path to a content, or to none with an error, whose message is kept. *before is the
     * content that it had: 0 for none, or -1 for a path that was not known. */
    int (*put_file)(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t content, int error, const char *message, int64_t *before);
    /* Forgets one missing file of a content, if there is one: it has a new place. */
    int (*take_missing)(struct store *store, int64_t content, bool *taken);
    /* Says what a content is, and that it could be decoded. */
    int (*put_facts)(struct store *store, int64_t content, const struct image_facts *facts);
    int (*put_thumbnail)(struct store *store, int64_t content, const void *data, size_t size);
    int (*put_vector)(struct store *store, int64_t content, int64_t model, const uint16_t *row,
                      size_t dim);
    /* Records that a content cannot be decoded. */
    int (*fail_content)(struct store *store, int64_t content, int error, const char *message);
    /* Removes the file `path` and the files below it, and those folders from the roots. */
    int (*remove_files)(struct store *store, const char *path, uint64_t *removed);
    /* Gives the space of what was removed back to the system. To be called without `begin`. */
    int (*compact)(struct store *store);
    /* Removes missing files, and then contents without files, with all that belongs to them. */
    int (*prune)(struct store *store, uint64_t *removed);
    /* Adds an index for approximate searches in SQL to the vectors of each model. To be called
     * without `begin`. */
    int (*add_hnsw)(struct store *store);

    /* The functions from here on are those of one pass over the files: see search/pass.c. What was
     * seen and the list of work belong to this handle, so that nothing of them is left when the
     * process ends. Only mark_missing needs `begin`. */
    int (*start_pass)(struct store *store);
    /* Tells what is known of a path, and counts the file as seen in this pass. */
    int (*see_file)(struct store *store, const char *path, const struct store_stamp *stamp,
                    int64_t model, bool thumbnail, struct store_seen *seen);
    /* Counts every known and present file at a path or below it as seen: it could not be searched.
     */
    int (*see_folder)(struct store *store, const char *path);
    /* Lists the known files at a path or below it, missing ones included, that were not seen in
     * this pass. The function may see them. */
    int (*each_unseen)(struct store *store, const char *path, vkclip_folder_fn *fn, void *user);
    int (*add_work)(struct store *store, const char *path);
    /* Reads the work after number `after`; work->path is NULL after the last. A store that several
     * machines use leaves out what another process has taken. */
    int (*next_work)(struct store *store, int64_t after, struct store_work *work);
    /* Claims a content, of which other processes may have copies; *claimed is false if another one
     * has claimed it. Both kinds of claims end when put_file writes the file with its content. */
    int (*claim_content)(struct store *store, const struct store_hash *hash, int64_t model,
                         bool *claimed);
    /* Ends the claims of a file and its content without a result. */
    int (*drop_work)(struct store *store, const char *path, const struct store_hash *hash);
    /* Ends all claims. */
    void (*end_pass)(struct store *store);
    /* Counts the files that are known and present at a path or below it. */
    int (*count_below)(struct store *store, const char *path, uint64_t *count);
    /* Marks those files among them as missing that were not seen in this pass, and the seen ones as
     * present. `now` names the pass. */
    int (*mark_missing)(struct store *store, const char *path, int64_t now);
    /* Counts the files that the pass `now` has marked and that have no new place. */
    int (*count_marked)(struct store *store, int64_t now, uint64_t *count);
    /* Counts the present files at a path or below it that have a vector by the model, and those
     * that have failed. */
    int (*count_indexed)(struct store *store, const char *path, int64_t model, uint64_t *indexed,
                         uint64_t *failed);
};

/* Ends what the writers' `begin` began: commits it, or after an error takes it back. Returns the
 * error, of the caller or of the commit. */
int store_end_writing(struct store *store, int error);

/* Continues the checksum of a generation by one vector. */
int64_t store_add_vector(int64_t changes, int64_t id, const uint16_t *row, size_t dim);

/* Opens the SQLite file at a path, or makes it. */
int store_open_sqlite(const char *path, bool read_only, struct store **store);
/* Opens the schema in the PostgreSQL database of a URI, or makes it. */
int store_open_postgres(const char *uri, bool read_only, struct store **store);

/* Tells whether a name is that of a database on a server, and not the path of a file. */
bool store_is_on_server(const char *name);
/* Copies a name for messages: without the password that it may have. Returns NULL when out of
 * memory. */
char *store_shown_name(const char *name);
/* Opens the store that a name stands for. */
int store_open(const char *name, bool read_only, struct store **store);
void store_close(struct store **store);

#endif
