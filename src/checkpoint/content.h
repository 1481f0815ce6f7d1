/* SPDX-License-Identifier: MIT
 *
 * Names what a failed download leaves in the place of a file of weights.
 */
#ifndef VKCLIP_CHECKPOINT_CONTENT_H
#define VKCLIP_CHECKPOINT_CONTENT_H

#include "base/file_source.h"

/* Refuses a file that is empty, a pointer of Git LFS, or a web page. */
int content_check(const struct file_source *source);

#endif
