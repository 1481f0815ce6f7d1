/* SPDX-License-Identifier: MIT
 *
 * CSV or TSV with a line of the columns' names, as OpenCLIP has them. Rows with the same picture
 * are one sample; rows without a picture or a caption are left out.
 */
#include "base/error.h"
#include "format/csv.h"
#include "data/build.h"

#include <string.h>

enum { PICTURE, CAPTION, LABEL, COLUMNS };

/* `label` may be NULL. */
static int add_row(struct dataset_builder *builder, const char *picture, const char *caption,
                   const char *label)
{
    struct dataset *dataset = builder->dataset;
    size_t number, known = dataset->count, label_number;
    int error = dataset_number(dataset, &builder->pictures, picture, &number);
    if (!error && number == known) {
        struct dataset_sample sample = {.name = builder->pictures.names[number],
                                        .shard = DATASET_FILE};
        error = dataset_add_picture(builder, &sample, label);
    } else if (!error && label) {
        error = dataset_number(dataset, &builder->labels, label, &label_number);
        uint32_t before = dataset->samples[number].label;
        if (!error && before != label_number)
            error = error_fail(VKCLIP_EFORMAT, "%s: %s has the labels %s and %s, expected one",
                               dataset->path, picture, builder->labels.names[before], label);
    }
    return error ? error : dataset_add_caption(builder, number, caption);
}

static int take_row(struct dataset_builder *builder, const struct csv *csv, const size_t *columns,
                    size_t count)
{
    static const char *const missing[] = {"no picture", "no caption", "no label"};
    const char *texts[COLUMNS] = {0}, *why = NULL;
    for (size_t i = 0; i < count && !why; i++) {
        if (columns[i] >= csv->count) {
            why = "too few columns";
            continue;
        }
        const struct csv_field *field = &csv->fields[columns[i]];
        if (strlen(field->text) != field->length)
            return error_fail(VKCLIP_EFORMAT, "%s: line %llu: a NUL byte, expected text", csv->path,
                              (unsigned long long)csv->line);
        why = dataset_is_blank(field->text) ? missing[i] : NULL;
        texts[i] = field->text;
    }
    char where[32];
    snprintf(where, sizeof(where), "line %llu", (unsigned long long)csv->line);
    return why ? dataset_leave_out(builder, where, why)
               : add_row(builder, texts[PICTURE], texts[CAPTION], texts[LABEL]);
}

int dataset_csv_read(struct dataset_builder *builder)
{
    const struct dataset_params *params = builder->params;
    const char *const names[] = {params->image_key ? params->image_key : "filepath",
                                 params->caption_key ? params->caption_key : "title",
                                 params->label_key};
    const size_t count = params->label_key ? COLUMNS : LABEL;
    size_t columns[COLUMNS];
    struct csv csv;
    bool more = true;
    int error = csv_open(builder->dataset->path, params->separator, &csv);
    for (size_t i = 0; i < count && !error; i++)
        error = csv_column(&csv, names[i], &columns[i]);
    while (!error && !(error = csv_next(&csv, &more)) && more)
        error = take_row(builder, &csv, columns, count);
    csv_close(&csv);
    return error;
}
