/* SPDX-License-Identifier: MIT
 *
 * Reads the pickles that torch.save and TorchScript write as data: numbers, strings, lists, dicts,
 * tensors and storages. No code is run and nothing is imported: what harmless other objects hold is
 * dropped, and a pickle that asks for any other global or opcode is refused by its name.
 */
#ifndef VKCLIP_FORMAT_TORCH_PICKLE_H
#define VKCLIP_FORMAT_TORCH_PICKLE_H

#include "format/tensor_view.h"

struct torch_global;

enum pickle_kind {
    PICKLE_NONE,
    PICKLE_BOOL,
    PICKLE_INT,
    PICKLE_FLOAT, /* without its value, which nothing here needs */
    PICKLE_STRING,
    PICKLE_BYTES,
    PICKLE_GLOBAL,
    PICKLE_INERT, /* an object whose content nothing here needs, and which was not kept */
    PICKLE_TUPLE,
    PICKLE_LIST,
    PICKLE_DICT,    /* items: key, value, key, value ... */
    PICKLE_OBJECT,  /* a TorchScript module: item 0 is its state, if it has one */
    PICKLE_STORAGE, /* items: "storage", type (a global), key (a string), location, elements */
    PICKLE_TENSOR,  /* items: storage, offset, sizes (a tuple), strides (a tuple) ... */
};

struct pickle_value {
    enum pickle_kind kind;
    uint32_t length; /* bytes of `text` */
    union {
        int64_t integer;                   /* BOOL and INT */
        const char *text;                  /* STRING and BYTES: in the pickle, not terminated */
        const struct torch_global *global; /* GLOBAL */
        struct pickle_object *object;      /* TUPLE and all kinds after it */
    };
};

struct pickle_object {
    struct pickle_object *next; /* in the list of all objects of the pickle */
    struct pickle_value *items;
    uint32_t count, capacity;
};

struct torch_pickle {
    struct pickle_value root;
    struct pickle_object *objects;
};

/* Reads a pickle. `data` must outlive the result. Messages call the pickle `name`. */
int torch_pickle_read(const uint8_t *data, size_t size, const char *name,
                      struct torch_pickle *pickle);
void torch_pickle_close(struct torch_pickle *pickle);

bool torch_pickle_is_string(const struct pickle_value *value, const char *text);
/* Gives the element type that a value means, which may be a type of storages or of elements.
 * Returns false if the value is no such type. */
bool torch_pickle_dtype(const struct pickle_value *value, enum dtype *dtype);

#endif
