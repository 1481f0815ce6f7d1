/* SPDX-License-Identifier: MIT
 *
 * Lets every device of a run compute its pieces of work, one after the other. Between pieces other
 * calls may use the devices (base/turns.h), and the program may cancel the call.
 */
#ifndef VKCLIP_TRAIN_DRIVE_H
#define VKCLIP_TRAIN_DRIVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TRAIN_DEVICES 16 /* that a run has at most */

struct workers;

/* Computes piece number `piece` of a device. */
typedef int drive_piece_fn(void *user, size_t device, uint32_t piece);

struct drive {
    drive_piece_fn *run;
    void *user;
    bool stays;                     /* What was computed can neither be cancelled nor taken back. */
    size_t devices;                 /* number of them */
    uint32_t pieces[TRAIN_DEVICES]; /* of each */
    uint32_t done[TRAIN_DEVICES];
};

/* Computes all pieces. A thread of `drivers` drives each device but the first. */
int drive_all(struct drive *drive, struct workers *drivers);

#endif
