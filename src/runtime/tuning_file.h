/* SPDX-License-Identifier: MIT
 *
 * Reads and writes the files in which one device's results are kept: what was measured (tune.h) and
 * what was checked (selftest.h). A file that is damaged, belongs to another table of kernels or
 * cannot be read counts as absent.
 */
#ifndef VKCLIP_RUNTIME_TUNING_FILE_H
#define VKCLIP_RUNTIME_TUNING_FILE_H

#include <jansson.h>

#include "vulkan/gpu.h"

/* Returns the entries of a file that this process or another one wrote, as a new object. It is
 * empty if there is no file for this table of kernels, and NULL if memory runs out. `path` may be
 * NULL. */
json_t *tuning_file_read(const char *path, const char *member);
/* Adds entries to a file. Those that another process has added since stay. `path` may be NULL. */
void tuning_file_write(const struct gpu *gpu, const char *path, const char *member,
                       json_t *entries);

#endif
