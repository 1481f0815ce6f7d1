/* SPDX-License-Identifier: MIT
 *
 * HTTP by libcurl, hashes by libcrypto. Only http and https, and no step from https down to http.
 * Nothing from the server is kept beyond the size that was announced for it.
 */
#define _POSIX_C_SOURCE 200809L
#define _FILE_OFFSET_BITS 64
#include "cli/http.h"
#include "base/string.h"
#include "cli/print.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    TRIES = 5,          /* of a request without a MiB gained between them */
    REDIRECTIONS = 10,  /* within the hub, for metadata */
    MOST_TEXT = 1 << 26 /* bytes of a document, or of a file whose size is not told */
};
#define MIB (1 << 20)

struct cli_http {
    struct cli_session *session;
    CURL *easy;
    struct curl_slist *headers;
};

/* Where an answer goes: a file, else memory. */
struct body {
    CURL *easy;
    FILE *file;
    const char *path;
    char *text;
    int64_t have, limit; /* bytes there, and the most there may be */
    uint64_t received;
    bool begun; /* the answer under way has brought bytes */
    int error;  /* errno of writing, or EOVERFLOW: more than `limit` */
};

/* ---- Connection ------------------------------------------------------------------------------ */

int cli_open_http(struct cli_session *session, const char *token, struct cli_http **result)
{
    struct cli_http *http = calloc(1, sizeof(*http));
    char *agent = string_format("vkclip/%s", vkclip_version());
    char *bearer = token ? string_format("Authorization: Bearer %s", token) : NULL;
    bool good = http && agent && (bearer || !token) && !curl_global_init(CURL_GLOBAL_DEFAULT);
    *result = http;
    good = good && (http->easy = curl_easy_init());
    good = good && (!bearer || (http->headers = curl_slist_append(NULL, bearer)));
    if (good) {
        http->session = session;
        curl_easy_setopt(http->easy, CURLOPT_USERAGENT, agent);
        curl_easy_setopt(http->easy, CURLOPT_HTTPHEADER, http->headers);
        curl_easy_setopt(http->easy, CURLOPT_PROTOCOLS_STR, "http,https");
        curl_easy_setopt(http->easy, CURLOPT_MAXREDIRS, (long)REDIRECTIONS);
        curl_easy_setopt(http->easy, CURLOPT_NOSIGNAL, 1L);
        curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT, 30L);
        curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_LIMIT, 1L); /* silence for a minute */
        curl_easy_setopt(http->easy, CURLOPT_LOW_SPEED_TIME, 60L);
    }
    free(agent);
    free(bearer);
    return good ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory for a connection");
}

void cli_close_http(struct cli_http **http)
{
    if (!http || !*http)
        return;
    curl_easy_cleanup((*http)->easy);
    curl_slist_free_all((*http)->headers);
    free(*http);
    *http = NULL;
}

char *cli_escape_url(const char *text)
{
    char *escaped = curl_easy_escape(NULL, text, 0);
    char *copy = escaped ? string_format("%s", escaped) : NULL;
    curl_free(escaped);
    return copy;
}

/* A header of the last answer; NULL where it has none. */
static const char *header(CURL *easy, const char *name)
{
    struct curl_header *found = NULL;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) ? NULL : found->value;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* The whole file comes, though a part was asked for, or nothing of what is there fits. */
static bool begin_again(struct body *body)
{
    body->have = 0;
    if (body->file && (body->file = freopen(body->path, "wb", body->file)))
        setvbuf(body->file, NULL, _IONBF, 0);
    if (!body->file && body->path)
        body->error = errno;
    return !body->error;
}

static size_t take(char *data, size_t one, size_t size, void *user)
{
    struct body *body = user;
    long status = 0;
    (void)one;
    if (!body)
        return size;
    curl_easy_getinfo(body->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206)
        return size; /* the text of an error; the status tells enough */
    if (!body->begun && status == 200 && body->have && !begin_again(body))
        return 0;
    body->begun = true;
    if ((int64_t)size > body->limit - body->have) {
        body->error = EOVERFLOW;
        return 0;
    }
    if (body->file) {
        size_t written = fwrite(data, 1, size, body->file);
        body->error = written < size ? errno : 0;
        size = written;
    } else {
        char *larger = realloc(body->text, (size_t)body->have + size + 1);
        if (!larger) {
            body->error = ENOMEM;
            return 0;
        }
        body->text = larger;
        memcpy(larger + body->have, data, size);
        larger[(size_t)body->have + size] = 0;
    }
    body->have += (int64_t)size;
    body->received += size;
    if (body->file)
        cli_show_progress((size_t)(body->have / MIB), "");
    return size;
}

static bool is_transient(CURLcode code, long status)
{
    switch (code) {
    case CURLE_OK:
        return status == 408 || status == 416 || status == 429 || status >= 500;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_CONNECT:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
        return true;
    default:
        return false;
    }
}

/* Why a request failed for good, in one line. */
static int refuse(CURL *easy, const char *url, const struct body *body, CURLcode code, long status)
{
    const char *name = code ? NULL : header(easy, "X-Error-Code");
    if (body && body->error == EOVERFLOW)
        return cli_fail(CLI_FAILED, "%s: more bytes than the %lld expected", url,
                        (long long)body->limit);
    if (body && body->error)
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s%s", body->path ? body->path : url,
                        strerror(body->error),
                        body->path ? "; what has arrived is kept, a later pull goes on with it"
                                   : "");
    if (code)
        return cli_fail(CLI_FAILED, "%s: %s%s", url, curl_easy_strerror(code),
                        body && body->path && body->have
                            ? "; what has arrived is kept, a later pull goes on with it"
                            : "");
    if (status == 401 || status == 403)
        return cli_fail(
            CLI_FAILED,
            "%s: access refused (%ld): the repository is private or gated (set HF_TOKEN "
            "to a token that may read it), or there is none of that name",
            url, status);
    if (status == 404)
        return cli_fail(CLI_FAILED, "%s: not found (404): no such %s", url,
                        name && !strcmp(name, "RevisionNotFound") ? "revision"
                        : name && !strcmp(name, "EntryNotFound")  ? "file"
                                                                  : "repository, revision or file");
    return cli_fail(CLI_FAILED, "%s: the server answers %ld", url, status);
}

static void wait_for(int tries)
{
    struct timespec pause = {tries > 1 ? 1 << (tries - 2) : 0, tries > 1 ? 0 : 500000000};
    nanosleep(&pause, NULL); /* 0.5, 1, 2, 4 s */
}

static void prepare(CURL *easy, const char *url, struct body *body)
{
    bool secure = !strncmp(url, "https:", 6);
    curl_easy_setopt(easy, CURLOPT_URL, url);
    curl_easy_setopt(easy, CURLOPT_NOBODY, body ? 0L : 1L);
    if (body)
        curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L);
    curl_easy_setopt(easy, CURLOPT_FOLLOWLOCATION, body ? 1L : 0L);
    curl_easy_setopt(easy, CURLOPT_REDIR_PROTOCOLS_STR, secure ? "https" : "http,https");
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
}

/* One request, for what is missing of a file, or for all. True: nothing is missing any more. */
static bool request(CURL *easy, struct body *body, int64_t size, CURLcode *code, long *status)
{
    char range[32] = "";
    if (body && body->file && body->have)
        snprintf(range, sizeof(range), "%lld-", (long long)body->have);
    else if (body)
        body->have = 0;
    if (body)
        body->begun = false;
    curl_easy_setopt(easy, CURLOPT_RANGE, *range ? range : NULL);
    *code = curl_easy_perform(easy);
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, status);
    if (*code || *status < 200 || *status >= 400 || (body && *status != 200 && *status != 206))
        return false;
    if (!body || size < 0 || body->have == size)
        return true;
    *code = CURLE_PARTIAL_FILE;
    return false;
}

/* Asks until the answer is whole, as often as that may help. `size`: -1 where it is not known; no
 * `body`: the headers alone. */
static int transfer(struct cli_http *http, const char *url, struct body *body, int64_t size)
{
    int64_t most = body ? body->have : 0; /* bytes that were there at a time */
    CURLcode code = CURLE_OK;
    long status = 0;
    prepare(http->easy, url, body);
    for (int tries = 0; !request(http->easy, body, size, &code, &status);) {
        bool hopeless = (body && body->error) || !is_transient(code, status);
        tries = body && body->have - most >= MIB ? 1 : tries + 1;
        most = body && body->have > most ? body->have : most;
        if (hopeless || tries == TRIES || (status == 416 && body && !begin_again(body)))
            return refuse(http->easy, url, body, code, status);
        if (http->session->common.verbose)
            cli_say("%s: %s, trying again", url,
                    code ? curl_easy_strerror(code) : "the server is busy");
        wait_for(tries);
    }
    return CLI_DONE;
}

/* ---- Documents and metadata ------------------------------------------------------------------ */

int cli_get_json(struct cli_http *http, const char *url, json_t **json)
{
    struct body body = {.easy = http->easy, .limit = MOST_TEXT};
    json_error_t error;
    *json = NULL;
    int status = transfer(http, url, &body, -1);
    if (!status && !(*json = json_loadb(body.text ? body.text : "", (size_t)body.have, 0, &error)))
        status = cli_fail(CLI_FAILED, "%s: expected JSON: %s; is this a hub?", url, error.text);
    free(body.text);
    return status;
}

/* W/"abc" and "abc" to abc; one that is too long to be a hash to nothing. */
static void read_etag(const char *value, char *etag, size_t size)
{
    if (!strncmp(value, "W/", 2))
        value += 2;
    value += *value == '"';
    size_t length = strcspn(value, "\"");
    snprintf(etag, size, "%.*s", length < size ? (int)length : 0, value);
}

static void read_headers(CURL *easy, struct cli_metadata *metadata)
{
    const char *linked = header(easy, "X-Linked-Etag"), *size = header(easy, "X-Linked-Size");
    const char *etag = linked ? linked : header(easy, "ETag");
    const char *commit = header(easy, "X-Repo-Commit");
    long status = 0;
    curl_easy_getinfo(easy, CURLINFO_RESPONSE_CODE, &status);
    if (!size && status == 200)
        size = header(easy, "Content-Length");
    if (etag)
        read_etag(etag, metadata->etag, sizeof(metadata->etag));
    if (commit)
        snprintf(metadata->commit, sizeof(metadata->commit), "%s", commit);
    if (size && *size >= '0' && *size <= '9')
        metadata->size = strtoll(size, NULL, 10);
}

/* Whether `next` is at the scheme, host and port of `url`. */
static bool same_origin(const char *url, const char *next)
{
    const char *host = strstr(url, "://");
    size_t length = host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
    return length && !strncmp(url, next, length) && (next[length] == '/' || !next[length]);
}

int cli_get_metadata(struct cli_http *http, const char *url, struct cli_metadata *metadata)
{
    char *at = string_format("%s", url), *next = NULL;
    int status = at ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    *metadata = (struct cli_metadata){.size = -1};
    /* The hub moves a name by a redirection to itself; one to another host is where the bytes lie,
     * whose headers are not the hub's. */
    for (int i = 0; !status && i < REDIRECTIONS; i++) {
        if ((status = transfer(http, at, NULL, -1)))
            break;
        read_headers(http->easy, metadata);
        curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_URL, &next);
        if (!next || !same_origin(at, next))
            break;
        char *copy = string_format("%s", next);
        free(at);
        at = copy;
        status = at ? CLI_DONE : cli_fail(CLI_FAILED, "out of memory");
    }
    if (!status && !*metadata->etag)
        status = cli_fail(CLI_FAILED,
                          "%s: the server tells no ETag that could be a hash; is this a hub?", url);
    free(at);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------- */

int cli_get_file(struct cli_http *http, const char *url, const char *path, int64_t size,
                 uint64_t *fetched)
{
    struct body body = {.easy = http->easy, .path = path, .limit = size < 0 ? MOST_TEXT : size};
    int status = CLI_DONE;
    if (!(body.file = fopen(path, "ab")))
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    setvbuf(body.file, NULL, _IONBF, 0); /* what is counted is in the file */
    body.have = fseeko(body.file, 0, SEEK_END) ? -1 : (int64_t)ftello(body.file);
    if (body.have < 0 || body.have > body.limit)
        begin_again(&body);
    if (body.error)
        status = cli_fail(CLI_FAILED, "%s: %s", path, strerror(body.error));
    const char *name = strrchr(url, '/') + 1;
    cli_start_download(http->session, name, (size_t)(body.have / MIB), (size_t)(body.limit / MIB));
    if (!status && (size < 0 || body.have < size))
        status = transfer(http, url, &body, size);
    cli_clear_progress();
    *fetched += body.received;
    bool kept = body.file && !fsync(fileno(body.file));
    kept = body.file && !fclose(body.file) && kept;
    if (!status && !kept)
        status = cli_fail(CLI_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    return status;
}

/* An ETag of 64 digits is the file's SHA-256, one of 40 the SHA-1 of a git blob: "blob SIZE", NUL,
 * the bytes. Anything else is not known to be a hash. */
int cli_check_hash(const char *path, const char *etag, bool *good)
{
    enum { CHUNK = 1 << 18 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    char text[2 * EVP_MAX_MD_SIZE + 1] = "", prefix[40];
    unsigned length = 0;
    size_t digits = strlen(etag), read;
    *good = true;
    if ((digits != 64 && digits != 40) || strspn(etag, "0123456789abcdef") != digits) {
        cli_say("warning: %s: not checked, for the server tells no hash of it", path);
        return CLI_DONE;
    }
    FILE *file = fopen(path, "rb");
    char *chunk = malloc(CHUNK);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool done = file && chunk && context && !fseeko(file, 0, SEEK_END);
    int size = done ? snprintf(prefix, sizeof(prefix), "blob %lld", (long long)ftello(file)) : 0;
    done = done && !fseeko(file, 0, SEEK_SET) &&
           EVP_DigestInit_ex(context, digits == 64 ? EVP_sha256() : EVP_sha1(), NULL) &&
           (digits == 64 || EVP_DigestUpdate(context, prefix, (size_t)size + 1));
    while (done && (read = fread(chunk, 1, CHUNK, file)))
        done = EVP_DigestUpdate(context, chunk, read);
    done = done && !ferror(file) && EVP_DigestFinal_ex(context, digest, &length);
    for (unsigned i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    *good = done && !strcmp(text, etag);
    if (file)
        fclose(file);
    free(chunk);
    EVP_MD_CTX_free(context);
    return done ? CLI_DONE : cli_fail(CLI_FAILED, "%s: cannot be read", path);
}
