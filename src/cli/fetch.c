/* SPDX-License-Identifier: MIT
 *
 * Downloads one model from the hub into the hub's cache: which files of the repository are needed,
 * and where they go. A file gets its name only when it is whole and its hash is right, and the
 * revision is listed only when all its files are there. Names from the server that could lead out
 * of the cache are refused.
 */
#include "base/array.h"
#include "base/environment.h"
#include "base/file.h"
#include "base/file_lock.h"
#include "base/folder.h"
#include "base/process.h"
#include "base/string.h"
#include "cli/http.h"
#include "cli/commands/pull.h"
#include "cli/print.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define HUB "https://huggingface.co"

struct fetch {
    struct cli_session *session;
    const struct hub_name *name;
    struct cli_http *http;
    char *endpoint; /* the hub's address */
    char *folder;   /* of the model in the cache */
    char commit[41];
    json_t *listing; /* the hub's description of the revision, with its files */
    /* The folder of the repository that files are meant to be in, with '/' at its end; "": none. */
    const char *part;
    uint64_t fetched;
};

/* ---- Folders --------------------------------------------------------------------------------- */

/* Makes all folders above `path`. */
static int make_folders(const char *path)
{
    char *folder = string_format("%.*s", (int)(file_name(path) - path), path);
    int status = folder ? CLI_DONE : cli_fail_memory();
    if (!status && *folder && !folder_make_all(folder, 0777))
        status = cli_fail(CLI_FAILED, "%s: folder cannot be made: %s", folder, strerror(errno));
    free(folder);
    return status;
}

static void tell_waiting(void *user)
{
    const struct cli_session *session = user;
    if (!session->common.quiet)
        cli_say("waiting for another program that downloads the same file");
}

/* Waits until no other program downloads the blob; the hub's Python client locks the same file. */
static int lock_blob(const struct fetch *fetch, const char *etag, struct file_lock *lock)
{
    const char *model = file_name(fetch->folder);
    char *path = string_format("%.*s.locks/%s/%s.lock", (int)(model - fetch->folder), fetch->folder,
                               model, etag);
    int status = path ? make_folders(path) : cli_fail_memory();
    if (!status && file_lock_wait(path, tell_waiting, fetch->session, lock))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(path);
    return status;
}

/* Gives the blob its name in the snapshot: by a link, which is made under another name and renamed,
 * so that a reader sees all or nothing, or by a copy where the system has no links. */
static int place_file(const struct fetch *fetch, const char *blob, const char *etag,
                      const char *pointer)
{
    char *beside = string_format("%s.%ld.tmp", pointer, process_number());
    char *target = string_format("%s../../blobs/%s", *fetch->part ? "../" : "", etag);
    int status = beside && target ? make_folders(pointer) : cli_fail_memory();
    if (!status) {
        file_remove(beside);
        bool linked = file_link(target, beside) && file_move(beside, pointer);
        if (!linked && file_copy(blob, pointer))
            status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
        if (!status && fetch->session->common.verbose)
            cli_say("%s: %s", pointer, linked ? target : "copied");
    }
    free(beside);
    free(target);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Downloads the blob from `url`, unless another program has done so while this one waited. */
static int fetch_blob(struct fetch *fetch, const char *url, const char *blob,
                      const struct cli_metadata *metadata)
{
    struct file_lock lock = {0};
    char *partial = string_format("%s.incomplete", blob);
    int status = partial ? make_folders(blob) : cli_fail_memory();
    if (!status)
        status = lock_blob(fetch, metadata->etag, &lock);
    if (!status && !file_exists(blob)) {
        bool good = false;
        status = cli_get_file(fetch->http, url, partial, metadata->size, &fetch->fetched);
        if (!status)
            status = cli_check_hash(partial, metadata->etag, &good);
        if (!status && !good) {
            file_remove(partial);
            status =
                cli_fail(CLI_FAILED,
                         "%s: what has arrived does not have the hash %s and was removed; pull "
                         "again, and if that does not help, the file on the server is damaged",
                         url, metadata->etag);
        }
        if (!status && !file_move(partial, blob))
            status = cli_fail(CLI_FAILED, "%s: %s", blob, strerror(errno));
    }
    file_unlock(&lock);
    free(partial);
    return status;
}

static int check_metadata(const struct fetch *fetch, const char *url,
                          const struct cli_metadata *metadata)
{
    if (!hub_is_file_name(metadata->etag))
        return cli_fail(CLI_FAILED, "%s: the ETag '%s' cannot be a file's name", url,
                        metadata->etag);
    if (*metadata->commit && strcmp(metadata->commit, fetch->commit))
        return cli_fail(CLI_FAILED, "%s: expected the file of commit %s, found that of '%s'", url,
                        fetch->commit, metadata->commit);
    return CLI_DONE;
}

static char *pointer_path(const struct fetch *fetch, const char *file)
{
    return string_format("%s/snapshots/%s/%s%s", fetch->folder, fetch->commit, fetch->part, file);
}

/* Downloads one file that the cache does not have under this name yet. */
static int fetch_missing(struct fetch *fetch, const char *url, const char *pointer)
{
    struct cli_metadata metadata;
    int status = cli_get_metadata(fetch->http, url, &metadata);
    if (!status)
        status = check_metadata(fetch, url, &metadata);
    if (status)
        return status;
    char *blob = string_format("%s/blobs/%s", fetch->folder, metadata.etag);
    if (!blob)
        return cli_fail_memory();
    if (!file_exists(blob))
        status = fetch_blob(fetch, url, blob, &metadata);
    if (!status)
        status = place_file(fetch, blob, metadata.etag, pointer);
    free(blob);
    return status;
}

/* Makes sure that a file is in the snapshot. A commit never changes, so a file that is there is
 * right. */
static int fetch_file(struct fetch *fetch, const char *file)
{
    int status = CLI_DONE;
    if (!hub_is_file_name(file))
        return cli_fail(CLI_FAILED,
                        "%s: the file name '%s' is refused, expected one without folders",
                        fetch->name->repository, file);
    char *pointer = pointer_path(fetch, file);
    char *url = string_format("%s/%s/resolve/%s/%s%s", fetch->endpoint, fetch->name->repository,
                              fetch->commit, fetch->part, file);
    if (!pointer || !url)
        status = cli_fail_memory();
    else if (!file_exists(pointer))
        status = fetch_missing(fetch, url, pointer);
    free(url);
    free(pointer);
    return status;
}

/* ---- What is needed -------------------------------------------------------------------------- */

/* The name of file `index` of the revision; "" if it has none or is in another part, NULL behind
 * the last. */
static const char *listed_file(const struct fetch *fetch, size_t index)
{
    json_t *files = json_object_get(fetch->listing, "siblings");
    if (index >= json_array_size(files))
        return NULL;
    json_t *name = json_object_get(json_array_get(files, index), "rfilename");
    const char *text = json_is_string(name) ? json_string_value(name) : "";
    return string_begins_with(text, fetch->part) ? text + strlen(fetch->part) : "";
}

static bool is_listed(const struct fetch *fetch, const char *file)
{
    size_t i = 0;
    const char *name = listed_file(fetch, i);
    while (name && strcmp(name, file))
        name = listed_file(fetch, ++i);
    return name != NULL;
}

static bool is_weights_name(const char *name)
{
    return !strchr(name, '/') &&
           (string_ends_with(name, ".safetensors") || string_ends_with(name, ".gguf"));
}

/* The .safetensors or .gguf file outside folders, if there is exactly one; else NULL. */
static const char *find_single(const struct fetch *fetch)
{
    const char *found = NULL, *name = listed_file(fetch, 0);
    for (size_t i = 1; name; i++) {
        if (is_weights_name(name) && found)
            return NULL;
        if (is_weights_name(name))
            found = name;
        name = listed_file(fetch, i);
    }
    return found;
}

static int read_json(const struct fetch *fetch, const char *file, json_t **json)
{
    json_error_t error;
    int status = CLI_DONE;
    char *path = pointer_path(fetch, file);
    *json = path ? cli_load_json(path, &error) : NULL;
    if (!path)
        status = cli_fail_memory();
    else if (!*json)
        status = cli_fail(CLI_FAILED, "%s: not JSON: %s", path, error.text);
    free(path);
    return status;
}

/* Tells whether the model_type of a configuration is that of CLIP, one of its descendants or T5. */
static bool is_model_type(const char *type)
{
    static const char *const begins[] = {
        "clip", "metaclip_2", "chinese_clip", "altclip", "M-CLIP", "siglip", "t5", "mt5", "umt5"};
    for (size_t i = 0; i < ARRAY_COUNT(begins); i++)
        if (string_begins_with(type, begins[i]))
            return true;
    return false;
}

/* Tells whether there is Hugging Face's configuration of a CLIP model: image models of timm have a
 * config.json of another form. */
static int is_transformers(struct fetch *fetch, bool *found)
{
    json_t *json = NULL;
    *found = false;
    if (!is_listed(fetch, "config.json"))
        return CLI_DONE;
    int status = fetch_file(fetch, "config.json");
    if (!status)
        status = read_json(fetch, "config.json", &json);
    const char *type = json_string_value(json_object_get(json, "model_type"));
    *found = type && is_model_type(type);
    json_decref(json);
    return status;
}

static int fetch_shards(struct fetch *fetch, const char *index)
{
    json_t *json = NULL, *value;
    const char *tensor;
    int status = fetch_file(fetch, index);
    if (!status)
        status = read_json(fetch, index, &json);
    json_object_foreach (json_object_get(json, "weight_map"), tensor, value) {
        const char *shard = json_string_value(value);
        if (!status)
            status = fetch_file(fetch, shard ? shard : "");
    }
    json_decref(json);
    return status;
}

/* Downloads one form of the weights: one file rather than several, and safetensors, which are
 * mapped, rather than PyTorch's files, which are read. */
static int fetch_weights(struct fetch *fetch)
{
    static const struct {
        bool transformers; /* needs Hugging Face's config.json, else open_clip_config.json */
        const char *file;
    } forms[] = {
        {true, "model.safetensors"},
        {true, "model.safetensors.index.json"},
        {false, "open_clip_model.safetensors"},
        {true, "pytorch_model.bin"},
        {true, "pytorch_model.bin.index.json"},
        {false, "open_clip_pytorch_model.bin"},
        {false, "model.safetensors"},
    };
    const bool openclip = is_listed(fetch, "open_clip_config.json");
    bool transformers = false;
    int status = is_transformers(fetch, &transformers);
    if (status)
        return status;
    const char *file = NULL;
    for (size_t i = 0; !file && i < ARRAY_COUNT(forms); i++) {
        const bool configured = forms[i].transformers ? transformers : openclip;
        if (configured && is_listed(fetch, forms[i].file))
            file = forms[i].file;
    }
    if (!file)
        file = find_single(fetch);
    if (!file)
        return cli_fail(
            CLI_FAILED,
            "%s@%s: %s%sfound no CLIP checkpoint, expected config.json (of a CLIP model) with "
            "model.safetensors or pytorch_model.bin, open_clip_config.json with "
            "open_clip_model.safetensors or open_clip_pytorch_model.bin, or one "
            ".safetensors or .gguf file",
            fetch->name->repository, fetch->name->revision, fetch->part, *fetch->part ? ": " : "");
    return strstr(file, ".index.json") ? fetch_shards(fetch, file) : fetch_file(fetch, file);
}

static bool has_vocabulary(const struct fetch *fetch)
{
    return is_listed(fetch, "tokenizer.json") || is_listed(fetch, "bpe_simple_vocab_16e6.txt.gz") ||
           is_listed(fetch, "spiece.model") || is_listed(fetch, "sentencepiece.bpe.model") ||
           is_listed(fetch, "vocab.txt") ||
           (is_listed(fetch, "vocab.json") && is_listed(fetch, "merges.txt"));
}

static int fetch_small(struct fetch *fetch)
{
    static const char *const small[] = {
        "open_clip_config.json",
        "preprocessor_config.json",
        "tokenizer.json",
        "vocab.json",
        "merges.txt",
        "tokenizer_config.json",
        "special_tokens_map.json",
        "bpe_simple_vocab_16e6.txt.gz",
        "spiece.model",
        "sentencepiece.bpe.model",
        "vocab.txt",
        "added_tokens.json",
    };
    int status = CLI_DONE;
    for (size_t i = 0; !status && i < ARRAY_COUNT(small); i++)
        if (is_listed(fetch, small[i]))
            status = fetch_file(fetch, small[i]);
    return status;
}

static void warn_of_vocabulary(const struct fetch *fetch)
{
    if (!fetch->session->common.quiet && !has_vocabulary(fetch))
        cli_say("warning: %s: no vocabulary in the repository: name one with --vocab",
                fetch->name->repository);
}

/* Downloads what conditioning needs of a pipeline of diffusers: the text encoders and their
 * tokenizers, and the transformer's configuration, which may say to what width they are padded. */
static int fetch_pipeline(struct fetch *fetch)
{
    static const char *const parts[][2] = {{"text_encoder/", "tokenizer/"},
                                           {"text_encoder_2/", "tokenizer_2/"},
                                           {"text_encoder_3/", "tokenizer_3/"}};
    int status = fetch_file(fetch, "model_index.json");
    for (size_t i = 0; !status && i < ARRAY_COUNT(parts); i++) {
        fetch->part = parts[i][0];
        if (!is_listed(fetch, "config.json"))
            continue;
        status = fetch_weights(fetch);
        fetch->part = parts[i][1];
        if (!status)
            status = fetch_small(fetch);
        if (!status)
            warn_of_vocabulary(fetch);
    }
    fetch->part = "transformer/";
    if (!status && is_listed(fetch, "config.json"))
        status = fetch_file(fetch, "config.json");
    fetch->part = "";
    return status;
}

static int fetch_files(struct fetch *fetch)
{
    if (is_listed(fetch, "model_index.json"))
        return fetch_pipeline(fetch);
    int status = fetch_small(fetch);
    if (!status)
        status = fetch_weights(fetch);
    if (!status)
        warn_of_vocabulary(fetch);
    return status;
}

/* ---- The hub --------------------------------------------------------------------------------- */

/* The file that may hold a token: HF_TOKEN_PATH, else the one that the hub's Python client writes.
 * NULL: there is none. */
static char *token_path(void)
{
    char *named = environment_ask("HF_TOKEN_PATH");
    if (named && *named)
        return named;
    free(named);
    char *home = hub_home();
    char *path = home ? string_format("%s/token", home) : NULL;
    free(home);
    return path;
}

/* Copies the token out of a text that may have white space around it; *token is NULL if the text
 * has nothing else. The token becomes part of a header, so that nothing may be in it that ends one.
 */
static int copy_token(const char *text, const char *source, char **token)
{
    size_t length = strlen(text);
    while (isspace((unsigned char)*text)) {
        text++;
        length--;
    }
    while (length && isspace((unsigned char)text[length - 1]))
        length--;
    for (size_t i = 0; i < length; i++)
        if (text[i] < 33 || text[i] > 126)
            return cli_fail(CLI_FAILED, "%s: not a token: expected letters and digits", source);
    if (!length)
        return CLI_DONE;
    *token = string_format("%.*s", (int)length, text);
    return *token ? CLI_DONE : cli_fail_memory();
}

/* HF_TOKEN, else what the file holds; *token NULL if there is no token. */
static int find_token(char **token)
{
    char *value = environment_ask("HF_TOKEN"), *path = NULL, *text = NULL;
    size_t size;
    int status = CLI_DONE;
    *token = NULL;
    if (value && *value)
        status = copy_token(value, "HF_TOKEN", token);
    else
        path = token_path();
    if (path && file_exists(path)) {
        if (file_read(path, 4096, &text, &size))
            status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
        else
            status = copy_token(text, path, token);
    }
    free(path);
    free(text);
    free(value);
    return status;
}

static int find_endpoint(char **endpoint)
{
    char *value = environment_ask("HF_ENDPOINT");
    const char *named = value && *value ? value : HUB;
    int status = CLI_DONE;
    size_t length = strlen(named);
    while (length && named[length - 1] == '/')
        length--;
    *endpoint = string_format("%.*s", (int)length, named);
    if (!*endpoint)
        status = cli_fail_memory();
    else if (!string_begins_with(named, "http://") && !string_begins_with(named, "https://"))
        status = cli_fail(CLI_FAILED, "HF_ENDPOINT: expected http://... or https://..., found '%s'",
                          named);
    free(value);
    return status;
}

/* Asks the hub for the revision's commit and its files. */
static int list_files(struct fetch *fetch)
{
    char *revision = cli_escape_url(fetch->name->revision);
    char *url = revision ? string_format("%s/api/models/%s/revision/%s", fetch->endpoint,
                                         fetch->name->repository, revision)
                         : NULL;
    int status = url ? cli_get_json(fetch->http, url, &fetch->listing) : cli_fail_memory();
    const char *commit = json_string_value(json_object_get(fetch->listing, "sha"));
    if (!status && (!commit || !hub_is_commit(commit) ||
                    !json_is_array(json_object_get(fetch->listing, "siblings"))))
        status = cli_fail(CLI_FAILED, "%s: expected \"sha\", a commit, and \"siblings\", its files",
                          url);
    if (!status)
        memcpy(fetch->commit, commit, sizeof(fetch->commit));
    free(revision);
    free(url);
    return status;
}

static int write_ref(const struct fetch *fetch)
{
    struct file_part part = {fetch->commit, 40};
    if (hub_is_commit(fetch->name->revision))
        return CLI_DONE;
    char *path = string_format("%s/refs/%s", fetch->folder, fetch->name->revision);
    int status = path ? make_folders(path) : cli_fail_memory();
    if (!status && file_write(path, &part, 1))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(path);
    return status;
}

int cli_fetch_model(struct cli_session *session, const struct hub_name *name, uint64_t *fetched)
{
    struct fetch fetch = {
        .session = session, .name = name, .folder = hub_model_folder(name), .part = ""};
    char *token = NULL;
    int status = fetch.folder ? CLI_DONE : cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    if (!status)
        status = find_token(&token);
    if (!status)
        status = find_endpoint(&fetch.endpoint);
    if (!status)
        status = cli_open_http(session, token, &fetch.http);
    if (!status)
        status = list_files(&fetch);
    if (!status)
        status = fetch_files(&fetch);
    if (!status)
        status = write_ref(&fetch);
    *fetched = fetch.fetched;
    cli_close_http(&fetch.http);
    json_decref(fetch.listing);
    free(fetch.endpoint);
    free(fetch.folder);
    free(token);
    return status;
}
