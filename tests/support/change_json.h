/* SPDX-License-Identifier: MIT
 *
 * Changes one value of a JSON file, for tests that need broken ones.
 */
#ifndef VKCLIP_TESTS_SUPPORT_CHANGE_JSON_H
#define VKCLIP_TESTS_SUPPORT_CHANGE_JSON_H

#include "base/string.h"
#include "support/testing.h"

#include <jansson.h>

/* Replaces the value at a path such as "a.b.0" by `value`, which is JSON. NULL removes the value.
 */
static inline void change_json(json_t *root, const char *place, const char *value)
{
    char *copy = string_format("%s", place), *key = copy;
    json_t *parent = root, *new = value ? json_loads(value, JSON_DECODE_ANY, NULL) : NULL;
    assert_true(new || !value);
    for (char *dot; (dot = strchr(key, '.')); key = dot + 1) {
        *dot = 0;
        parent = json_is_array(parent) ? json_array_get(parent, (size_t)atoi(key))
                                       : json_object_get(parent, key);
    }
    assert_non_null(parent);
    const size_t index = (size_t)atoi(key);
    if (json_is_array(parent) && index == json_array_size(parent))
        json_array_append(parent, new);
    else if (json_is_array(parent) && new)
        json_array_set(parent, index, new);
    else if (json_is_array(parent))
        json_array_remove(parent, index);
    else if (new)
        json_object_set(parent, key, new);
    else
        json_object_del(parent, key);
    json_decref(new);
    free(copy);
}

#endif
