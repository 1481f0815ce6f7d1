/* SPDX-License-Identifier: MIT
 *
 * The pickles that torch.save and TorchScript write, read as data: numbers, strings, lists, dicts,
 * tensors and storages. No code is run and nothing is imported: a pickle that asks for any other
 * global or opcode is refused by its name.
 */
#ifndef VKCLIP_FORMAT_TORCH_PICKLE_H
#define VKCLIP_FORMAT_TORCH_PICKLE_H

#include "format/tensor_view.h"

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT, /* without its value: nothing here needs one */
    PICKLE_STRING,
    PICKLE_BYTES,
    PICKLE_GLOBAL,
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,    /* items: key, value, key, value ... */
    PICKLE_OBJECT,  /* a TorchScript module: item 0 is its state, where it has one */
    PICKLE_STORAGE, /* items: "storage", type (a global), key (a string), location, elements */
    PICKLE_TENSOR,  /* items: storage, offset, sizes (a tuple), strides (a tuple) ... */
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t length; /* of a string */
    union {
        int64_t integer;              /* INT, BOOL; GLOBAL: which */
        const char *text;             /* STRING, BYTES: in the pickle, without a NUL behind it */
        struct pickle_object *object; /* TUPLE and on */
    };
};

struct pickle_object {
    struct pickle_object *next; /* of all objects of the pickle */
    struct pickle_value *items;
    uint32_t count, capacity;
};

struct torch_pickle {
    struct pickle_value root;
    struct pickle_object *objects;
};

/* `data` outlives the result; `name` is used in messages. */
int torch_pickle_read(const uint8_t *data, size_t size, const char *name,
                      struct torch_pickle *pickle);
void torch_pickle_close(struct torch_pickle *pickle);

bool pickle_is_string(const struct pickle_value *value, const char *text);
/* Whether the value names the type of a storage or an element, and which. */
bool pickle_dtype(const struct pickle_value *value, enum dtype *dtype);

#endif
