/* SPDX-License-Identifier: MIT
 *
 * Reads and writes the `vision_cfg` of an EVA-CLIP or PE-Core. All sizes and options follow from
 * timm's name of the model, unless `timm_model_kwargs` has other sizes. Refuses timm's other models
 * of these kinds, which have no embeddings or are computed in another way.
 */
#include "base/array.h"
#include "checkpoint/timm.h"

#include <string.h>

/* What sets the kinds apart: EVA02 has gates, inner norms and rotary positions, EVA02-E norms after
 * attention and MLP, EVA01 none of these. */
enum variant { EVA01, EVA02, EVA02_E, PE_CORE };

struct size {
    const char *name;
    enum variant variant;
    uint32_t image_size, patch, width, layers, heads;
    double mlp_ratio;
    uint32_t rope_grid;
    bool no_class_token;
};

/* timm computes these ratios, and truncates the product with the width. */
#define GATED_RATIO (4.0 * 2 / 3)
static const struct size sizes[] = {
    {"eva02_base_patch16_clip_224", EVA02, 224, 16, 768, 12, 12, GATED_RATIO, 16, false},
    {"eva02_large_patch14_clip_224", EVA02, 224, 14, 1024, 24, 16, GATED_RATIO, 16, false},
    {"eva02_large_patch14_clip_336", EVA02, 336, 14, 1024, 24, 16, GATED_RATIO, 16, false},
    {"eva02_enormous_patch14_clip_224", EVA02_E, 224, 14, 1792, 64, 16, 15360.0 / 1792, 0, false},
    {"eva_giant_patch14_clip_224", EVA01, 224, 14, 1408, 40, 16, 6144.0 / 1408, 0, false},
    {"eva_giant_patch14_224", EVA01, 224, 14, 1408, 40, 16, 6144.0 / 1408, 0, false},
    {"vit_pe_core_tiny_patch16_384", PE_CORE, 384, 16, 192, 12, 3, 4, 24, false},
    {"vit_pe_core_small_patch16_384", PE_CORE, 384, 16, 384, 12, 6, 4, 24, false},
    {"vit_pe_core_base_patch16_224", PE_CORE, 224, 16, 768, 12, 12, 4, 14, false},
    {"vit_pe_core_large_patch14_336", PE_CORE, 336, 14, 1024, 24, 16, 4, 24, false},
    {"vit_pe_core_gigantic_patch14_448", PE_CORE, 448, 14, 1536, 50, 16, 8960.0 / 1536, 32, true},
};

static enum variant find_variant(const struct config_tower *tower)
{
    if (tower->pooling == POOL_ATTENTION)
        return PE_CORE;
    if (tower->gated)
        return EVA02;
    return tower->post_norm ? EVA02_E : EVA01;
}

static void set_variant(enum variant variant, struct config_tower *tower)
{
    tower->gated = tower->inner_norm = variant == EVA02;
    tower->post_norm = variant == EVA02_E;
    tower->pooling = variant == PE_CORE ? POOL_ATTENTION : POOL_DEFAULT;
    tower->activation = variant == EVA02 ? VKCLIP_ACTIVATION_SILU : VKCLIP_ACTIVATION_GELU;
    tower->epsilon = variant == PE_CORE ? 1e-5f : 1e-6f;
}

static const char *pool_name(enum variant variant)
{
    return variant == PE_CORE ? "map" : "token";
}

static const struct size *find_size(const char *name)
{
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (!strcmp(sizes[i].name, name))
            return &sizes[i];
    return NULL;
}

static void read_sizes(const struct section *vision, const struct section *model,
                       const struct size *size, struct config *config)
{
    struct config_tower *tower = &config->image;
    tower->width = section_size(model, "embed_dim", size->width);
    tower->layers = section_size(model, "depth", size->layers);
    tower->heads = section_size(model, "num_heads", size->heads);
    tower->mlp = section_mlp(model, size->mlp_ratio, tower->width);
    config->patch_size = section_size(model, "patch_size", size->patch);
    const uint32_t image_size = section_square(vision, "image_size", size->image_size);
    config->image_size = section_square(model, "img_size", image_size);
    if (section_get(vision, "image_size") && image_size != config->image_size)
        section_wrong(vision, "image_size", "timm_model_kwargs.img_size");
}

void timm_read_eva(const struct section *vision, const char *name, struct config *config)
{
    static const struct known_key keys[] = {
        {"timm_model_name", NULL},
        {"timm_model_pretrained", NULL}, /* The checkpoint has all weights. */
        {"timm_model_kwargs", NULL},
        {"timm_pool", NULL},
        {"timm_drop", NULL}, /* affects training only, as the next key does */
        {"timm_drop_path", NULL},
        {"image_size", NULL},
    };
    static const struct known_key model_keys[] = {{"img_size", NULL},  {"patch_size", NULL},
                                                  {"embed_dim", NULL}, {"depth", NULL},
                                                  {"num_heads", NULL}, {"mlp_ratio", NULL}};
    struct config_tower *tower = &config->image;
    struct section model = section_child(vision, "timm_model_kwargs");
    const struct size *size = find_size(name);
    section_check_keys(vision, keys, ARRAY_COUNT(keys));
    section_check_arguments(&model, model_keys, ARRAY_COUNT(model_keys));
    if (!size) {
        section_refuse(vision, "timm_model_name", "a published EVA-CLIP or PE-Core");
        return;
    }
    if (strcmp(section_text(vision, "timm_pool"), pool_name(size->variant)))
        section_refuse(vision, "timm_pool", pool_name(size->variant));
    tower->kind = KIND_EVA;
    tower->projection = tower->projection_bias = true;
    tower->no_class_token = size->no_class_token;
    tower->rope_grid = size->rope_grid;
    set_variant(size->variant, tower);
    read_sizes(vision, &model, size, config);
}

/* Returns the name that says the same of everything that `timm_model_kwargs` does not state. */
static const char *find_name(const struct config_tower *tower)
{
    const enum variant variant = find_variant(tower);
    const struct size *found = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++)
        if (sizes[i].variant == variant && sizes[i].rope_grid == tower->rope_grid &&
            sizes[i].no_class_token == tower->no_class_token &&
            (!found || sizes[i].width == tower->width))
            found = found && found->width == tower->width ? found : &sizes[i];
    return found ? found->name : "";
}

json_t *timm_pack_eva(const struct config *config, json_t *mlp_ratio)
{
    const struct config_tower *tower = &config->image;
    return json_pack("{ss sb ss si s{si si si si si so}}", "timm_model_name", find_name(tower),
                     "timm_model_pretrained", 0, "timm_pool", pool_name(find_variant(tower)),
                     "image_size", (int)config->image_size, "timm_model_kwargs", "img_size",
                     (int)config->image_size, "patch_size", (int)config->patch_size, "embed_dim",
                     (int)tower->width, "depth", (int)tower->layers, "num_heads", (int)tower->heads,
                     "mlp_ratio", mlp_ratio);
}
