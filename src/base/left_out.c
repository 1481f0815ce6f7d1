/* SPDX-License-Identifier: MIT
 *
 * Counts files by the endings of their names.
 */
#include "base/left_out.h"
#include "base/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Writes what follows the last dot of a name in lower case, or "" if there is no short ending. */
static void find_ending(const char *path, char ending[LEFT_OUT_ENDING + 1])
{
    const char *dot = strrchr(file_name(path), '.');
    size_t length = dot ? strlen(dot + 1) : 0;
    length = length <= LEFT_OUT_ENDING ? length : 0;
    for (size_t i = 0; i < length; i++)
        ending[i] = dot[1 + i] >= 'A' && dot[1 + i] <= 'Z' ? (char)(dot[1 + i] | 0x20) : dot[1 + i];
    ending[length] = 0;
}

/* The last place counts all endings for which no place is left. */
void left_out_add(struct left_out *left_out, const char *path, const char *library)
{
    struct left_out_kind *kinds = left_out->kinds;
    char ending[LEFT_OUT_ENDING + 1];
    size_t i = 0;
    find_ending(path, ending);
    while (i < left_out->kind_count && strcmp(kinds[i].ending, ending) != 0)
        i++;
    if (i == LEFT_OUT_KINDS)
        strcpy(kinds[--i].ending, "...");
    else if (i == left_out->kind_count)
        strcpy(kinds[left_out->kind_count++].ending, ending);
    kinds[i].library = library;
    kinds[i].count++;
    left_out->total++;
}

static int compare_kinds(const void *a, const void *b)
{
    const struct left_out_kind *x = a, *y = b;
    if (x->count != y->count)
        return x->count > y->count ? -1 : 1;
    return strcmp(x->ending, y->ending);
}

void left_out_describe(struct left_out *left_out, const char *reason, char *text, size_t size)
{
    const bool several = left_out->total > 1;
    if (!reason)
        reason = several ? "by the ending of the name no pictures"
                         : "by the ending of the name no picture";
    qsort(left_out->kinds, left_out->kind_count, sizeof(*left_out->kinds), compare_kinds);
    size_t used = (size_t)snprintf(text, size, "%zu file%s left out, %s:", left_out->total,
                                   several ? "s were" : " was", reason);
    for (size_t i = 0; i < left_out->kind_count && used < size; i++) {
        const struct left_out_kind *kind = &left_out->kinds[i];
        used += (size_t)snprintf(text + used, size - used, "%s %zu %s%s", i ? "," : "", kind->count,
                                 *kind->ending ? "." : "without an ending", kind->ending);
        if (kind->library && used < size)
            used +=
                (size_t)snprintf(text + used, size - used, " (built without %s)", kind->library);
    }
}
