/* SPDX-License-Identifier: MIT
 *
 * A server that fetches what clients name could be made to ask for what only it can reach
 * (server-side request forgery). Therefore the address is looked at when the socket is opened,
 * after the name was resolved, so that no name and no redirection leads around the check.
 */
#define _GNU_SOURCE
#include "server/forward.h"
#include "base/clock.h"
#include "base/error.h"
#include "server/address.h"
#include "server/internal.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_REDIRECTIONS = 5 };

/* Bytes that arrive. */
struct buffer {
    struct request *request;
    char *data;
    size_t size, capacity, most;
    bool too_long, no_room;
};

/* Makes room for `size` more bytes, which count among the bodies of requests. */
static bool grow(struct buffer *buffer, size_t size)
{
    size_t capacity = buffer->capacity ? buffer->capacity : CURL_MAX_WRITE_SIZE;
    while (capacity < buffer->size + size)
        capacity *= 2;
    if (capacity == buffer->capacity)
        return true;
    buffer->no_room = !request_hold(buffer->request, capacity - buffer->capacity);
    char *grown = buffer->no_room ? NULL : realloc(buffer->data, capacity);
    if (!grown)
        return false;
    buffer->data = grown;
    buffer->capacity = capacity;
    return true;
}

/* Is a CURLOPT_WRITEFUNCTION. */
static size_t take_bytes(char *data, size_t one, size_t size, void *user)
{
    struct buffer *buffer = user;
    (void)one;
    buffer->too_long = size > buffer->most - buffer->size;
    if (buffer->too_long || !grow(buffer, size))
        return 0;
    memcpy(buffer->data + buffer->size, data, size);
    buffer->size += size;
    return size;
}

/* Is a CURLOPT_XFERINFOFUNCTION. */
static int ask_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
    (void)a;
    (void)b;
    (void)c;
    (void)d;
    return request_is_over(user, 0, 0);
}

static CURL *open_curl(struct request *request, const char *url, struct buffer *buffer)
{
    CURL *curl = curl_easy_init();
    if (!curl)
        return NULL;
    curl_easy_setopt(curl, CURLOPT_URL, url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, ask_progress);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, request);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, buffer);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 10L);
    return curl;
}

/* ---- immich's other tasks ------------------------------------------------------------------------ */

static char *make_url(const char *base)
{
    const size_t length = strlen(base);
    char *url = malloc(length + 10);
    if (url)
        snprintf(url, length + 10, "%s%spredict", base, base[length - 1] == '/' ? "" : "/");
    return url;
}

static void answer_forwarded(struct request *request, CURL *curl, struct buffer *buffer)
{
    long status = 0;
    const char *type = NULL;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(curl, CURLINFO_CONTENT_TYPE, &type);
    answer_data(request, (unsigned)status, type ? type : "application/octet-stream", buffer->data,
                buffer->size);
    buffer->data = NULL;
}

void forward_request(struct request *request)
{
    const char *upstream = request->server->options.immich_upstream;
    struct buffer buffer = {.request = request, .most = (size_t)request->server->options.max_body};
    char header[512];
    if (!upstream || !*upstream) {
        answer_error(request, 501,
                     "vkclip answers the task clip only: start it with --immich-upstream URL of "
                     "immich's own machine learning, or turn faces and OCR off");
        return;
    }
    char *url = make_url(upstream);
    CURL *curl = url ? open_curl(request, url, &buffer) : NULL;
    free(url);
    if (!curl)
        return;
    snprintf(header, sizeof(header), "Content-Type: %s", request_header(request, "Content-Type"));
    struct curl_slist *headers = curl_slist_append(NULL, header);
    headers = curl_slist_append(headers, "Expect:");
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request->body);
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->size);
    const CURLcode code = curl_easy_perform(curl);
    if (code)
        answer_error(request,
                     code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_OPERATION_TIMEDOUT ? 504
                                                                                           : 502,
                     "%s: %s", upstream, curl_easy_strerror(code));
    else
        answer_forwarded(request, curl, &buffer);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(buffer.data);
}

/* ---- Pictures ---------------------------------------------------------------------------------- */

/* Is a CURLOPT_OPENSOCKETFUNCTION. */
static curl_socket_t open_public(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    if (!address_is_public(&address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int forward_fetch(struct request *request, const char *url, const char *name, void **data,
                  size_t *size)
{
    struct buffer buffer = {.request = request, .most = (size_t)request->server->options.max_body};
    long status = 0;
    if (!request->server->options.allow_fetch)
        return error_fail(
            VKCLIP_EINVALID,
            "%s: the server does not fetch pictures (--allow-fetch); send the picture "
            "itself as a data URL",
            name);
    CURL *curl = open_curl(request, url, &buffer);
    if (!curl)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", name);
    curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
    curl_easy_setopt(curl, CURLOPT_MAXREDIRS, (long)MOST_REDIRECTIONS);
    curl_easy_setopt(curl, CURLOPT_OPENSOCKETFUNCTION, open_public);
    curl_easy_setopt(curl, CURLOPT_PROXY, "");
    const CURLcode code = curl_easy_perform(curl);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_cleanup(curl);
    *data = buffer.data;
    *size = buffer.size;
    if (!code && status == 200 && buffer.size)
        return VKCLIP_OK;
    free(buffer.data);
    *data = NULL;
    if (buffer.no_room)
        return error_fail(VKCLIP_EMEMORY,
                          "%s: the server is busy: its requests take all memory "
                          "that they may",
                          name);
    if (buffer.too_long)
        return error_fail(VKCLIP_EINVALID, "%s: more than %zu bytes", name, buffer.most);
    if (code == CURLE_ABORTED_BY_CALLBACK)
        return error_fail(VKCLIP_ECANCELLED, "%s: the time for the request is over", name);
    if (code)
        return error_fail(VKCLIP_EINVALID, "%s: the picture cannot be fetched: %s", name,
                          curl_easy_strerror(code));
    return error_fail(VKCLIP_EINVALID, "%s: the picture's server answers with status %ld", name,
                      status);
}
