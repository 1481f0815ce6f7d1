/* SPDX-License-Identifier: MIT
 *
 * Folders that are reached by links are searched after all others, so that the path of a file that
 * is reached in two ways does not depend on the names of links.
 */
#include "search/walk.h"
#include "base/array.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"
#include "image/formats.h"

#include <errno.h>
#include <string.h>

/* ---- Names ----------------------------------------------------------------------------------- */

static bool is_in_list(const char *name, const char *const *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(name, list[i]))
            return true;
    return false;
}

bool walk_is_picture(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot && image_find_format(dot + 1);
}

/* These folders hold copies that systems make, deleted files, or packages of programs. */
bool walk_is_left_out(const char *name)
{
    static const char *const names[] = {"@eaDir",     "@Recycle",     "#recycle",
                                        "#snapshot",  "$RECYCLE.BIN", "System Volume Information",
                                        "lost+found", "node_modules", "__MACOSX"};
    return name[0] == '.' || is_in_list(name, names, ARRAY_COUNT(names));
}

/* ---- Paths ----------------------------------------------------------------------------------- */

struct store_stamp walk_stamp(const struct file_status *status)
{
    return (struct store_stamp){.size = status->size,
                                .modified = status->modified,
                                .changed = status->changed,
                                .inode = status->inode};
}

/* What exists of the path is resolved, and the rest is put after it as it is. */
char *walk_make_absolute(const char *path)
{
    char *resolved = file_resolve(path);
    size_t end = strlen(path);
    while (end > 1 && file_is_separator(path[end - 1]))
        end--;
    size_t begin = end;
    while (begin && !file_is_separator(path[begin - 1]))
        begin--;
    const bool is_last =
        begin == end || (end == 1 && *path == '.'); /* It cannot be cut any more. */
    if (resolved || is_last)
        return resolved ? resolved : string_format("%s", path);
    char *folder = begin ? string_format("%.*s", (int)begin, path) : string_format(".");
    char *absolute = folder ? walk_make_absolute(folder) : NULL;
    char *whole =
        absolute ? string_format("%s%s%.*s", absolute, string_ends_with(absolute, "/") ? "" : "/",
                                 (int)(end - begin), path + begin)
                 : NULL;
    memory_free(folder);
    memory_free(absolute);
    return whole;
}

bool walk_finds(const char *path, const char *folder)
{
    if (!walk_is_below(path, folder))
        return false;
    const char *rest = path + strlen(folder);
    bool found = true;
    while (*(rest += strspn(rest, "/")) && found) {
        const size_t length = strcspn(rest, "/");
        char *name = string_format("%.*s", (int)length, rest);
        found = name && !walk_is_left_out(name);
        memory_free(name);
        rest += length;
    }
    return found;
}

bool walk_is_below(const char *path, const char *folder)
{
    size_t length = strlen(folder);
    while (length && folder[length - 1] == '/')
        length--;
    return !length || (!strncmp(path, folder, length) && (path[length] == '/' || !path[length]));
}

/* ---- Walking --------------------------------------------------------------------------------- */

struct folder_key {
    uint64_t device, inode;
};

struct walking {
    struct walk_receiver *walk;
    const char *root;
    struct folder_key *visited; /* a hash table; an inode of 0 is an empty place */
    size_t visited_count, visited_capacity;
    char **links; /* folders to search at the end */
    size_t link_count;
};

static int out_of_memory(const char *path)
{
    return error_fail(VKCLIP_EMEMORY, "%s: out of memory", path);
}

static struct folder_key *find_place(struct folder_key *table, size_t capacity,
                                     struct folder_key key)
{
    size_t place = (size_t)((key.inode ^ key.device << 32) * 0x9e3779b97f4a7c15u) % capacity;
    while (table[place].inode &&
           (table[place].inode != key.inode || table[place].device != key.device))
        place = (place + 1) % capacity;
    return &table[place];
}

static bool enlarge(struct walking *walking)
{
    const size_t capacity = walking->visited_capacity ? 2 * walking->visited_capacity : 256;
    struct folder_key *table = memory_calloc(capacity, sizeof(*table));
    if (!table)
        return false;
    for (size_t i = 0; i < walking->visited_capacity; i++)
        if (walking->visited[i].inode)
            *find_place(table, capacity, walking->visited[i]) = walking->visited[i];
    memory_free(walking->visited);
    walking->visited = table;
    walking->visited_capacity = capacity;
    return true;
}

/* Notes a folder. *first is false if it was searched before. A system without inodes has no links
 * in a circle. */
static int visit(struct walking *walking, const char *path, const struct file_status *status,
                 bool *first)
{
    const struct folder_key key = {status->device, status->inode};
    *first = true;
    if (!key.inode)
        return VKCLIP_OK;
    if (2 * walking->visited_count >= walking->visited_capacity && !enlarge(walking))
        return out_of_memory(path);
    struct folder_key *place = find_place(walking->visited, walking->visited_capacity, key);
    *first = !place->inode;
    walking->visited_count += *first;
    *place = key;
    return VKCLIP_OK;
}

static int add_link(struct walking *walking, const char *path)
{
    char **larger = memory_realloc(walking->links, (walking->link_count + 1) * sizeof(*larger));
    if (!larger)
        return out_of_memory(path);
    walking->links = larger;
    larger[walking->link_count] = string_format("%s", path);
    return larger[walking->link_count++] ? VKCLIP_OK : out_of_memory(path);
}

/* Tells of an entry that is there and of which nothing is known, so that what the index knows of it
 * stays. An entry that has disappeared since it was listed is none. */
static int report_entry(const struct walk_receiver *walk, const char *path)
{
    if (errno == ENOENT)
        return VKCLIP_OK;
    return walk->broken(walk->user, path, error_fail(VKCLIP_EIO, "%s: %s", path, strerror(errno)));
}

static int search(struct walking *walking, const char *path);

static int take_entry(struct walking *walking, const char *path, const char *name)
{
    struct walk_receiver *walk = walking->walk;
    struct file_status status;
    if (walk_is_left_out(name))
        return VKCLIP_OK;
    if (!file_status_of_link(path, &status))
        return report_entry(walk, path);
    const bool link = status.kind == FILE_KIND_LINK;
    walk->entries++;
    if (link && !file_status(path, &status))
        return VKCLIP_OK; /* It leads nowhere. */
    const bool folder = status.kind == FILE_KIND_FOLDER;
    if (!folder && status.kind != FILE_KIND_FILE)
        return VKCLIP_OK;
    if (!folder && !walk_is_picture(name)) {
        left_out_add(&walk->others, name, NULL);
        return VKCLIP_OK;
    }
    if (link) {
        char *target = file_resolve(path);
        const bool skipped = !target || walk_finds(target, walking->root);
        memory_free(target);
        if (skipped)
            return VKCLIP_OK;
    }
    if (folder)
        return link ? add_link(walking, path) : search(walking, path);
    const struct store_stamp stamp = walk_stamp(&status);
    return walk->file(walk->user, path, &stamp);
}

static int search(struct walking *walking, const char *path)
{
    const struct walk_receiver *walk = walking->walk;
    struct file_status status;
    char **names = NULL;
    size_t count = 0;
    bool first = true;
    int error = file_status(path, &status) ? visit(walking, path, &status, &first) : VKCLIP_OK;
    if (!error && first && walk->folder)
        error = walk->folder(walk->user, path);
    if (error || !first)
        return error;
    error = folder_list(path, &names, &count);
    if (error)
        return error == VKCLIP_EMEMORY ? error : walk->broken(walk->user, path, error);
    const char *slash = string_ends_with(path, "/") ? "" : "/";
    for (size_t i = 0; i < count && !error; i++) {
        char *entry = string_format("%s%s%s", path, slash, names[i]);
        error = entry ? take_entry(walking, entry, names[i]) : out_of_memory(path);
        memory_free(entry);
    }
    folder_free_names(&names, count);
    return error;
}

int walk_folder(struct walk_receiver *walk, const char *path)
{
    struct walking walking = {.walk = walk, .root = path};
    int error = search(&walking, path);
    for (size_t i = 0; i < walking.link_count && !error; i++)
        error = search(&walking, walking.links[i]);
    for (size_t i = 0; i < walking.link_count; i++)
        memory_free(walking.links[i]);
    memory_free(walking.links);
    memory_free(walking.visited);
    return error;
}
