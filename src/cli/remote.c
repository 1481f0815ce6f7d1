/* SPDX-License-Identifier: MIT
 *
 * Speaks /v1/embeddings. The user's own server is found by its Unix socket, which nobody else can
 * have made: its file must be the user's.
 */
#include "cli/remote.h"
#include "base/base64.h"
#include "base/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/file_status.h"
#include "base/string.h"
#include "cli/http.h"
#include "cli/log.h"
#include "cli/print.h"
#include "server/listen.h"

#include <stdlib.h>
#include <string.h>

struct cli_remote {
    struct cli_http *http;
    char *url;   /* without a path */
    char *model; /* as the server is asked for it */
};

/* ---- Finding it -------------------------------------------------------------------------------- */

static char *make_url(const struct cli_remote *remote, const char *path)
{
    return string_format("%s%s", remote->url, path);
}

/* Asks the server whether it computes as the options say. */
static bool is_alike(struct cli_remote *remote, const struct cli_model_options *model, char *why,
                     size_t capacity)
{
    long status = 0;
    json_t *answer = NULL;
    char *url = make_url(remote, "/api/v1");
    bool good = url && cli_ask_json(remote->http, url, NULL, &status, &answer, why, capacity);
    free(url);
    if (!good)
        return false;
    const json_int_t values[] = {json_integer_value(json_object_get(answer, "precision")),
                                 json_integer_value(json_object_get(answer, "weights")),
                                 json_integer_value(json_object_get(answer, "compute"))};
    const char *version = json_string_value(json_object_get(answer, "version"));
    good = json_is_true(json_object_get(answer, "trusted"));
    if (status != 200 || !version)
        snprintf(why, capacity, "it is no server of vkclip");
    else if (!good)
        snprintf(why, capacity,
                 environment_get("VKCLIP_TOKEN") ? "the token in VKCLIP_TOKEN is not the server's"
                                                 : "it wants a token: set VKCLIP_TOKEN");
    else if (values[0] != (json_int_t)model->precision || values[1] != (json_int_t)model->weights ||
             values[2] != (json_int_t)model->compute)
        snprintf(why, capacity, "it has other --precision, --weights or --compute");
    else
        why[0] = 0;
    json_decref(answer);
    return !why[0];
}

/* The model's path, which only the user's own server accepts, or its name. */
static char *find_model(const struct cli_model_options *model)
{
    char *path = file_resolve(model->path);
    return path ? path : string_format("%s", model->path);
}

static int connect_to(struct cli_session *session, const char *address, const char *authority,
                      const struct cli_model_options *model, struct cli_remote **result)
{
    const bool is_url = strstr(address, "://");
    struct cli_remote *remote = *result = calloc(1, sizeof(*remote));
    if (!remote)
        return cli_fail_memory();
    remote->url = is_url ? string_format("%s", address) : string_format("http://localhost");
    remote->model = find_model(model);
    if (!remote->url || !remote->model)
        return cli_fail_memory();
    if (string_ends_with(remote->url, "/"))
        remote->url[strlen(remote->url) - 1] = 0;
    const int status =
        cli_open_http(session, is_url ? environment_get("VKCLIP_TOKEN") : NULL, &remote->http);
    if (!status && !is_url)
        cli_use_socket(remote->http, address);
    if (!status && authority)
        cli_use_authority(remote->http, authority);
    return status;
}

/* Options that the server would have to be started with. */
static bool is_special(const struct cli_model_options *model)
{
    return model->vocab || model->text_encoder || model->state_dict || model->activation ||
           model->image_size || model->stream || !model->path;
}

int cli_find_remote(struct cli_session *session, const struct cli_remote_options *options,
                    const struct cli_model_options *model, struct cli_remote **remote)
{
    struct file_status file;
    char path[256], why[ERROR_MESSAGE] = "the options of the model are not the server's";
    const char *address = options->server ? options->server : "auto";
    const bool automatic = !strcmp(address, "auto");
    *remote = NULL;
    if (options->authority && !string_begins_with(address, "https://"))
        return cli_fail_usage(session, "--server-ca is for --server https://HOST:PORT only");
    if (!strcmp(address, "never"))
        return CLI_DONE;
    if (automatic && (server_socket_path(path, sizeof(path)) || !file_is_own_socket(path)))
        return CLI_DONE;
    if (automatic)
        address = path;
    if (!automatic && !strstr(address, "://") && !file_status(address, &file))
        return cli_fail(CLI_FAILED,
                        "--server %s: there is no such socket; expected http://HOST:PORT, "
                        "https://HOST:PORT, the path of a server's socket, auto or never",
                        address);
    int status = connect_to(session, address, options->authority, model, remote);
    if (!status && !is_special(model) && is_alike(*remote, model, why, sizeof(why)))
        return CLI_DONE;
    cli_close_remote(remote);
    if (!status && automatic && session->common.verbose)
        cli_say("%s: not used: %s", address, why);
    if (!status && !automatic)
        status = cli_fail(CLI_FAILED, "%s: the server cannot be used: %s", address, why);
    return status;
}

void cli_close_remote(struct cli_remote **handle)
{
    struct cli_remote *remote = *handle;
    if (!remote)
        return;
    cli_close_http(&remote->http);
    free(remote->url);
    free(remote->model);
    free(remote);
    *handle = NULL;
}

/* ---- Encoding ---------------------------------------------------------------------------------- */

static json_t *pack_item(const struct cli_remote_item *item)
{
    if (item->text)
        return json_pack("{so?}", "text", json_stringn(item->text, item->size));
    char *text = base64_encode(item->data, item->size);
    char *url = text ? string_format("data:image/any;base64,%s", text) : NULL;
    json_t *json = url ? json_pack("{ss}", "image", url) : NULL;
    free(url);
    free(text);
    return json;
}

static json_t *pack_request(const struct cli_remote *remote, const struct cli_decoding *decoding,
                            const struct cli_remote_item *items, size_t count)
{
    json_t *input = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(input, pack_item(&items[i]));
    if (json_array_size(input) < count) {
        json_decref(input);
        return NULL;
    }
    return json_pack("{so ss ss sb sb}", "input", input, "model", remote->model, "encoding_format",
                     "base64", "orient", decoding->orient, "fast_decode", decoding->fast);
}

static bool read_embeds(const json_t *answer, size_t count, size_t dim, float *embeds)
{
    const json_t *data = json_object_get(answer, "data");
    bool good = json_array_size(data) == count;
    for (size_t i = 0; good && i < count; i++) {
        const json_t *text = json_object_get(json_array_get(data, i), "embedding");
        size_t size = 0;
        char *bytes = json_is_string(text) ? base64_decode(json_string_value(text), &size) : NULL;
        good = bytes && size == dim * sizeof(*embeds);
        if (good)
            memcpy(embeds + i * dim, bytes, size);
        free(bytes);
    }
    return good;
}

bool cli_encode_remotely(struct cli_remote *remote, const struct cli_decoding *decoding,
                         const struct cli_remote_item *items, size_t count, size_t dim,
                         float *embeds, char *message, size_t capacity)
{
    long status = 0;
    json_t *answer = NULL, *body = pack_request(remote, decoding, items, count);
    char *url = make_url(remote, "/v1/embeddings");
    bool good = false;
    if (!body || !url)
        snprintf(message, capacity, "out of memory for a request");
    else if (cli_ask_json(remote->http, url, body, &status, &answer, message, capacity)) {
        const json_t *error = json_object_get(json_object_get(answer, "error"), "message");
        good = status == 200 && read_embeds(answer, count, dim, embeds);
        if (!good)
            snprintf(message, capacity, "%s",
                     json_is_string(error) ? json_string_value(error)
                                           : "the server's answer has no such embeddings");
    }
    json_decref(answer);
    json_decref(body);
    free(url);
    return good;
}
