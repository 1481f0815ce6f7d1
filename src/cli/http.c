/* SPDX-License-Identifier: MIT
 *
 * HTTP by libcurl, hashes by libcrypto. Refuses other protocols than http and https, redirections
 * from https to http, and bytes beyond the size that the server announced.
 */
#define _FILE_OFFSET_BITS 64
#include "cli/http.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/print.h"

#include <curl/curl.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum {
    PICTURE_TIME = 60, /* seconds that somebody waits for a picture */
    TRIES = 5,         /* failures of a request in a row, between which less than a MiB arrives */
    REDIRECTIONS = 10, /* followed at most: more of them are a circle */
    MOST_ANSWER = 1 << 28, /* bytes of an answer with embeddings */
    MOST_TEXT = 1 << 26 /* bytes of a document, or of a file whose size the server does not tell */
};
#define MIB (1 << 20)

struct cli_http {
    struct cli_session *session;
    CURL *easy;
    struct curl_slist *headers;
    bool uses_socket;
};

/* Where an answer goes: a file, else memory. */
struct body {
    CURL *easy;
    FILE *file;
    const char *path;
    char *text;
    int64_t have, limit; /* bytes that are there, and the most that may be there */
    uint64_t received;
    bool begun; /* some bytes of the current answer have arrived */
    int error;  /* errno of writing; EOVERFLOW: there are more bytes than `limit` */
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

/* Returns a header of the last answer; NULL where it has none. */
static const char *header(CURL *easy, const char *name)
{
    struct curl_header *found = NULL;
    return curl_easy_header(easy, name, 0, CURLH_HEADER, -1, &found) ? NULL : found->value;
}

/* ---- Answers --------------------------------------------------------------------------------- */

/* Drops what is there: the server sends the whole file although a part was asked for, or it has no
 * such part. */
static bool begin_again(struct body *body)
{
    body->have = 0;
    if (!body->file)
        return !body->error;
    body->error = file_truncate(body->file, 0) ? 0 : errno;
    return !body->error;
}

static size_t write_file(struct body *body, const char *data, size_t size)
{
    const size_t written = fwrite(data, 1, size, body->file);
    body->error = written < size ? errno : 0;
    return written;
}

static size_t write_text(struct body *body, const char *data, size_t size)
{
    char *text = realloc(body->text, (size_t)body->have + size + 1);
    if (!text) {
        body->error = ENOMEM;
        return 0;
    }
    body->text = text;
    memcpy(text + body->have, data, size);
    text[(size_t)body->have + size] = 0;
    return size;
}

/* CURLOPT_WRITEFUNCTION: returns the bytes taken; fewer than `size` end the request. */
static size_t take_bytes(char *data, size_t one, size_t size, void *user)
{
    struct body *body = user;
    long status = 0;
    (void)one;
    if (!body)
        return size;
    curl_easy_getinfo(body->easy, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200 && status != 206)
        return size; /* The text of an error is dropped: the status tells enough. */
    if (!body->begun && status == 200 && body->have && !begin_again(body))
        return 0;
    body->begun = true;
    if ((int64_t)size > body->limit - body->have) {
        body->error = EOVERFLOW;
        return 0;
    }
    const size_t taken = body->file ? write_file(body, data, size) : write_text(body, data, size);
    body->have += (int64_t)taken;
    body->received += taken;
    if (body->file)
        cli_show_progress((size_t)(body->have / MIB), "");
    return taken;
}

/* Tells whether the same request may succeed later. */
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

/* Returns what a message about a file adds. */
static const char *describe_rest(const struct body *body)
{
    if (body && body->path && body->have)
        return "; what has arrived is kept, and a later pull resumes there";
    return "";
}

static int fail_status(CURL *easy, const char *url, long status)
{
    const char *code = header(easy, "X-Error-Code"), *what = "repository, revision or file";
    if (status == 401 || status == 403)
        return cli_fail(
            CLI_FAILED,
            "%s: access refused (%ld): the repository is private or gated (set HF_TOKEN "
            "to a token that may read it), or there is none of that name",
            url, status);
    if (status != 404)
        return cli_fail(CLI_FAILED, "%s: the server answers %ld", url, status);
    if (code && !strcmp(code, "RevisionNotFound"))
        what = "revision";
    else if (code && !strcmp(code, "EntryNotFound"))
        what = "file";
    return cli_fail(CLI_FAILED, "%s: not found (404): no such %s", url, what);
}

/* Tells in one line why a request failed for good. */
static int fail_request(CURL *easy, const char *url, const struct body *body, CURLcode code,
                        long status)
{
    if (body && body->error == EOVERFLOW)
        return cli_fail(CLI_FAILED, "%s: more bytes than the %lld expected", url,
                        (long long)body->limit);
    if (body && body->error)
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s%s", body->path ? body->path : url,
                        strerror(body->error), describe_rest(body));
    if (code)
        return cli_fail(CLI_FAILED, "%s: %s%s", url, curl_easy_strerror(code), describe_rest(body));
    return fail_status(easy, url, status);
}

/* Waits 0.5, 1, 2 and 4 seconds before the second to fifth try. */
static void wait_for(int tries)
{
    clock_sleep(0.5 * (1 << (tries - 1)));
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
    curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, take_bytes);
    curl_easy_setopt(easy, CURLOPT_WRITEDATA, body);
}

/* Makes one request, for the missing part of a file or for everything. Returns whether nothing is
 * missing any more. */
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

/* Repeats a request until the answer is whole or another try cannot help. `size` -1: it is not
 * known; `body` NULL: only the headers are wanted. */
static int transfer(struct cli_http *http, const char *url, struct body *body, int64_t size)
{
    int64_t most = body ? body->have : 0; /* the most bytes that were there at once */
    CURLcode code = CURLE_OK;
    long status = 0;
    int tries = 0;
    prepare(http->easy, url, body);
    while (!request(http->easy, body, size, &code, &status)) {
        const bool final = (body && body->error) || !is_transient(code, status);
        tries = body && body->have - most >= MIB ? 1 : tries + 1;
        most = body && body->have > most ? body->have : most;
        if (final || tries == TRIES || (status == 416 && body && !begin_again(body)))
            return fail_request(http->easy, url, body, code, status);
        if (http->session->common.verbose)
            cli_say("%s: %s, trying again", url,
                    code ? curl_easy_strerror(code) : "the server is busy");
        wait_for(tries);
    }
    return CLI_DONE;
}

/* ---- Pictures -------------------------------------------------------------------------------- */

/* Tells in one line why there is no picture. */
static void describe_failure(const char *url, const struct body *body, CURLcode code, long status,
                             char *message, size_t capacity)
{
    if (body->error == EOVERFLOW || code == CURLE_FILESIZE_EXCEEDED)
        snprintf(message, capacity,
                 "%s: more than %lld bytes, the most that a picture needs within --max-pixels", url,
                 (long long)body->limit);
    else if (body->error)
        snprintf(message, capacity, "%s: %s", url, strerror(body->error));
    else if (code == CURLE_OPERATION_TIMEDOUT)
        snprintf(message, capacity, "%s: has not arrived within %d seconds", url, PICTURE_TIME);
    else if (code)
        snprintf(message, capacity, "%s: %s", url, curl_easy_strerror(code));
    else if (status == 404)
        snprintf(message, capacity, "%s: not found (404)", url);
    else if (status >= 300)
        snprintf(message, capacity, "%s: the server answers %ld", url, status);
    else
        snprintf(message, capacity, "%s: empty, expected a picture", url);
}

void *cli_get_picture(struct cli_http *http, const char *url, int64_t limit, size_t *size,
                      char *message, size_t capacity)
{
    struct body body = {.easy = http->easy, .limit = limit};
    CURLcode code = CURLE_OK;
    long status = 0;
    prepare(http->easy, url, &body);
    curl_easy_setopt(http->easy, CURLOPT_CONNECTTIMEOUT, (long)PICTURE_TIME);
    curl_easy_setopt(http->easy, CURLOPT_TIMEOUT, (long)PICTURE_TIME);
    curl_easy_setopt(http->easy, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)limit);
    const bool good = request(http->easy, &body, -1, &code, &status);
    *size = (size_t)body.have;
    if (good && body.have)
        return body.text;
    describe_failure(url, &body, code, status, message, capacity);
    free(body.text);
    return NULL;
}

/* ---- Servers of embeddings --------------------------------------------------------------------- */

void cli_use_socket(struct cli_http *http, const char *path)
{
    http->uses_socket = true;
    curl_easy_setopt(http->easy, CURLOPT_UNIX_SOCKET_PATH, path);
    curl_easy_setopt(http->easy, CURLOPT_PROXY, "");
}

void cli_use_authority(struct cli_http *http, const char *path)
{
    curl_easy_setopt(http->easy, CURLOPT_CAINFO, path);
    curl_easy_setopt(http->easy, CURLOPT_CAPATH, NULL);
}

/* Tells in one line why there is no answer. The library's texts about a certificate speak of a name
 * only if it is that of another host. */
static void describe_code(const struct cli_http *http, CURLcode code, const char *details,
                          char *message, size_t capacity)
{
    const char *text = *details ? details : curl_easy_strerror(code);
    if (code == CURLE_SSL_CACERT_BADFILE)
        snprintf(message, capacity, "--server-ca: expected a file of PEM certificates (%s)", text);
    else if (code == CURLE_PEER_FAILED_VERIFICATION && !strstr(text, "name"))
        snprintf(message, capacity,
                 "%s: if it is yours, name its certificate, or that of the authority which has "
                 "signed it, with --server-ca FILE",
                 text);
    else if (code == CURLE_SSL_CONNECT_ERROR)
        snprintf(message, capacity, "%s: if it has no certificate, name it by http://", text);
    else if (code == CURLE_GOT_NOTHING && !http->uses_socket)
        snprintf(message, capacity, "%s: if it has a certificate, name it by https://", text);
    else
        snprintf(message, capacity, "%s", text);
}

/* Is a CURLOPT_WRITEFUNCTION that takes errors' texts, too. */
static size_t take_document(char *data, size_t one, size_t size, void *user)
{
    struct body *body = user;
    (void)one;
    if ((int64_t)size > body->limit - body->have)
        return 0;
    const size_t taken = write_text(body, data, size);
    body->have += (int64_t)taken;
    return taken;
}

bool cli_ask_json(struct cli_http *http, const char *url, const json_t *json, long *status,
                  json_t **answer, char *message, size_t capacity)
{
    struct body body = {.easy = http->easy, .limit = MOST_ANSWER};
    char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
    char details[CURL_ERROR_SIZE] = "";
    *answer = NULL;
    prepare(http->easy, url, &body);
    curl_easy_setopt(http->easy, CURLOPT_WRITEFUNCTION, take_document);
    curl_easy_setopt(http->easy, CURLOPT_FOLLOWLOCATION, 0L);
    if (text) {
        curl_easy_setopt(http->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)strlen(text));
        curl_easy_setopt(http->easy, CURLOPT_POSTFIELDS, text);
    }
    curl_easy_setopt(http->easy, CURLOPT_ERRORBUFFER, details);
    const CURLcode code = curl_easy_perform(http->easy);
    curl_easy_setopt(http->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_getinfo(http->easy, CURLINFO_RESPONSE_CODE, status);
    if (!code && body.text)
        *answer = json_loadb(body.text, (size_t)body.have, 0, NULL);
    if (code)
        describe_code(http, code, details, message, capacity);
    else if (!*answer)
        snprintf(message, capacity, "its answer (status %ld) is no JSON", *status);
    free(body.text);
    free(text);
    return *answer;
}

/* ---- Documents and metadata ------------------------------------------------------------------ */

int cli_get_json(struct cli_http *http, const char *url, json_t **json)
{
    struct body body = {.easy = http->easy, .limit = MOST_TEXT};
    json_error_t error;
    *json = NULL;
    int status = transfer(http, url, &body, -1);
    if (!status)
        *json = json_loadb(body.text ? body.text : "", (size_t)body.have, 0, &error);
    if (!status && !*json)
        status = cli_fail(CLI_FAILED, "%s: expected JSON: %s; is this a hub?", url, error.text);
    free(body.text);
    return status;
}

/* Reads abc from W/"abc" and "abc", and nothing from one that is too long to be a hash. */
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

/* Tells whether `next` is at the scheme, host and port of `url`. */
static bool same_origin(const char *url, const char *next)
{
    const char *host = strstr(url, "://");
    size_t length = host ? (size_t)(host - url) + 3 + strcspn(host + 3, "/?#") : 0;
    return length && !strncmp(url, next, length) && (next[length] == '/' || !next[length]);
}

/* The hub moves a name by a redirection to itself. A redirection to another host leads to the
 * bytes, and the headers there are not the hub's. */
int cli_get_metadata(struct cli_http *http, const char *url, struct cli_metadata *metadata)
{
    char *current = string_format("%s", url), *next = NULL;
    int status = current ? CLI_DONE : cli_fail_memory();
    *metadata = (struct cli_metadata){.size = -1};
    for (int i = 0; !status && i < REDIRECTIONS; i++) {
        status = transfer(http, current, NULL, -1);
        if (status)
            break;
        read_headers(http->easy, metadata);
        curl_easy_getinfo(http->easy, CURLINFO_REDIRECT_URL, &next);
        if (!next || !same_origin(current, next))
            break;
        char *copy = string_format("%s", next);
        free(current);
        current = copy;
        status = current ? CLI_DONE : cli_fail_memory();
    }
    if (!status && !*metadata->etag)
        status = cli_fail(CLI_FAILED,
                          "%s: the server tells no ETag that could be a hash; is this a hub?", url);
    free(current);
    return status;
}

/* ---- Files ----------------------------------------------------------------------------------- */

/* Opens the file at its end. It is not buffered, so that the bytes that are counted are in it. */
static int open_body(struct body *body)
{
    body->file = file_stream(body->path, "ab");
    if (!body->file)
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s", body->path, strerror(errno));
    setvbuf(body->file, NULL, _IONBF, 0);
    body->have = fseek(body->file, 0, SEEK_END) ? -1 : (int64_t)file_place(body->file);
    if (body->have < 0 || body->have > body->limit)
        begin_again(body);
    if (body->error)
        return cli_fail(CLI_FAILED, "%s: %s", body->path, strerror(body->error));
    return CLI_DONE;
}

/* Closes the file when its bytes are on the disk. */
static bool close_body(struct body *body)
{
    if (!body->file)
        return false;
    const bool kept = file_sync(body->file);
    return !fclose(body->file) && kept;
}

int cli_get_file(struct cli_http *http, const char *url, const char *path, int64_t size,
                 uint64_t *fetched)
{
    struct body body = {.easy = http->easy, .path = path, .limit = size < 0 ? MOST_TEXT : size};
    int status = open_body(&body);
    const char *name = strrchr(url, '/') + 1;
    cli_start_download(http->session, name, (size_t)(body.have / MIB), (size_t)(body.limit / MIB));
    if (!status && (size < 0 || body.have < size))
        status = transfer(http, url, &body, size);
    cli_clear_progress();
    *fetched += body.received;
    if (!close_body(&body) && !status)
        status = cli_fail(CLI_FAILED, "%s: cannot be written: %s", path, strerror(errno));
    return status;
}

/* Starts the hash: of a git blob there is a header before the bytes. */
static bool start_hash(EVP_MD_CTX *context, bool git, FILE *file)
{
    char prefix[40];
    if (fseek(file, 0, SEEK_END))
        return false;
    const int size =
        snprintf(prefix, sizeof(prefix), "blob %llu", (unsigned long long)file_place(file));
    if (fseek(file, 0, SEEK_SET) ||
        !EVP_DigestInit_ex(context, git ? EVP_sha1() : EVP_sha256(), NULL))
        return false;
    return !git || EVP_DigestUpdate(context, prefix, (size_t)size + 1);
}

/* Writes the file's hash as hexadecimal digits. Returns false if it cannot be read. */
static bool hash_file(FILE *file, bool git, char text[2 * EVP_MAX_MD_SIZE + 1])
{
    enum { CHUNK = 1 << 18 };
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned length = 0;
    char *chunk = malloc(CHUNK);
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = chunk && context && start_hash(context, git, file);
    size_t size = good ? fread(chunk, 1, CHUNK, file) : 0;
    while (good && size) {
        good = EVP_DigestUpdate(context, chunk, size);
        size = fread(chunk, 1, CHUNK, file);
    }
    good = good && !ferror(file) && EVP_DigestFinal_ex(context, digest, &length);
    for (unsigned i = 0; i < length; i++)
        snprintf(text + 2 * i, 3, "%02x", digest[i]);
    free(chunk);
    EVP_MD_CTX_free(context);
    return good;
}

int cli_check_hash(const char *path, const char *etag, bool *good)
{
    char text[2 * EVP_MAX_MD_SIZE + 1] = "";
    const size_t digits = strlen(etag);
    *good = true;
    if ((digits != 64 && digits != 40) || strspn(etag, "0123456789abcdef") != digits) {
        cli_say("warning: %s: not verified, because the server tells no hash of it", path);
        return CLI_DONE;
    }
    FILE *file = file_stream(path, "rb");
    const bool read = file && hash_file(file, digits == 40, text);
    if (file)
        fclose(file);
    *good = read && !strcmp(text, etag);
    return read ? CLI_DONE : cli_fail(CLI_FAILED, "%s: cannot be read", path);
}
