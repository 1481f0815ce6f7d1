/* SPDX-License-Identifier: MIT
 *
 * Prints what the headers declare, so that test_declarations.py compares vkclip.h with the
 * declarations for ctypes: a line "NAME VALUE SIZE" for each struct, member, enumerator and
 * function. VALUE is the size of a struct, the offset of a member, and what an enumerator stands
 * for.
 */
#include "api/declarations.h"

#include <stdio.h>

int main(void)
{
    for (const struct declaration *entry = declarations_today; entry->kind != DECLARATION_END;
         entry++)
        printf("%d %s %lld %zu\n", entry->kind, entry->name, (long long)entry->value, entry->size);
    return 0;
}
