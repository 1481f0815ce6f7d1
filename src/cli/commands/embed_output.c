/* SPDX-License-Identifier: MIT
 *
 * Takes the results of vkclip embed. Where a run ends early, FILE.part is a file of lines, or for
 * all other formats a safetensors file, whose rows come first when the run resumes.
 */
#include "cli/commands/embed_output.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/interrupt.h"
#include "cli/log.h"
#include "cli/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Results in memory are saved at most once per minute, and for at most a fiftieth of the time. */
enum { SAVE_SECONDS = 60, SAVE_SHARE = 50 };

static const char *const keys[] = {[EMBED_IMAGES] = "path", [EMBED_TEXTS] = "text"};

static bool is_lines(const struct embed_output *output)
{
    return output->format == RESULTS_JSONL;
}

/* ---- What is kept ---------------------------------------------------------------------------- */

static int save_part(struct embed_output *output)
{
    const double before = clock_seconds();
    int status = CLI_DONE;
    if (!is_lines(output))
        status = results_write_safetensors(output->part, &output->kinds[EMBED_IMAGES],
                                           &output->kinds[EMBED_TEXTS], true);
    else if (fflush(output->lines))
        status = cli_fail(CLI_FAILED, "%s: cannot be written: %s", output->part, strerror(errno));
    output->saved = clock_seconds();
    output->saving = output->saved - before;
    return status;
}

static bool is_save_due(const struct embed_output *output)
{
    const double least = SAVE_SHARE * output->saving;
    return output->partial && !is_lines(output) &&
           clock_seconds() - output->saved > (least > SAVE_SECONDS ? least : SAVE_SECONDS);
}

/* Opens the file of lines behind its first `size` bytes and drops what follows them. */
static int open_lines(struct embed_output *output, uint64_t size)
{
    if (!strcmp(output->path, "-")) {
        output->lines = stdout;
        return CLI_DONE;
    }
    output->lines = file_stream(output->part, size ? "r+b" : "wb");
    if (!output->lines || !file_truncate(output->lines, size))
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s", output->part, strerror(errno));
    return CLI_DONE;
}

/* Returns the file whose rows come first, for messages. */
static const char *find_earlier(const struct embed_output *output)
{
    return output->copied || !file_exists(output->part) ? output->path : output->part;
}

/* Reads what an earlier run left. *size is set to the bytes of complete lines. */
static int read_earlier(struct embed_output *output, enum embed_start start, uint64_t *size)
{
    struct results *kinds = output->kinds;
    const enum results_format part = is_lines(output) ? RESULTS_JSONL : RESULTS_SAFETENSORS;
    const bool exists = !output->shard && file_exists(output->path);
    *size = 0;
    if (!output->partial)
        return CLI_DONE;
    if (start == EMBED_OVERWRITE) {
        file_remove(output->part);
        if (output->shard)
            shard_remove_record(output->shard);
    }
    if (file_exists(output->part) && start == EMBED_ANEW)
        return cli_fail(
            CLI_FAILED,
            "%s: keeps the results of a run that ended early; continue it with --resume, "
            "or begin anew with --overwrite",
            output->part);
    if (!file_exists(output->part) && start == EMBED_SKIP_EXISTING && exists && is_lines(output)) {
        /* New lines are added to a copy. */
        if (file_copy(output->path, output->part))
            return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
        output->copied = true;
    }
    if (file_exists(output->part))
        return resume_read(find_earlier(output), part, &kinds[EMBED_IMAGES], &kinds[EMBED_TEXTS],
                           size);
    output->continues = start == EMBED_SKIP_EXISTING && exists;
    if (output->continues)
        return resume_read(output->path, output->format, &kinds[EMBED_IMAGES], &kinds[EMBED_TEXTS],
                           size);
    return CLI_DONE;
}

/* Two runs that write one file would mix their parts. */
static int lock_output(struct embed_output *output)
{
    if (!output->partial || !file_lock(output->shard ? output->part : output->path, &output->lock))
        return CLI_DONE;
    return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
}

/* Adds the tensor of the embeddings or features of one kind. */
static int add_tensor(struct embed_output *output, enum embed_kind kind)
{
    static const char *const names[][2] = {{"image_embeds", "image_features"},
                                           {"text_embeds", "text_features"}};
    const struct vkclip_model_info *info = &output->session->info;
    const struct vkclip_features *features = output->features;
    const enum vkclip_tower tower = kind == EMBED_TEXTS ? VKCLIP_TOWER_TEXT : VKCLIP_TOWER_IMAGE;
    size_t shape[] = {0, kind == EMBED_TEXTS ? info->text_embed_dim : info->embed_dim, 0};
    if (features && vkclip_get_features_shape(output->session->model, tower, features,
                                              output->length, &shape[1]))
        return cli_fail_library(output->session, CLI_NO_MODEL);
    if (features && features->pooled) /* [N,D], as embeddings are */
        shape[1] = shape[2];
    const size_t rank = features && !features->pooled ? 3 : 2;
    output->kinds[kind].features = output->features_name;
    return results_add(&output->kinds[kind], names[kind][features != NULL], DTYPE_F32, shape, rank)
               ? CLI_DONE
               : cli_fail_memory();
}

int embed_output_open(struct embed_output *output, enum embed_start start, bool images, bool texts)
{
    const struct vkclip_model_info *info = &output->session->info;
    uint64_t size = 0;
    if (output->shard)
        output->part = shard_part_path(output->shard);
    else
        output->part = string_format("%s.part", output->path);
    /* What an earlier run wrote may be of both kinds, and is not lost. */
    const bool both = start >= EMBED_RESUME && output->format != RESULTS_NPY && !output->features;
    images = images || (both && info->image.width);
    texts = texts || (both && info->text.width);
    int status = output->part ? CLI_DONE : cli_fail_memory();
    if (!status && images)
        status = add_tensor(output, EMBED_IMAGES);
    if (!status && texts)
        status = add_tensor(output, EMBED_TEXTS);
    output->saved = clock_seconds();
    if (!status)
        status = lock_output(output);
    if (!status)
        status = read_earlier(output, start, &size);
    if (!status && is_lines(output))
        status = open_lines(output, size);
    output->open = !status;
    if (!status && output->partial)
        cli_catch_interrupts();
    return status;
}

/* Refuses earlier rows to which the new ones cannot be added: those with other tensors, and in a
 * shard, whose rows must be those of its own inputs, the rows of others. */
static int check_earlier(const struct embed_output *output, const struct results *results,
                         const struct resume_plan *plan, size_t inputs)
{
    const char *path = find_earlier(output);
    if (output->shard && inputs - plan->missing < results->inputs.count)
        return cli_fail(CLI_FAILED,
                        "%s: keeps results of inputs that this shard does not have; name another "
                        "folder or remove the file",
                        path);
    if (plan->missing && output->hidden != (results->count > 1))
        return cli_fail(CLI_FAILED, "%s: its rows have %shidden states; %s, or name another file",
                        path, output->hidden ? "no " : "",
                        output->hidden ? "leave out --hidden" : "add --hidden");
    return CLI_DONE;
}

/* Says that no row of an earlier run could be compared with an embedding by this model. */
static void warn_unchecked(const struct embed_output *output)
{
    if (!output->session->common.quiet)
        cli_say("warning: %s: whether this model made its rows is not known, because none of their "
                "pictures could be read",
                find_earlier(output));
}

int embed_output_begin(struct embed_output *output, enum embed_kind kind,
                       const struct cli_inputs *inputs, const struct cli_inputs **rest)
{
    struct resume_plan *plan = &output->plans[kind];
    const struct results *results = &output->kinds[kind];
    const bool quiet = output->session->common.quiet;
    output->kind = kind;
    *rest = inputs;
    if (!results->inputs.count)
        return CLI_DONE;
    int status = resume_find_rest(results, inputs, kind == EMBED_IMAGES, plan);
    *rest = &plan->rest;
    if (!status)
        status = check_earlier(output, results, plan, inputs->count);
    if (!status && !quiet)
        cli_say("%zu of %zu %s had been done", inputs->count - plan->missing, inputs->count,
                kind == EMBED_IMAGES ? "pictures" : "texts");
    if (!status && plan->missing && !plan->checks)
        warn_unchecked(output);
    return status;
}

/* ---- Results --------------------------------------------------------------------------------- */

/* Returns which row an input fills. */
static size_t find_row(const struct embed_output *output, const struct cli_input *input)
{
    const struct resume_plan *plan = &output->plans[output->kind];
    return plan->rows ? plan->rows[input - plan->rest.items] : RESUME_APPEND;
}

static bool take_line(struct embed_output *output, const struct cli_input *input,
                      const float *embed, size_t width)
{
    struct results *results = &output->kinds[output->kind];
    results->tensors->count++;
    results->good++;
    if (results_print_line(output->lines, keys[output->kind], input, embed, width) &&
        !fflush(output->lines))
        return true;
    if (output->lines != stdout) /* main() says what is wrong with standard output. */
        cli_fail(CLI_FAILED, "%s: cannot be written: %s", output->part, strerror(errno));
    return false;
}

static bool take_row(struct embed_output *output, const struct cli_input *input, const float *embed,
                     size_t row)
{
    struct results *results = &output->kinds[output->kind];
    if (row == RESUME_APPEND) {
        if (results_append(results, input, embed))
            return true;
        cli_fail_memory();
        return false;
    }
    memcpy(results_row(results, row), embed, results->tensors->size);
    return true;
}

/* The row of the next embedding is the first that has no embedding yet. */
static void remove_hidden(struct results *results)
{
    for (size_t i = 1; i < results->count; i++)
        results_remove_row(&results->tensors[i], results->tensors->count);
}

bool embed_output_take(void *user, const struct cli_input *input, const float *embed, size_t width)
{
    struct embed_output *output = user;
    struct results *results = &output->kinds[output->kind];
    const size_t row = find_row(output, input);
    if (!embed || row == RESUME_CHECK)
        remove_hidden(results);
    if (!embed)
        return true;
    if (row == RESUME_CHECK)
        return !resume_check(find_earlier(output), input, embed,
                             results_row(results, output->plans[output->kind].check_row), width);
    output->taken++;
    if (is_lines(output))
        return take_line(output, input, embed, width);
    return take_row(output, input, embed, row) && !(is_save_due(output) && save_part(output));
}

bool embed_output_fail(void *user, const struct cli_input *input, const char *message)
{
    struct embed_output *output = user;
    struct results *results = &output->kinds[output->kind];
    const bool fills = output->format == RESULTS_NPY && !output->shard;
    size_t row = find_row(output, input);
    bool good = true;
    if (row == RESUME_CHECK)
        warn_unchecked(output);
    if (is_lines(output) || row == RESUME_CHECK || output->format == RESULTS_SAFETENSORS)
        return true;
    if (fills && row == RESUME_APPEND) {
        row = results->inputs.count;
        good = results_append(results, input, NULL);
    }
    if (good && results_add_failure(results, row, input, message))
        return true;
    cli_fail_memory();
    return false;
}

static struct rows *find_rows(struct results *results, const char *name)
{
    for (size_t i = 1; i < results->count; i++)
        if (!strcmp(results->tensors[i].name, name))
            return &results->tensors[i];
    return NULL;
}

/* The hidden states of inputs come in the order of the inputs, before their embeddings, and not for
 * inputs that fail. */
int embed_output_take_hidden(void *user, const char *name, const float *data, const size_t *shape,
                             size_t rank, size_t first, size_t items)
{
    struct embed_output *output = user;
    struct results *results = &output->kinds[output->kind];
    struct rows *rows = find_rows(results, name);
    (void)first;
    if (!rows && rank <= TENSOR_MAX_RANK)
        rows = results_add(results, name, DTYPE_F32, shape, rank);
    if (!rows || !results_reserve(rows, rows->count + items))
        return 1;
    memcpy(rows->data + rows->count * rows->size, data, items * rows->size);
    rows->count += items;
    return 0;
}

/* ---- The end --------------------------------------------------------------------------------- */

/* Gives the file of lines its name. */
static int finish_lines(struct embed_output *output)
{
    if (output->lines == stdout)
        return CLI_DONE;
    if (!file_sync(output->lines))
        return cli_fail(CLI_FAILED, "%s: cannot be written: %s", output->part, strerror(errno));
    if (file_rename(output->part, output->path))
        return cli_fail(CLI_FAILED, "%s", vkclip_last_error());
    return CLI_DONE;
}

static int write_result(struct embed_output *output)
{
    const struct results *images = &output->kinds[EMBED_IMAGES],
                         *texts = &output->kinds[EMBED_TEXTS];
    const struct results *first = images->count ? images : texts;
    if (output->shard)
        return shard_write(output->shard, first);
    if (!images->good && !texts->good)
        return cli_fail(CLI_FAILED, "%s: not written, no input is left", output->path);
    if (is_lines(output))
        return finish_lines(output);
    if (output->format == RESULTS_NPY)
        return results_write_npy(output->path, first, keys[first == texts], output->continues);
    return results_write_safetensors(output->path, images, texts, false);
}

static const char *how_to_continue(const struct embed_output *output)
{
    if (!output->shard)
        return "--resume";
    return output->shard->overwrite ? "the same command without --overwrite" : "the same command";
}

/* Keeps what is done of a run that ended early, or whose result could not be written. */
static void keep_part(struct embed_output *output)
{
    const bool interrupted = cli_interrupted();
    const char *reason = interrupted ? "interrupted" : "ended early";
    if (!output->taken) {
        if (interrupted)
            cli_say("interrupted before the first result");
    } else if (!output->partial) {
        cli_say("%s after %zu results", reason, output->taken);
    } else if (!save_part(output)) {
        cli_say("%s after %zu new results, which %s keeps; continue with %s", reason, output->taken,
                output->part, how_to_continue(output));
    }
}

/* Closes the lines, and removes the part unless it keeps results of a run that did not complete. A
 * copy to which nothing was added keeps none. */
static void close_part(struct embed_output *output, bool complete)
{
    const bool lines = output->lines && output->lines != stdout;
    const size_t earlier = output->kinds[0].inputs.count + output->kinds[1].inputs.count;
    const bool keeps =
        output->partial && !complete && (output->taken || (earlier && !output->copied));
    if (lines)
        fclose(output->lines);
    if (!keeps && (lines || output->partial))
        file_remove(output->part);
}

static int finish(struct embed_output *output, int status)
{
    bool complete = !status && !cli_interrupted();
    if (complete)
        status = write_result(output);
    complete = complete && !status;
    if (!complete)
        keep_part(output);
    close_part(output, complete);
    file_unlock(&output->lock);
    if (complete && output->session->common.json && strcmp(output->path, "-") != 0 &&
        !results_print_tensors(output->path, &output->kinds[0], &output->kinds[1]))
        status = CLI_FAILED;
    if (output->partial)
        cli_end_by_interrupt();
    return status;
}

int embed_output_close(struct embed_output *output, int status)
{
    if (output->open)
        status = finish(output, status);
    else if (output->copied)
        file_remove(output->part);
    file_unlock(&output->lock);
    for (size_t i = 0; i < 2; i++) {
        results_free(&output->kinds[i]);
        resume_free(&output->plans[i]);
    }
    free(output->part);
    return status;
}
