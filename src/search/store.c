/* SPDX-License-Identifier: MIT
 *
 * What all stores share, and the choice of one by the form of its name.
 */
#include "search/store.h"
#include "base/hash.h"
#include "base/string.h"

#include <string.h>

bool store_is_on_server(const char *name)
{
    return string_begins_with(name, "postgresql://") || string_begins_with(name, "postgres://");
}

/* A password stands between the user's colon and the last @, because one that was not written as
 * URIs require may have an @ too, or it is a parameter whose name ends in `password`. */
char *store_shown_name(const char *name)
{
    static const char parameter[] = "password=";
    char *shown = string_format("%s", name);
    if (!shown || !store_is_on_server(name))
        return shown;
    char *colon = strchr(strstr(shown, "://") + 3, ':'), *at = strrchr(shown, '@');
    if (colon && at && colon < at)
        memmove(colon, at, strlen(at) + 1);
    for (char *next = shown; (next = strstr(next, parameter));) {
        next += strlen(parameter);
        const char *end = next + strcspn(next, "&");
        memmove(next, end, strlen(end) + 1);
    }
    return shown;
}

#ifndef VKCLIP_WITH_POSTGRESQL
int store_open_postgres(const char *uri, bool read_only, struct store **store)
{
    (void)uri;
    (void)read_only;
    (void)store;
    return error_fail(VKCLIP_EUNSUPPORTED,
                      "expected the path of a file; for an index in PostgreSQL this build lacks "
                      "libpq");
}
#endif

int store_end_writing(struct store *store, int error)
{
    if (!error)
        error = store->write->commit(store);
    if (error)
        store->write->rollback(store);
    return error;
}

int64_t store_add_vector(int64_t changes, int64_t id, const uint16_t *row, size_t dim)
{
    const uint64_t hash = hash_bytes((uint64_t)changes, &id, sizeof(id));
    return (int64_t)hash_bytes(hash, row, dim * sizeof(*row));
}

int store_open(const char *name, bool read_only, struct store **store)
{
    *store = NULL;
    return store_is_on_server(name) ? store_open_postgres(name, read_only, store)
                                    : store_open_sqlite(name, read_only, store);
}

void store_close(struct store **store)
{
    if (*store)
        (*store)->close(*store);
    *store = NULL;
}
