/* SPDX-License-Identifier: MIT
 *
 * The files of the page, which the build makes a part of the command (third_party/Embed.cmake).
 */
#ifndef VKCLIP_SERVER_PAGE_H
#define VKCLIP_SERVER_PAGE_H

#include <stddef.h>

struct page_file {
    const char *name, *type, *etag;
    const unsigned char *data; /* [size] */
    size_t size;
};

/* The table ends with a row without a name. */
extern const struct page_file page_files[];

#endif
