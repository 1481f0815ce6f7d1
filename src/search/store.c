/* SPDX-License-Identifier: MIT
 *
 * Chooses the store by the form of its name.
 */
#include "search/store.h"
#include "base/string.h"

int store_open(const char *name, bool read_only, struct store **store)
{
    *store = NULL;
    if (string_begins_with(name, "postgresql://") || string_begins_with(name, "postgres://"))
        return error_fail(VKCLIP_EUNSUPPORTED,
                          "%s: expected the path of a file; this version has no PostgreSQL", name);
    return store_open_sqlite(name, read_only, store);
}

void store_close(struct store **store)
{
    if (*store)
        (*store)->close(*store);
    *store = NULL;
}
