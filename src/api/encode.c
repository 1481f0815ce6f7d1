/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions that prepare and encode. Each only names the kind of its items.
 */
#include "api/arguments.h"
#include "api/growth.h"
#include "api/guard.h"
#include "api/job.h"
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

static int run_pictures(const struct job_work *work)
{
    return pictures_encode(work->model, &work->pictures, work->count, &work->params, work->embeds);
}

static int encode_pictures(const char *function, struct vkclip_model *model,
                           const struct pictures *pictures, size_t count,
                           const struct vkclip_encode_params *params, float *embeds)
{
    struct job_work work = {.function = function,
                            .run = run_pictures,
                            .model = model,
                            .pictures = *pictures,
                            .count = count,
                            .embeds = embeds};
    const int error = GROWTH_READ(vkclip_encode_params, &work.params, params);
    return error ? error : job_do(&work);
}

int vkclip_encode_files(struct vkclip_model *model, const char *const *paths, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    struct job_work work = {.function = __func__,
                            .run = run_pictures,
                            .model = model,
                            .pictures = {.paths = paths},
                            .count = count,
                            .embeds = embeds};
    int error = GROWTH_READ(vkclip_encode_params, &work.params, params);
    if (!error && !work.params.item) /* Otherwise it is the error of its item. */
        error = arguments_check_strings("paths", paths, NULL, count);
    return error ? error : job_do(&work);
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

static int run_texts(const struct job_work *work)
{
    return texts_encode(work->model, &work->texts, work->count, &work->params, work->embeds);
}

int vkclip_encode_texts(struct vkclip_model *model, const char *const *texts, size_t count,
                        const struct vkclip_encode_params *params, float *embeds)
{
    struct job_work work = {.function = __func__,
                            .run = run_texts,
                            .model = model,
                            .texts = {.strings = texts},
                            .count = count,
                            .embeds = embeds};
    int error = GROWTH_READ(vkclip_encode_params, &work.params, params);
    if (!error && !work.params.item) /* Otherwise it is the error of its item. */
        error = arguments_check_strings("texts", texts, work.params.lengths, count);
    return error ? error : job_do(&work);
}

int vkclip_encode_tokens(struct vkclip_model *model, const int32_t *ids, size_t count,
                         size_t length, const struct vkclip_encode_params *params, float *embeds)
{
    struct job_work work = {.function = __func__,
                            .run = run_texts,
                            .model = model,
                            .texts = {.ids = ids, .width = length},
                            .count = count,
                            .embeds = embeds};
    const int error = GROWTH_READ(vkclip_encode_params, &work.params, params);
    work.texts.mask = work.params.attention_mask;
    return error ? error : job_do(&work);
}
