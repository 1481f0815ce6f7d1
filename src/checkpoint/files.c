/* SPDX-License-Identifier: MIT
 *
 * Finds a checkpoint's files by the names that Hugging Face, OpenCLIP, timm and diffusers give
 * them.
 */
#include "checkpoint/files.h"
#include "base/array.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "checkpoint/hugging_face.h"
#include "text/tokenizer_config.h"

#include <stdio.h>
#include <string.h>

#define EXPECTED                                                                     \
    "config.json with model.safetensors (Hugging Face), open_clip_config.json with " \
    "open_clip_model.safetensors (OpenCLIP), or one .safetensors, .gguf or .pt file"

void files_folder(const char *path, char folder[FILES_PATH_SIZE])
{
    size_t length = (size_t)(file_name(path) - path);
    if (length > 1)
        length--; /* The separator before the name is not part of the folder. */
    while (length > 1 && path[length - 1] == '/')
        length--;
    if (length)
        snprintf(folder, FILES_PATH_SIZE, "%.*s", (int)length, path);
    else
        snprintf(folder, FILES_PATH_SIZE, ".");
}

bool files_find(const char *folder, const char *name, char path[FILES_PATH_SIZE])
{
    int length = snprintf(path, FILES_PATH_SIZE, "%s/%s", folder, name);
    return length > 0 && length < FILES_PATH_SIZE && file_exists(path);
}

/* ---- Weights --------------------------------------------------------------------------------- */

/* Returns the format of a file that cannot be read as a checkpoint, or NULL if the name does not
 * tell. */
static const char *other_format(const char *name)
{
    static const struct {
        const char *ending, *format;
    } others[] = {
        {".onnx", "ONNX"},
        {".msgpack", "Flax"},
        {".h5", "TensorFlow"},
    };
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        if (string_ends_with(name, others[i].ending))
            return others[i].format;
    return NULL;
}

/* Holds the files of a folder that could be a checkpoint, or that a message should name instead. */
struct candidates {
    size_t count, torch_count;
    const char *weights, *torch; /* the last .safetensors or .gguf file; the last .pt file */
    const char *other, *config;
};

static void list_candidates(char **names, size_t count, struct candidates *found)
{
    *found = (struct candidates){0};
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i];
        if (name[0] == '.')
            continue;
        if (string_ends_with(name, ".safetensors") || string_ends_with(name, ".gguf")) {
            found->count++;
            found->weights = name;
        }
        if (string_ends_with(name, ".pt")) {
            found->torch_count++;
            found->torch = name;
        }
        if (other_format(name) && !found->other)
            found->other = name;
        if (string_ends_with(name, "config.json"))
            found->config = name;
    }
}

/* Finds the only .safetensors or .gguf file of a folder, or if it has none the only .pt file. The
 * error message says what the folder holds instead. */
static int find_single(const char *folder, char file[FILES_PATH_SIZE])
{
    struct candidates found;
    char **names = NULL;
    size_t count = 0;
    int error = folder_list(folder, &names, &count);
    if (error)
        return error;
    list_candidates(names, count, &found);
    if (!found.count) {
        found.count = found.torch_count;
        found.weights = found.torch;
    }
    if (found.other && found.count != 1)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: found %s (%s), which is not supported yet, expected " EXPECTED,
                           folder, found.other, other_format(found.other));
    else if (found.count > 1)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: found %zu weight files: name one of them, or have " EXPECTED,
                           folder, found.count);
    else if (!found.count)
        error = error_fail(VKCLIP_EIO, "%s: found %s, expected " EXPECTED, folder,
                           found.config ? found.config : "no checkpoint");
    else if (!files_find(folder, found.weights, file))
        error = error_fail(VKCLIP_EIO, "%s/%s: cannot be read", folder, found.weights);
    folder_free_names(&names, count);
    return error;
}

static int find_in_folder(const char *folder, char file[FILES_PATH_SIZE])
{
    static const struct {
        bool openclip; /* The file is OpenCLIP's, beside open_clip_config.json, not config.json. */
        const char *name;
    } weights[] = {
        {false, "model.safetensors"},          {false, "model.safetensors.index.json"},
        {false, "pytorch_model.bin"},          {false, "pytorch_model.bin.index.json"},
        {true, "open_clip_model.safetensors"}, {true, "open_clip_pytorch_model.bin"},
        {true, "model.safetensors"},
    };
    /* timm's repositories have a config.json and a model.safetensors in timm's own format beside
     * OpenCLIP's files, so that only a config.json of CLIP comes before OpenCLIP's. */
    const bool openclip = files_find(folder, "open_clip_config.json", file);
    const bool hugging_face =
        files_find(folder, "config.json", file) && (!openclip || hugging_face_is_config(file));
    for (size_t i = 0; i < ARRAY_COUNT(weights); i++)
        if ((weights[i].openclip ? openclip : hugging_face) &&
            files_find(folder, weights[i].name, file))
            return VKCLIP_OK;
    return find_single(folder, file);
}

int files_find_weights(const char *path, char file[FILES_PATH_SIZE])
{
    if (strlen(path) > FILES_PATH_SIZE - 512)
        return error_fail(VKCLIP_EINVALID, "%.64s...: path longer than %d bytes", path,
                          FILES_PATH_SIZE - 512);
    if (folder_exists(path))
        return find_in_folder(path, file);
    if (!file_exists(path))
        return error_fail(VKCLIP_EIO, "%s: no such file or folder", path);
    const char *other = other_format(path);
    if (!other && string_ends_with(path, ".json") && !string_ends_with(path, ".index.json"))
        other = "a configuration alone";
    if (other)
        return error_fail(
            VKCLIP_EUNSUPPORTED,
            "%s: %s cannot be opened, expected a folder or a .safetensors, .gguf or .pt file", path,
            other);
    snprintf(file, FILES_PATH_SIZE, "%s", path);
    return VKCLIP_OK;
}

/* ---- What lies beside them ------------------------------------------------------------------- */

bool files_find_preprocessor(const char *folder, char path[FILES_PATH_SIZE])
{
    return files_find(folder, "preprocessor_config.json", path) ||
           files_find(folder, "processor_config.json", path); /* transformers 5 writes this name. */
}

/* Tells whether transformers' class of the tokenizer reads spiece.model and no tokenizer.json,
 * which may lie beside it and gives other ids for some texts. */
static bool reads_spiece(const char *path)
{
    struct tokenizer_config config;
    return !tokenizer_config_read(path, &config) && !strcmp(config.class, "SiglipTokenizer");
}

static bool find_vocabulary(const char *folder, enum vkclip_family family,
                            char path[FILES_PATH_SIZE])
{
    static const char *const names[] = {"bpe_simple_vocab_16e6.txt.gz",
                                        "bpe_simple_vocab_16e6.txt",
                                        "tokenizer.json",
                                        "vocab.json",
                                        "spiece.model",
                                        "sentencepiece.bpe.model",
                                        "vocab.txt"};
    if (files_find(folder, "spiece.model", path) && reads_spiece(path))
        return true;
    /* OpenAI's lists of merges are ignored beside Hugging Face's models. */
    for (size_t i = family == VKCLIP_FAMILY_HF ? 2 : 0; i < ARRAY_COUNT(names); i++) {
        if (!strcmp(names[i], "vocab.json") && !files_find(folder, "merges.txt", path))
            continue;
        if (files_find(folder, names[i], path))
            return true;
    }
    return false;
}

bool files_find_vocabulary(const char *folder, enum vkclip_family family,
                           char path[FILES_PATH_SIZE])
{
    static const char encoder[] = "text_encoder";
    char beside[FILES_PATH_SIZE];
    const char *name = file_name(folder);
    if (find_vocabulary(folder, family, path))
        return true;
    if (!string_begins_with(name, encoder))
        return false;
    int length = snprintf(beside, sizeof(beside), "%.*stokenizer%s", (int)(name - folder), folder,
                          name + strlen(encoder));
    return length < FILES_PATH_SIZE && find_vocabulary(beside, family, path);
}
