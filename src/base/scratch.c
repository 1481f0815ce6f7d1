/* SPDX-License-Identifier: MIT
 *
 * Keeps the largest block that was asked for.
 */
#include "base/scratch.h"

#include <stdlib.h>

void *scratch_reserve(struct scratch *scratch, size_t bytes)
{
    if (scratch->bytes < bytes) {
        free(scratch->memory);
        scratch->memory = malloc(bytes);
        scratch->bytes = scratch->memory ? bytes : 0;
    }
    return scratch->memory;
}

void *scratch_take(struct scratch *scratch, size_t bytes)
{
    void *memory = scratch->bytes < bytes ? NULL : scratch->memory;
    if (memory)
        *scratch = (struct scratch){0};
    return memory;
}

void scratch_free(struct scratch *scratch)
{
    free(scratch->memory);
    *scratch = (struct scratch){0};
}
