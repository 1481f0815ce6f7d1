/* SPDX-License-Identifier: MIT */
#include "base/progress.h"
#include "base/clock.h"
#include "base/error.h"

/* Seconds between two questions of progress_check: a person does not notice such a delay, and
 * asking takes little of the time. */
#define ASK_INTERVAL 0.02

static _Thread_local struct progress *current;
static _Thread_local bool lent; /* The current call's program must not be asked here. */

void progress_begin(struct progress *progress, vkclip_progress_fn *ask, void *user, uint64_t total)
{
    *progress = (struct progress){.ask = ask, .user = user, .total = total, .outer = current};
    current = progress;
}

static int fail_cancelled(void)
{
    return error_fail(VKCLIP_ECANCELLED, "stopped by the caller");
}

static void ask(struct progress *progress)
{
    if (!progress->ask || progress->asking)
        return;
    progress->asking = true;
    if (progress->ask(progress->user, progress->done, progress->total))
        progress->cancelled = true;
    progress->asking = false;
    progress->asked = clock_seconds();
}

static bool is_cancelled(const struct progress *progress)
{
    for (; progress; progress = progress->outer)
        if (progress->cancelled)
            return true;
    return false;
}

int progress_report(struct progress *progress, uint64_t done)
{
    progress->done = done;
    ask(progress);
    if (done == progress->total)
        progress->cancelled = false;
    return is_cancelled(progress) ? fail_cancelled() : VKCLIP_OK;
}

int progress_end(struct progress *progress, int error)
{
    if (!error && progress->done < progress->total)
        progress_report(progress, progress->total);
    current = progress->outer;
    return error;
}

int progress_tell(uint64_t done, uint64_t total)
{
    if (!current || lent)
        return progress_check();
    current->total = total;
    return progress_report(current, done);
}

static int check(bool within)
{
    bool cancelled = false;
    for (struct progress *progress = current; progress && !cancelled; progress = progress->outer) {
        const bool asks =
            !lent && progress->ask && !progress->cancelled && (!within || progress->independent);
        if (asks && clock_seconds() - progress->asked >= ASK_INTERVAL)
            ask(progress);
        cancelled = progress->cancelled;
    }
    return cancelled ? fail_cancelled() : VKCLIP_OK;
}

int progress_check(void)
{
    return check(false);
}

int progress_check_within(void)
{
    return check(true);
}

bool progress_is_cancelled(void)
{
    return is_cancelled(current);
}

bool progress_asks(void)
{
    for (const struct progress *progress = current; progress; progress = progress->outer)
        if (progress->ask)
            return true;
    return false;
}

struct progress *progress_current(void)
{
    return current;
}

struct progress *progress_lend(struct progress *progress)
{
    struct progress *before = current;
    current = progress;
    lent = true;
    return before;
}

void progress_return(struct progress *before)
{
    current = before;
    lent = false;
}
