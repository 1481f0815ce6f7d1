/* SPDX-License-Identifier: MIT
 *
 * Keeps the largest block that was asked for, unless scratch_trim is called.
 */
#include "base/scratch.h"
#include "base/memory.h"

void *scratch_reserve(struct scratch *scratch, size_t bytes)
{
    if (scratch->bytes < bytes) {
        memory_free(scratch->memory);
        scratch->memory = memory_alloc(bytes);
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

/* The pixels of 1.4 megapixels. With more, every thread would hold memory for the largest photo it
 * has seen; with less, pictures of usual sizes in data sets would be allocated one by one. The
 * allocation of a larger block is short beside the work that fills it. */
#define KEPT_BYTES ((size_t)4 << 20)

void scratch_trim(struct scratch *scratch)
{
    if (scratch->bytes > KEPT_BYTES)
        scratch_free(scratch);
}

void scratch_free(struct scratch *scratch)
{
    memory_free(scratch->memory);
    *scratch = (struct scratch){0};
}
