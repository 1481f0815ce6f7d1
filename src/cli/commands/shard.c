/* SPDX-License-Identifier: MIT
 *
 * Writes a shard's files under other names and renames them, its record last, so that a shard is
 * complete when its record exists. The numbers in the names have as many digits as clip-retrieval
 * gives them, because it reads shards in the order of their names.
 */
#include "cli/commands/shard.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/hash.h"
#include "base/settings.h"
#include "base/string.h"
#include "cli/print.h"
#include "format/parquet.h"

#include <stdlib.h>
#include <string.h>

static int fail_library(void)
{
    return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
}

/* ---- Which shard ----------------------------------------------------------------------------- */

int shard_parse(const struct cli_session *session, const char *text, struct shard *shard)
{
    int end = 0;
    if (!strcmp(text, "auto")) {
        if (settings_read_rank(&shard->index, &shard->count))
            return cli_fail_usage(session, "--shard auto: %s", vkclip_last_error());
        return CLI_DONE;
    }
    if (sscanf(text, "%9u/%9u%n", &shard->index, &shard->count, &end) != 2 || text[end] ||
        strpbrk(text, "+- ") || shard->index >= shard->count)
        return cli_fail_usage(
            session, "--shard: expected I/N with I from 0 to N - 1, or auto, found '%s'", text);
    return CLI_DONE;
}

void shard_select(struct shard *shard, struct cli_inputs *inputs)
{
    size_t kept = 0;
    for (size_t i = 0; i < inputs->count; i++) {
        struct cli_input *input = &inputs->items[i];
        if (i % shard->count == shard->index) {
            inputs->items[kept++] = *input;
            shard->inputs_hash = hash_bytes(shard->inputs_hash, input->text, input->length + 1);
            continue;
        }
        free(input->text);
        free(input->file);
    }
    inputs->count = kept;
}

/* ---- Paths ----------------------------------------------------------------------------------- */

static char *make_path(const struct shard *shard, const char *folder, const char *name,
                       const char *end)
{
    int digits = 1;
    for (uint32_t n = shard->count; n >= 10; n /= 10)
        digits++;
    return string_format("%s/%s/%s_%0*u%s", shard->folder, folder, name, digits, shard->index, end);
}

static char *record_path(const struct shard *shard)
{
    return make_path(shard, "stats", "stats", ".json");
}

char *shard_part_path(const struct shard *shard)
{
    return make_path(shard, "stats", "part", ".safetensors");
}

/* Several tasks make the same folders at the same time. */
static int make_folder(const char *folder, const char *name)
{
    char *path = string_format("%s%s%s", folder, *name ? "/" : "", name);
    int status = CLI_DONE;
    if (!path)
        status = cli_fail_memory();
    else if (!folder_exists(path) && folder_make(path) && !folder_exists(path))
        status = fail_library();
    free(path);
    return status;
}

/* ---- Records --------------------------------------------------------------------------------- */

/* Compares a record with this run. `own`: it is the record of this shard. */
static int check_record(const struct shard *shard, const char *path, const json_t *record, bool own)
{
    const json_t *shards = json_object_get(record, "shards"),
                 *made_with = json_object_get(record, "made_with");
    char hash[32];
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)shard->inputs_hash);
    if (json_integer_value(shards) != shard->count)
        return cli_fail(CLI_FAILED, "%s: one of %lld shards, expected one of %u", path,
                        (long long)json_integer_value(shards), shard->count);
    if (!json_is_string(made_with) || strcmp(json_string_value(made_with), shard->identity) != 0)
        return cli_fail(CLI_FAILED, "%s: made with \"%s\", expected \"%s\"; name another folder",
                        path, json_is_string(made_with) ? json_string_value(made_with) : "",
                        shard->identity);
    const char *found = json_string_value(json_object_get(record, "inputs_hash"));
    if (own && (!found || strcmp(found, hash) != 0))
        return cli_fail(CLI_FAILED,
                        "%s: made from other inputs than those given; name another folder, or "
                        "remove the shard",
                        path);
    return CLI_DONE;
}

static int read_record(const struct shard *shard, const char *path, bool own)
{
    json_error_t error;
    json_t *record = cli_load_json(path, &error);
    const int status =
        record ? check_record(shard, path, record, own)
               : cli_fail(CLI_FAILED, "%s: expected the record of a shard in JSON", path);
    json_decref(record);
    return status;
}

/* Reads the record of the first shard that has one, because all have the same in common. The
 * shard's own record, which may be overwritten, is not compared here. */
static int check_neighbour(const struct shard *shard, const char *own)
{
    char **names = NULL, *folder = string_format("%s/stats", shard->folder);
    size_t count = 0;
    int status = folder && !folder_list(folder, &names, &count) ? CLI_DONE : fail_library();
    for (size_t i = 0; !status && i < count; i++) {
        if (!string_begins_with(names[i], "stats_") || !string_ends_with(names[i], ".json") ||
            !strcmp(names[i], own))
            continue;
        char *path = string_format("%s/%s", folder, names[i]);
        status = path ? read_record(shard, path, false) : cli_fail_memory();
        free(path);
        break;
    }
    folder_free_names(&names, count);
    free(folder);
    return status;
}

int shard_open(struct shard *shard, bool *done)
{
    const char *const folders[] = {"", "stats", "metadata", shard->texts ? "text_emb" : "img_emb"};
    char *path = record_path(shard);
    int status = path ? CLI_DONE : cli_fail_memory();
    for (size_t i = 0; !status && i < sizeof(folders) / sizeof(*folders); i++)
        status = make_folder(shard->folder, folders[i]);
    if (!status)
        status = check_neighbour(shard, file_name(path));
    *done = !status && !shard->overwrite && file_exists(path);
    if (*done)
        status = read_record(shard, path, true);
    free(path);
    return status;
}

void shard_remove_record(const struct shard *shard)
{
    char *path = record_path(shard);
    if (path)
        file_remove(path);
    free(path);
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* Names that are not UTF-8 have their bytes in a column of their own, which is null for others, so
 * that all shards have the same columns. */
static int write_metadata(const struct shard *shard, const struct cli_inputs *inputs)
{
    const struct parquet_column columns[] = {
        {shard->texts ? "caption" : "image_path", PARQUET_TEXT},
        {shard->texts ? "caption_bytes" : "image_path_bytes", PARQUET_BYTES}};
    char *path = make_path(shard, "metadata", "metadata", ".parquet");
    struct parquet *parquet = NULL;
    int error = path ? parquet_open(path, columns, 2, &parquet) : VKCLIP_EMEMORY;
    for (size_t i = 0; !error && i < inputs->count; i++) {
        const struct cli_input *input = &inputs->items[i];
        json_t *text = cli_json_text(input->text, input->length);
        const char *clean = json_string_value(text);
        const size_t length = json_string_length(text);
        if (clean)
            parquet_put_text(parquet, 0, clean, length);
        if (!clean || length != input->length || memcmp(clean, input->text, length) != 0)
            parquet_put_text(parquet, 1, input->text, input->length);
        error = parquet_end_row(parquet);
        json_decref(text);
    }
    error = parquet_close(&parquet, error);
    free(path);
    return error ? fail_library() : CLI_DONE;
}

static int write_record(const struct shard *shard, const struct results *results)
{
    char hash[32], *path = record_path(shard);
    const char *key = shard->texts ? "text" : "path";
    json_t *failed = json_array();
    snprintf(hash, sizeof(hash), "%016llx", (unsigned long long)shard->inputs_hash);
    for (size_t i = 0; i < results->failure_count; i++) {
        const struct results_failure *failure = &results->failures[i];
        json_t *error = cli_json_text(failure->message, strlen(failure->message));
        json_array_append_new(
            failed, cli_json_with(cli_json_name(key, failure->name, strlen(failure->name)), "error",
                                  error));
    }
    json_t *record =
        json_pack("{sI sI so ss sI so}", "shard", (json_int_t)shard->index, "shards",
                  (json_int_t)shard->count, "made_with",
                  cli_json_text(shard->identity, strlen(shard->identity)), "inputs_hash", hash,
                  "rows", (json_int_t)results->good, "failed", failed);
    char *text = record ? json_dumps(record, JSON_INDENT(1)) : NULL;
    json_decref(record);
    if (!path || !text) {
        free(path);
        free(text);
        return cli_fail_memory();
    }
    const struct file_part parts[] = {{text, strlen(text)}, {"\n", 1}};
    const int error = file_write(path, parts, 2);
    free(text);
    free(path);
    return error ? fail_library() : CLI_DONE;
}

int shard_write(const struct shard *shard, const struct results *results)
{
    const char *name = shard->texts ? "text_emb" : "img_emb";
    char *path = make_path(shard, name, name, ".npy");
    int status = path ? results_write_matrix(path, results) : cli_fail_memory();
    if (!status)
        status = write_metadata(shard, &results->inputs);
    if (!status)
        status = write_record(shard, results);
    free(path);
    return status;
}
