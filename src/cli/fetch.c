/* SPDX-License-Identifier: MIT
 *
 * One model from the hub into its cache: which files of the repository are needed, and where they
 * go. A file is seen under its name only when it is whole and its hash is right, and the revision
 * only when all its files are there. Names from the server that could lead out of the cache are
 * refused.
 */
#define _DEFAULT_SOURCE
#define _POSIX_C_SOURCE 200809L
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/string.h"
#include "cli/http.h"
#include "cli/commands/pull.h"
#include "cli/print.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#ifdef _WIN32
#include <direct.h>
#define mkdir(path, mode) _mkdir(path)
#define symlink(target, path) (errno = ENOSYS, -1)
#else
#include <sys/file.h>
#endif

#define HUB "https://huggingface.co"

struct fetch {
    struct cli_session *session;
    const struct hub_name *name;
    struct cli_http *http;
    char *endpoint, *folder; /* of the hub; of the model in the cache */
    char commit[41];
    json_t *listing; /* what the hub tells of the revision */
    uint64_t fetched;
};

static int out_of_memory(void)
{
    return cli_fail(CLI_FAILED, "out of memory");
}

/* ---- Folders --------------------------------------------------------------------------------- */

/* Makes the folders that `path` lies in. */
static int make_folders(const char *path)
{
    char *copy = string_format("%s", path);
    int status = copy ? CLI_DONE : out_of_memory();
    for (char *at = copy; !status && *at; at++)
        if (*at == '/' && at != copy) {
            *at = 0;
            if (mkdir(copy, 0777) && errno != EEXIST && !folder_exists(copy))
                status =
                    cli_fail(CLI_FAILED, "%s: folder cannot be made: %s", copy, strerror(errno));
            *at = '/';
        }
    free(copy);
    return status;
}

/* One download of a blob at a time, among all programs: the hub's client locks the same file. */
static int lock_blob(const struct fetch *fetch, const char *etag, int *lock)
{
    const char *model = strrchr(fetch->folder, '/') + 1;
    char *path = string_format("%.*s.locks/%s/%s.lock", (int)(model - fetch->folder), fetch->folder,
                               model, etag);
    int status = path ? make_folders(path) : out_of_memory();
    *lock = -1;
#ifndef _WIN32
    if (!status && (*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666)) < 0)
        status = cli_fail(CLI_FAILED, "%s: %s", path, strerror(errno));
    if (!status && flock(*lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
        if (!fetch->session->common.quiet)
            cli_say("waiting for another program that downloads the same file");
        while (flock(*lock, LOCK_EX) && errno == EINTR)
            ;
    }
#endif
    free(path);
    return status;
}

static bool copy_file(const char *from, const char *to)
{
    struct file_map map;
    if (file_map_open(from, &map))
        return false;
    struct file_part part = {map.data, map.size};
    bool good = !file_write(to, &part, 1);
    file_map_close(&map);
    return good;
}

/* The name in the snapshot, at once and whole: a link made beside and renamed, or a copy where
 * there are no links. */
static int place_file(const struct fetch *fetch, const char *blob, const char *etag,
                      const char *pointer)
{
    char *beside = string_format("%s.%ld.tmp", pointer, (long)getpid());
    char *target = string_format("../../blobs/%s", etag);
    int status = beside && target ? make_folders(pointer) : out_of_memory();
    if (!status) {
        remove(beside);
        bool linked = !symlink(target, beside) && !rename(beside, pointer);
        if (!linked && !copy_file(blob, pointer))
            status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
        if (!status && fetch->session->common.verbose)
            cli_say("%s: %s", pointer, linked ? target : "copied");
    }
    free(beside);
    free(target);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Brings the blob that `url` leads to; another program may have done so meanwhile. */
static int fetch_blob(struct fetch *fetch, const char *url, const char *blob,
                      const struct cli_metadata *metadata)
{
    int lock = -1;
    char *partial = string_format("%s.incomplete", blob);
    int status = partial ? make_folders(blob) : out_of_memory();
    status = status ? status : lock_blob(fetch, metadata->etag, &lock);
    if (!status && !file_exists(blob)) {
        bool good = false;
        status = cli_get_file(fetch->http, url, partial, metadata->size, &fetch->fetched);
        status = status ? status : cli_check_hash(partial, metadata->etag, &good);
        if (!status && !good) {
            remove(partial);
            status =
                cli_fail(CLI_FAILED,
                         "%s: what has arrived does not have the hash %s and was removed; pull "
                         "again, and if that does not help, the file on the server is damaged",
                         url, metadata->etag);
        }
        if (!status && rename(partial, blob))
            status = cli_fail(CLI_FAILED, "%s: %s", blob, strerror(errno));
    }
    if (lock >= 0)
        close(lock);
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
    return string_format("%s/snapshots/%s/%s", fetch->folder, fetch->commit, file);
}

/* A commit never changes, so what lies in its snapshot is right. */
static int fetch_file(struct fetch *fetch, const char *file)
{
    struct cli_metadata metadata;
    char *blob = NULL, *url = NULL, *pointer = NULL;
    int status = CLI_DONE;
    if (!hub_is_file_name(file))
        return cli_fail(CLI_FAILED,
                        "%s: the file name '%s' is refused, expected one without folders",
                        fetch->name->repository, file);
    pointer = pointer_path(fetch, file);
    url = string_format("%s/%s/resolve/%s/%s", fetch->endpoint, fetch->name->repository,
                        fetch->commit, file);
    if (!pointer || !url)
        status = out_of_memory();
    else if (file_exists(pointer))
        goto done;
    status = status ? status : cli_get_metadata(fetch->http, url, &metadata);
    status = status ? status : check_metadata(fetch, url, &metadata);
    if (!status && !(blob = string_format("%s/blobs/%s", fetch->folder, metadata.etag)))
        status = out_of_memory();
    if (!status && !file_exists(blob))
        status = fetch_blob(fetch, url, blob, &metadata);
    status = status ? status : place_file(fetch, blob, metadata.etag, pointer);
done:
    free(blob);
    free(url);
    free(pointer);
    return status;
}

/* ---- What is needed -------------------------------------------------------------------------- */

static const char *listed(const struct fetch *fetch, size_t index)
{
    json_t *files = json_object_get(fetch->listing, "siblings");
    const char *name =
        json_string_value(json_object_get(json_array_get(files, index), "rfilename"));
    return index < json_array_size(files) ? (name ? name : "") : NULL;
}

static bool has(const struct fetch *fetch, const char *file)
{
    const char *name;
    for (size_t i = 0; (name = listed(fetch, i)); i++)
        if (!strcmp(name, file))
            return true;
    return false;
}

/* The only .safetensors or .gguf file outside folders. */
static const char *single(const struct fetch *fetch)
{
    const char *name, *found = NULL;
    for (size_t i = 0; (name = listed(fetch, i)); i++) {
        const char *dot = strrchr(name, '.');
        if (strchr(name, '/') || !dot || (strcmp(dot, ".safetensors") && strcmp(dot, ".gguf")))
            continue;
        if (found)
            return NULL;
        found = name;
    }
    return found;
}

static int read_json(const struct fetch *fetch, const char *file, json_t **json)
{
    json_error_t error;
    char *path = pointer_path(fetch, file);
    *json = path ? json_load_file(path, 0, &error) : NULL;
    int status = !path   ? out_of_memory()
                 : *json ? CLI_DONE
                         : cli_fail(CLI_FAILED, "%s: not JSON: %s", path, error.text);
    free(path);
    return status;
}

/* Hugging Face's configuration of a CLIP model; image models of timm have a config.json as well. */
static int is_transformers(struct fetch *fetch, bool *found)
{
    json_t *json = NULL;
    *found = false;
    if (!has(fetch, "config.json"))
        return CLI_DONE;
    int status = fetch_file(fetch, "config.json");
    status = status ? status : read_json(fetch, "config.json", &json);
    const char *type = json_string_value(json_object_get(json, "model_type"));
    *found = type && !strncmp(type, "clip", 4);
    json_decref(json);
    return status;
}

static int fetch_shards(struct fetch *fetch, const char *index)
{
    json_t *json = NULL, *value;
    const char *tensor;
    int status = fetch_file(fetch, index);
    status = status ? status : read_json(fetch, index, &json);
    json_object_foreach (json_object_get(json, "weight_map"), tensor, value) {
        const char *shard = json_string_value(value);
        if (!status)
            status = fetch_file(fetch, shard ? shard : "");
    }
    json_decref(json);
    return status;
}

/* One form of the weights, those that are read directly and at once before others. */
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
    bool transformers = false, openclip = has(fetch, "open_clip_config.json");
    int status = is_transformers(fetch, &transformers);
    const char *file = NULL;
    for (size_t i = 0; !file && i < ARRAY_COUNT(forms); i++)
        if ((forms[i].transformers ? transformers : openclip) && has(fetch, forms[i].file))
            file = forms[i].file;
    if (status)
        return status;
    file = file ? file : single(fetch);
    if (!file)
        return cli_fail(
            CLI_FAILED,
            "%s@%s: found no CLIP checkpoint, expected config.json (of a CLIP model) with "
            "model.safetensors or pytorch_model.bin, open_clip_config.json with "
            "open_clip_model.safetensors or open_clip_pytorch_model.bin, or one "
            ".safetensors or .gguf file",
            fetch->name->repository, fetch->name->revision);
    return strstr(file, ".index.json") ? fetch_shards(fetch, file) : fetch_file(fetch, file);
}

static int fetch_files(struct fetch *fetch)
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
    };
    int status = CLI_DONE;
    for (size_t i = 0; !status && i < ARRAY_COUNT(small); i++)
        if (has(fetch, small[i]))
            status = fetch_file(fetch, small[i]);
    status = status ? status : fetch_weights(fetch);
    if (!status && !fetch->session->common.quiet && !has(fetch, "tokenizer.json") &&
        !has(fetch, "bpe_simple_vocab_16e6.txt.gz") &&
        !(has(fetch, "vocab.json") && has(fetch, "merges.txt")))
        cli_say("warning: %s: no vocabulary in the repository: name one with --vocab",
                fetch->name->repository);
    return status;
}

/* ---- The hub --------------------------------------------------------------------------------- */

/* HF_TOKEN, else the file that the hub's client writes at login; *token NULL where there is none.
 */
static int find_token(char **token)
{
    const char *value = getenv("HF_TOKEN"), *named = getenv("HF_TOKEN_PATH");
    char *home = hub_home(), *path = NULL, *text = NULL;
    int status = CLI_DONE;
    size_t size;
    if (value && *value)
        text = string_format("%s", value);
    else if ((path = named && *named ? string_format("%s", named)
                     : home          ? string_format("%s/token", home)
                                     : NULL) &&
             file_exists(path) && file_read(path, 4096, &text, &size))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    char *start = text, *end = text ? text + strlen(text) : NULL;
    while (start && isspace((unsigned char)*start))
        start++;
    while (end > start && isspace((unsigned char)end[-1]))
        *--end = 0;
    for (char *at = start; !status && at && *at; at++)
        if (*at < 33 || *at > 126) /* it becomes part of a header */
            status = cli_fail(CLI_FAILED, "%s: not a token: expected letters and digits",
                              path ? path : "HF_TOKEN");
    *token = !status && start && *start ? string_format("%s", start) : NULL;
    free(home);
    free(path);
    free(text);
    return status;
}

static int find_endpoint(char **endpoint)
{
    const char *named = getenv("HF_ENDPOINT");
    named = named && *named ? named : HUB;
    if (!(*endpoint = string_format("%s", named)))
        return out_of_memory();
    for (size_t length = strlen(named); length && (*endpoint)[length - 1] == '/'; length--)
        (*endpoint)[length - 1] = 0;
    return !strncmp(named, "http://", 7) || !strncmp(named, "https://", 8)
               ? CLI_DONE
               : cli_fail(CLI_FAILED, "HF_ENDPOINT: expected http://... or https://..., found '%s'",
                          named);
}

/* The revision's commit and file names. */
static int list_files(struct fetch *fetch)
{
    char *revision = cli_escape_url(fetch->name->revision);
    char *url = revision ? string_format("%s/api/models/%s/revision/%s", fetch->endpoint,
                                         fetch->name->repository, revision)
                         : NULL;
    int status = url ? cli_get_json(fetch->http, url, &fetch->listing) : out_of_memory();
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
    int status = path ? make_folders(path) : out_of_memory();
    if (!status && file_write(path, &part, 1))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    free(path);
    return status;
}

int cli_fetch_model(struct cli_session *session, const struct hub_name *name, uint64_t *fetched)
{
    struct fetch fetch = {.session = session, .name = name, .folder = hub_model_folder(name)};
    char *token = NULL;
    int status = fetch.folder ? CLI_DONE : cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    status = status ? status : find_token(&token);
    status = status ? status : find_endpoint(&fetch.endpoint);
    status = status ? status : cli_open_http(session, token, &fetch.http);
    status = status ? status : list_files(&fetch);
    status = status ? status : fetch_files(&fetch);
    status = status ? status : write_ref(&fetch);
    *fetched = fetch.fetched;
    cli_close_http(&fetch.http);
    json_decref(fetch.listing);
    free(fetch.endpoint);
    free(fetch.folder);
    free(token);
    return status;
}
