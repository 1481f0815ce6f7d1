/* SPDX-License-Identifier: MIT
 *
 * Pictures are asked for by their ids, and no path comes from a client. A file is sent only while
 * it is the one that was indexed, see vkclip_open_indexed.
 */
#define _GNU_SOURCE /* gmtime_r */
#include "server/picture.h"
#include "base/calendar.h"
#include "base/error.h"
#include "base/file.h"
#include "server/handlers.h"
#include "server/header.h"
#include "server/index.h"
#include "server/input.h"
#include "server/internal.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

enum { PREVIEW_SIDE = 2048 };

bool picture_has_index(struct request *request)
{
    if (!request->server->index)
        answer_error(request, 404, "the server has no index; see --index");
    return request->server->index;
}

/* ---- Facts ------------------------------------------------------------------------------------- */

json_t *picture_pack_text(const char *text)
{
    return answer_text(text);
}

static json_t *pack_date(int64_t seconds)
{
    char text[64], day[32];
    const int64_t rest = (seconds % CALENDAR_DAY + CALENDAR_DAY) % CALENDAR_DAY;
    calendar_write_day(seconds, day);
    snprintf(text, sizeof(text), "%sT%02d:%02d:%02d", day, (int)(rest / 3600),
             (int)(rest / 60 % 60), (int)(rest % 60));
    return json_string(text);
}

json_t *picture_pack(const struct vkclip_hit *hit, bool scores)
{
    json_t *json = json_pack(
        "{sI so so sI si si so sb ss ss}", "id", (json_int_t)hit->id, "path",
        picture_pack_text(hit->path), "name", picture_pack_text(file_name(hit->path)), "copies",
        (json_int_t)hit->copies, "width", (int)hit->width, "height", (int)hit->height, "date",
        pack_date(hit->date), "taken", hit->taken, "camera", hit->camera, "format", hit->format);
    if (json && !isnan(hit->latitude)) {
        json_object_set_new(json, "latitude", json_real(hit->latitude));
        json_object_set_new(json, "longitude", json_real(hit->longitude));
    }
    if (json && scores) {
        json_object_set_new(json, "score", json_real((double)hit->score));
        json_object_set_new(json, "z", json_real((double)hit->z));
    }
    return json;
}

struct files {
    json_t *first, *paths;
    size_t count;
};

/* Is a vkclip_hit_fn. */
static int take_file(void *user, const struct vkclip_hit *hit)
{
    struct files *files = user;
    if (!files->first)
        files->first = picture_pack(hit, false);
    json_array_append_new(files->paths, picture_pack_text(hit->path));
    files->count++;
    return 0;
}

void handle_picture(struct request *request)
{
    struct vkclip_index *handle;
    struct files files = {.paths = json_array()};
    if (!picture_has_index(request)) {
        json_decref(files.paths);
        return;
    }
    int error = server_index_take(request->server->index, request, &handle);
    if (!error) {
        error = vkclip_find_indexed(handle, request->id, take_file, &files);
        server_index_give(request->server->index, handle);
    }
    if (error) {
        json_decref(files.first);
        json_decref(files.paths);
        answer_library_error(request, error);
        return;
    }
    json_object_set_new(files.first, "copies", json_integer((json_int_t)files.count));
    json_object_set_new(files.first, "paths", files.paths);
    answer_json(request, 200, files.first);
}

/* ---- ETags ------------------------------------------------------------------------------------- */

static void add_cache_headers(struct request *request, const char *etag)
{
    answer_header(request, "ETag", etag);
    /* Ids may be used again after pictures were removed, so that browsers have to ask. */
    answer_header(request, "Cache-Control", "private, no-cache");
}

/* Answers that the client has this version already. No type is named, because caches would take it
 * for that of the picture which they keep. */
static bool is_known(struct request *request, const char *etag)
{
    const char *known = request_header(request, "If-None-Match");
    if (!known || (strcmp(known, "*") && !strstr(known, etag)))
        return false;
    answer_static(request, 304, NULL, "", 0);
    add_cache_headers(request, etag);
    return true;
}

/* ---- Thumbnails -------------------------------------------------------------------------------- */

/* Is a vkclip_bytes_fn. */
static void send_jpeg(void *user, const void *data, size_t size)
{
    struct request *request = user;
    char etag[64];
    snprintf(etag, sizeof(etag), "\"%zx-%lx\"", size, crc32(0, data, (uInt)size));
    if (is_known(request, etag))
        return;
    void *copy = malloc(size);
    if (!copy)
        return;
    memcpy(copy, data, size);
    answer_data(request, 200, "image/jpeg", copy, size);
    add_cache_headers(request, etag);
}

void handle_thumbnail(struct request *request)
{
    struct vkclip_index *handle;
    if (!picture_has_index(request))
        return;
    int error = server_index_take(request->server->index, request, &handle);
    if (!error) {
        error = vkclip_read_thumbnail(handle, request->id, send_jpeg, request);
        server_index_give(request->server->index, handle);
    }
    if (error)
        answer_library_error(request, error);
}

/* ---- Previews ---------------------------------------------------------------------------------- */

/* Sends a JPEG that fills a screen, for browsers that do not show the picture's format. */
void handle_preview(struct request *request)
{
    const struct vkclip_image_params params = {.size = sizeof(params),
                                               .max_pixels = request->server->options.max_pixels,
                                               .orient = true,
                                               .least_side = PREVIEW_SIDE};
    struct vkclip_image image = {.pixels = NULL};
    struct encode_item item = {.data = NULL};
    if (!picture_has_index(request))
        return;
    int error = gate_enter(request->server->decoding, request, 1);
    if (!error) {
        error = input_read_indexed(request, request->id, &item);
        if (!error)
            error = vkclip_decode_image(item.data, item.size, "picture", &params, &image);
        if (!error)
            error = vkclip_make_thumbnail(&image, PREVIEW_SIDE, send_jpeg, request);
        vkclip_free_image(&image);
        free(item.data);
        gate_leave(request->server->decoding, 1);
    }
    if (error)
        answer_library_error(request, error);
}

/* ---- Originals --------------------------------------------------------------------------------- */

static const char *find_type(const char *format)
{
    static const struct {
        const char *format, *type;
    } rows[] = {{"jpeg", "image/jpeg"}, {"png", "image/png"},   {"webp", "image/webp"},
                {"gif", "image/gif"},   {"tiff", "image/tiff"}, {"heic", "image/heic"},
                {"avif", "image/avif"}, {"jxl", "image/jxl"},   {"bmp", "image/bmp"}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (!strcasecmp(rows[i].format, format))
            return rows[i].type;
    return "application/octet-stream";
}

/* What a download is called: a name of the index without what could end the header. */
static void add_name(struct request *request, const char *name)
{
    char header[512] = "inline; filename*=UTF-8''", *end = header + strlen(header);
    for (; *name && end < header + sizeof(header) - 4; name++)
        if (strchr("-._~", *name) || (*name >= '0' && *name <= '9') ||
            (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z'))
            *end++ = *name;
        else
            end += snprintf(end, 4, "%%%02X", (unsigned)(unsigned char)*name);
    *end = 0;
    answer_header(request, "Content-Disposition", header);
}

struct original {
    char format[32], name[256];
};

/* Is a vkclip_hit_fn. */
static int take_name(void *user, const struct vkclip_hit *hit)
{
    struct original *original = user;
    snprintf(original->format, sizeof(original->format), "%s", hit->format);
    snprintf(original->name, sizeof(original->name), "%s", file_name(hit->path));
    return 0;
}

/* Sends the file, or the part of it that the client wants. Takes over the descriptor. */
static void send_original(struct request *request, int file, uint64_t size,
                          const struct original *original)
{
    struct stat status;
    struct header_range range;
    char etag[96], text[96];
    fstat(file, &status);
    snprintf(etag, sizeof(etag), "\"%llx-%llx-%llx\"", (unsigned long long)size,
             (unsigned long long)status.st_mtime, (unsigned long long)status.st_ino);
    const char *condition = request_header(request, "If-Range");
    const char *wanted = request_header(request, "Range");
    if (condition && strcmp(condition, etag))
        wanted = NULL;
    if (is_known(request, etag)) {
        close(file);
        return;
    }
    if (!header_read_range(wanted, size, &range)) {
        close(file);
        answer_error(request, 416, "%s: the file has %llu bytes", wanted, (unsigned long long)size);
        snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)size);
        answer_header(request, "Content-Range", text);
        return;
    }
    answer_file(request, range.partial ? 206 : 200, find_type(original->format), file, range.first,
                range.size);
    add_cache_headers(request, etag);
    answer_header(request, "Accept-Ranges", "bytes");
    /* A picture that holds scripts, as SVG does, must not run them in the page's origin. */
    answer_header(request, "Content-Security-Policy", "sandbox; default-src 'none'");
    add_name(request, original->name);
    if (!range.partial)
        return;
    snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)range.first,
             (unsigned long long)(range.first + range.size - 1), (unsigned long long)size);
    answer_header(request, "Content-Range", text);
}

void handle_original(struct request *request)
{
    struct vkclip_index *handle;
    struct original original = {.name = ""};
    int file = -1;
    uint64_t size = 0;
    if (!picture_has_index(request))
        return;
    int error = server_index_take(request->server->index, request, &handle);
    if (!error) {
        error = vkclip_find_indexed(handle, request->id, take_name, &original);
        if (!error)
            error = vkclip_open_indexed(handle, request->id, &file, &size);
        server_index_give(request->server->index, handle);
    }
    if (error)
        answer_library_error(request, error);
    else
        send_original(request, file, size, &original);
}
