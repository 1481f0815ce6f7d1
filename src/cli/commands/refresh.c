/* SPDX-License-Identifier: MIT
 *
 * The progress bar of vkclip index, which search --refresh shows too.
 */
#include "cli/commands/refresh.h"
#include "base/clock.h"
#include "cli/log.h"
#include "cli/print.h"

/* One call of vkclip_index_paths. */
struct update {
    struct cli_session *session;
    uint64_t total; /* files to read, once it is known */
    double started; /* when the first of them was read */
};

/* Is a vkclip_update_fn. */
static int show_update(void *user, const struct vkclip_update_progress *progress)
{
    struct update *update = user;
    char note[48] = "";
    if (!update->total && !progress->total) {
        snprintf(note, sizeof(note), "%llu pictures found", (unsigned long long)progress->found);
        cli_show_wait(update->session, note);
        return 0;
    }
    if (!update->total) {
        update->total = progress->total;
        update->started = clock_seconds();
        cli_start_progress(update->session, 0, (size_t)progress->total);
    }
    const double seconds = clock_seconds() - update->started;
    if (seconds > 0)
        snprintf(note, sizeof(note), ", %.0f pictures/s", (double)progress->done / seconds);
    cli_show_progress((size_t)progress->done, note);
    return 0;
}

/* Is a vkclip_failure_fn. */
static int print_failure(void *user, const char *path, int error, const char *message)
{
    (void)error;
    cli_fail_file(((struct update *)user)->session, path, message);
    return 0;
}

int refresh_index(const struct refresh *refresh, struct vkclip_update_result *result)
{
    struct cli_session *session = refresh->session;
    struct update update = {.session = session};
    struct vkclip_update_params params = refresh->params;
    params.progress = refresh->lines || cli_reports_to_terminal() ? show_update : NULL;
    params.failure = print_failure;
    params.user = &update;
    const int error = vkclip_index_paths(refresh->index, session->model, refresh->paths,
                                         refresh->count, &params, result);
    cli_clear_progress();
    return error ? cli_fail_library(session, CLI_FAILED) : CLI_DONE;
}
