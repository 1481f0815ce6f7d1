/* SPDX-License-Identifier: MIT */
#include "call.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* A value that could not be made is NULL, which functions of Node-API refuse. So only the last of
 * several calls must be looked at, and where JavaScript cannot run any more nothing is. */

napi_value value_text(napi_env env, const char *text)
{
    napi_value value = NULL;
    napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value);
    return value;
}

napi_value value_error(napi_env env, int error, const char *message)
{
    const char *code = "";
    switch (error) {
#define X(name, value, text)    \
    case value:                 \
        code = "VKCLIP_" #name; \
        break;
        VKCLIP_ERRORS(X)
#undef X
    }
    napi_value result = NULL;
    napi_create_error(env, value_text(env, code),
                      value_text(env, message && *message ? message : vkclip_error_text(error)),
                      &result);
    return result;
}

/* ---- Strings and arrays ---------------------------------------------------------------------- */

uint32_t value_count(struct call *call, napi_value array, const char *name)
{
    uint32_t count = 0;
    if (napi_get_array_length(call->env, array, &count) != napi_ok)
        call_refuse(call, "%s: an array was expected", name);
    return count;
}

napi_value value_element(napi_env env, napi_value array, uint32_t index)
{
    napi_value element = NULL;
    napi_get_element(env, array, index, &element);
    return element;
}

const char *value_string(struct call *call, napi_value value, const char *name, size_t *length)
{
    size_t size = 0;
    if (napi_get_value_string_utf8(call->env, value, NULL, 0, &size) != napi_ok)
        call_refuse(call, "%s: a string was expected", name);
    char *text = call_reserve(call, size + 1, 1);
    if (call->failed)
        return NULL;
    napi_get_value_string_utf8(call->env, value, text, size + 1, &size);
    if (length)
        *length = size;
    else if (strlen(text) != size)
        call_refuse(call, "%s: the string has a NUL after \"%s\", expected none", name, text);
    return text;
}

const char *const *value_strings(struct call *call, napi_value array, const char *name,
                                 size_t *count, size_t **lengths)
{
    const uint32_t length = value_count(call, array, name);
    const char **texts = call_reserve(call, length, sizeof(*texts));
    size_t *sizes = call_reserve(call, length, sizeof(*sizes));
    for (uint32_t i = 0; i < length && !call->failed; i++)
        texts[i] = value_string(call, value_element(call->env, array, i), name,
                                lengths ? &sizes[i] : NULL);
    if (lengths)
        *lengths = sizes;
    *count = length;
    return texts;
}

bool value_elements(napi_env env, napi_value value, napi_typedarray_type type, void **data,
                    size_t *count)
{
    napi_typedarray_type found;
    bool is_array = false;
    napi_is_typedarray(env, value, &is_array);
    if (!is_array ||
        napi_get_typedarray_info(env, value, &found, count, data, NULL, NULL) != napi_ok)
        return false;
    if (!*count)
        *data = "";
    return found == type || (type == napi_uint8_array && found == napi_uint8_clamped_array);
}

/* ---- Reading --------------------------------------------------------------------------------- */

/* Stores a number where its type has it. */
static void store_number(double number, enum member_type type, void *place)
{
    switch (type) {
#define X(name, c_type)                    \
    case MEMBER_##name:                    \
        *(c_type *)place = (c_type)number; \
        return;
        VALUE_NUMBERS(X)
#undef X
    default:
        return;
    }
}

static void read_number(struct call *call, napi_value value, const struct member *member,
                        void *place)
{
    const enum member_type type = member->type;
    /* JavaScript counts to 2^53. */
    const double last = 9007199254740991.0, least = type == MEMBER_I64 ? -last : 0;
    const double most = type == MEMBER_U32 ? UINT32_MAX : last;
    double number = 0;
    if (napi_get_value_double(call->env, value, &number) != napi_ok)
        call_refuse(call, "%s: a number was expected", member->name);
    else if (type == MEMBER_F32 || type == MEMBER_F64 ||
             (number == floor(number) && number >= least && number <= most))
        store_number(number, type, place);
    else
        call_refuse(call, "%s is %g, expected a whole number from %.0f to %.0f", member->name,
                    number, least, most);
}

static void read_choice(struct call *call, napi_value value, const struct member *member,
                        int *place)
{
    const char *text = value_string(call, value, member->name, NULL);
    char expected[128] = "";
    size_t length = 0;
    for (int i = 0; text && member->words[i]; i++) {
        if (!strcmp(text, member->words[i])) {
            *place = i;
            return;
        }
        if (length < sizeof(expected))
            length += (size_t)snprintf(expected + length, sizeof(expected) - length, "%s%s",
                                       i ? ", " : "", member->words[i]);
    }
    call_refuse(call, "%s is '%s', expected one of %s", member->name, text ? text : "", expected);
}

static void read_member(struct call *call, napi_value value, const struct member *member,
                        void *place)
{
    bool flag = false;
    switch (member->type) {
    case MEMBER_BOOL:
    case MEMBER_NOT:
        if (napi_get_value_bool(call->env, value, &flag) != napi_ok)
            call_refuse(call, "%s: true or false was expected", member->name);
        *(bool *)place = member->type == MEMBER_NOT ? !flag : flag;
        return;
    case MEMBER_TEXT:
        *(const char **)place = value_string(call, value, member->name, NULL);
        return;
    case MEMBER_CHOICE:
        read_choice(call, value, member, place);
        return;
    default:
        read_number(call, value, member, place);
    }
}

void value_read(struct call *call, napi_value object, const struct member *members, void *target)
{
    for (const struct member *member = members; member->name && !call->failed; member++) {
        napi_valuetype type = napi_undefined;
        napi_value value = NULL;
        if (napi_get_named_property(call->env, object, member->name, &value) != napi_ok)
            call_refuse(call, "options: an object was expected");
        napi_typeof(call->env, value, &type);
        if (type != napi_undefined && type != napi_null)
            read_member(call, value, member, (char *)target + member->offset);
    }
}

/* ---- Writing --------------------------------------------------------------------------------- */

static double load_number(enum member_type type, const void *place)
{
    switch (type) {
#define X(name, c_type) \
    case MEMBER_##name: \
        return (double)*(const c_type *)place;
        VALUE_NUMBERS(X)
#undef X
    default:
        return 0;
    }
}

static napi_value write_hex(napi_env env, const uint8_t *bytes, size_t count)
{
    char text[65] = "";
    for (size_t i = 0; i < count && i < sizeof(text) / 2; i++)
        snprintf(text + 2 * i, 3, "%02x", (unsigned)bytes[i]);
    return value_text(env, text);
}

/* A newer library may have a value without a word. */
static const char *find_word(const char *const *words, int value)
{
    for (int i = 0; words[i]; i++) {
        if (i == value)
            return words[i];
    }
    return "";
}

static napi_value write_member(napi_env env, const struct member *member, const void *place)
{
    napi_value value = NULL;
    switch (member->type) {
    case MEMBER_BOOL:
    case MEMBER_NOT:
        napi_get_boolean(env, *(const bool *)place != (member->type == MEMBER_NOT), &value);
        return value;
    case MEMBER_TEXT:
        return value_text(env, *(const char *const *)place);
    case MEMBER_CHARS:
        return value_text(env, place);
    case MEMBER_HEX:
        return write_hex(env, place, member->count);
    case MEMBER_CHOICE:
        return value_text(env, find_word(member->words, *(const int *)place));
    case MEMBER_STRUCT:
        return value_write(env, member->members, place);
    default:
        napi_create_double(env, load_number(member->type, place), &value);
        return value;
    }
}

static napi_value write_array(napi_env env, const struct member *member, const char *place)
{
    const struct member element = {.type = member->type};
    napi_value array = NULL;
    napi_create_array(env, &array);
    /* Arrays have numbers of 32 bits. */
    for (uint32_t i = 0; i < member->count; i++)
        napi_set_element(env, array, i, write_member(env, &element, place + 4 * (size_t)i));
    return array;
}

napi_value value_write(napi_env env, const struct member *members, const void *source)
{
    napi_value object = NULL;
    napi_create_object(env, &object);
    for (const struct member *member = members; member->name; member++) {
        const char *place = (const char *)source + member->offset;
        const bool array = member->count && member->type != MEMBER_HEX;
        napi_set_named_property(env, object, member->name,
                                array ? write_array(env, member, place)
                                      : write_member(env, member, place));
    }
    return object;
}
