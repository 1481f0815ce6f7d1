/* SPDX-License-Identifier: MIT
 *
 * Writes JSON as text in the library's own memory.
 */
#ifndef VKCLIP_BASE_DUMP_H
#define VKCLIP_BASE_DUMP_H

#include <jansson.h>

/* Does what json_dumps does, whose text would be memory of jansson's. The caller frees the text.
 * Returns NULL when out of memory. */
char *dump_json(const json_t *json, size_t flags);

#endif
