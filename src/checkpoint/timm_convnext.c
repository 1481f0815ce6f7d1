/* SPDX-License-Identifier: MIT
 *
 * Reads and writes the `vision_cfg` of a ConvNeXt. The numbers of blocks and the widths follow from
 * timm's name of the model, unless `timm_model_kwargs` has others. Refuses the variants of timm's
 * ConvNeXts that are computed in another way.
 */
#include "base/array.h"
#include "checkpoint/timm.h"
#include "model/convnext.h"

#include <string.h>

struct size {
    const char *name;
    uint32_t blocks[CONFIG_STAGES], widths[CONFIG_STAGES];
};

static const struct size sizes[] = {
    {"convnext_base", {3, 3, 27, 3}, {128, 256, 512, 1024}},
    {"convnext_tiny", {3, 3, 9, 3}, {96, 192, 384, 768}},
    {"convnext_small", {3, 3, 27, 3}, {96, 192, 384, 768}},
    {"convnext_large", {3, 3, 27, 3}, {192, 384, 768, 1536}},
    {"convnext_xlarge", {3, 3, 27, 3}, {256, 512, 1024, 2048}},
    {"convnext_xxlarge", {3, 4, 30, 3}, {384, 768, 1536, 3072}},
};

static const struct size *find_size(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (!strcmp(sizes[i].name, name))
            return &sizes[i];
    return NULL;
}

/* Reads a list of one number per stage; `numbers` keeps its values if the list is missing. */
static void read_stages(const struct section *section, const char *key,
                        uint32_t numbers[CONFIG_STAGES])
{
    const json_t *list = section_get(section, key);
    for (size_t i = 0; list && i < CONFIG_STAGES; i++) {
        const json_int_t number = json_integer_value(json_array_get(list, i));
        if (json_array_size(list) != CONFIG_STAGES || number < 1 || number > INT32_MAX) {
            section_wrong(section, key, "four numbers");
            return;
        }
        numbers[i] = (uint32_t)number;
    }
}

/* The MLP of OpenCLIP's projection is twice as wide as the embedding. */
static void read_projection(const struct section *vision, struct config *config)
{
    const char *projection = section_text(vision, "timm_proj");
    if (!strcmp(projection, "mlp"))
        config->image.inner = 2 * config->image_embed_dim;
    else if (strcmp(projection, "linear") != 0)
        section_refuse(vision, "timm_proj", "linear or mlp");
}

void timm_read_convnext(const struct section *vision, const char *name, struct config *config)
{
    static const struct known_key keys[] = {
        {"timm_model_name", NULL},
        {"timm_model_pretrained", NULL}, /* The checkpoint has all weights. */
        {"timm_model_kwargs", NULL},
        {"timm_proj", NULL},
        {"timm_drop", NULL}, /* affects training only, as the next key does */
        {"timm_drop_path", NULL},
        {"image_size", NULL},
    };
    static const struct known_key model_keys[] = {
        {"depths", NULL}, {"dims", NULL}, {"norm_eps", NULL}};
    struct section model = section_child(vision, "timm_model_kwargs");
    const struct size *size = find_size(name);
    section_check_keys(vision, keys, ARRAY_COUNT(keys));
    section_check_arguments(&model, model_keys, ARRAY_COUNT(model_keys));
    if (!size) {
        section_refuse(vision, "timm_model_name", "a ConvNeXt from convnext_tiny to xxlarge");
        return;
    }
    memcpy(config->stages, size->blocks, sizeof(config->stages));
    memcpy(config->stage_widths, size->widths, sizeof(config->stage_widths));
    read_stages(&model, "depths", config->stages);
    read_stages(&model, "dims", config->stage_widths);
    config->image.kind = KIND_CONVNEXT;
    config->image.epsilon =
        (float)section_number(&model, "norm_eps", (double)convnext_epsilon(size->widths[0]), 0, 1);
    config->image_size = section_square(vision, "image_size", 224);
    read_projection(vision, config);
    convnext_derive_sizes(config);
}

json_t *timm_pack_convnext(const struct config *config, json_t *epsilon)
{
    const uint32_t *blocks = config->stages, *widths = config->stage_widths;
    const struct size *size = &sizes[0];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (!memcmp(sizes[i].blocks, blocks, sizeof(sizes[i].blocks)) &&
            !memcmp(sizes[i].widths, widths, sizeof(sizes[i].widths)))
            size = &sizes[i];
    return json_pack("{ss sb ss ss si s{s[iiii] s[iiii] so}}", "timm_model_name", size->name,
                     "timm_model_pretrained", 0, "timm_pool", "", "timm_proj",
                     config->image.inner ? "mlp" : "linear", "image_size", (int)config->image_size,
                     "timm_model_kwargs", "depths", (int)blocks[0], (int)blocks[1], (int)blocks[2],
                     (int)blocks[3], "dims", (int)widths[0], (int)widths[1], (int)widths[2],
                     (int)widths[3], "norm_eps", epsilon);
}
