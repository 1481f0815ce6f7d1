/* SPDX-License-Identifier: MIT
 *
 * Keeps the text of each variable as it was when it was last read.
 */
#include "vulkan/fault_rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const names[] = {
#define X(name) "VKCLIP_FAULT_" #name,
    FAULTS(X) NUMBERS(X)
#undef X
};

static char values[VARIABLES][256];

bool rules_read(void)
{
    bool changed = false;
    for (int i = 0; i < VARIABLES; i++) {
        const char *value = getenv(names[i]);
        char now[sizeof(*values)];
        snprintf(now, sizeof(now), "%s", value ? value : "");
        changed |= strcmp(now, values[i]) != 0;
        memcpy(values[i], now, sizeof(now));
    }
    return changed;
}

bool rules_set(enum variable variable)
{
    return *values[variable];
}

int64_t rules_number(enum variable variable, int64_t absent)
{
    return *values[variable] ? strtoll(values[variable], NULL, 0) : absent;
}

static bool word_matches(const char *word, uint64_t event, const char *name, const char *other)
{
    char *end = NULL;
    if (*word == '/') {
        uint64_t every = strtoull(word + 1, NULL, 10);
        return event && every && event % every == 0;
    }
    uint64_t number = strtoull(word, &end, 10);
    if (end == word)
        return !strcmp(word, name) || !strcmp(word, other);
    return *end == '-' ? event >= number : event == number;
}

bool rules_due(enum variable fault, uint64_t event, const char *name, const char *other)
{
    char list[sizeof(*values)], *rest = NULL;
    memcpy(list, values[fault], sizeof(list));
    for (char *word = strtok_r(list, ",", &rest); word; word = strtok_r(NULL, ",", &rest))
        if (word_matches(word, event, name, other))
            return true;
    return false;
}
