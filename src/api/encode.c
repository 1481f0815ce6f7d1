/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that encode. Each only names the kind of its items.
 */
#include "encode/pictures.h"
#include "encode/texts.h"

int vkclip_encode_files(struct vkclip_model *model, const char *const *paths, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.paths = paths};
    return pictures_encode(model, &pictures, count, params, embeds);
}

int vkclip_encode_images(struct vkclip_model *model, const struct vkclip_image *images,
                         size_t count, const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.images = images};
    return pictures_encode(model, &pictures, count, params, embeds);
}

int vkclip_encode_pixels(struct vkclip_model *model, const float *pixel_values, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.pixels = pixel_values};
    return pictures_encode(model, &pictures, count, params, embeds);
}

int vkclip_encode_source(struct vkclip_model *model, vkclip_source_fn *source, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.source = source};
    return pictures_encode(model, &pictures, count, params, embeds);
}

int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    const struct text_items items = {.strings = texts};
    return texts_encode(model, &items, count, params, embeds);
}

int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                         size_t length, const struct vkclip_encode_params *params, float *embeds)
{
    const struct text_items items = {
        .ids = ids, .mask = params ? params->attention_mask : NULL, .width = length};
    return texts_encode(model, &items, count, params, embeds);
}
