/* SPDX-License-Identifier: MIT
 *
 * The life of a training run: step after step, and now and then a checkpoint and an evaluation.
 * Ctrl-C ends it with a checkpoint, a second one at once.
 */
#ifndef _WIN32
#define _POSIX_C_SOURCE 200809L
#endif
#include "base/clock.h"
#include "cli/cli.h"
#include "cli/commands/train_log.h"

#include <signal.h>
#include <string.h>

#define SAVE_SECONDS 900 /* between checkpoints where --save-every says nothing */

struct run {
    struct cli *cli;
    struct vkclip_trainer *trainer;
    struct vkclip_trainer_info info;
    struct cli_train_log *log; /* NULL: none */
    struct vkclip_train_result last;
    struct cli_evaluation evaluation; /* the last one */
    double started, waiting, saved_at;
    uint64_t first, saved; /* steps */
    char path[1024];       /* of the last checkpoint */
};

static volatile sig_atomic_t stopped;

static void stop(int number)
{
    stopped = number;
    signal(number, SIG_DFL);
}

/* ---- Checkpoints and evaluations ------------------------------------------------------------- */

static int save(struct run *run)
{
    if (run->saved == run->last.step)
        return CLI_DONE;
    if (vkclip_save_trainer(run->trainer, run->path, sizeof(run->path)))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    run->saved = run->last.step;
    run->saved_at = clock_seconds();
    if (run->cli->verbose)
        cli_say("%s: written", run->path);
    return CLI_DONE;
}

static int evaluate(struct run *run)
{
    struct cli *cli = run->cli;
    int status = save(run);
    const double before = clock_seconds();
    status = status ? status : cli_evaluate(cli, run->path, &run->evaluation);
    run->started += clock_seconds() - before; /* it is the steps that are timed */
    if (status || !run->evaluation.images)
        return status;
    if (!cli->quiet)
        cli_say("step %llu: top-1 %.2f %%, top-5 %.2f %% of %zu pictures among %zu labels",
                (unsigned long long)run->last.step, run->evaluation.top1, run->evaluation.top5,
                run->evaluation.images, cli->labels.count);
    return run->log ? cli_train_log_evaluation(run->log, run->last.step, &run->evaluation)
                    : CLI_DONE;
}

static int finish(struct run *run)
{
    int status = run->cli->eval ? evaluate(run) : save(run);
    if (!status && vkclip_save_trained_model(run->trainer))
        status = cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    return status;
}

/* ---- Steps ----------------------------------------------------------------------------------- */

static double pairs_per_second(const struct run *run)
{
    const double time = clock_seconds() - run->started;
    return time > 0 ? (double)(run->last.step - run->first) * run->info.batch / time : 0;
}

static void show(const struct run *run)
{
    char note[128];
    const double time = clock_seconds() - run->started;
    snprintf(note, sizeof(note), ", loss %.4f, %.3g pairs/s, waiting %.0f %%",
             (double)run->last.loss, pairs_per_second(run),
             time > 0 ? 100 * run->waiting / time : 0);
    cli_show_progress((size_t)run->last.step, note);
}

static int step(struct run *run)
{
    const struct cli *cli = run->cli;
    if (vkclip_train_step(run->trainer, &run->last))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    run->waiting += run->last.waiting;
    int status = run->log ? cli_train_log_step(run->log, &run->last, run->info.batch) : CLI_DONE;
    show(run);
    if (status || run->last.step == run->info.steps || stopped)
        return status;
    if (cli->eval && cli->eval_every && run->last.step % cli->eval_every == 0) {
        status = evaluate(run);
        cli_start_progress(cli, (size_t)run->last.step, (size_t)run->info.steps);
    } else if (cli->save_every ? run->last.step % cli->save_every == 0
                               : clock_seconds() - run->saved_at > SAVE_SECONDS) {
        status = save(run);
    }
    return status;
}

static int print_result(const struct run *run)
{
    const struct vkclip_train_result *last = &run->last;
    const char *output = run->cli->train.output;
    if (run->cli->json) {
        json_t *json =
            json_pack("{so sI sf sf sf sI}", "path", cli_json_text(output, strlen(output)), "step",
                      (json_int_t)last->step, "loss", (double)last->loss, "logit_scale",
                      (double)last->logit_scale, "pairs_per_second", pairs_per_second(run),
                      "broken", (json_int_t)last->broken);
        if (json && last->step == run->first) { /* nothing was left to do */
            json_object_set_new(json, "loss", json_null());
            json_object_set_new(json, "logit_scale", json_null());
        }
        if (json && run->evaluation.images)
            json_object_update_new(json, json_pack("{sf sf}", "top1", run->evaluation.top1, "top5",
                                                   run->evaluation.top5));
        return cli_print_json(json, stdout) ? CLI_DONE : CLI_FAILED;
    }
    cli_print_text(output, 0);
    if (last->step == run->first) {
        printf(": all %llu steps were done\n", (unsigned long long)last->step);
        return CLI_DONE;
    }
    printf(": %llu steps of %u pairs, loss %.4f, %.3g pairs/s, %.1f %% of the time waiting for "
           "pictures",
           (unsigned long long)last->step, run->info.batch, (double)last->loss,
           pairs_per_second(run), 100 * run->waiting / (clock_seconds() - run->started));
    if (last->broken)
        printf(", %llu broken samples", (unsigned long long)last->broken);
    putchar('\n');
    return CLI_DONE;
}

static int run_steps(struct run *run)
{
    int status = CLI_DONE;
    cli_start_progress(run->cli, (size_t)run->first, (size_t)run->info.steps);
    while (!status && !stopped && run->last.step < run->info.steps)
        status = step(run);
    cli_clear_progress();
    if (status)
        return status;
    if (run->last.step == run->info.steps)
        return finish(run);
    status = save(run);
    return status ? status
                  : cli_fail(CLI_FAILED,
                             "stopped after step %llu, which %s has; go on with "
                             "--resume",
                             (unsigned long long)run->last.step, run->path);
}

int cli_run_training(struct cli *cli, struct vkclip_trainer *trainer)
{
    struct run run = {.cli = cli, .trainer = trainer};
    vkclip_get_trainer_info(trainer, &run.info);
    run.first = run.saved = run.last.step = run.info.step;
    snprintf(run.path, sizeof(run.path), "%s", cli->train.output);
    int status = cli->log ? cli_train_log_open(cli->log, run.first, &run.log) : CLI_DONE;
    if (status)
        return status;
    stopped = 0;
    signal(SIGINT, stop);
    signal(SIGTERM, stop);
    run.started = run.saved_at = clock_seconds();
    status = run_steps(&run);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    if (run.log && cli_train_log_close(&run.log) && !status)
        status = CLI_FAILED;
    return status ? status : print_result(&run);
}
