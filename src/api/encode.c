/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that prepare and encode. Each only names the kind of its items.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "base/error.h"
#include "encode/pictures.h"
#include "encode/texts.h"

int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                      uint8_t *u8, float *pixel_values)
{
    if (!model || !image)
        return error_fail(VKCLIP_EINVALID, "vkclip_preprocess: model and image expected");
    const int error = guard_visit(__func__, model->guard);
    if (error)
        return error;
    return guard_end_visit(model->guard, pictures_preprocess(model, image, u8, pixel_values));
}

/* ---- Pictures -------------------------------------------------------------------------------- */

static int encode_pictures(const char *function, struct vkclip_model *model,
                           const struct pictures *pictures, size_t count,
                           const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error)
        error = guard_enter_encoding(&turn, function, model, &full, count);
    return error ? error
                 : guard_leave(&turn, pictures_encode(model, pictures, count, &full, embeds));
}

int vkclip_encode_files(struct vkclip_model *model, const char *const *paths, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    const struct pictures pictures = {.paths = paths};
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error && !full.item) /* Otherwise it is the error of its item. */
        error = arguments_check_strings("paths", paths, NULL, count);
    if (!error)
        error = guard_enter_encoding(&turn, __func__, model, &full, count);
    return error ? error
                 : guard_leave(&turn, pictures_encode(model, &pictures, count, &full, embeds));
}

int vkclip_encode_images(struct vkclip_model *model, const struct vkclip_image *images,
                         size_t count, const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.images = images};
    return encode_pictures(__func__, model, &pictures, count, params, embeds);
}

int vkclip_encode_pixels(struct vkclip_model *model, const float *pixel_values, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.pixels = pixel_values};
    return encode_pictures(__func__, model, &pictures, count, params, embeds);
}

int vkclip_encode_source(struct vkclip_model *model, vkclip_source_fn *source, size_t count,
                         const struct vkclip_encode_params *params, float *embeds)
{
    const struct pictures pictures = {.source = source};
    return encode_pictures(__func__, model, &pictures, count, params, embeds);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    const struct text_items items = {.strings = texts};
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    if (!error && !full.item) /* Otherwise it is the error of its item. */
        error = arguments_check_strings("texts", texts, full.lengths, count);
    if (!error)
        error = guard_enter_encoding(&turn, __func__, model, &full, count);
    return error ? error : guard_leave(&turn, texts_encode(model, &items, count, &full, embeds));
}

int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                         size_t length, const struct vkclip_encode_params *params, float *embeds)
{
    struct vkclip_encode_params full;
    struct turn turn;
    int error = GROWTH_READ(vkclip_encode_params, &full, params);
    const struct text_items items = {.ids = ids, .mask = full.attention_mask, .width = length};
    if (!error)
        error = guard_enter_encoding(&turn, __func__, model, &full, count);
    return error ? error : guard_leave(&turn, texts_encode(model, &items, count, &full, embeds));
}
