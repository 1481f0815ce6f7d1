/* SPDX-License-Identifier: MIT
 *
 * Stands in for the rest of the library in the tests decode_stb and prepare_stb. They have the
 * readers of pictures as a build without any optional library has them, and no models.
 */
#include "base/error.h"
#include "encode/pictures.h"

const char *vkclip_last_error(void)
{
    return error_last();
}

int pictures_preprocess(const struct vkclip_model *model, const struct vkclip_image *image,
                        uint8_t *u8, float *pixel_values)
{
    (void)model;
    (void)image;
    (void)u8;
    (void)pixel_values;
    return VKCLIP_EINVALID;
}
