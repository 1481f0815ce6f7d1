/* SPDX-License-Identifier: MIT
 *
 * Reads the zip archives of torch.save and of TorchScript: finds where the bytes of each record lie
 * in the mapped file. Nothing is unpacked. Compressed, encrypted, overlapping and repeated records,
 * names that lead out of the archive, and records that do not lie in the file are refused.
 */
#ifndef VKCLIP_FORMAT_TORCH_ARCHIVE_H
#define VKCLIP_FORMAT_TORCH_ARCHIVE_H

#include "base/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct torch_archive;

struct torch_record {
    const char *name;
    uint64_t index;        /* in the archive's directory */
    uint64_t offset, size; /* in the file, once it is located */
    bool located;
};

/* This is the length of the longest name of a record, including its folder. */
#define TORCH_RECORD_NAME_MAX 512

/* Lists the records of an archive in a file or in memory that outlives the result. Messages call
 * the archive `name`. An archive without exactly one data.pkl is refused. */
int torch_archive_open(const struct file_map *map, const char *name,
                       struct torch_archive **archive);
void torch_archive_close(struct torch_archive **archive);

/* Returns the folder that holds data.pkl and all other records of PyTorch, including its '/'. */
const char *torch_archive_folder(const struct torch_archive *archive);
/* Returns the record of that name in PyTorch's folder, or NULL if there is none. */
struct torch_record *torch_archive_find(const struct torch_archive *archive, const char *name,
                                        size_t length);
/* Finds where the bytes of a record are in the file. */
int torch_archive_locate(struct torch_archive *archive, struct torch_record *record);
/* Checks that no two of the records that were located overlap. It sorts the records, so that none
 * can be found by name afterwards. */
int torch_archive_check_overlaps(struct torch_archive *archive);

#endif
