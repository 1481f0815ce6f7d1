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
#include "base/memory.h"
#include "base/string.h"
#include "checkpoint/hugging_face.h"
#include "checkpoint/json.h"
#include "format/hub.h"
#include "text/tokenizer_config.h"

#include <stdio.h>
#include <string.h>

#define EXPECTED                                                                     \
    "config.json with model.safetensors (Hugging Face), open_clip_config.json with " \
    "open_clip_model.safetensors (OpenCLIP), or one .safetensors, .gguf or .pt file"
#define MODULES_MAX (1u << 20)
/* A list of names in a message ends after some of them. */
#define NAMES_SIZE 160

void files_folder(const char *path, char folder[FILES_PATH_SIZE])
{
    char *found = file_folder(path);
    snprintf(folder, FILES_PATH_SIZE, "%s", found ? found : "");
    memory_free(found);
}

bool files_find(const char *folder, const char *name, char path[FILES_PATH_SIZE])
{
    int length = snprintf(path, FILES_PATH_SIZE, "%s/%s", folder, name);
    return *folder && length > 0 && length < FILES_PATH_SIZE && file_exists(path);
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

/* Tells whether a name is that of a PyTorch file which may hold weights. transformers' and other
 * training programs write what an optimiser and a schedule need beside them. */
static bool is_torch(const char *name)
{
    static const char *const endings[] = {".pt", ".pth", ".bin", ".ckpt"};
    static const char *const others[] = {"optimizer", "scheduler", "scaler", "rng_state",
                                         "training_args"};
    bool found = false;
    for (size_t i = 0; i < ARRAY_COUNT(endings); i++)
        found = found || string_ends_with(name, endings[i]);
    for (size_t i = 0; i < ARRAY_COUNT(others); i++)
        found = found && !string_begins_with(name, others[i]);
    return found;
}

/* Files of one kind in a folder: how many, the last, and the names of the first for a message. */
struct found {
    size_t count;
    const char *name;
    char names[NAMES_SIZE];
};

static void add_found(struct found *found, const char *name)
{
    const size_t length = strlen(found->names);
    const bool fits = length + strlen(name) + strlen(", ...") < NAMES_SIZE;
    found->count++;
    found->name = name;
    if (fits)
        snprintf(found->names + length, NAMES_SIZE - length, "%s%s", length ? ", " : "", name);
    else if (!string_ends_with(found->names, "..."))
        snprintf(found->names + length, NAMES_SIZE - length, ", ...");
}

/* Holds the files of a folder that could be a checkpoint, or that a message should name instead. */
struct candidates {
    struct found weights, torch; /* .safetensors and .gguf files; PyTorch's */
    const char *other, *config;
};

static void list_candidates(char **names, size_t count, struct candidates *found)
{
    *found = (struct candidates){0};
    for (size_t i = 0; i < count; i++) {
        const char *name = names[i];
        if (name[0] == '.')
            continue;
        if (string_ends_with(name, ".safetensors") || string_ends_with(name, ".gguf"))
            add_found(&found->weights, name);
        if (is_torch(name))
            add_found(&found->torch, name);
        if (other_format(name) && !found->other)
            found->other = name;
        if (string_ends_with(name, "config.json"))
            found->config = name;
    }
}

/* Finds the only .safetensors or .gguf file of a folder, or if it has none PyTorch's only file. The
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
    const struct found *weights = found.weights.count ? &found.weights : &found.torch;
    if (found.other && weights->count != 1)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: found %s (%s), which is not supported yet, expected " EXPECTED,
                           folder, found.other, other_format(found.other));
    else if (weights->count > 1)
        error = error_fail(VKCLIP_EINVALID,
                           "%s: found %zu weight files (%s): name one of them, or have " EXPECTED,
                           folder, weights->count, weights->names);
    else if (!weights->count)
        error = error_fail(VKCLIP_EIO, "%s: found %s, expected " EXPECTED, folder,
                           found.config ? found.config : "no checkpoint");
    else if (!files_find(folder, weights->name, file))
        error = error_fail(VKCLIP_EIO, "%s/%s: cannot be read", folder, weights->name);
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

/* ---- Models of sentence-transformers --------------------------------------------------------- */

/* Returns the folder below `folder` that a list of modules names, if its only module is a CLIP
 * model. Any other module would change the embeddings, so that such a list is refused. */
static int read_modules(const char *folder, const char *list, char inner[FILES_PATH_SIZE])
{
    json_t *root = NULL;
    int error = json_file_read(list, MODULES_MAX, &root);
    if (error)
        return error;
    const json_t *module = json_array_get(root, 0);
    const char *type = json_string_value(json_object_get(module, "type"));
    const char *name = json_string_value(json_object_get(module, "path"));
    if (!type || !string_ends_with(type, ".CLIPModel") || json_array_size(root) != 1)
        error = error_fail(VKCLIP_EUNSUPPORTED,
                           "%s: expected CLIPModel as the only module, found %zu modules, %.100s "
                           "first",
                           list, json_array_size(root), type ? type : "none");
    else if (!name || (*name && !hub_is_file_name(name)))
        error = error_fail(VKCLIP_EFORMAT, "%s: path: expected a folder's name, found %.100s", list,
                           name ? name : "none");
    else
        snprintf(inner, FILES_PATH_SIZE, "%.*s%s%s", FILES_PATH_SIZE / 2, folder, *name ? "/" : "",
                 name);
    json_decref(root);
    return error;
}

/* Finds the weights in a folder, or in the one that a modules.json of sentence-transformers names,
 * unless that is the folder itself. */
static int find_in_modules(const char *folder, char file[FILES_PATH_SIZE])
{
    char list[FILES_PATH_SIZE], inner[FILES_PATH_SIZE];
    if (files_find(folder, "config.json", list) || !files_find(folder, "modules.json", list))
        return find_in_folder(folder, file);
    int error = read_modules(folder, list, inner);
    return error ? error : find_in_folder(inner, file);
}

/* ---- The weights at a path ------------------------------------------------------------------- */

int files_find_weights(const char *path, char file[FILES_PATH_SIZE])
{
    if (strlen(path) > FILES_PATH_SIZE - 512)
        return error_fail(VKCLIP_EINVALID, "%.64s...: path longer than %d bytes", path,
                          FILES_PATH_SIZE - 512);
    if (folder_exists(path))
        return find_in_modules(path, file);
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
