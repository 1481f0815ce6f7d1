/* SPDX-License-Identifier: MIT
 *
 * The loop over the steps of a training run, with saves and evaluations between them. Ctrl-C
 * saves the step and ends the run; a second Ctrl-C ends it at once.
 */
#include "base/clock.h"
#include "cli/commands/train.h"
#include "cli/commands/train_events.h"
#include "cli/commands/train_log.h"
#include "cli/interrupt.h"
#include "cli/log.h"
#include "cli/print.h"

#include <string.h>

/* Seconds from one save to the next if there is no --save-every: what a power cut costs at most. */
enum { SAVE_SECONDS = 900 };

struct run {
    struct cli_session *session;
    const struct train_options *options;
    const struct cli_evaluation_inputs *inputs;
    struct vkclip_trainer *trainer;
    struct vkclip_trainer_info info;
    struct cli_train_log *log; /* NULL: none */
    struct event_file *events; /* NULL: none */
    struct vkclip_train_result last;
    struct cli_evaluation evaluation; /* the last ones */
    struct vkclip_validation validation;
    double started, waiting, saved_at;
    uint64_t first, saved; /* steps */
    char path[1024];       /* of the last saved step */
};

/* ---- Saves and evaluations ------------------------------------------------------------------ */

static int save(struct run *run)
{
    if (run->saved == run->last.step)
        return CLI_DONE;
    if (vkclip_save_trainer(run->trainer, run->path, sizeof(run->path)))
        return cli_fail_library(run->session, CLI_FAILED);
    run->saved = run->last.step;
    run->saved_at = clock_seconds();
    if (run->session->common.verbose)
        cli_say("%s: written", run->path);
    return CLI_DONE;
}

/* Evaluates the last step, which is saved first if need be. */
static int evaluate(struct run *run)
{
    struct cli_evaluation *found = &run->evaluation;
    int status = save(run);
    const double before = clock_seconds();
    char path[sizeof(run->path) + sizeof("/ema")];
    snprintf(path, sizeof(path), "%s%s", run->path,
             run->options->params.ema_decay > 0 ? "/ema" : "");
    if (!status)
        status = cli_evaluate(run->session, run->inputs, path, found);
    run->started += clock_seconds() - before; /* Only the steps are timed. */
    if (status || !found->images)
        return status;
    if (!run->session->common.quiet)
        cli_say("step %llu: top-1 %.2f %%, top-5 %.2f %% of %zu pictures among %zu labels",
                (unsigned long long)run->last.step, found->top1, found->top5, found->images,
                run->options->evaluation.labels.count);
    if (run->log)
        status = cli_train_log_evaluation(run->log, run->last.step, found);
    return status ? status : train_events_evaluation(run->events, run->last.step, found);
}

/* Validates the last step. */
static int validate(struct run *run)
{
    struct vkclip_validation *found = &run->validation;
    const uint64_t step = run->last.step;
    int status = CLI_DONE;
    cli_show_wait(run->session, "validating");
    if (vkclip_validate_trainer(run->trainer, found))
        return cli_fail_library(run->session, CLI_FAILED);
    cli_clear_progress();
    run->started += found->seconds; /* Only the steps are timed. */
    if (!run->session->common.quiet)
        cli_say("step %llu: validation loss %.4f, recall at 1, 5, 10: image to text %.2f %%, "
                "%.2f %%, %.2f %%; text to image %.2f %%, %.2f %%, %.2f %%",
                (unsigned long long)step, found->loss, found->image_to_text[0],
                found->image_to_text[1], found->image_to_text[2], found->text_to_image[0],
                found->text_to_image[1], found->text_to_image[2]);
    if (run->log)
        status = cli_train_log_validation(run->log, step, found);
    return status ? status : train_events_validation(run->events, step, found);
}

static int finish(struct run *run)
{
    int status = run->options->evaluation.folder ? evaluate(run) : save(run);
    if (!status && run->options->params.val_data)
        status = validate(run);
    if (!status && vkclip_save_trained_model(run->trainer))
        status = cli_fail_library(run->session, CLI_FAILED);
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

static bool is_evaluation_due(const struct run *run)
{
    const uint32_t every = run->options->eval_every;
    return run->options->evaluation.folder && every && run->last.step % every == 0;
}

static bool is_validation_due(const struct run *run)
{
    const struct train_options *options = run->options;
    const uint64_t passes = options->val_frequency ? options->val_frequency : 1;
    const uint64_t every = options->val_every ? options->val_every : passes * run->info.epoch_steps;
    return options->params.val_data && run->last.step % every == 0;
}

static bool is_save_due(const struct run *run)
{
    const uint32_t steps = run->options->save_every;
    return steps ? run->last.step % steps == 0 : clock_seconds() - run->saved_at > SAVE_SECONDS;
}

static int step(struct run *run)
{
    int status = CLI_DONE;
    if (vkclip_train_step(run->trainer, &run->last))
        return cli_fail_library(run->session, CLI_FAILED);
    run->waiting += run->last.waiting;
    if (run->log)
        status = cli_train_log_step(run->log, &run->last, run->info.batch);
    if (!status)
        status = train_events_step(run->events, &run->last, run->info.batch);
    show(run);
    if (status || run->last.step == run->info.steps || cli_interrupted())
        return status;
    const bool validates = is_validation_due(run), evaluates = is_evaluation_due(run);
    if (validates)
        status = validate(run);
    if (!status && evaluates)
        status = evaluate(run);
    else if (!status && is_save_due(run))
        status = save(run);
    if (!status && (validates || evaluates))
        cli_start_progress(run->session, (size_t)run->last.step, (size_t)run->info.steps);
    return status;
}

/* ---- The result -------------------------------------------------------------------------------- */

static bool print_json(const struct run *run)
{
    const struct vkclip_train_result *last = &run->last;
    const char *output = run->options->params.output;
    json_t *json = json_pack("{so sI sf sf sf sI}", "path", cli_json_text(output, strlen(output)),
                             "step", (json_int_t)last->step, "loss", (double)last->loss,
                             "logit_scale", (double)last->logit_scale, "pairs_per_second",
                             pairs_per_second(run), "broken", (json_int_t)last->broken);
    if (json && last->step == run->first) { /* Nothing was left to do. */
        json_object_set_new(json, "loss", json_null());
        json_object_set_new(json, "logit_scale", json_null());
    }
    if (json && run->evaluation.images)
        json_object_update_new(
            json, json_pack("{sf sf}", "top1", run->evaluation.top1, "top5", run->evaluation.top5));
    if (json && run->validation.images)
        json_object_set_new(json, "val_loss", json_real(run->validation.loss));
    return cli_print_json(json, stdout);
}

static void print_text(const struct run *run)
{
    const struct vkclip_train_result *last = &run->last;
    cli_print_text(run->options->params.output, 0);
    if (last->step == run->first) {
        printf(": all %llu steps had been done\n", (unsigned long long)last->step);
        return;
    }
    printf(": %llu steps of %u pairs, loss %.4f, %.3g pairs/s, %.1f %% of the time waiting for "
           "pictures",
           (unsigned long long)last->step, run->info.batch, (double)last->loss,
           pairs_per_second(run), 100 * run->waiting / (clock_seconds() - run->started));
    if (last->broken)
        printf(", %llu broken samples", (unsigned long long)last->broken);
    putchar('\n');
}

/* ---- The run ----------------------------------------------------------------------------------- */

static int run_steps(struct run *run)
{
    int status = CLI_DONE;
    cli_start_progress(run->session, (size_t)run->first, (size_t)run->info.steps);
    while (!status && !cli_interrupted() && run->last.step < run->info.steps)
        status = step(run);
    cli_clear_progress();
    if (status)
        return status;
    if (run->last.step == run->info.steps)
        return finish(run);
    status = save(run);
    if (!status)
        status = cli_fail(CLI_FAILED,
                          "stopped after step %llu, which is saved in %s; continue with --resume",
                          (unsigned long long)run->last.step, run->path);
    return status;
}

static int run_with_signals(struct run *run)
{
    cli_catch_interrupts();
    run->started = run->saved_at = clock_seconds();
    int status = run_steps(run);
    cli_release_interrupts();
    return status;
}

int train_run(struct cli_session *session, const struct train_options *options,
              const struct cli_evaluation_inputs *evaluation, struct vkclip_trainer *trainer)
{
    struct run run = {.session = session,
                      .options = options,
                      .inputs = evaluation,
                      .trainer = trainer,
                      .info.size = sizeof(run.info),
                      .last.size = sizeof(run.last),
                      .validation.size = sizeof(run.validation)};
    int status = CLI_DONE;
    vkclip_get_trainer_info(trainer, &run.info);
    run.first = run.saved = run.last.step = run.info.step;
    snprintf(run.path, sizeof(run.path), "%s", options->params.output);
    if (options->log)
        status = cli_train_log_open(options->log, run.first, &run.log);
    if (!status && options->tensorboard)
        status = train_events_open(options->tensorboard, run.first, &run.events);
    if (!status)
        status = run_with_signals(&run);
    if (cli_train_log_close(&run.log) && !status)
        status = CLI_FAILED;
    if (train_events_close(&run.events) && !status)
        status = CLI_FAILED;
    if (status)
        return status;
    if (session->common.json)
        return print_json(&run) ? CLI_DONE : CLI_FAILED;
    print_text(&run);
    return CLI_DONE;
}
