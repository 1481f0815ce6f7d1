/* SPDX-License-Identifier: MIT
 *
 * vkclip serve: models that stay loaded, for other programs over HTTP.
 */
#include "base/memory.h"
#include "base/string.h"
#include "cli/command.h"
#include "cli/inputs.h"
#include "cli/log.h"
#include "cli/model.h"
#include "server/server.h"

#include <stdlib.h>
#include <string.h>

struct options {
    struct cli_model_options model;
    struct cli_device_options device;
    struct cli_inputs indexed, aliases, hosts;
    const char *listen, *unix_path, *certificate, *key, *token, *token_file, *origin, *log,
        *upstream;
    uint32_t max_body, max_archive, max_pixels, max_requests, max_connections, batch_size, memory;
    double timeout, stop_timeout, batch_wait, ttl;
    bool no_auth, fetch;
};

static double read_number(double value)
{
    return value < 0 ? 1e-9 : value;
}

/* NAME=MODEL */
static int read_aliases(struct cli_session *session, const struct cli_inputs *inputs,
                        struct server_alias *aliases)
{
    for (size_t i = 0; i < inputs->count; i++) {
        char *text = (char *)inputs->items[i].text, *sign = strchr(text, '=');
        if (!sign || sign == text || !sign[1])
            return cli_fail_usage(session, "--alias: expected NAME=MODEL, found '%s'", text);
        *sign = 0;
        aliases[i] = (struct server_alias){text, sign + 1};
    }
    return CLI_DONE;
}

#ifdef VKCLIP_WITH_SERVER
static int start_server(struct cli_session *session, const struct options *options,
                        struct server_options *server)
{
    memory_share_arenas();
    const int status = cli_open_device(session, &options->device);
    if (status)
        return status;
    server->device = session->device;
    server->device_name = options->device.name;
    bool no_model = false;
    const int error = server_run(server, &no_model);
    if (no_model)
        return cli_fail_library(session, CLI_NO_MODEL);
    if (error == VKCLIP_EINVALID)
        return cli_fail_library_usage(session);
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}
#else
static int start_server(struct cli_session *session, const struct options *options,
                        struct server_options *server)
{
    (void)options;
    (void)server;
    return cli_fail_usage(session, "this build has no server: it was built without libmicrohttpd");
}
#endif

static int run_server(struct cli_session *session, const struct options *options,
                      struct server_options *server)
{
    const char **indexed = calloc(options->indexed.count + 1, sizeof(*indexed));
    const char **hosts = calloc(options->hosts.count + 1, sizeof(*hosts));
    struct server_alias *aliases = calloc(options->aliases.count + 1, sizeof(*aliases));
    int status = indexed && hosts && aliases ? CLI_DONE : cli_fail_memory();
    if (!status)
        status = read_aliases(session, &options->aliases, aliases);
    for (size_t i = 0; !status && i < options->indexed.count; i++)
        indexed[i] = options->indexed.items[i].text;
    for (size_t i = 0; !status && i < options->hosts.count; i++)
        hosts[i] = options->hosts.items[i].text;
    server->indexed = indexed;
    server->indexed_count = options->indexed.count;
    server->host_names = hosts;
    server->host_name_count = options->hosts.count;
    server->aliases = aliases;
    server->alias_count = options->aliases.count;
    if (!status)
        status = start_server(session, options, server);
    free(aliases);
    free(hosts);
    free(indexed);
    return status;
}

static int run_serve(struct cli_session *session, void *user)
{
    const struct options *options = user;
    struct server_options server = {.model = options->model.path,
                                    .model_params = cli_model_params(&options->model),
                                    .listen = options->listen,
                                    .unix_path = options->unix_path,
                                    .tls_certificate = options->certificate,
                                    .tls_key = options->key,
                                    .token = options->token,
                                    .token_file = options->token_file,
                                    .no_auth = options->no_auth,
                                    .origin = options->origin,
                                    .access_log = options->log,
                                    .max_body = (uint64_t)options->max_body << 20,
                                    .max_archive = (uint64_t)options->max_archive << 20,
                                    .max_pixels = options->max_pixels,
                                    .max_requests = options->max_requests,
                                    .max_connections = options->max_connections,
                                    .timeout = read_number(options->timeout),
                                    .stop_timeout = read_number(options->stop_timeout),
                                    .batch_size = options->batch_size,
                                    .batch_wait = read_number(options->batch_wait),
                                    .ttl = read_number(options->ttl),
                                    .memory = (uint64_t)options->memory << 20,
                                    .immich_upstream = options->upstream,
                                    .allow_fetch = options->fetch,
                                    .quiet = session->common.quiet};
    return run_server(session, options, &server);
}

#define FIELD(name) offsetof(struct options, name)
static const struct cli_option table[] = {
    CLI_INCLUDE(cli_model_options, FIELD(model)),
    CLI_INCLUDE(cli_device_options, FIELD(device)),
    CLI_OPTION(0, "index", "FOLDER|FILE", CLI_ITEM, FIELD(indexed),
               "index and watch these folders and serve your index, or serve this one"),
    CLI_OPTION(0, "listen", "ADDRESS", CLI_TEXT, FIELD(listen),
               "ADDRESS:PORT, ADDRESS or PORT; \"\": none (127.0.0.1:8765)"),
    CLI_OPTION(0, "unix", "PATH", CLI_TEXT, FIELD(unix_path),
               "a socket that only you can use; \"\": none"),
    CLI_OPTION(0, "tls-cert", "FILE", CLI_TEXT, FIELD(certificate), "certificate for HTTPS (PEM)"),
    CLI_OPTION(0, "tls-key", "FILE", CLI_TEXT, FIELD(key), "its key (PEM)"),
    CLI_OPTION(0, "token", "TOKEN", CLI_TEXT, FIELD(token),
               "clients must send it as a bearer token (VKCLIP_TOKEN)"),
    CLI_OPTION(0, "token-file", "FILE", CLI_TEXT, FIELD(token_file),
               "the token is the first line of this file"),
    CLI_OPTION(0, "no-auth", NULL, CLI_FLAG, FIELD(no_auth),
               "serve everyone who can connect, without a token"),
    CLI_OPTION(0, "host", "NAME", CLI_ITEM, FIELD(hosts), "another name of this machine"),
    CLI_OPTION(0, "cors", "ORIGIN", CLI_TEXT, FIELD(origin), "pages of this origin may ask"),
    CLI_OPTION(0, "alias", "NAME", CLI_ITEM, FIELD(aliases),
               "as NAME=MODEL: clients ask for the model by this name"),
    CLI_OPTION(0, "access-log", "FILE", CLI_TEXT, FIELD(log),
               "append a line of JSON per request; - for stdout"),
    CLI_OPTION(0, "max-body", "MIB", CLI_NUMBER, FIELD(max_body), "largest request (64)"),
    CLI_OPTION(0, "max-archive", "MIB", CLI_NUMBER, FIELD(max_archive),
               "most bytes of all zip archives at a time (4096)"),
    CLI_OPTION(0, "max-pixels", "N", CLI_NUMBER, FIELD(max_pixels),
               "refuse larger pictures (89478485)"),
    CLI_OPTION(0, "max-requests", "N", CLI_NUMBER, FIELD(max_requests),
               "most requests at once; more get status 503 (256)"),
    CLI_OPTION(0, "max-connections", "N", CLI_NUMBER, FIELD(max_connections),
               "most connections at once (4096)"),
    CLI_OPTION(0, "timeout", "SECONDS", CLI_REALS, FIELD(timeout), "for one request (60)"),
    CLI_OPTION(0, "stop-timeout", "SECONDS", CLI_REALS, FIELD(stop_timeout),
               "for requests that run when the server is stopped (10)"),
    CLI_OPTION(0, "batch-size", "N", CLI_NUMBER, FIELD(batch_size),
               "most texts or pictures that are computed at once (32)"),
    CLI_OPTION(0, "batch-wait", "MS", CLI_REALS, FIELD(batch_wait),
               "how long one waits for others (3)"),
    CLI_OPTION(0, "ttl", "SECONDS", CLI_REALS, FIELD(ttl),
               "until a model that nobody uses is closed (300)"),
    CLI_OPTION(0, "memory", "MIB", CLI_NUMBER, FIELD(memory), "most memory of all models"),
    CLI_OPTION(0, "immich-upstream", "URL", CLI_TEXT, FIELD(upstream),
               "immich's own machine learning, for what is not CLIP"),
    CLI_OPTION(0, "allow-fetch", NULL, CLI_FLAG, FIELD(fetch), "pictures may be given as URLs"),
    {0}};

const struct cli_command cli_serve_command = {
    .name = "serve",
    .summary = "serve models and an index of pictures over HTTP",
    .usage = "[-m MODEL] [--index FOLDER]... [--listen ADDRESS:PORT] [OPTION]...",
    .text = "Models are opened when a request first names one, stay open, and are shared by all "
            "clients.",
    .options = table,
    .options_size = sizeof(struct options),
    .run = run_serve,
};
