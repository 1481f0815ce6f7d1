/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* gmtime_r, strnlen, strndup, O_CLOEXEC */
#include "server/access_log.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "server/connections.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* A pipe that can take a byte takes 4096 bytes (PIPE_BUF) without waiting. The texts of clients are
 * cut so that a line fits even if each byte of them becomes six characters. */
enum { MOST_LINE = 4096, MOST_METHOD = 20, MOST_PATH = 400, MOST_AGENT = 120 };

static struct {
    const char *path;  /* NULL: there is no log */
    struct mutex lock; /* protects all that follows */
    int file;
    bool cut; /* The last line was not written as a whole. */
    uint64_t lost;
} out = {.lock = MUTEX_INIT, .file = -1};

static int open_file(const char *path)
{
    return open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK, 0640);
}

int access_log_open(const char *path)
{
    if (!path)
        return VKCLIP_OK;
    const int file = strcmp(path, "-") ? open_file(path) : STDOUT_FILENO;
    if (file < 0)
        return error_fail(VKCLIP_EIO, "%s: cannot be written: %s", path, strerror(errno));
    out.file = file;
    out.path = path;
    return VKCLIP_OK;
}

static void close_file(int file)
{
    if (file > STDERR_FILENO)
        close(file);
}

void access_log_close(void)
{
    close_file(out.file);
    out.file = -1;
    out.path = NULL;
}

void access_log_reopen(void)
{
    if (!out.path || !strcmp(out.path, "-"))
        return;
    const int file = open_file(out.path);
    if (file < 0) {
        log_message(VKCLIP_LOG_WARNING, "%s: cannot be opened again: %s", out.path,
                    strerror(errno));
        return;
    }
    mutex_lock(&out.lock);
    close_file(out.file);
    out.file = file;
    mutex_unlock(&out.lock);
}

static bool can_write(int file)
{
    struct pollfd look = {.fd = file, .events = POLLOUT};
    return poll(&look, 1, 0) > 0 && look.revents == POLLOUT;
}

static void write_line(const char *line, size_t length)
{
    mutex_lock(&out.lock);
    ssize_t count = -1;
    if (length <= MOST_LINE && can_write(out.file))
        count = write(out.file, line + !out.cut, length - !out.cut);
    if (count < (ssize_t)(length - !out.cut)) {
        out.cut |= count > 0;
        out.lost++;
    } else {
        out.cut = false;
    }
    mutex_unlock(&out.lock);
}

/* The first bytes of what a client has sent. */
static json_t *pack_start(const char *text, size_t most)
{
    char *copy = text ? strndup(text, most) : NULL;
    json_t *json = copy ? answer_text(copy) : json_null();
    free(copy);
    return json;
}

void access_log_write(const struct request *request, bool complete)
{
    char date[32];
    struct tm parts;
    const time_t now = time(NULL);
    if (!out.path)
        return;
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    json_t *json = json_pack("{ss ss ss so so so si sI sI sf sb}", "time", date, "request",
                             request->name, "client", request->from ? request->from->client : "",
                             "method", pack_start(request->method, MOST_METHOD), "path",
                             pack_start(request->path, MOST_PATH), "agent",
                             pack_start(request_header(request, "User-Agent"), MOST_AGENT),
                             "status", (int)request->status, "received",
                             (json_int_t)request->received, "sent", (json_int_t)request->sent,
                             "seconds", clock_seconds() - request->began, "complete", complete);
    /* The line before may have to be ended first. */
    char *text = json ? json_dumps(json, JSON_COMPACT | JSON_REAL_PRECISION(6)) : NULL;
    char line[MOST_LINE + 2];
    if (text) {
        const int length = snprintf(line, sizeof(line), "\n%s\n", text);
        write_line(line, (size_t)length);
    }
    free(text);
    json_decref(json);
}

uint64_t access_log_lost(void)
{
    mutex_lock(&out.lock);
    const uint64_t lost = out.lost;
    mutex_unlock(&out.lock);
    return lost;
}
