/* SPDX-License-Identifier: MIT
 *
 * Calls the reader of a file's format.
 */
#include "checkpoint/container.h"
#include "base/error.h"

static void set_views(struct container *container, const struct tensor_view *views, size_t count)
{
    container->views = views;
    container->count = count;
}

int container_open(const char *path, struct container *container)
{
    int error;
    *container = (struct container){0};
    if (shards_is_index(path)) {
        error = shards_open(path, &container->shards);
        set_views(container, container->shards.views, container->shards.count);
    } else if (gguf_is_file(path)) {
        error = gguf_open(path, &container->gguf);
        if (!error)
            set_views(container, container->gguf->tensors, container->gguf->count);
    } else if (torch_pt_is_file(path)) {
        error = torch_pt_open(path, &container->torch_pt);
        if (!error)
            set_views(container, container->torch_pt->tensors, container->torch_pt->count);
    } else {
        error = safetensors_open(path, &container->safetensors);
        if (!error)
            set_views(container, container->safetensors->tensors, container->safetensors->count);
    }
    return error;
}

void container_close(struct container *container)
{
    safetensors_close(&container->safetensors);
    shards_close(&container->shards);
    gguf_close(&container->gguf);
    torch_pt_close(&container->torch_pt);
    *container = (struct container){0};
}
