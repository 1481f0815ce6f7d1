/* SPDX-License-Identifier: MIT
 *
 * Edit distance between a mistyped word and the known names.
 */
#include "cli/suggest.h"

#include <string.h>

enum { MOST_LETTERS = 40, MOST_EDITS = 2 };

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Counts the fewest letters to change, remove, add, or exchange with the next one (the optimal
 * string alignment distance). Both words have at most MOST_LETTERS letters. */
static size_t edit_distance(const char *a, const char *b)
{
    const size_t rows = strlen(a), columns = strlen(b);
    size_t cost[MOST_LETTERS + 1][MOST_LETTERS + 1];
    for (size_t i = 0; i <= rows; i++)
        cost[i][0] = i;
    for (size_t j = 0; j <= columns; j++)
        cost[0][j] = j;
    for (size_t i = 1; i <= rows; i++)
        for (size_t j = 1; j <= columns; j++) {
            const size_t changed = cost[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            cost[i][j] = smaller(changed, 1 + smaller(cost[i - 1][j], cost[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                cost[i][j] = smaller(cost[i][j], 1 + cost[i - 2][j - 2]);
        }
    return cost[rows][columns];
}

void cli_suggest(struct cli_suggestion *suggestion, const char *name)
{
    const size_t length = strlen(suggestion->word);
    if (length > MOST_LETTERS || strlen(name) > MOST_LETTERS)
        return;
    const size_t distance = edit_distance(suggestion->word, name);
    if (distance > MOST_EDITS || 3 * distance > length)
        return;
    if (suggestion->name && distance >= suggestion->distance)
        return;
    suggestion->name = name;
    suggestion->distance = distance;
}
