/* SPDX-License-Identifier: MIT
 *
 * Values of JavaScript and members of C's structs. A table says which property of an object is
 * which member, and serves to read options and to write what the library tells.
 */
#ifndef VALUE_H
#define VALUE_H

#include <node_api.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct call;

/* Lists the types of numbers. */
#define VALUE_NUMBERS(X) \
    X(U32, uint32_t)     \
    X(U64, uint64_t)     \
    X(I64, int64_t)      \
    X(SIZE, size_t)      \
    X(F32, float)        \
    X(F64, double)

enum member_type {
#define X(name, type) MEMBER_##name,
    VALUE_NUMBERS(X)
#undef X
        MEMBER_BOOL,
    MEMBER_NOT,    /* a bool that is the opposite of the property */
    MEMBER_CHOICE, /* an enum whose values from 0 on are the words */
    MEMBER_TEXT,   /* a pointer to a string */
    MEMBER_CHARS,  /* an array of char with a string: written only */
    MEMBER_HEX,    /* `count` bytes, which become hexadecimal digits: written only */
    MEMBER_STRUCT  /* a struct with members of its own: written only */
};

struct member {
    const char *name; /* of the property; NULL ends a table */
    enum member_type type;
    size_t offset;
    size_t count; /* elements of an array, which is written only; 0: no array */
    const char *const *words;
    const struct member *members;
};

/* MEMBER(TYPE, struct, member, "property"[, .count = N and so on]) is a row of a table. */
#define MEMBER(kind, structure, member, ...)                                                     \
    {                                                                                            \
        .type = MEMBER_##kind, .offset = offsetof(struct structure, member), .name = __VA_ARGS__ \
    }

/* Reads the properties that an object has into a struct, whose other members stay as they are. A
 * failure is the call's. */
void value_read(struct call *call, napi_value object, const struct member *members, void *target);
napi_value value_write(napi_env env, const struct member *members, const void *source);

napi_value value_text(napi_env env, const char *text);
/* Makes an Error with the name of a code of the library as its property `code`. */
napi_value value_error(napi_env env, int error, const char *message);

/* Counts the elements of an array, whose `name` a message has. */
uint32_t value_count(struct call *call, napi_value array, const char *name);
napi_value value_element(napi_env env, napi_value array, uint32_t index);

/* Copies a string, which lives as long as the call, and ends with NUL. It may only have other NULs
 * if `length` is not NULL. NULL is a failure of the call. */
const char *value_string(struct call *call, napi_value value, const char *name, size_t *length);
/* Copies an array of strings. `lengths` may be NULL, as above. */
const char *const *value_strings(struct call *call, napi_value array, const char *name,
                                 size_t *count, size_t **lengths);
/* Shows the elements of a typed array without a copy: of Buffer, Uint8Array or Uint8ClampedArray
 * for napi_uint8_array, and otherwise of arrays of that type alone. An array without elements has
 * an address, too. False without a failure if the value is something else. */
bool value_elements(napi_env env, napi_value value, napi_typedarray_type type, void **data,
                    size_t *count);

#endif
