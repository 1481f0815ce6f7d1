/* SPDX-License-Identifier: MIT
 *
 * Implements the public functions of tar files with pictures.
 */
#include "api/growth.h"
#include "api/image.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/progress.h"
#include "data/dataset.h"

struct vkclip_archive {
    struct dataset *pictures;
};

static int open_archive(const char *path, struct vkclip_archive **archive)
{
    static const struct dataset_params params = {.pictures_only = true};
    *archive = memory_calloc(1, sizeof(**archive));
    if (!*archive)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    const int error = dataset_open(&path, 1, &params, &(*archive)->pictures);
    if (error)
        vkclip_close_archive(archive);
    return error;
}

int vkclip_open_tar(const char *path, const struct vkclip_archive_params *params,
                    struct vkclip_archive **archive)
{
    struct vkclip_archive_params full;
    struct progress progress;
    if (!path || !archive)
        return error_fail(VKCLIP_EINVALID, "no path or no place for the archive");
    *archive = NULL;
    int error = GROWTH_READ(vkclip_archive_params, &full, params);
    if (error)
        return error;
    progress_begin(&progress, full.progress, full.user, 1);
    return progress_end(&progress, open_archive(path, archive));
}

int vkclip_open_archive(const char *path, struct vkclip_archive **archive)
{
    return vkclip_open_tar(path, NULL, archive);
}

const char *vkclip_get_archived_name(const struct vkclip_archive *archive, size_t index)
{
    const struct dataset *pictures = archive ? archive->pictures : NULL;
    return pictures && index < pictures->count ? pictures->samples[index].name : NULL;
}

int vkclip_load_archived(const struct vkclip_archive *archive, size_t index,
                         const struct vkclip_image_params *params, struct vkclip_image *image)
{
    if (!vkclip_get_archived_name(archive, index) || !image)
        return error_fail(VKCLIP_EINVALID, "no such picture or no place for it");
    struct image_options options;
    const int error = image_read_options(params, &options);
    return error ? error : dataset_load(archive->pictures, index, &options, image);
}

void vkclip_close_archive(struct vkclip_archive **archive)
{
    if (!archive || !*archive)
        return;
    dataset_close(&(*archive)->pictures);
    memory_free(*archive);
    *archive = NULL;
}
