/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of pictures.
 */
#include "base/error.h"
#include "encode/pictures.h"
#include "image/decode.h"

int vkclip_load_image(const char *path, uint64_t max_pixels, struct vkclip_image *image)
{
    if (!path || !image)
        return error_fail(VKCLIP_EINVALID, "no path or no place for the picture");
    return image_load(path, max_pixels, image);
}

int vkclip_decode_image(const void *data, size_t size, const char *name, uint64_t max_pixels,
                        struct vkclip_image *image)
{
    name = name ? name : "picture";
    if (!image || (!data && size))
        return error_fail(VKCLIP_EINVALID, "%s: no data or no place for the picture", name);
    return image_decode(data, size, name, max_pixels, image);
}

void vkclip_free_image(struct vkclip_image *image)
{
    if (image)
        image_free(image);
}

int vkclip_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                      uint8_t *u8, float *pixel_values)
{
    if (!model || !image)
        return error_fail(VKCLIP_EINVALID, "vkclip_preprocess: model and image expected");
    return pictures_preprocess(model, image, u8, pixel_values);
}
