/* SPDX-License-Identifier: MIT
 *
 * What every module needs: errors, log, 16-bit floats, files. Knows nothing of CLIP or Vulkan.
 */
#ifndef VKCLIP_UTIL_H
#define VKCLIP_UTIL_H

#include "vkclip.h"

#include <stdio.h>

#if defined(__GNUC__)
#define UTIL_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define UTIL_PRINTF(text, first)
#endif

#define UTIL_COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* Keeps the message as this thread's last error, logs it, and returns `error`:
 *     return util_fail(VKCLIP_EFORMAT, "%s: expected ..., found ...", path, ...);  */
int util_fail(int error, const char *format, ...) UTIL_PRINTF(2, 3);
void util_log(enum vkclip_log_level level, const char *format, ...) UTIL_PRINTF(2, 3);
/* The message as this thread's last error, without logging it: it was, on another thread. */
void util_keep_error(const char *message);
#define UTIL_MESSAGE 2048 /* bytes of the longest message */

/* Where this thread's log goes in place of the program's function (NULL: there). Returns the one
 * before. */
struct util_redirect {
    vkclip_log_fn *log;
    void *user;
};
struct util_redirect util_redirect_log(struct util_redirect redirect);

/* A new string from a format; NULL when out of memory. */
char *util_format(const char *format, ...) UTIL_PRINTF(1, 2);

/* `text` in place of the first "{}" of `template`, a new string; NULL: there is none, or no memory.
 */
char *util_fill(const char *template, const char *text);
bool util_begins_with(const char *text, const char *start);
bool util_ends_with(const char *text, const char *end);
/* What is behind the last separator of a path. */
const char *util_file_name(const char *path);

/* Seconds of a clock that only goes forward. */
double util_seconds(void);
/* Two doubles, for qsort. */
int util_by_value(const void *a, const void *b);

/* FNV-1a, to be continued from an earlier `hash` (0 to begin). */
uint64_t util_hash(uint64_t hash, const void *data, size_t size);

float util_f16_to_f32(uint16_t value);
uint16_t util_f32_to_f16(float value); /* to nearest, ties to even; overflow to infinity */
float util_bf16_to_f32(uint16_t value);
uint16_t util_f32_to_bf16(float value); /* the same */

/* A read-only mapping of a whole file. An empty file maps to size 0 and data NULL. */
struct util_map {
    const uint8_t *data;
    size_t size;
};
int util_map_file(const char *path, struct util_map *map);
void util_unmap_file(struct util_map *map);
/* The pages of [data, data + size) are not needed again soon: keeps a reader of a large file small.
 */
void util_map_forget(const void *data, size_t size);

/* Reads a whole file of at most `limit` bytes into new memory, with a NUL behind the last byte. */
int util_read_file(const char *path, size_t limit, char **data, size_t *size);

/* A file written beside `path` and renamed when it is whole, so that `path` holds the old or the
 * new content, never a part. The first error sticks: writing may go on without looking. */
struct util_output {
    char *path, *beside;
    FILE *file;
    uint64_t size; /* bytes written so far */
    int error;
};
int util_output_open(const char *path, struct util_output *output);
int util_output_write(struct util_output *output, const void *data, size_t size);
/* Renames; removes what was written where there was an error, here or (`error`) at the caller's. */
int util_output_close(struct util_output *output, int error);

/* Writes a file so: parts are written one after the other. */
struct util_part {
    const void *data;
    size_t size;
};
int util_write_file(const char *path, const struct util_part *parts, size_t count);

bool util_is_folder(const char *path);
bool util_is_file(const char *path);
/* Whether two paths lead to one file that is there. */
bool util_is_same(const char *a, const char *b);
/* Makes a folder in one that is there. */
int util_make_folder(const char *path);
/* The same, where an empty one may be there: no checkpoint is overwritten, none half hidden. */
int util_make_new_folder(const char *path);

/* Gives a folder, whose files are whole, the name `to`, in the place of one of that name. */
int util_replace_folder(const char *from, const char *to);
/* Removes a folder and the files in it; what cannot be removed stays. */
void util_remove_folder(const char *path);

/* Names of what is in a folder, sorted, without "." and ".."; free with util_free_names. */
int util_list_folder(const char *path, char ***names, size_t *count);
void util_free_names(char ***names, size_t count);

/* Where caches go: `named`, else the environment's VKCLIP_CACHE_DIR, else vkclip's own in the
 * user's cache folder. Created when absent; a new string; NULL where there is none to write to, or
 * it is "". */
char *util_cache_dir(const char *named);

#endif
