/* SPDX-License-Identifier: MIT
 *
 * A connection to one PostgreSQL database, which says in words what went wrong. Messages name the
 * database without its password. Refuses servers before version 14 and databases whose texts are
 * not in UTF-8.
 */
#ifndef VKCLIP_SEARCH_POSTGRES_H
#define VKCLIP_SEARCH_POSTGRES_H

#include "search/postgres_values.h"

struct postgres {
    struct database database; /* comes first, because callers have a pointer to it */
    PGconn *connection;
    const char *statements[64]; /* those that the server has prepared */
    unsigned cursors;           /* how many were opened */
    bool stopped;               /* The program has cancelled the statement that ran last. */
};

/* Connects to the database of a URI. After an error the connection is closed. */
int postgres_open(const char *uri, struct postgres *postgres);
void postgres_close(struct postgres *postgres);

#endif
