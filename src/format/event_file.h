/* SPDX-License-Identifier: MIT
 *
 * Writes the event files that TensorBoard draws curves from. A file is a sequence of TFRecords:
 * length (64 bits), masked CRC-32C of the length, data, masked CRC-32C of the data, all
 * little-endian. The data is the protocol buffer tensorflow.Event; only its scalars are written.
 */
#ifndef VKCLIP_FORMAT_EVENT_FILE_H
#define VKCLIP_FORMAT_EVENT_FILE_H

#include <stddef.h>
#include <stdint.h>

struct event_file;

/* Begins a new file events.out.tfevents.SECONDS.vkclip.N in a folder, which is made if it does not
 * exist. `wall_time` is in seconds since 1970. If `purge` is not 0, TensorBoard drops what earlier
 * files of the folder have of this step and later ones. */
int event_file_open(const char *folder, double wall_time, uint64_t purge, struct event_file **file);

struct event_scalar {
    const char *tag; /* such as train/loss */
    double value;
};
/* Writes the scalars of a step, which are on the disk when this returns. */
int event_file_write(struct event_file *file, double wall_time, uint64_t step,
                     const struct event_scalar *scalars, size_t count);
int event_file_close(struct event_file **file);

#endif
