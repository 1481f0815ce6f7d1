/* SPDX-License-Identifier: MIT
 *
 * The list of paths and texts that a command works on.
 */
#include "cli/list.h"

#include <stdlib.h>
#include <string.h>

bool cli_add_input(struct cli_inputs *inputs, const char *text, size_t length)
{
    if (inputs->count == inputs->capacity) {
        size_t capacity = inputs->capacity ? 2 * inputs->capacity : 16;
        void *items = realloc(inputs->items, capacity * sizeof(*inputs->items));
        if (!items)
            return false;
        inputs->items = items;
        inputs->capacity = capacity;
    }
    char *copy = malloc(length + 1);
    if (!copy)
        return false;
    memcpy(copy, text, length);
    copy[length] = 0;
    inputs->items[inputs->count++] = (struct cli_input){.text = copy, .length = length};
    return true;
}

void cli_free_inputs(struct cli_inputs *inputs)
{
    for (size_t i = 0; i < inputs->count; i++) {
        free(inputs->items[i].text);
        free(inputs->items[i].file);
    }
    free(inputs->items);
    *inputs = (struct cli_inputs){0};
}

const char **cli_list_texts(const struct cli_inputs *inputs)
{
    const char **texts = calloc(inputs->count + 1, sizeof(*texts));
    for (size_t i = 0; texts && i < inputs->count; i++)
        texts[i] = inputs->items[i].text;
    return texts;
}

const char **cli_list_paths(const struct cli_inputs *inputs)
{
    const char **paths = cli_list_texts(inputs);
    for (size_t i = 0; paths && i < inputs->count; i++)
        if (inputs->items[i].file)
            paths[i] = inputs->items[i].file;
    return paths;
}
