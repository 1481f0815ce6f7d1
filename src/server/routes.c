/* SPDX-License-Identifier: MIT */
#include "server/routes.h"
#include "base/array.h"
#include "base/string.h"
#include "server/handlers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const struct route routes[] = {
    {"GET", "/healthz", handle_health, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"GET", "/health", handle_health, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"GET", "/metrics", handle_metrics, ROUTE_FAST, ERROR_PROBLEM},

    {"GET", "/", handle_page, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"GET", "/page/*", handle_page, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},

    {"GET", "/api/v1", handle_api, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"GET", "/api/v1/openapi.json", handle_openapi, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"POST", "/api/v1/session", handle_session, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"DELETE", "/api/v1/session", handle_end_session, ROUTE_OPEN | ROUTE_FAST, ERROR_PROBLEM},
    {"POST", "/api/v1/search", handle_search, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/pictures/{id}", handle_picture, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/pictures/{id}/thumbnail", handle_thumbnail, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/pictures/{id}/preview", handle_preview, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/pictures/{id}/original", handle_original, 0, ERROR_PROBLEM},
    {"POST", "/api/v1/archive", handle_archive, 0, ERROR_PROBLEM},
    {"POST", "/api/v1/classify", handle_classify, 0, ERROR_PROBLEM},
    {"POST", "/api/v1/similarity", handle_similarity, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/duplicates", handle_duplicates, 0, ERROR_PROBLEM},
    {"POST", "/api/v1/duplicates/forget", handle_forget_duplicates, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/index", handle_index, 0, ERROR_PROBLEM},
    {"POST", "/api/v1/index/update", handle_index_update, 0, ERROR_PROBLEM},
    {"DELETE", "/api/v1/index/update", handle_index_stop, 0, ERROR_PROBLEM},
    {"GET", "/api/v1/index/failures", handle_index_failures, 0, ERROR_PROBLEM},

    {"GET", "/ping", handle_immich_ping, ROUTE_OPEN | ROUTE_FAST, ERROR_DETAIL},
    {"POST", "/predict", handle_immich_predict, 0, ERROR_DETAIL},

    {"GET", "/indices-list", handle_knn_indices, 0, ERROR_FLASK},
    {"POST", "/knn-service", handle_knn, 0, ERROR_FLASK},
    {"POST", "/metadata", handle_knn_metadata, 0, ERROR_FLASK},

    {"GET", "/v1/models", handle_openai_models, 0, ERROR_OPENAI},
    {"GET", "/v1/models/*", handle_openai_model, 0, ERROR_OPENAI},
    {"POST", "/v1/embeddings", handle_openai_embeddings, 0, ERROR_OPENAI},
};

/* Compares a path with a row's, and reads the number in it. */
static bool is_match(const char *pattern, const char *path, int64_t *id)
{
    while (*pattern) {
        if (*pattern == '*')
            return true;
        if (*pattern == '{') {
            char *end;
            if (*path < '0' || *path > '9')
                return false;
            errno = 0;
            *id = strtoll(path, &end, 10);
            if (errno)
                return false;
            path = end;
            pattern = strchr(pattern, '}') + 1;
            continue;
        }
        if (*pattern++ != *path++)
            return false;
    }
    return !*path;
}

const struct route *route_find(const char *method, const char *path, int64_t *id)
{
    if (!strcmp(method, "HEAD"))
        method = "GET";
    for (size_t i = 0; i < ARRAY_COUNT(routes); i++)
        if (!strcmp(routes[i].method, method) && is_match(routes[i].path, path, id))
            return &routes[i];
    return NULL;
}

bool route_list_methods(const char *path, char *methods, size_t size)
{
    int64_t id;
    size_t length = 0;
    for (size_t i = 0; i < ARRAY_COUNT(routes) && length < size; i++)
        if (is_match(routes[i].path, path, &id))
            length +=
                (size_t)snprintf(methods + length, size - length, "%s%s%s", length ? ", " : "",
                                 routes[i].method, strcmp(routes[i].method, "GET") ? "" : ", HEAD");
    return length;
}

enum error_form route_error_form(const char *path)
{
    int64_t id;
    for (size_t i = 0; i < ARRAY_COUNT(routes); i++)
        if (is_match(routes[i].path, path, &id))
            return routes[i].form;
    return string_begins_with(path, "/v1/") ? ERROR_OPENAI : ERROR_PROBLEM;
}
