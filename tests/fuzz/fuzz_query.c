/* SPDX-License-Identifier: MIT
 *
 * Uses the input as what users type: a query as words and as a line, the values of filters, and a
 * pattern with a text. Whatever is taken must be complete.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/calendar.h"
#include "cli/commands/limits.h"
#include "cli/commands/query.h"
#include "search/filter.h"

/* Some names are files, so that both ways are taken. */
static bool is_file(const char *path)
{
    return strlen(path) % 2;
}

static void check_query(bool good, struct query *query)
{
    fuzz_check(good ? query->count > 0 : query->error[0], "a query is taken or refused");
    for (size_t i = 0; good && i < query->count; i++) {
        const struct vkclip_query_part *part = &query->parts[i];
        fuzz_check(part->weight != 0 && part->weight >= -1e6 && part->weight <= 1e6, "weight");
        fuzz_check(part->kind == VKCLIP_QUERY_ID ? part->id >= 0 : part->value[0], "part");
    }
    query_free(query);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { MOST = 64 };
    const char *words[MOST];
    struct query query;
    size_t count = 0;
    int64_t seconds;
    double place[3];
    uint32_t width, height;
    if (size > 4096) /* Patterns take the product of the lengths. */
        return 0;
    char *text = malloc(size + 2);
    fuzz_check(text, "memory");
    memcpy(text, data, size);
    text[size] = text[size + 1] = 0;
    check_query(query_parse_line(text, is_file, &query), &query);
    for (char *word = text; word < text + size && count < MOST; word += strlen(word) + 1)
        words[count++] = word;
    check_query(query_parse(words, count, is_file, &query), &query);
    calendar_read(text, &seconds);
    limits_read_place(text, place);
    limits_read_size(text, &width, &height);
    filter_match_glob(text, text + strlen(text) + 1);
    free(text);
    return 0;
}
