/* SPDX-License-Identifier: MIT
 *
 * vkclip index: brings an index of pictures up to date, tells about it, and changes it.
 */
#include "cli/command.h"
#include "cli/commands/refresh.h"
#include "cli/log.h"
#include "cli/model.h"

#include <stdlib.h>
#include <string.h>

enum export_layout { EXPORT_NONE, EXPORT_CLIP_RETRIEVAL };
enum import_source { IMPORT_NONE, IMPORT_RCLIP };

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_index_options index;
    bool thumbnails, retry, exact, watch, status, prune, remove, hnsw;
    uint32_t max_pixels;
    enum export_layout layout;
    enum import_source source;
};

/* ---- Updating -------------------------------------------------------------------------------- */

/* Thumbnails are counted if they were asked for. */
static int print_result(const struct cli_session *session,
                        const struct vkclip_update_result *result, bool thumbnails)
{
    if (session->common.json) {
        json_t *json =
            json_pack("{s:I,s:I,s:I,s:I,s:I,s:I}", "indexed", (json_int_t)result->indexed, "new",
                      (json_int_t)result->added, "changed", (json_int_t)result->changed, "moved",
                      (json_int_t)result->moved, "removed", (json_int_t)result->removed, "failed",
                      (json_int_t)result->failed);
        if (thumbnails)
            json = cli_json_with(json, "thumbnails", json_integer((json_int_t)result->thumbnails));
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    printf("%llu indexed: %llu new, %llu changed, %llu moved, %llu removed; %llu failed",
           (unsigned long long)result->indexed, (unsigned long long)result->added,
           (unsigned long long)result->changed, (unsigned long long)result->moved,
           (unsigned long long)result->removed, (unsigned long long)result->failed);
    if (thumbnails)
        printf("; %llu thumbnails", (unsigned long long)result->thumbnails);
    putchar('\n');
    return CLI_DONE;
}

static bool has_news(const struct vkclip_update_result *result)
{
    return result->added || result->changed || result->moved || result->removed ||
           result->thumbnails;
}

/* With `quiet`, a result without news is not printed. */
static int update_once(struct cli_session *session, struct vkclip_index *index,
                       const struct options *options, const char *const *paths, bool quiet)
{
    const struct refresh refresh = {.session = session,
                                    .index = index,
                                    .paths = paths,
                                    .count = session->arguments.count,
                                    .params = {.size = sizeof(refresh.params),
                                               .thumbnails = options->thumbnails,
                                               .retry = options->retry,
                                               .exact_decode = options->exact,
                                               .max_pixels = options->max_pixels},
                                    .lines = true};
    struct vkclip_update_result result = {.size = sizeof(result)};
    const int status = refresh_index(&refresh, &result);
    if (status)
        return status;
    return quiet && !has_news(&result) ? CLI_DONE
                                       : print_result(session, &result, options->thumbnails);
}

/* Waits and updates until the process is ended, which harms nothing. The first update finds what
 * has changed since the one before, during which nothing was watched. */
static int watch_index(struct cli_session *session, struct vkclip_index *index,
                       const struct options *options, const char *const *paths)
{
    bool changed;
    int status = CLI_DONE;
    int error = vkclip_watch_index(index, 0, &changed);
    while (!error && !status) {
        status = update_once(session, index, options, paths, true);
        fflush(stdout);
        if (!status)
            error = vkclip_watch_index(index, -1, &changed);
    }
    return error ? cli_fail_library(session, CLI_FAILED) : status;
}

static int update_index(struct cli_session *session, struct vkclip_index *index,
                        const struct options *options, const char *const *paths)
{
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status)
        status = cli_check_model(session, options->model.path, CLI_NEED_IMAGES);
    if (!status)
        status = update_once(session, index, options, paths, false);
    if (!status && options->watch)
        status = watch_index(session, index, options, paths);
    return status;
}

/* ---- What is in an index --------------------------------------------------------------------- */

struct status {
    struct vkclip_index_info info;
    struct vkclip_index_model *models;
    size_t model_count;
    json_t *folders, *folder_bytes, *failures;
    const struct cli_session *session;
};

static int add_folder(void *user, const char *path)
{
    struct status *status = user;
    if (status->session->common.json) {
        cli_json_add_name(status->folders, status->folder_bytes, path, strlen(path));
        return 0;
    }
    printf("folder    ");
    cli_print_text(path, 0);
    putchar('\n');
    return 0;
}

static int add_failure(void *user, const char *path, int error, const char *message)
{
    struct status *status = user;
    char *named = cli_name_options(status->session, message);
    (void)error;
    message = named ? named : message;
    if (status->session->common.json) {
        json_t *failure = cli_json_name("path", path, strlen(path));
        failure = cli_json_with(failure, "error", cli_json_text(message, strlen(message)));
        json_array_append_new(status->failures, failure);
    } else {
        printf("failed    ");
        cli_print_text(path, 0);
        printf(": ");
        cli_print_text(message, 0);
        putchar('\n');
    }
    free(named);
    return 0;
}

static void print_counts(const struct status *status)
{
    const struct vkclip_index_info *info = &status->info;
    printf("index     ");
    cli_print_text(info->path, 0);
    printf(", %.1f MiB\n", (double)info->bytes / (1 << 20));
    printf("files     %llu, of %llu different pictures; %llu failed, %llu missing\n",
           (unsigned long long)info->files, (unsigned long long)info->pictures,
           (unsigned long long)info->failed, (unsigned long long)info->missing);
    for (size_t i = 0; i < status->model_count; i++) {
        const struct vkclip_index_model *model = &status->models[i];
        printf("model     ");
        cli_print_text(model->name, 0);
        printf(", %.8s: %llu embeddings of width %u\n", model->identity,
               (unsigned long long)model->vectors, model->embed_dim);
    }
}

/* Makes an object with a path, whose bytes need not be UTF-8, and the members of `rest`, which is
 * released. */
static json_t *add_members(const char *key, const char *path, json_t *rest)
{
    json_t *json = cli_json_name(key, path, strlen(path));
    json_object_update(json, rest);
    json_decref(rest);
    return json;
}

static json_t *make_json(const struct status *status)
{
    const struct vkclip_index_info *info = &status->info;
    json_t *models = json_array();
    for (size_t i = 0; i < status->model_count; i++) {
        const struct vkclip_index_model *model = &status->models[i];
        json_t *rest =
            json_pack("{s:s,s:I,s:I}", "identity", model->identity, "embed_dim",
                      (json_int_t)model->embed_dim, "vectors", (json_int_t)model->vectors);
        json_array_append_new(models, add_members("name", model->name, rest));
    }
    json_t *rest =
        json_pack("{s:I,s:I,s:I,s:I,s:I,s:o,s:O,s:O}", "bytes", (json_int_t)info->bytes, "files",
                  (json_int_t)info->files, "pictures", (json_int_t)info->pictures, "missing",
                  (json_int_t)info->missing, "failed", (json_int_t)info->failed, "models", models,
                  "folders", status->folders, "failures", status->failures);
    if (json_object_size(status->folder_bytes))
        json_object_set(rest, "folders_bytes", status->folder_bytes);
    return add_members("path", info->path, rest);
}

static int read_models(struct vkclip_index *index, struct status *status)
{
    size_t room = 0, count = 0;
    int error = vkclip_list_index_models(index, NULL, 0, &room);
    status->models = error ? NULL : calloc(room + 1, sizeof(*status->models));
    if (!status->models)
        return error;
    status->models->size = sizeof(*status->models);
    error = vkclip_list_index_models(index, status->models, room, &count);
    status->model_count = count < room ? count : room; /* Another process may have added some. */
    return error;
}

static int print_status(struct cli_session *session, struct vkclip_index *index)
{
    struct status status = {.info.size = sizeof(status.info),
                            .folders = json_array(),
                            .folder_bytes = json_object(),
                            .failures = json_array(),
                            .session = session};
    const bool json = session->common.json;
    bool good = true;
    int error = vkclip_get_index_info(index, &status.info);
    if (!error)
        error = read_models(index, &status);
    if (!error && !json)
        print_counts(&status);
    if (!error)
        error = vkclip_list_index_folders(index, add_folder, &status);
    if (!error)
        error = vkclip_list_index_failures(index, add_failure, &status);
    if (!error && json)
        good = cli_print_json(make_json(&status), stdout);
    free(status.models);
    json_decref(status.folders);
    json_decref(status.folder_bytes);
    json_decref(status.failures);
    if (error)
        return cli_fail_library(session, CLI_FAILED);
    return good ? CLI_DONE : CLI_FAILED;
}

/* ---- Changing an index ----------------------------------------------------------------------- */

static int print_count(const struct cli_session *session, const char *word, uint64_t count)
{
    if (!session->common.json)
        return printf("%llu files %s\n", (unsigned long long)count, word) < 0;
    return cli_print_json(json_pack("{s:I}", word, (json_int_t)count), stdout) ? CLI_DONE
                                                                               : CLI_FAILED;
}

static int change_index(struct cli_session *session, struct vkclip_index *index,
                        const struct options *options, const char *const *paths)
{
    uint64_t count = 0;
    int error = options->remove
                    ? vkclip_remove_indexed(index, paths, session->arguments.count, &count)
                    : vkclip_prune_index(index, &count);
    return error ? cli_fail_library(session, CLI_FAILED) : print_count(session, "removed", count);
}

static int add_hnsw(struct cli_session *session, struct vkclip_index *index)
{
    return vkclip_add_hnsw_index(index) ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}

/* Writes into a folder, which needs no device. */
static int export_index(struct cli_session *session, struct vkclip_index *index,
                        const struct options *options, const char *folder)
{
    uint64_t count = 0;
    int status = cli_open_model(session, &options->model);
    if (!status && vkclip_export_index(index, session->model, folder, &count))
        status = cli_fail_library(session, CLI_FAILED);
    return status ? status : print_count(session, "exported", count);
}

static int import_index(struct cli_session *session, struct vkclip_index *index,
                        const struct options *options, const char *database)
{
    struct vkclip_import_result result = {.size = sizeof(result)};
    int status = cli_open_model_on_device(session, &options->model, &options->device);
    if (!status && vkclip_import_rclip(index, session->model, database, NULL, NULL, &result))
        status = cli_fail_library(session, CLI_FAILED);
    if (status)
        return status;
    if (session->common.json) {
        json_t *json =
            json_pack("{s:I,s:I,s:I,s:I,s:f}", "rows", (json_int_t)result.rows, "imported",
                      (json_int_t)result.imported, "left_out", (json_int_t)result.left_out,
                      "compared", (json_int_t)result.compared, "least_cosine", result.least_cosine);
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    printf("%llu of %llu imported; cosine of %llu pictures at least %.6f; %llu left out: gone, "
           "changed, or turned by EXIF\n",
           (unsigned long long)result.imported, (unsigned long long)result.rows,
           (unsigned long long)result.compared, result.least_cosine,
           (unsigned long long)result.left_out);
    return CLI_DONE;
}

/* ---- The command ------------------------------------------------------------------------------- */

/* At most one of the options is given that do something else than updating. */
static int check_options(const struct cli_session *session, const struct options *options)
{
    const size_t paths = session->arguments.count;
    const int others = options->status + options->prune + options->remove + options->hnsw +
                       (options->layout != EXPORT_NONE) + (options->source != IMPORT_NONE);
    if (others > 1)
        return cli_fail_usage(session, "expected one of --status, --prune, --remove, --hnsw, "
                                       "--export and --import");
    if (others && options->watch)
        return cli_fail_usage(session, "--watch is for updating an index");
    if ((options->status || options->prune || options->hnsw) && paths)
        return cli_fail_usage(session, "unexpected argument '%s'",
                              session->arguments.items[0].text);
    if (options->remove && !paths)
        return cli_fail_usage(session, "expected the files or folders to remove");
    if ((options->layout || options->source) && paths != 1)
        return cli_fail_usage(session, "expected one %s", options->layout ? "folder" : "database");
    return CLI_DONE;
}

static int use_index(struct cli_session *session, struct vkclip_index *index,
                     const struct options *options, const char *const *paths)
{
    if (options->status)
        return print_status(session, index);
    if (options->prune || options->remove)
        return change_index(session, index, options, paths);
    if (options->hnsw)
        return add_hnsw(session, index);
    if (options->layout)
        return export_index(session, index, options, paths[0]);
    if (options->source)
        return import_index(session, index, options, paths[0]);
    return update_index(session, index, options, paths);
}

static int run_index(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct vkclip_index *index = NULL;
    int status = check_options(session, options);
    if (status)
        return status;
    const struct vkclip_index_params params = {.size = sizeof(params),
                                               .path = options->index.path,
                                               .read_only = options->status || options->layout};
    const char **paths = cli_list_texts(&session->arguments);
    if (!paths)
        return cli_fail_memory();
    if (vkclip_open_index(&params, &index))
        status = cli_fail_library(session, CLI_FAILED);
    else
        status = use_index(session, index, options, paths);
    vkclip_close_index(&index);
    free(paths);
    return status;
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_choice layouts[] = {{"clip-retrieval", EXPORT_CLIP_RETRIEVAL}, {0}};
static const struct cli_choice sources[] = {{"rclip", IMPORT_RCLIP}, {0}};
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_index_options, FIELD(index)),
    CLI_OPTION(0, "thumbnails", NULL, CLI_FLAG, FIELD(thumbnails),
               "keep a small JPEG of each picture"),
    CLI_OPTION_PARAMETER(0, "exact", NULL, CLI_FLAG, FIELD(exact), "exact_decode",
                         "decode JPEGs in full size, as embed does: slower"),
    CLI_OPTION(0, "retry", NULL, CLI_FLAG, FIELD(retry),
               "read files again that failed before and have not changed"),
    CLI_OPTION(0, "max-pixels", "N", CLI_NUMBER, FIELD(max_pixels),
               "refuse larger pictures (89478485)"),
    CLI_OPTION(0, "watch", NULL, CLI_FLAG, FIELD(watch),
               "go on, and update the index whenever files change"),
    CLI_OPTION(0, "status", NULL, CLI_FLAG, FIELD(status),
               "print what the index has, and which files have failed"),
    CLI_OPTION(0, "prune", NULL, CLI_FLAG, FIELD(prune),
               "forget missing files, and pictures that are nowhere any more"),
    CLI_OPTION(0, "remove", NULL, CLI_FLAG, FIELD(remove),
               "forget the given files and folders; the files stay"),
    CLI_OPTION(0, "hnsw", NULL, CLI_FLAG, FIELD(hnsw),
               "add HNSW indexes, for SQL searches in PostgreSQL with pgvector"),
    CLI_OPTION_CHOICE("export", layouts, FIELD(layout),
                      "write the model's embeddings into a new folder"),
    CLI_OPTION_CHOICE("import", sources, FIELD(source),
                      "take over the embeddings of another program's database"),
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_batch_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    {0}};

const struct cli_command cli_index_command = {
    .name = "index",
    .summary = "find the pictures in folders and encode them, for search and duplicates",
    .usage = "-m PATH [OPTION...] [IMAGE|FOLDER...]\n"
             "--status|--prune|--hnsw [--index FILE]\n"
             "--remove [--index FILE] IMAGE|FOLDER...\n"
             "--export clip-retrieval -m PATH [--index FILE] FOLDER\n"
             "--import rclip -m PATH [--index FILE] DATABASE",
    .arguments = "IMAGE|FOLDER",
    .text = "Brings an index up to date with the pictures in folders and everything below them,\n"
            "or without arguments with all that it was given before. A picture is known by\n"
            "its content: files that were moved, renamed or copied are not encoded again.\n"
            "Files that are gone are marked as missing; a folder without any files, as one that\n"
            "is not mounted, changes nothing. The process may be ended at any time. With --json\n"
            "it ends with {\"indexed\":N,\"new\":N,\"changed\":N,\"moved\":N,\"removed\":N,\n"
            "\"failed\":N}, and \"thumbnails\":N if there is --thumbnails.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_index,
};
