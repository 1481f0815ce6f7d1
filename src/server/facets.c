/* SPDX-License-Identifier: MIT
 *
 * A list is sorted by each kind of value in turn, and equal neighbours are counted. The values are
 * copied, because they outlive no list.
 */
#include "server/facets.h"
#include "base/calendar.h"
#include "base/file.h"
#include "server/request.h"

#include <stdlib.h>
#include <string.h>

enum facet_kind { FOLDERS, CAMERAS, FORMATS, YEARS, FACET_KINDS };

static const char *const kind_names[] = {
    [FOLDERS] = "folders", [CAMERAS] = "cameras", [FORMATS] = "formats", [YEARS] = "years"};

/* A value and how many pictures have it. */
struct facet {
    char *value;
    size_t count;
};

struct facets {
    struct facet *rows[FACET_KINDS];
    size_t counts[FACET_KINDS];
};

/* A value of a picture: `length` bytes of its text, or its year. */
struct value {
    const char *text;
    size_t length;
    int64_t year;
};

static struct value find_value(const struct vkclip_hit *hit, enum facet_kind kind)
{
    int64_t year, month, day;
    switch (kind) {
    case FOLDERS:
        return (struct value){hit->path, (size_t)(file_name(hit->path) - hit->path), 0};
    case CAMERAS:
        return (struct value){hit->camera, strlen(hit->camera), 0};
    case FORMATS:
        return (struct value){hit->format, strlen(hit->format), 0};
    default:
        calendar_date(hit->date / CALENDAR_DAY - (hit->date % CALENDAR_DAY < 0), &year, &month,
                      &day);
        return (struct value){"", 0, year};
    }
}

/* Is for qsort. */
static int compare_values(const void *a, const void *b)
{
    const struct value *x = a, *y = b;
    if (x->year != y->year)
        return x->year < y->year ? -1 : 1;
    const size_t shorter = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->text, y->text, shorter);
    return order ? order : (x->length > y->length) - (x->length < y->length);
}

static char *copy_value(const struct value *value, enum facet_kind kind)
{
    /* A folder ends before its slash, but the root is one. */
    const size_t length = kind == FOLDERS && value->length > 1 ? value->length - 1 : value->length;
    char *text = malloc(length + 32);
    if (!text)
        return NULL;
    if (kind == YEARS) {
        snprintf(text, 32, "%lld", (long long)value->year);
        return text;
    }
    memcpy(text, value->text, length);
    text[length] = 0;
    return text;
}

/* Counts equal neighbours; false: out of memory. */
static bool count_values(struct facets *facets, enum facet_kind kind, const struct value *values,
                         size_t count)
{
    size_t different = 0;
    for (size_t i = 0; i < count; i++)
        different += !i || compare_values(&values[i - 1], &values[i]);
    struct facet *rows = facets->rows[kind] = calloc(different + 1, sizeof(*rows));
    for (size_t i = 0; rows && i < count; i++) {
        if (!i || compare_values(&values[i - 1], &values[i])) {
            struct facet *row = &rows[facets->counts[kind]++];
            row->value = copy_value(&values[i], kind);
            if (!row->value)
                return false;
        }
        rows[facets->counts[kind] - 1].count++;
    }
    return rows;
}

struct facets *facets_count(const struct vkclip_hit *hits, size_t count)
{
    struct facets *facets = calloc(1, sizeof(*facets));
    struct value *values = calloc(count + 1, sizeof(*values));
    bool good = facets && values;
    for (enum facet_kind kind = 0; good && kind < FACET_KINDS; kind++) {
        size_t used = 0;
        for (size_t i = 0; i < count; i++) {
            values[used] = find_value(&hits[i], kind);
            used += kind == YEARS || values[used].length;
        }
        qsort(values, used, sizeof(*values), compare_values);
        good = count_values(facets, kind, values, used);
    }
    free(values);
    if (good)
        return facets;
    facets_free(facets);
    return NULL;
}

json_t *facets_pack(const struct facets *facets)
{
    json_t *json = json_object();
    for (enum facet_kind kind = 0; kind < FACET_KINDS; kind++) {
        json_t *list = json_array();
        for (size_t i = 0; i < facets->counts[kind]; i++)
            json_array_append_new(list, json_pack("{so sI}", "value",
                                                  answer_text(facets->rows[kind][i].value), "count",
                                                  (json_int_t)facets->rows[kind][i].count));
        json_object_set_new(json, kind_names[kind], list);
    }
    return json;
}

void facets_free(struct facets *facets)
{
    for (enum facet_kind kind = 0; facets && kind < FACET_KINDS; kind++) {
        for (size_t i = 0; i < facets->counts[kind]; i++)
            free(facets->rows[kind][i].value);
        free(facets->rows[kind]);
    }
    free(facets);
}
