/* SPDX-License-Identifier: MIT
 *
 * Reads OpenCLIP's params.txt, lines of "NAME: VALUE" with the options of the run.
 */
#include "checkpoint/run_params.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"

#include <string.h>

enum { LIMIT = 1 << 20, VALUE_SIZE = 64 };

static const char QUICK[] = "-quickgelu";

/* The shapes of these architectures tell everything but the activation, which "-quickgelu" at the
 * end of the name changes. */
static const char *const plain[] = {
    "ViT-B-32",     "ViT-B-32-256", "ViT-B-16",     "ViT-B-16-plus-240",
    "ViT-L-14",     "ViT-L-14-280", "ViT-L-14-336", "ViT-H-14",
    "ViT-H-14-378", "ViT-g-14",     "ViT-bigG-14",  "RN50",
    "RN101",        "RN50x4",       "RN50x16",      "RN50x64",
};

static bool is_plain(const char *name, size_t length)
{
    for (size_t i = 0; i < ARRAY_COUNT(plain); i++)
        if (strlen(plain[i]) == length && !memcmp(plain[i], name, length))
            return true;
    return false;
}

/* Copies the value of a line; it is "" where there is no such line. */
static void find_value(const char *text, const char *name, char value[VALUE_SIZE])
{
    const size_t length = strlen(name);
    *value = 0;
    while (text && (strncmp(text, name, length) || strncmp(text + length, ": ", 2))) {
        text = strchr(text, '\n');
        if (text)
            text++;
    }
    if (!text)
        return;
    text += length + 2;
    const size_t size = strcspn(text, "\r\n");
    if (size < VALUE_SIZE)
        memcpy(value, text, size);
    value[size < VALUE_SIZE ? size : 0] = 0;
}

static int read_activation(const char *path, const char *text, enum vkclip_activation *activation)
{
    char model[VALUE_SIZE], forced[VALUE_SIZE], pretrained[VALUE_SIZE];
    find_value(text, "model", model);
    find_value(text, "force_quick_gelu", forced);
    find_value(text, "pretrained", pretrained);
    const bool named = string_ends_with(model, QUICK);
    const size_t length = strlen(model) - (named ? strlen(QUICK) : 0);
    if (!is_plain(model, length))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: model: \"%s\" is not an architecture whose options are known: put "
                          "the open_clip_config.json beside the checkpoint",
                          path, model);
    const bool quick = named || !strcmp(forced, "True") || !strcmp(pretrained, "openai");
    *activation = quick ? VKCLIP_ACTIVATION_QUICK_GELU : VKCLIP_ACTIVATION_GELU;
    return VKCLIP_OK;
}

/* Returns the path of the file as a new string, or NULL where there is none. */
static char *find_file(const char *weights_path)
{
    static const char *const folders[] = {"", "../"};
    const int length = (int)(file_name(weights_path) - weights_path);
    for (size_t i = 0; i < ARRAY_COUNT(folders); i++) {
        char *path = string_format("%.*s%sparams.txt", length, weights_path, folders[i]);
        if (path && file_exists(path))
            return path;
        memory_free(path);
    }
    return NULL;
}

int run_params_read(const char *weights_path, enum vkclip_activation *activation)
{
    char *path = find_file(weights_path), *text = NULL;
    size_t size;
    *activation = VKCLIP_ACTIVATION_AUTO;
    if (!path)
        return VKCLIP_OK;
    int error = file_read(path, LIMIT, &text, &size);
    if (!error)
        error = read_activation(path, text, activation);
    memory_free(text);
    memory_free(path);
    return error;
}
