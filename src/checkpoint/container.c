/* SPDX-License-Identifier: MIT
 *
 * Calls the reader of a file's format.
 */
#include "checkpoint/container.h"
#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/content.h"

#include <string.h>

static int copy_views(const char *path, const struct tensor_view *views, size_t count,
                      struct container *container)
{
    container->views = memory_calloc(count + 1, sizeof(*views));
    if (!container->views)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
    if (count)
        memcpy(container->views, views, count * sizeof(*views));
    container->count = count;
    return VKCLIP_OK;
}

static int open_source(const struct file_source *source, struct container *container)
{
    const char *path = source->name;
    int error = content_check(source);
    if (error)
        return error;
    if (source->kind == FILE_SOURCE_PATH && shards_is_index(path)) {
        error = shards_open(path, &container->shards);
        if (!error)
            error = copy_views(path, container->shards.views, container->shards.count, container);
    } else if (gguf_is_file(source)) {
        error = gguf_open_source(source, &container->gguf);
        if (!error)
            error = copy_views(path, container->gguf->tensors, container->gguf->count, container);
    } else if (torch_pt_is_file(source)) {
        error = torch_pt_open_source(source, &container->torch_pt);
        if (!error)
            error = copy_views(path, container->torch_pt->tensors, container->torch_pt->count,
                               container);
    } else {
        error = safetensors_open_source(source, &container->safetensors);
        if (!error)
            error = copy_views(path, container->safetensors->tensors, container->safetensors->count,
                               container);
    }
    return error;
}

int container_open(const char *path, struct container *container)
{
    const struct file_source source = file_source_path(path);
    return container_open_source(&source, container);
}

int container_open_source(const struct file_source *source, struct container *container)
{
    *container = (struct container){0};
    int error = open_source(source, container);
    if (error)
        container_close(container);
    return error;
}

void container_close(struct container *container)
{
    memory_free(container->views);
    safetensors_close(&container->safetensors);
    shards_close(&container->shards);
    gguf_close(&container->gguf);
    torch_pt_close(&container->torch_pt);
    *container = (struct container){0};
}
