/* SPDX-License-Identifier: MIT
 *
 * Reads configuration files of at most 1 MiB, and checks the type and the range of every value that
 * is asked for.
 */
#include "checkpoint/json.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "format/json.h"

#include <stdio.h>
#include <string.h>

#define CONFIG_MAX (1u << 20)

int json_file_read(const char *path, size_t limit, json_t **root)
{
    char *text = NULL;
    size_t size = 0;
    json_error_t problem;
    *root = NULL;
    int error = file_read(path, limit, &text, &size);
    if (error)
        return error;
    *root = json_read_strict(text, size, &problem);
    memory_free(text);
    if (!*root)
        return error_fail(VKCLIP_EFORMAT, "%s: line %d: %s", path, problem.line, problem.text);
    return VKCLIP_OK;
}

struct section document_open(const char *path, struct document *document)
{
    *document = (struct document){.path = path};
    document->error = json_file_read(path, CONFIG_MAX, &document->root);
    if (document->root && !json_is_object(document->root))
        document->error = error_fail(VKCLIP_EFORMAT, "%s: expected a JSON object", path);
    return (struct section){.document = document, .object = document->root};
}

int document_close(struct document *document)
{
    json_decref(document->root);
    document->root = NULL;
    return document->error;
}

/* ---- Errors ---------------------------------------------------------------------------------- */

/* Formats a value for a message. */
static const char *show_value(const struct section *section, const char *key, char text[64])
{
    const json_t *value = section_get(section, key);
    size_t length =
        json_dumpb(value ? value : json_null(), text, 63, JSON_ENCODE_ANY | JSON_COMPACT);
    text[length < 63 ? length : 63] = 0;
    return text;
}

void section_wrong(const struct section *section, const char *key, const char *expected)
{
    struct document *document = section->document;
    char text[64];
    if (!document->error)
        document->error =
            error_fail(VKCLIP_EFORMAT, "%s: %s%s: expected %s, found %s", document->path,
                       section->prefix, key, expected, show_value(section, key, text));
}

void section_refuse(const struct section *section, const char *key, const char *expected)
{
    struct document *document = section->document;
    char text[64];
    if (!document->error)
        document->error = error_fail(
            VKCLIP_EUNSUPPORTED, "%s: %s%s: %s is not supported, expected %s", document->path,
            section->prefix, key, show_value(section, key, text), expected);
}

/* ---- Values ---------------------------------------------------------------------------------- */

json_t *section_get(const struct section *section, const char *key)
{
    json_t *value = section->document->error ? NULL : json_object_get(section->object, key);
    return json_is_null(value) ? NULL : value;
}

struct section section_child(const struct section *section, const char *key)
{
    struct section child = {.document = section->document};
    json_t *value = section_get(section, key);
    if (value && !json_is_object(value))
        section_wrong(section, key, "an object");
    else
        child.object = value;
    snprintf(child.prefix, sizeof(child.prefix), "%.60s%.30s.", section->prefix, key);
    return child;
}

uint32_t section_size(const struct section *section, const char *key, uint32_t fallback)
{
    const json_t *value = section_get(section, key);
    const json_int_t number = json_integer_value(value);
    if (!value)
        return fallback;
    if (number < 1 || number > INT32_MAX) {
        section_wrong(section, key, "an integer from 1 to 2147483647");
        return fallback;
    }
    return (uint32_t)number;
}

uint32_t section_square(const struct section *section, const char *key, uint32_t fallback)
{
    const json_t *value = section_get(section, key);
    if (!json_is_array(value))
        return section_size(section, key, fallback);
    const json_int_t height = json_integer_value(json_array_get(value, 0));
    const json_int_t width = json_integer_value(json_array_get(value, 1));
    if (json_array_size(value) != 2 || height < 1 || height > INT32_MAX)
        section_wrong(section, key, "an integer, or two");
    else if (height != width)
        section_refuse(section, key, "a square");
    return section->document->error ? fallback : (uint32_t)height;
}

int32_t section_id(const struct section *section, const char *key, int32_t fallback)
{
    const json_t *value = section_get(section, key);
    const json_int_t number = json_integer_value(value);
    if (!value)
        return fallback;
    if (!json_is_integer(value) || number < -1 || number > INT32_MAX) {
        section_wrong(section, key, "a token id");
        return fallback;
    }
    return (int32_t)number;
}

double section_number(const struct section *section, const char *key, double fallback,
                      double lowest, double highest)
{
    const json_t *value = section_get(section, key);
    const double number = json_number_value(value);
    char expected[64];
    if (!value)
        return fallback;
    if (!json_is_number(value) || !(number >= lowest && number <= highest)) {
        snprintf(expected, sizeof(expected), "a number from %g to %g", lowest, highest);
        section_wrong(section, key, expected);
        return fallback;
    }
    return number;
}

uint32_t section_mlp(const struct section *section, double fallback, uint32_t width)
{
    const double mlp = width * section_number(section, "mlp_ratio", fallback, 1e-3, 1e3);
    return mlp < UINT32_MAX ? (uint32_t)mlp : UINT32_MAX; /* truncated as by Python's int() */
}

bool section_bool(const struct section *section, const char *key, bool fallback)
{
    const json_t *value = section_get(section, key);
    if (value && !json_is_boolean(value))
        section_wrong(section, key, "true or false");
    return json_is_boolean(value) ? json_is_true(value) : fallback;
}

const char *section_text(const struct section *section, const char *key)
{
    const json_t *value = section_get(section, key);
    if (value && !json_is_string(value))
        section_wrong(section, key, "a string");
    return json_is_string(value) ? json_string_value(value) : "";
}

void section_colours(const struct section *section, const char *key, double lowest,
                     float colours[3])
{
    const json_t *value = section_get(section, key);
    double numbers[3];
    bool good = json_is_number(value) || json_array_size(value) == 3;
    for (size_t i = 0; good && i < 3; i++) {
        const json_t *number = json_is_number(value) ? value : json_array_get(value, i);
        numbers[i] = json_number_value(number);
        good = json_is_number(number) && numbers[i] >= lowest && numbers[i] <= 1000;
    }
    if (value && !good)
        section_wrong(section, key, lowest > 0 ? "three numbers above 0" : "three numbers");
    for (size_t i = 0; value && good && i < 3; i++)
        colours[i] = (float)numbers[i];
}

/* ---- Keys ------------------------------------------------------------------------------------ */

static bool is_nothing(const json_t *value)
{
    return json_is_null(value) || json_is_false(value) ||
           (json_is_number(value) && json_number_value(value) == 0) ||
           (json_is_string(value) && !json_string_length(value)) ||
           (json_is_object(value) && !json_object_size(value)) ||
           (json_is_array(value) && !json_array_size(value));
}

static const struct known_key *find_key(const struct known_key *table, size_t count,
                                        const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (!strcmp(table[i].key, key))
            return &table[i];
    return NULL;
}

void section_check_keys(const struct section *section, const struct known_key *table, size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach (section->object, key, value) {
        const struct known_key *known = find_key(table, count, key);
        if (is_nothing(value))
            continue;
        if (!known)
            section_refuse(section, key, "null or false");
        else if (known->only && strcmp(section_text(section, key), known->only))
            section_refuse(section, key, known->only);
    }
}

void section_check_arguments(const struct section *section, const struct known_key *table,
                             size_t count)
{
    const char *key;
    json_t *value;
    json_object_foreach (section->object, key, value)
        if (!json_is_null(value) && !find_key(table, count, key))
            section_refuse(section, key, "null");
}
