/* SPDX-License-Identifier: MIT
 *
 * Files of a folder that are left out, counted by the endings of their names, so that the user can
 * be told of them in one line.
 */
#ifndef VKCLIP_BASE_LEFT_OUT_H
#define VKCLIP_BASE_LEFT_OUT_H

#include "base/error.h"

enum { LEFT_OUT_KINDS = 12, LEFT_OUT_ENDING = 8 };

struct left_out {
    size_t total, kind_count;
    struct left_out_kind {
        char ending[LEFT_OUT_ENDING + 1];
        const char *library; /* that this build lacks for such pictures; NULL: none */
        size_t count;
    } kinds[LEFT_OUT_KINDS];
};

void left_out_add(struct left_out *left_out, const char *path, const char *library);
/* Writes "8 files were left out, REASON: 5 .txt, 3 without an ending". `reason` NULL: that they are
 * no pictures by their endings. */
void left_out_describe(struct left_out *left_out, const char *reason, char *text, size_t size);

#endif
