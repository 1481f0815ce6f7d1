/* SPDX-License-Identifier: MIT
 *
 * Opens files for reading at any place, and maps them, with the descriptors of the C library.
 */
#ifndef VKCLIP_BASE_DESCRIPTOR_H
#define VKCLIP_BASE_DESCRIPTOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Opens a file. A pipe with a name is opened without waiting for who writes to it. Returns a
 * negative number, with the reason in errno, if that fails. With `still`, no program can write to
 * the file until it is closed, where the system can keep programs from that, as Windows can. */
int descriptor_open(const char *path, bool still);
/* Opens the file of a descriptor once more. */
int descriptor_copy(int file);
void descriptor_close(int file);

/* Reads at most `size` bytes from a place in a file. Returns how many, 0 at the end, or a negative
 * number with the reason in errno. Several threads may read one file. */
int64_t descriptor_read(int file, uint64_t place, void *data, size_t size);

/* Maps a part of a file that begins with a multiple of descriptor_unit() bytes. Returns NULL, with
 * the reason in errno, if that fails. */
void *descriptor_map(int file, uint64_t place, size_t size);
void descriptor_unmap(void *data, size_t size);
size_t descriptor_unit(void);
/* Whether a file can become shorter while it is mapped, so that pages of the mapping are no more.
 */
#ifdef _WIN32
#define DESCRIPTOR_SHRINKS false
#else
#define DESCRIPTOR_SHRINKS true
#endif
/* Puts memory of the process in the place of whole pages of a mapping, with any values. False where
 * there is none, and where files do not become shorter. */
bool descriptor_replace(void *data, size_t size);

#endif
