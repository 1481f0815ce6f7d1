/* SPDX-License-Identifier: MIT
 *
 * Reads CSV or TSV whose first row names the columns, as OpenCLIP does. Rows with the same picture
 * are one sample with several captions; rows without a picture or a caption are left out.
 */
#include "base/error.h"
#include "base/progress.h"
#include "base/string.h"
#include "data/build.h"
#include "format/csv.h"

#include <string.h>

enum column { PICTURE, CAPTION, LABEL, COLUMN_COUNT };

/* Checks that a row gives a known picture the same label as the earlier rows. */
static int check_label(struct builder *builder, size_t picture, const char *label)
{
    struct dataset *dataset = builder->dataset;
    const uint32_t before = dataset->samples[picture].label;
    size_t number;
    int error = build_find_number(dataset, &builder->labels, label, &number);
    if (!error && before != number)
        error = error_fail(VKCLIP_EFORMAT, "%s: %s has the labels %s and %s, expected one",
                           builder->path, builder->pictures.names[picture - builder->first],
                           builder->labels.names[before], label);
    return error;
}

/* Adds the picture, unless it is known, and the caption of a row. `label` may be NULL. */
static int add_row(struct builder *builder, const char *picture, const char *caption,
                   const char *label)
{
    const size_t known = builder->dataset->count - builder->first;
    size_t number;
    int error = build_find_number(builder->dataset, &builder->pictures, picture, &number);
    if (error)
        return error;
    if (number == known) {
        const struct dataset_sample sample = {.name = builder->pictures.names[number],
                                              .file = (uint32_t)builder->dataset->file_count - 1};
        error = build_add_picture(builder, &sample, label);
    } else if (label) {
        error = check_label(builder, builder->first + number, label);
    }
    return error ? error : build_add_caption(builder, builder->first + number, caption);
}

/* Reads the texts of the first `count` columns of a row. *missing says what the row lacks, or is
 * NULL if the row is complete. */
static int read_row(const struct csv *csv, const size_t *columns, size_t count,
                    const char *texts[COLUMN_COUNT], const char **missing)
{
    static const char *const names[] = {
        [PICTURE] = "no picture", [CAPTION] = "no caption", [LABEL] = "no label"};
    *missing = csv_is_long(csv) ? CSV_LONG : NULL;
    for (size_t i = 0; i < count && !*missing; i++) {
        if (columns[i] >= csv->count) {
            *missing = "too few columns";
            return VKCLIP_OK;
        }
        const struct csv_field *field = &csv->fields[columns[i]];
        if (strlen(field->text) != field->length)
            return error_fail(VKCLIP_EFORMAT, "%s: line %llu: expected text, found a NUL byte",
                              csv->path, (unsigned long long)csv->line);
        if (build_is_blank(field->text))
            *missing = names[i];
        texts[i] = field->text;
    }
    return VKCLIP_OK;
}

static int take_row(struct builder *builder, const struct csv *csv, const size_t *columns,
                    size_t count)
{
    const char *texts[COLUMN_COUNT] = {0}, *missing;
    int error = read_row(csv, columns, count, texts, &missing);
    if (error)
        return error;
    if (!missing)
        return add_row(builder, texts[PICTURE], texts[CAPTION], texts[LABEL]);
    char place[32];
    snprintf(place, sizeof(place), "line %llu", (unsigned long long)csv->line);
    return build_leave_out(builder, place, missing);
}

/* Finds a column. The message of a missing one says which parameter names it. */
static int find_column(const struct csv *csv, const char *name, const char *parameter,
                       size_t *column)
{
    int error = csv_column(csv, name, column);
    return error ? error_fail(error, "%s: name one of them by `%s`", error_last(), parameter)
                 : VKCLIP_OK;
}

int build_from_table(struct builder *builder)
{
    const struct dataset_params *params = builder->params;
    const char *const names[] = {[PICTURE] = params->image_key ? params->image_key : "filepath",
                                 [CAPTION] = params->caption_key ? params->caption_key : "title",
                                 [LABEL] = params->label_key};
    static const char *const parameters[] = {
        [PICTURE] = "csv_img_key", [CAPTION] = "csv_caption_key", [LABEL] = "label_key"};
    const size_t count = params->label_key ? COLUMN_COUNT : LABEL;
    size_t columns[COLUMN_COUNT];
    struct csv csv;
    bool more = true;
    int error = csv_open(builder->path, params->separator, &csv);
    if (!error)
        error = build_add_file(builder, string_format("%s", builder->path), true);
    for (size_t i = 0; i < count && !error; i++)
        error = find_column(&csv, names[i], parameters[i], &columns[i]);
    while (!error && more) {
        error = csv_next(&csv, &more);
        if (!error && more)
            error = take_row(builder, &csv, columns, count);
        if (!error)
            error = progress_check();
    }
    csv_close(&csv);
    return error;
}
