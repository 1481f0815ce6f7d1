/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of pictures.
 */
#include "api/image.h"
#include "base/error.h"
#include "image/formats.h"

#include <string.h>

int vkclip_load_image(const char *path, const struct vkclip_image_params *params,
                      struct vkclip_image *image)
{
    if (!path || !image)
        return error_fail(VKCLIP_EINVALID, "no path or no place for the picture");
    struct image_options options;
    const int error = image_read_options(params, &options);
    return error ? error : image_load(path, &options, image, NULL);
}

int vkclip_decode_image(const void *data, size_t size, const char *name,
                        const struct vkclip_image_params *params, struct vkclip_image *image)
{
    name = name ? name : "picture";
    if (!image || (!data && size))
        return error_fail(VKCLIP_EINVALID, "%s: no data or no place for the picture", name);
    struct image_options options;
    const int error = image_read_options(params, &options);
    return error ? error : image_decode(data, size, name, &options, image, NULL);
}

void vkclip_free_image(struct vkclip_image *image)
{
    if (image)
        image_free(image);
}

const struct vkclip_image_format *vkclip_get_image_format(size_t index)
{
    return image_format(index);
}

const struct vkclip_image_format *vkclip_find_image_format(const char *path)
{
    const char *dot = path ? strrchr(path, '.') : NULL;
    return dot ? image_find_format(dot + 1) : NULL;
}
