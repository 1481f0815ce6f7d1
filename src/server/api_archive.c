/* SPDX-License-Identifier: MIT
 *
 * /api/v1/archive: the files of some pictures as one zip archive. It is written to a temporary file
 * without a name, which is gone when the answer was sent or the server has ended. All such files
 * together have a limit, which an archive enters before any of it is written.
 */
#define _GNU_SOURCE /* mkostemp */
#include "base/environment.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/string.h"
#include "server/handlers.h"
#include "server/index.h"
#include "server/internal.h"
#include "server/picture.h"

#include <errno.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifdef __APPLE__
#include <xlocale.h>
#endif

enum {
    MOST_FILES = 10000,
    BLOCK = 64 << 10,
    HEADER_BYTES = 1024 /* at most, which the archive has for each file */
};

#ifdef VKCLIP_WITH_LIBARCHIVE
#include <archive.h>
#include <archive_entry.h>

struct zip {
    struct request *request;
    struct archive *archive;
    struct archive_entry *entry;
    char name[256]; /* of the picture's file */
    size_t number;  /* of files so far, which makes names unique */
    uint64_t bytes; /* that the archive has at most */
    uint64_t left;  /* of them */
};

static int fail(const struct zip *zip)
{
    /* Of a full disk the library's own text only says that writing failed. */
    const int reason = archive_errno(zip->archive);
    return error_fail(VKCLIP_EIO, "the archive cannot be written: %s",
                      reason > 0 ? strerror(reason) : archive_error_string(zip->archive));
}

/* Is a vkclip_hit_fn. */
static int take_name(void *user, const struct vkclip_hit *hit)
{
    struct zip *zip = user;
    if (!*zip->name)
        snprintf(zip->name, sizeof(zip->name), "%s", file_name(hit->path));
    return 0;
}

static int copy_file(struct zip *zip, int file)
{
    char block[BLOCK];
    for (;;) {
        const ssize_t count = read(file, block, sizeof(block));
        if (count < 0)
            return error_fail(VKCLIP_EIO, "%s: %s", zip->name, strerror(errno));
        if (!count)
            return VKCLIP_OK;
        if (archive_write_data(zip->archive, block, (size_t)count) != count)
            return fail(zip);
        if (request_is_over(zip->request, 0, 0))
            return error_fail(VKCLIP_ECANCELLED, "the time for the request is over");
    }
}

/* Others may use the handle while a file is copied. */
static int open_file(struct zip *zip, int64_t id, int *file, uint64_t *size)
{
    struct served_index *index = zip->request->server->index;
    struct vkclip_index *handle;
    *zip->name = 0;
    int error = server_index_take(index, zip->request, &handle);
    if (error)
        return error;
    error = vkclip_find_indexed(handle, id, take_name, zip);
    if (!error)
        error = vkclip_open_indexed(handle, id, file, size);
    server_index_give(index, handle);
    return error;
}

/* Names in an archive are of UTF-8. Unpackers of other systems take \ for a separator, by which a
 * file could land in another folder. */
static void write_name(const struct zip *zip, char *name, size_t size)
{
    json_t *text = picture_pack_text(zip->name);
    snprintf(name, size, "%04zu-%s", zip->number, text ? json_string_value(text) : "");
    json_decref(text);
    for (; *name; name++)
        if ((unsigned char)*name < ' ' || *name == '\x7f' || *name == '\\')
            *name = '_';
}

static int add_file(struct zip *zip, int64_t id)
{
    char path[4 * sizeof(zip->name)];
    uint64_t size;
    int file;
    int error = open_file(zip, id, &file, &size);
    if (error)
        return error;
    zip->number++;
    write_name(zip, path, sizeof(path));
    archive_entry_clear(zip->entry);
    archive_entry_set_pathname(zip->entry, path);
    archive_entry_set_size(zip->entry, (la_int64_t)size);
    archive_entry_set_filetype(zip->entry, AE_IFREG);
    archive_entry_set_perm(zip->entry, 0644);
    if (size + HEADER_BYTES > zip->left)
        error = error_fail(VKCLIP_EIO, "%s: the file has become larger", zip->name);
    else if (archive_write_header(zip->archive, zip->entry) < ARCHIVE_WARN)
        error = fail(zip);
    else
        error = copy_file(zip, file);
    zip->left -= error ? 0 : size + HEADER_BYTES;
    close(file);
    return error;
}

/* libarchive takes names in the encoding of the thread's locale. The server's own is ASCII, in
 * which a file called Übung.png could not be packed. A system without this locale writes ? for such
 * letters. */
static locale_t use_utf8(locale_t *before)
{
    const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    *before = utf8 ? uselocale(utf8) : (locale_t)0;
    return utf8;
}

static void leave_utf8(locale_t utf8, locale_t before)
{
    if (!utf8)
        return;
    uselocale(before);
    freelocale(utf8);
}

/* Writes the archive to a file. Pictures are compressed already. */
static int write_zip(struct zip *zip, const json_t *ids, int file)
{
    locale_t before;
    const locale_t utf8 = use_utf8(&before);
    zip->archive = archive_write_new();
    zip->entry = archive_entry_new();
    int error = VKCLIP_OK;
    if (!zip->archive || !zip->entry)
        error = error_fail(VKCLIP_EMEMORY, "out of memory for an archive");
    else if (archive_write_set_format_zip(zip->archive) ||
             archive_write_zip_set_compression_store(zip->archive) ||
             archive_write_set_options(zip->archive, "hdrcharset=UTF-8") < ARCHIVE_WARN ||
             archive_write_open_fd(zip->archive, file))
        error = fail(zip);
    for (size_t i = 0; !error && i < json_array_size(ids); i++)
        error = add_file(zip, json_integer_value(json_array_get(ids, i)));
    if (!error && archive_write_close(zip->archive))
        error = fail(zip);
    archive_entry_free(zip->entry);
    archive_write_free(zip->archive);
    leave_utf8(utf8, before);
    return error;
}

/* Opens a file without a name, where large ones belong: /tmp is memory on many systems. */
static int open_temporary(void)
{
    char *folder = environment_ask("TMPDIR");
    char *path = string_format("%s/vkclip-XXXXXX", folder ? folder : "/var/tmp");
    const int file = path ? mkostemp(path, O_CLOEXEC) : -1;
    if (file >= 0)
        unlink(path);
    memory_free(path);
    memory_free(folder);
    return file;
}

static int send_zip(struct zip *zip, const json_t *ids)
{
    const int file = open_temporary();
    if (file < 0)
        return error_fail(VKCLIP_EIO, "the archive cannot be written: %s", strerror(errno));
    const int error = write_zip(zip, ids, file);
    if (error) {
        close(file);
        return error;
    }
    answer_file(zip->request, 200, "application/zip", file, 0, (uint64_t)lseek(file, 0, SEEK_END));
    answer_header(zip->request, "Content-Disposition", "attachment; filename=\"pictures.zip\"");
    return VKCLIP_OK;
}

/* Computes how large the archive becomes. */
static int measure(struct zip *zip, const json_t *ids)
{
    uint64_t size;
    int file, error = VKCLIP_OK;
    for (size_t i = 0; !error && i < json_array_size(ids); i++) {
        error = open_file(zip, json_integer_value(json_array_get(ids, i)), &file, &size);
        if (error)
            return error;
        close(file);
        zip->bytes += size + HEADER_BYTES;
        if (request_is_over(zip->request, 0, 0))
            error = error_fail(VKCLIP_ECANCELLED, "the time for the request is over");
    }
    zip->left = zip->bytes;
    return error;
}

/* Slow readers keep their archives on the disk. False: the request was answered. */
static bool reserve_place(struct request *request)
{
    struct quota *archives = &request->server->archives;
    request->archives = quota_take(archives, 1);
    if (!request->archives) {
        metrics_reject(&request->server->metrics, METRICS_BUSY);
        answer_error(request, 503, "the server is busy: %zu archives are written or sent",
                     archives->most);
    }
    return request->archives;
}

/* The same for the bytes of the archive. */
static bool reserve_bytes(const struct zip *zip)
{
    struct request *request = zip->request;
    struct quota *bytes = &request->server->archive_bytes;
    if (zip->bytes > bytes->most) {
        answer_error(request, 413, "the archive has %llu bytes, more than %zu (--max-archive)",
                     (unsigned long long)zip->bytes, bytes->most);
        return false;
    }
    if (!quota_take(bytes, (size_t)zip->bytes)) {
        metrics_reject(&request->server->metrics, METRICS_BUSY);
        answer_error(request, 503, "the server is busy: other archives take the room on the disk");
        return false;
    }
    request->archive_bytes = (size_t)zip->bytes;
    return true;
}

static void answer_zip(struct request *request, const json_t *ids)
{
    struct zip zip = {.request = request};
    if (!reserve_place(request))
        return;
    int error = measure(&zip, ids);
    if (!error && reserve_bytes(&zip))
        error = send_zip(&zip, ids);
    if (error)
        answer_library_error(request, error);
}
#else
static void answer_zip(struct request *request, const json_t *ids)
{
    (void)ids;
    answer_error(request, 501, "this server writes no archives: it was built without libarchive");
}
#endif

static bool are_ids(const json_t *ids)
{
    const json_t *id;
    size_t i;
    json_array_foreach ((json_t *)(uintptr_t)ids, i, id)
        if (!json_is_integer(id))
            return false;
    return json_array_size(ids) && json_array_size(ids) <= MOST_FILES;
}

/* {"ids": [...]} */
void handle_archive(struct request *request)
{
    if (!picture_has_index(request))
        return;
    json_t *body = request_json(request);
    if (!body)
        return;
    const json_t *ids = json_object_get(body, "ids");
    if (are_ids(ids))
        answer_zip(request, ids);
    else
        answer_error(request, 400, "ids: expected an array of 1 to %d numbers", MOST_FILES);
    json_decref(body);
}
