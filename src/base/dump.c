/* SPDX-License-Identifier: MIT
 *
 * A text is measured first and allocated at its exact size.
 */
#include "base/dump.h"
#include "base/memory.h"

char *dump_json(const json_t *json, size_t flags)
{
    const size_t length = json_dumpb(json, NULL, 0, flags);
    char *text = length ? memory_alloc(length + 1) : NULL;
    if (!text)
        return NULL;
    if (json_dumpb(json, text, length, flags) == length) {
        text[length] = 0;
        return text;
    }
    memory_free(text);
    return NULL;
}
