/* SPDX-License-Identifier: MIT
 *
 * What the command line of `vkclip serve` says.
 */
#ifndef VKCLIP_SERVER_OPTIONS_H
#define VKCLIP_SERVER_OPTIONS_H

#include "vkclip.h"

/* A name that clients use, and the model that it stands for. */
struct server_alias {
    const char *name, *model;
};

/* What the command line says. Zero or NULL stands for the default in parentheses. */
struct server_options {
    struct vkclip_device *device; /* opened by the caller, who closes it after server_run */
    const char *device_name;      /* as in vkclip_device_params, to open it once more */
    const char *model;            /* for requests that name none; NULL: the index's only model */
    struct vkclip_model_params model_params;
    const struct server_alias *aliases; /* [alias_count] */
    size_t alias_count;

    const char *const *indexed; /* [indexed_count] folders to index; or one index */
    size_t indexed_count;

    const char *listen;    /* ADDRESS:PORT, ADDRESS or PORT (127.0.0.1:8765); "": no TCP */
    const char *unix_path; /* a socket; NULL: see listen_user; "": none */
    const char *tls_certificate, *tls_key; /* PEM files; NULL: no TLS */
    const char *token;                     /* which clients must send; NULL: see token_file */
    const char *token_file;        /* whose first line is the token; NULL: VKCLIP_TOKEN, or none */
    bool no_auth;                  /* any address may be served without a token */
    const char *origin;            /* another origin whose pages may ask; NULL: none */
    const char *const *host_names; /* [host_name_count] further names of this machine */
    size_t host_name_count;
    const char *access_log; /* a file, or "-"; NULL: none */

    uint64_t max_body;        /* bytes of a request's body (64 MiB) */
    uint64_t max_archive;     /* bytes of all archives at a time (4 GiB) */
    uint64_t max_pixels;      /* of a picture, as in vkclip_load_image */
    uint32_t max_requests;    /* that are worked on or wait for it (256) */
    uint32_t max_connections; /* (4096) */
    double timeout;           /* seconds for one request (60) */
    double stop_timeout;      /* seconds for what runs when the server stops (10) */

    uint32_t batch_size; /* items that are computed at once (32) */
    double batch_wait;   /* milliseconds that an item waits for others (3) */
    double ttl;      /* seconds until a model that nobody uses is closed (300; negative: never) */
    uint64_t memory; /* bytes that the weights of all models may take (no limit) */

    const char *immich_upstream; /* URL of immich's own machine learning; NULL: none */
    bool allow_fetch;            /* pictures may be given as URLs */
    bool quiet;
};

#endif
