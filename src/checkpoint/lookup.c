/* SPDX-License-Identifier: MIT
 *
 * Adds up rows of the tables that a text tower names for a token.
 */
#include "checkpoint/lookup.h"
#include "model/tower.h"

int lookup_vector(const struct weights *weights, const struct config *config, const int32_t *ids,
                  uint32_t token, float *vectors)
{
    const uint32_t width = config->text.width;
    struct tower_lookup lookups[TOWER_LOOKUPS];
    const unsigned count = tower_find(config, TOWER_TEXT)->look_up(config, ids, token, lookups);
    int error = VKCLIP_OK;
    for (unsigned i = 0; i < count && !error; i++) {
        float *row = i ? vectors + width : vectors;
        error = weights_read(weights, lookups[i].table, lookups[i].row, 1, row);
        for (uint32_t c = 0; c < width && i && !error; c++)
            vectors[c] += row[c];
    }
    return error;
}
