/* SPDX-License-Identifier: MIT
 *
 * Stands for the reader of PyTorch's files, in a build without it. Such files are recognised, as
 * archives or by their names, so that they are refused with a reason.
 */
#include "base/absent.h"
#include "base/array.h"
#include "base/error.h"
#include "base/string.h"
#include "format/torch_pt.h"

#include <stdio.h>
#include <string.h>

ABSENT_ARGUMENTS

bool torch_pt_is_file(const struct file_source *source)
{
    static const char *const endings[] = {".pt", ".pth", ".bin", ".ckpt"};
    char begin[9] = {0};
    size_t size = sizeof(begin);
    bool named = false;
    if (!file_source_begin(source, begin, &size))
        return false;
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        named = named || string_ends_with(source->name, endings[i]);
    const bool is_safetensors = size == sizeof(begin) && begin[8] == '{';
    return !memcmp(begin, "PK\3\4", 4) || (named && !is_safetensors);
}

int torch_pt_open(const char *path, struct torch_pt **file)
{
    *file = NULL;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "%s: this build of vkclip leaves PyTorch's files out (VKCLIP_WITH_TORCH): "
                      "expected safetensors or GGUF",
                      path);
}

int torch_pt_open_source(const struct file_source *source, struct torch_pt **file)
{
    return torch_pt_open(source->name, file);
}

int torch_pt_parse(const uint8_t *data, size_t size, const char *name, struct torch_pt **file)
{
    return torch_pt_open(name, file);
}

void torch_pt_close(struct torch_pt **file)
{
}
