/* SPDX-License-Identifier: MIT
 *
 * Entries and their lists. A file is read once, when its entry is made.
 */
#include "search/entry.h"
#include "base/log.h"
#include "base/memory.h"
#include "base/string.h"
#include "search/file_hash.h"
#include "search/walk.h"

#include <string.h>

/* Appends a file, and takes the memory of its path over. */
static bool add_file(struct entry *entry, char *path, const struct store_stamp *stamp)
{
    struct file_link *file = memory_calloc(1, sizeof(*file)), **end = &entry->files;
    if (!file)
        return false;
    *file = (struct file_link){path, *stamp, NULL};
    while (*end)
        end = &(*end)->next;
    *end = file;
    return true;
}

struct entry *entry_read(char *path)
{
    struct entry *entry = memory_calloc(1, sizeof(*entry));
    struct store_stamp stamp = {0};
    struct file_status status;
    if (!entry) {
        memory_free(path);
        return NULL;
    }
    int error = file_hash_read(path, &stamp, &entry->hash, &entry->open.data, &entry->open.size);
    entry->hashed = !error;
    if (!stamp.inode && !stamp.modified) {
        if (!file_status(path, &status)) {
            memory_free(path);
            return entry;
        }
        stamp = walk_stamp(&status); /* It could not be opened. */
    }
    if (!add_file(entry, path, &stamp)) {
        memory_free(path);
        entry_free(entry);
        return NULL;
    }
    entry->open.path = path;
    if (error)
        entry_fail(entry, error, error_last());
    return entry;
}

static bool begins_with_path(const char *message, const char *path)
{
    for (; *path; message++, path++)
        if (*message != log_character(*path))
            return false;
    return string_begins_with(message, ": ");
}

/* Messages begin with the path of the file that was read, which is left out, because other files
 * may have the same content. */
void entry_fail(struct entry *entry, int error, const char *message)
{
    const char *path = entry->files->path;
    if (begins_with_path(message, path))
        message += strlen(path) + 2;
    entry->error = error;
    memory_free(entry->message);
    entry->message = string_format("%s", message);
}

struct entry *entry_find(struct entry *list, const struct store_hash *hash)
{
    while (list && !(list->hashed && !memcmp(&list->hash, hash, sizeof(*hash))))
        list = list->next;
    return list;
}

void entry_join(struct entry *target, struct entry *source)
{
    struct file_link **end = &target->files;
    while (*end)
        end = &(*end)->next;
    *end = source->files;
    source->files = NULL;
    entry_free(source);
}

void entry_push(struct entry **list, struct entry *entry)
{
    entry->next = *list;
    *list = entry;
}

struct entry *entry_pop(struct entry **list)
{
    struct entry *entry = *list;
    if (entry)
        *list = entry->next;
    return entry;
}

void entry_free(struct entry *entry)
{
    while (entry && entry->files) {
        struct file_link *file = entry->files;
        entry->files = file->next;
        memory_free(file->path);
        memory_free(file);
    }
    if (!entry)
        return;
    memory_free(entry->open.data);
    memory_free(entry->open.thumbnail);
    memory_free(entry->vector);
    memory_free(entry->message);
    memory_free(entry);
}

void entry_free_all(struct entry **list)
{
    while (*list)
        entry_free(entry_pop(list));
}
