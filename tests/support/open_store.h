/* SPDX-License-Identifier: MIT
 *
 * Opens a store in a scratch folder, or on the server that a test names, and fills it.
 */
#ifndef VKCLIP_TESTS_SUPPORT_OPEN_STORE_H
#define VKCLIP_TESTS_SUPPORT_OPEN_STORE_H

#include "search/store.h"
#include "support/scratch.h"

enum { DIM = 3 };
static const uint16_t row[DIM] = {0x3c00, 0x0001, 0xfbff};

static const char *server; /* the database; NULL: stores are files */

static struct store *open_store(const char *folder)
{
    struct store *store;
    char *path = server ? string_format("%s", server) : scratch_path(folder, "index.db");
    if (store_open(path, false, &store))
        fail_msg("%s", vkclip_last_error());
    free(path);
    return store;
}

static int64_t add_model(struct store *store, const char *identity, const char *name)
{
    struct vkclip_index_model model = {.embed_dim = DIM};
    int64_t id;
    snprintf(model.identity, sizeof(model.identity), "%s", identity);
    snprintf(model.name, sizeof(model.name), "%s", name);
    assert_int_equal(store->write->put_model(store, &model, &id), 0);
    return id;
}

/* Adds a file with a content that is known by a number, and returns the content's id. */
static int64_t add_file(struct store *store, const char *path, uint8_t number, int64_t model)
{
    const struct store_hash hash = {.bytes = {number}};
    const struct store_stamp stamp = {.size = number, .inode = 1, .modified = 2, .changed = 3};
    int64_t id, before;
    struct store_content content;
    assert_int_equal(store->write->put_content(store, &hash, &id), 0);
    assert_int_equal(store->read->find_content(store, &hash, model, &content), 0);
    assert_int_equal(content.id, id);
    assert_int_equal(content.error, 0);
    assert_int_equal(store->write->put_file(store, path, &stamp, id, 0, NULL, &before), 0);
    return id;
}

#endif
