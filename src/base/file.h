/* SPDX-License-Identifier: MIT
 *
 * Files are mapped or read as a whole, and written so that a reader sees the old or the new
 * content, never a part of it.
 */
#ifndef VKCLIP_BASE_FILE_H
#define VKCLIP_BASE_FILE_H

#include "base/error.h"
#include "base/file_source.h"
#include "base/file_status.h"

#include <stdio.h>

/* ---- Names ----------------------------------------------------------------------------------- */

/* Paths are UTF-8 on Windows, and bytes elsewhere. */

/* Tells whether a character separates the names in a path. */
bool file_is_separator(char character);
/* Returns the part of a path after its last separator. */
const char *file_name(const char *path);
/* Returns the path of the folder that a path's last name is in, as a new string: "." for a name
 * alone, and NULL when out of memory. */
char *file_folder(const char *path);
/* Tells whether a path does not depend on the folder that it is read in. */
bool file_is_absolute(const char *path);
/* Returns the absolute path without links as a new string, with / between the names on every
 * system. NULL, with the reason in errno, where there is nothing. */
char *file_resolve(const char *path);
/* Returns the path for a library that opens it by itself and takes UTF-8, as a new string; NULL
 * when out of memory. On Windows a long path needs another form. */
char *file_native(const char *path);

/* ---- What a path leads to -------------------------------------------------------------------- */

/* Tells whether a path leads to a regular file. */
bool file_exists(const char *path);
/* Tells whether two paths lead to the same existing file. */
bool file_is_same(const char *a, const char *b);

/* Identifies the content of a file, for a reader that keeps it mapped. */
struct file_stamp {
    uint64_t device, inode;
    int64_t size, modified; /* bytes; seconds */
};
struct file_stamp file_stamp(const char *path);
/* Tells whether a file was written to after its stamp was taken. A file that was removed, or
 * replaced by another one, was not: a mapping of it keeps its content. */
bool file_is_changed(const char *path, const struct file_stamp *before);
/* The same for a source. What was written to the file of a descriptor counts wherever in the file
 * it is. Memory has a stamp of zeros and never changes. */
struct file_stamp file_source_stamp(const struct file_source *source);
bool file_source_is_changed(const struct file_source *source, const struct file_stamp *before);

/* ---- Reading --------------------------------------------------------------------------------- */

/* This is a read-only mapping of a whole file or of a part of one, or a view of memory. An empty
 * file has size 0 and data NULL. */
struct file_map {
    const uint8_t *data;
    size_t size;
    size_t lead;   /* bytes that are mapped before `data`, because a mapping begins with a page */
    bool borrowed; /* The data are the caller's memory. */
    char *path;    /* NULL of memory and after file_map_open, as the members that follow */
    int file;
    uint64_t start;          /* the first byte's place in the file */
    struct file_stamp stamp; /* when the file was opened */
};
int file_map_open(const char *path, struct file_map *map);
void file_map_close(struct file_map *map);

/* Where another program makes a mapped file shorter, reading the missing part would end the process
 * by a signal. Readers of large files therefore use this function in place of file_map_open, and
 * touch bytes only after file_map_load or by file_map_read, which fail in that case. */
int file_map_hold(const struct file_source *source, struct file_map *map);
/* Opens a file for file_map_read alone, which saves the time that mapping a small file takes. */
int file_open(const char *path, struct file_map *map);
/* Reads bytes from the file into their place in the mapping, where they stay whatever happens to
 * the file. Pointers into that place stay valid. Only one thread may use it at once. Offsets count
 * from the first byte of the map. */
int file_map_load(const struct file_map *map, uint64_t offset, uint64_t size);
/* Copies bytes of the file, which need not be loaded. May be called from several threads. */
int file_map_read(const struct file_map *map, uint64_t offset, size_t size, void *copy);
/* Copies the first bytes of a source, at most *size, which becomes their number. Returns false
 * without a message if the source cannot be read; the reader of its format then gives the reason.
 */
bool file_source_begin(const struct file_source *source, void *bytes, size_t *size);

/* Reads a file of at most `limit` bytes into new memory, with a NUL after the last byte. A file
 * that becomes shorter meanwhile is an error. */
int file_read(const char *path, size_t limit, char **data, size_t *size);

/* ---- Writing --------------------------------------------------------------------------------- */

/* This file is written under another name in the same folder and renamed when it is complete. The
 * first error is kept, and later writes do nothing, so that the caller checks only
 * file_output_close. */
struct file_output {
    char *path, *temporary; /* the final name, and the one under which it is written */
    FILE *file;
    uint64_t size; /* bytes written so far */
    int error;
};
int file_output_open(const char *path, struct file_output *output);
int file_output_write(struct file_output *output, const void *data, size_t size);
/* Writes as far as the disk. The file can still be closed with an `error`, and then leaves no
 * trace. */
int file_output_sync(struct file_output *output);
/* Renames the file, or removes what was written if writing failed or the caller passes an `error`,
 * which is then returned. */
int file_output_close(struct file_output *output, int error);

/* Opens a stream, as fopen does. */
FILE *file_stream(const char *path, const char *mode);
/* Writes a stream as far as the disk. */
bool file_sync(FILE *file);
/* Returns how many bytes of the file are before the stream's position. */
uint64_t file_place(FILE *file);
/* Cuts the file of a stream off behind some bytes, and goes there. */
bool file_truncate(FILE *file, uint64_t size);
/* Copies the rest of a stream to a file that ends with the process, and returns its path as a new
 * string. Returns NULL, with the reason in errno, if that fails. */
char *file_keep_stream(FILE *stream);
/* Removes a file or a link. */
bool file_remove(const char *path);
/* Makes a link at `path` that leads to `target`. False where the system has none, or lets this user
 * make none. */
bool file_link(const char *target, const char *path);
/* Gives a file another name in the same folder, and replaces a file of that name. The second one
 * leaves the reason in errno in place of a message, and takes folders too, which replace none. */
int file_rename(const char *source, const char *target);
bool file_move(const char *source, const char *target);

/* Writes a whole file from parts that follow one another. */
struct file_part {
    const void *data;
    size_t size;
};
int file_write(const char *path, const struct file_part *parts, size_t count);
int file_copy(const char *source, const char *target);

/* Tells whether this is the name of an output that was not complete when its process was killed. */
bool file_is_left_over(const char *name);
/* Fails with EIO: the file cannot be written, for the reason that errno has. */
int file_fail_writing(const char *path);

#endif
