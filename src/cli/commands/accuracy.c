/* SPDX-License-Identifier: MIT
 *
 * Accuracies are in per cent. A label without pictures is one more that the others may be taken
 * for: it has no accuracy and is left out of the mean.
 */
#include "cli/commands/accuracy.h"
#include "cli/commands/compare.h"
#include "cli/print.h"

#include <stdlib.h>
#include <string.h>

struct accuracy {
    struct cli_session *session;
    const struct cli_evaluation_inputs *inputs;
    const struct cli_inputs *labels;
    struct cli_evaluation evaluation;
    uint32_t *confusion; /* pictures by their own label and the best one [L,L] */
};

/* How often pictures of one label were taken for another. */
struct confusion {
    size_t label, best;
    uint32_t pictures;
};

/* ---- Figures ----------------------------------------------------------------------------------- */

static uint32_t count_right(const struct accuracy *accuracy, size_t label)
{
    return accuracy->confusion[label * accuracy->labels->count + label];
}

static size_t count_pictures(const struct accuracy *accuracy, size_t label)
{
    const size_t labels = accuracy->labels->count;
    size_t pictures = 0;
    for (size_t i = 0; i < labels; i++)
        pictures += accuracy->confusion[label * labels + i];
    return pictures;
}

static double label_accuracy(const struct accuracy *accuracy, size_t label)
{
    return 100.0 * count_right(accuracy, label) / (double)count_pictures(accuracy, label);
}

static double mean_accuracy(const struct accuracy *accuracy)
{
    double sum = 0;
    size_t classes = 0;
    for (size_t i = 0; i < accuracy->labels->count; i++)
        if (count_pictures(accuracy, i)) {
            sum += label_accuracy(accuracy, i);
            classes++;
        }
    return classes ? sum / (double)classes : 0;
}

/* The most frequent confusion first; equal ones stay in the order of the labels. */
static int compare_confusions(const void *a, const void *b)
{
    const struct confusion *x = a, *y = b;
    if (x->pictures != y->pictures)
        return x->pictures > y->pictures ? -1 : 1;
    if (x->label != y->label)
        return x->label < y->label ? -1 : 1;
    return (x->best > y->best) - (x->best < y->best);
}

/* Lists the confusions that occurred, most frequent first; NULL when out of memory. Each of them
 * has a picture, so that there are no more of them than pictures. */
static struct confusion *list_confusions(const struct accuracy *accuracy, size_t *count)
{
    const size_t labels = accuracy->labels->count;
    struct confusion *list = calloc(accuracy->evaluation.images + 1, sizeof(*list));
    *count = 0;
    for (size_t i = 0; list && i < labels * labels; i++)
        if (accuracy->confusion[i] && i / labels != i % labels)
            list[(*count)++] = (struct confusion){i / labels, i % labels, accuracy->confusion[i]};
    if (list)
        qsort(list, *count, sizeof(*list), compare_confusions);
    return list;
}

/* ---- Results ----------------------------------------------------------------------------------- */

static json_t *pack_label(const struct accuracy *accuracy, size_t label)
{
    const struct cli_input *text = &accuracy->labels->items[label];
    const struct cli_input *folder = &accuracy->inputs->folders.items[label];
    const size_t pictures = count_pictures(accuracy, label);
    json_t *json = cli_json_with(cli_json_name("folder", folder->text, folder->length), "label",
                                 cli_json_text(text->text, text->length));
    json = cli_json_with(json, "images", json_integer((json_int_t)pictures));
    json = cli_json_with(json, "right", json_integer(count_right(accuracy, label)));
    return cli_json_with(json, "accuracy",
                         pictures ? json_real(label_accuracy(accuracy, label)) : json_null());
}

static bool print_json(const struct accuracy *accuracy)
{
    const struct cli_evaluation *evaluation = &accuracy->evaluation;
    const size_t labels = accuracy->labels->count;
    const size_t failed = accuracy->inputs->pictures.count - evaluation->images;
    json_t *classes = json_array(), *confusion = json_array();
    for (size_t i = 0; i < labels; i++) {
        json_t *row = json_array();
        for (size_t j = 0; j < labels; j++)
            json_array_append_new(row, json_integer(accuracy->confusion[i * labels + j]));
        json_array_append_new(confusion, row);
        json_array_append_new(classes, pack_label(accuracy, i));
    }
    return cli_print_json(json_pack("{sI sI sf sf sf so so}", "images",
                                    (json_int_t)evaluation->images, "failed", (json_int_t)failed,
                                    "top1", evaluation->top1, "top5", evaluation->top5,
                                    "mean_per_class", mean_accuracy(accuracy), "classes", classes,
                                    "confusion", confusion),
                          stdout);
}

static void print_labels(const struct accuracy *accuracy, int columns)
{
    cli_print_text("label", columns);
    printf("  pictures     right  accuracy\n");
    for (size_t i = 0; i < accuracy->labels->count; i++) {
        const size_t pictures = count_pictures(accuracy, i);
        cli_print_text(accuracy->labels->items[i].text, columns);
        printf("  %8zu  %8u", pictures, count_right(accuracy, i));
        if (pictures)
            printf("  %6.2f %%\n", label_accuracy(accuracy, i));
        else
            printf("         -\n");
    }
}

static bool print_confusions(const struct accuracy *accuracy, size_t top, int columns)
{
    size_t count;
    struct confusion *list = list_confusions(accuracy, &count);
    if (list && count) {
        printf("\n");
        cli_print_text("label", columns);
        printf("  ");
        cli_print_text("taken for", columns);
        printf("  pictures\n");
    }
    for (size_t i = 0; list && i < count && i < top; i++) {
        cli_print_text(accuracy->labels->items[list[i].label].text, columns);
        printf("  ");
        cli_print_text(accuracy->labels->items[list[i].best].text, columns);
        printf("  %8u\n", list[i].pictures);
    }
    free(list);
    return list != NULL;
}

static bool print_text(const struct accuracy *accuracy, const char *model_path, size_t top)
{
    const struct cli_pictures pictures = {.images = accuracy->inputs->pictures};
    const struct compare compare = {
        .session = accuracy->session, .pictures = &pictures, .model_path = model_path};
    const struct cli_evaluation *evaluation = &accuracy->evaluation;
    const size_t failed = pictures.images.count - evaluation->images;
    const int least = cli_text_columns("taken for");
    int columns = compare_columns(accuracy->labels);
    columns = columns < least ? least : columns;
    compare_print_header(&compare);
    printf("%zu pictures, %zu labels", evaluation->images, accuracy->labels->count);
    if (failed)
        printf("; %zu pictures could not be read", failed);
    printf("\ntop-1 accuracy            %6.2f %%\n", evaluation->top1);
    printf("top-5 accuracy            %6.2f %%\n", evaluation->top5);
    printf("mean accuracy per label   %6.2f %%\n\n", mean_accuracy(accuracy));
    print_labels(accuracy, columns);
    return print_confusions(accuracy, top, columns) && !ferror(stdout);
}

int accuracy_measure(struct cli_session *session, const struct cli_evaluation_inputs *inputs,
                     const char *model_path, size_t top)
{
    struct accuracy accuracy = {
        .session = session, .inputs = inputs, .labels = &inputs->options->labels};
    const size_t labels = accuracy.labels->count;
    accuracy.confusion = calloc(labels, labels * sizeof(*accuracy.confusion));
    int status = accuracy.confusion ? CLI_DONE : cli_fail_memory();
    if (!status)
        status = cli_score(session, inputs, accuracy.confusion, &accuracy.evaluation);
    if (!status && !accuracy.evaluation.images)
        status = cli_fail(CLI_FAILED, "%s: no picture could be encoded", inputs->options->folder);
    if (!status &&
        !(session->common.json ? print_json(&accuracy) : print_text(&accuracy, model_path, top)))
        status = CLI_FAILED;
    free(accuracy.confusion);
    return status;
}
