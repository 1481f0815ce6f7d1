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
#include "server/internal.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { MOST_REDIRECTIONS = 5 };

/* Bytes that arrive. */
struct buffer {
    char *data;
    size_t size, most;
    bool too_long;
};

/* Is a CURLOPT_WRITEFUNCTION. */
static size_t take_bytes(char *data, size_t one, size_t size, void *user)
{
    struct buffer *buffer = user;
    (void)one;
    buffer->too_long = size > buffer->most - buffer->size;
    char *grown = buffer->too_long ? NULL : realloc(buffer->data, buffer->size + size + 1);
    if (!grown)
        return 0;
    memcpy(grown + buffer->size, data, size);
    buffer->data = grown;
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
    struct buffer buffer = {.most = (size_t)request->server->options.max_body};
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
        answer_error(request, 502, "%s: %s", upstream, curl_easy_strerror(code));
    else
        answer_forwarded(request, curl, &buffer);
    curl_slist_free_all(headers);
    curl_easy_cleanup(curl);
    free(buffer.data);
}

/* ---- Pictures ---------------------------------------------------------------------------------- */

static bool is_public_v4(uint32_t address)
{
    static const struct {
        uint32_t network;
        int bits;
    } blocks[] = {{0x00000000, 8},  {0x0a000000, 8},  {0x64400000, 10}, {0x7f000000, 8},
                  {0xa9fe0000, 16}, {0xac100000, 12}, {0xc0000000, 24}, {0xc0000200, 24},
                  {0xc0586300, 24}, {0xc0a80000, 16}, {0xc6120000, 15}, {0xc6336400, 24},
                  {0xcb007100, 24}, {0xe0000000, 3}}; /* RFC 6890, and multicast upwards */
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++)
        if (!((address ^ blocks[i].network) >> (32 - blocks[i].bits)))
            return false;
    return true;
}

static bool is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_public_v4(ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr));
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    uint32_t last;
    memcpy(&last, v6->s6_addr + 12, sizeof(last));
    if (IN6_IS_ADDR_V4MAPPED(v6) || IN6_IS_ADDR_V4COMPAT(v6))
        return is_public_v4(ntohl(last));
    /* Only 2000::/3 is assigned to the internet; 2001::/23, 2002::/16 and 64:ff9b::/96 may embed
     * addresses of IPv4. */
    if ((v6->s6_addr[0] & 0xe0) != 0x20)
        return false;
    return !(v6->s6_addr[0] == 0x20 &&
             (v6->s6_addr[1] == 0x02 || (v6->s6_addr[1] == 0x01 && v6->s6_addr[2] < 2)));
}

/* Is a CURLOPT_OPENSOCKETFUNCTION. */
static curl_socket_t open_public(void *user, curlsocktype purpose, struct curl_sockaddr *address)
{
    (void)user;
    (void)purpose;
    if (!is_public(&address->addr))
        return CURL_SOCKET_BAD;
    return socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

int forward_fetch(struct request *request, const char *url, const char *name, void **data,
                  size_t *size)
{
    struct buffer buffer = {.most = (size_t)request->server->options.max_body};
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
    if (buffer.too_long)
        return error_fail(VKCLIP_EINVALID, "%s: more than %zu bytes", name, buffer.most);
    if (code)
        return error_fail(VKCLIP_EINVALID, "%s: the picture cannot be fetched: %s", name,
                          curl_easy_strerror(code));
    return error_fail(VKCLIP_EINVALID, "%s: the picture's server answers with status %ld", name,
                      status);
}
