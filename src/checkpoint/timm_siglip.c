/* SPDX-License-Identifier: MIT
 *
 * Reads and writes what OpenCLIP says of timm's vit_*_siglip_*: SigLIP and SigLIP 2 of fixed
 * resolution. Refuses other pools than the attention pool, a projection after it, and keys that it
 * does not know.
 */
#include "base/array.h"
#include "base/string.h"
#include "checkpoint/timm.h"

#include <string.h>

/* Reads a size that the tensors tell where it is not stated. */
static uint32_t read_stated(const struct section *settings, const char *key)
{
    return section_get(settings, key) ? section_square(settings, key, 0) : 0;
}

/* Returns the width of a head, which the shape of a tower determines, or 0 for an unknown shape. */
static uint32_t siglip_head_width(const char *name)
{
    static const struct {
        const char *shape;
        uint32_t width;
    } heads[] = {{"vit_base_", 64}, {"vit_large_", 64}, {"vit_so400m_", 72}, {"vit_giantopt_", 96}};
    for (size_t i = 0; i < ARRAY_COUNT(heads); i++)
        if (string_begins_with(name, heads[i].shape))
            return heads[i].width;
    return 0;
}

/* Reads the activation, which is GELU by erf in all towers but the largest. */
static void read_siglip_activation(const struct section *settings, const char *name,
                                   struct config_tower *tower)
{
    const char *stated = section_text(settings, "act_layer");
    const bool tanh =
        *stated ? !strcmp(stated, "gelu_tanh") : string_begins_with(name, "vit_giantopt_");
    tower->activation = tanh ? VKCLIP_ACTIVATION_GELU_TANH : VKCLIP_ACTIVATION_GELU;
    if (*stated && !tanh && strcmp(stated, "gelu"))
        section_refuse(settings, "act_layer", "gelu or gelu_tanh");
}

void timm_read_siglip(const struct section *vision, const char *name, struct config *config)
{
    static const struct known_key keys[] = {
        {"timm_model_name", NULL},
        {"timm_model_pretrained", NULL}, /* The checkpoint has all weights. */
        {"timm_model_kwargs", NULL},
        {"timm_pool", NULL},
        {"timm_proj", NULL},
        {"timm_proj_bias", NULL}, /* of a projection that is not there */
        {"timm_drop", NULL},      /* affects training only, as the next two keys do */
        {"timm_drop_path", NULL},
        {"patch_dropout", NULL},
        {"image_size", NULL},
    };
    static const struct known_key setting_keys[] = {
        {"img_size", NULL},  {"patch_size", NULL}, {"embed_dim", NULL}, {"depth", NULL},
        {"num_heads", NULL}, {"mlp_ratio", NULL},  {"act_layer", NULL}};
    struct config_tower *tower = &config->image;
    struct section settings = section_child(vision, "timm_model_kwargs");
    section_check_keys(vision, keys, ARRAY_COUNT(keys));
    section_check_arguments(&settings, setting_keys, ARRAY_COUNT(setting_keys));
    tower->kind = KIND_SIGLIP;
    tower->epsilon = 1e-6f;
    tower->width = read_stated(&settings, "embed_dim");
    tower->layers = read_stated(&settings, "depth");
    tower->heads = read_stated(&settings, "num_heads");
    tower->head_width = siglip_head_width(name);
    if (section_get(&settings, "mlp_ratio") && tower->width)
        tower->mlp = section_mlp(&settings, 4, tower->width);
    read_siglip_activation(&settings, name, tower);
    config->patch_size = read_stated(&settings, "patch_size");
    config->image_size = section_square(vision, "image_size", 224);
    config->image_embed_dim = tower->width;
    if (!tower->heads && !tower->head_width)
        section_refuse(vision, "timm_model_name",
                       "vit_base, vit_large, vit_so400m or vit_giantopt, whose heads are known");
    if (strcmp(section_text(vision, "timm_pool"), "map"))
        section_refuse(vision, "timm_pool", "map");
    if (*section_text(vision, "timm_proj") && strcmp(section_text(vision, "timm_proj"), "none"))
        section_refuse(vision, "timm_proj", "none");
}

/* Packs SigLIP's image tower as a tower of timm. Any name of a SigLIP will do, because all sizes
 * and the activation are stated. */
json_t *timm_pack_siglip(const struct config *config, json_t *mlp_ratio)
{
    const struct config_tower *image = &config->image;
    const bool tanh = image->activation == VKCLIP_ACTIVATION_GELU_TANH;
    return json_pack("{si ss sb ss ss s{si si si si si so ss}}", "image_size",
                     (int)config->image_size, "timm_model_name", "vit_base_patch16_siglip_224",
                     "timm_model_pretrained", 0, "timm_pool", "map", "timm_proj", "none",
                     "timm_model_kwargs", "img_size", (int)config->image_size, "patch_size",
                     (int)config->patch_size, "embed_dim", (int)image->width, "depth",
                     (int)image->layers, "num_heads", (int)image->heads, "mlp_ratio", mlp_ratio,
                     "act_layer", tanh ? "gelu_tanh" : "gelu");
}
