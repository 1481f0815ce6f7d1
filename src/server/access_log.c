/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* gmtime_r, strnlen */
#include "server/access_log.h"
#include "base/clock.h"
#include "base/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <stdlib.h>
#include <time.h>

static FILE *out;

int access_log_open(const char *path)
{
    if (!path)
        return VKCLIP_OK;
    out = strcmp(path, "-") ? fopen(path, "a") : stdout;
    if (!out)
        return error_fail(VKCLIP_EIO, "%s: cannot be written: %s", path, strerror(errno));
    return VKCLIP_OK;
}

void access_log_close(void)
{
    if (out && out != stdout)
        fclose(out);
    out = NULL;
}

void access_log_write(const struct request *request, bool complete)
{
    char date[32];
    struct tm parts;
    const time_t now = time(NULL);
    if (!out)
        return;
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    json_t *json =
        json_pack("{ss ss ss# si sI sI sf sb}", "time", date, "method", request->method, "path",
                  request->path, strnlen(request->path, 2048), "status", (int)request->status,
                  "received", (json_int_t)request->size, "sent", (json_int_t)request->sent,
                  "seconds", clock_seconds() - request->began, "complete", complete);
    char *line = json ? json_dumps(json, JSON_COMPACT) : NULL;
    if (line) {
        fprintf(out, "%s\n", line);
        fflush(out);
    }
    free(line);
    json_decref(json);
}
