/* SPDX-License-Identifier: MIT
 *
 * Holds the table of timm's families of towers.
 */
#include "checkpoint/timm.h"
#include "base/array.h"
#include "base/string.h"

#include <string.h>

/* A model of timm belongs to the first family of which the name has both parts. */
struct timm_family {
    const char *begin, *part; /* what the name begins with, and what else it has in it */
    void (*read)(const struct section *vision, const char *name, struct config *config);
};

static const struct timm_family families[] = {{"convnext_", "", timm_read_convnext},
                                              {"eva02_", "_clip_", timm_read_eva},
                                              {"eva_giant_", "", timm_read_eva},
                                              {"vit_pe_core_", "", timm_read_eva},
                                              {"vit_", "_siglip", timm_read_siglip}};

static const struct timm_family *find_family(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(families); i++)
        if (string_begins_with(name, families[i].begin) && strstr(name, families[i].part))
            return &families[i];
    return NULL;
}

bool timm_is_tower(const struct section *vision)
{
    return section_get(vision, "timm_model_name") != NULL;
}

void timm_read(const struct section *vision, struct config *config)
{
    const char *name = section_text(vision, "timm_model_name");
    const struct timm_family *family = find_family(name);
    if (family)
        family->read(vision, name, config);
    else
        section_refuse(vision, "timm_model_name", "a tower that vkclip has");
}
