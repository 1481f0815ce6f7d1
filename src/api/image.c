/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of pictures.
 */
#include "api/image.h"
#include "base/error.h"
#include "base/memory.h"
#include "image/formats.h"
#include "image/prepare.h"
#include "image/thumbnail.h"

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

/* Copies a CMYK picture as RGB; *pixels is the memory that it then has. */
static int copy_as_rgb(struct vkclip_image *image, uint8_t **pixels)
{
    const size_t row = (size_t)image->width * image->channels;
    const size_t stride = image->stride ? image->stride : row;
    *pixels = memory_alloc(row * image->height);
    if (!*pixels)
        return error_fail(VKCLIP_EMEMORY, "out of memory for a picture of %u x %u", image->width,
                          image->height);
    for (uint32_t y = 0; y < image->height; y++)
        memcpy(*pixels + y * row, image->pixels + y * stride, row);
    image->pixels = *pixels;
    image->stride = 0;
    image_make_rgb(image);
    return VKCLIP_OK;
}

int vkclip_make_thumbnail(const struct vkclip_image *image, uint32_t side, vkclip_bytes_fn *bytes,
                          void *user)
{
    struct vkclip_image shown;
    uint8_t *pixels = NULL;
    void *data = NULL;
    size_t size = 0;
    if (!side || !bytes)
        return error_fail(VKCLIP_EINVALID, "vkclip_make_thumbnail: side and function expected");
    int error = image_check(image);
    if (error)
        return error;
    shown = *image;
    if (image->cmyk)
        error = copy_as_rgb(&shown, &pixels);
    if (!error)
        error = image_make_thumbnail(&shown, side, &data, &size);
    if (!error)
        bytes(user, data, size);
    memory_free(data);
    memory_free(pixels);
    return error;
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
