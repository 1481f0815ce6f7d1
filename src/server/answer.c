/* SPDX-License-Identifier: MIT
 *
 * Answers as handlers give them. They are sent when the handler has returned.
 */
#define _GNU_SOURCE /* pread */
#include "server/internal.h"
#include "server/request.h"
#include "server/routes.h"
#include "server/trust.h"

#include <microhttpd.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <utf8proc.h>

enum { READ_BLOCK = 64 << 10 /* bytes of a file that are read at once */ };

static void set_answer(struct request *request, unsigned status, const char *type,
                       struct MHD_Response *answer)
{
    if (!answer)
        return; /* request.c answers with 500. */
    if (request->answer)
        MHD_destroy_response(request->answer);
    request->answer = answer;
    request->status = status;
    if (type)
        answer_header(request, MHD_HTTP_HEADER_CONTENT_TYPE, type);
    answer_header(request, "X-Content-Type-Options", "nosniff");
    answer_header(request, "X-Request-Id", request->name);
    trust_add_headers(request);
}

void answer_header(struct request *request, const char *name, const char *value)
{
    if (request->answer)
        MHD_add_response_header(request->answer, name, value);
}

/* Slow readers keep their answers in memory, so that there is a limit for all of them together. */
static bool has_room(struct request *request, size_t size)
{
    if (size <= SMALL_REQUEST)
        return true;
    if (!quota_take(&request->server->answers, size))
        return false;
    request->answer_bytes += size;
    return true;
}

void answer_data(struct request *request, unsigned status, const char *type, void *data,
                 size_t size)
{
    if (!has_room(request, size)) {
        free(data);
        metrics_reject(&request->server->metrics, METRICS_MEMORY);
        answer_error(request, MHD_HTTP_SERVICE_UNAVAILABLE,
                     "the server is busy: its answers take all memory that they may");
        return;
    }
    request->sent = size;
    struct MHD_Response *answer =
        MHD_create_response_from_buffer(size, data, MHD_RESPMEM_MUST_FREE);
    if (!answer)
        free(data);
    set_answer(request, status, type, answer);
}

void answer_static(struct request *request, unsigned status, const char *type, const void *data,
                   size_t size)
{
    request->sent = size;
    /* The library only reads what is persistent. */
    set_answer(
        request, status, type,
        MHD_create_response_from_buffer(size, (void *)(uintptr_t)data, MHD_RESPMEM_PERSISTENT));
}

/* ---- Files --------------------------------------------------------------------------------------- */

struct open_file {
    int file;
    uint64_t offset;
};

static ssize_t read_block(void *user, uint64_t position, char *block, size_t size)
{
    const struct open_file *open_file = user;
    const ssize_t got = pread(open_file->file, block, size, (off_t)(open_file->offset + position));
    return got > 0 ? got : MHD_CONTENT_READER_END_WITH_ERROR;
}

static void close_file(void *user)
{
    struct open_file *open_file = user;
    close(open_file->file);
    free(open_file);
}

void answer_file(struct request *request, unsigned status, const char *type, int file,
                 uint64_t offset, uint64_t size)
{
    struct open_file *open_file = malloc(sizeof(*open_file));
    request->sent = size;
    if (!open_file) {
        close(file);
        return;
    }
    *open_file = (struct open_file){file, offset};
    struct MHD_Response *answer =
        MHD_create_response_from_callback(size, READ_BLOCK, read_block, open_file, close_file);
    if (!answer)
        close_file(open_file);
    set_answer(request, status, type, answer);
}

/* ---- JSON ---------------------------------------------------------------------------------------- */

json_t *answer_text(const char *text)
{
    json_t *json = json_string(text);
    if (json)
        return json;
    const size_t length = strlen(text);
    char *copy = malloc(3 * length + 1), *end = copy;
    for (size_t i = 0; copy && i < length;) {
        utf8proc_int32_t code;
        const utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text + i,
                                                       (utf8proc_ssize_t)(length - i), &code);
        const bool valid = size > 0;
        const size_t step = valid ? (size_t)size : 1;
        memcpy(end, valid ? text + i : "\xef\xbf\xbd", valid ? step : 3);
        end += valid ? step : 3;
        i += step;
    }
    json = copy ? json_stringn(copy, (size_t)(end - copy)) : NULL;
    free(copy);
    return json;
}

void answer_json(struct request *request, unsigned status, json_t *json)
{
    /* Nine digits tell any two floats apart. */
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(json);
    if (text)
        answer_data(request, status, "application/json", text, strlen(text));
}

/* What OpenAI's clients tell errors by. */
static json_t *pack_openai_error(const struct request *request, unsigned status, json_t *message)
{
    const bool is_client = status < 500;
    const char *code = status == MHD_HTTP_UNAUTHORIZED ? "invalid_api_key" : NULL;
    if (status == MHD_HTTP_NOT_FOUND && request->parameter)
        code = "model_not_found";
    return json_pack("{s{so ss ss? ss?}}", "error", "message", message, "type",
                     is_client ? "invalid_request_error" : "server_error", "param",
                     is_client ? request->parameter : NULL, "code", code);
}

static json_t *pack_error(const struct request *request, unsigned status, const char *text)
{
    json_t *message = answer_text(text);
    switch (request->route ? request->route->form : route_error_form(request->path)) {
    case ERROR_OPENAI:
        return pack_openai_error(request, status, message);
    case ERROR_DETAIL:
        return json_pack("{so}", "detail", message);
    case ERROR_FLASK:
        return json_pack("{so}", "message", message);
    case ERROR_PROBLEM:
        break;
    }
    return json_pack("{so}", "error", message);
}

void answer_error(struct request *request, unsigned status, const char *format, ...)
{
    char message[ERROR_MESSAGE];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof(message), format, arguments);
    va_end(arguments);
    answer_json(request, status, pack_error(request, status, message));
    if (status == MHD_HTTP_SERVICE_UNAVAILABLE)
        answer_header(request, MHD_HTTP_HEADER_RETRY_AFTER, "1");
}

void answer_library_error(struct request *request, int error)
{
    static const struct {
        int error;
        unsigned status;
    } rows[] = {
        {VKCLIP_EINVALID, MHD_HTTP_BAD_REQUEST},
        {VKCLIP_EFORMAT, MHD_HTTP_UNPROCESSABLE_CONTENT},
        {VKCLIP_EUNSUPPORTED, MHD_HTTP_UNPROCESSABLE_CONTENT},
        {VKCLIP_ETOOLONG, MHD_HTTP_BAD_REQUEST},
        {VKCLIP_EABSENT, MHD_HTTP_NOT_FOUND},
        {VKCLIP_ECANCELLED, MHD_HTTP_SERVICE_UNAVAILABLE},
        {VKCLIP_EMEMORY, MHD_HTTP_SERVICE_UNAVAILABLE},
        {VKCLIP_EDEVICEMEMORY, MHD_HTTP_SERVICE_UNAVAILABLE},
    };
    unsigned status = MHD_HTTP_INTERNAL_SERVER_ERROR;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].error == error)
            status = rows[i].status;
    if (error == VKCLIP_ECANCELLED)
        metrics_reject(&request->server->metrics, METRICS_TIME);
    answer_error(request, status, "%s", vkclip_last_error());
}
