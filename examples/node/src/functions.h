/* SPDX-License-Identifier: MIT
 *
 * The functions of the addon, each of which is a row in the file that has what it does.
 */
#ifndef FUNCTIONS_H
#define FUNCTIONS_H

#include "handle.h"

#define FUNCTIONS(X)                 \
    X(read_environment) /* open.c */ \
    X(devices)                       \
    X(open_device)                   \
    X(open_model)                    \
    X(close)                         \
    X(encode_images) /* images.c */  \
    X(encode_texts)  /* texts.c */   \
    X(encode_labels)                 \
    X(tokenize)                      \
    X(similarity)                    \
    X(open_index) /* search.c */     \
    X(index_info)                    \
    X(add)                           \
    X(search)

#define X(name) extern const struct function function_##name;
FUNCTIONS(X)
#undef X

#endif
