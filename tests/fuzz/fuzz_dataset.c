/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a tar shard and as a table of pictures: refused, or every sample has a name,
 * captions, a label and bytes that can be read. Sums of tar headers are made right after each
 * mutation, since nothing behind them would be reached otherwise. Decodes no picture.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/string.h"
#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

volatile uint64_t fuzz_sum; /* keeps the reads */
static char *folder, *tar, *csv;

static void clean(void)
{
    remove(tar);
    remove(csv);
    rmdir(folder);
    free(tar);
    free(csv);
    free(folder);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    const char *base = getenv("TMPDIR");
    folder = string_format("%s/vkclip-fuzz-XXXXXX", base ? base : P_tmpdir);
    if (!folder || !mkdtemp(folder) || !(tar = string_format("%s/data.tar", folder)) ||
        !(csv = string_format("%s/data.csv", folder)))
        abort();
    atexit(clean);
    return 0;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { BLOCK = 512, MAGIC = 257, SUM = 148 };
    (void)seed;
    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
        uint8_t *header = data + at;
        char text[8];
        unsigned sum = 0;
        if (memcmp(header + MAGIC, "ustar", 5) != 0)
            continue;
        memset(header + SUM, ' ', sizeof(text));
        for (size_t i = 0; i < BLOCK; i++)
            sum += header[i];
        snprintf(text, sizeof(text), "%06o", sum & 0777777);
        memcpy(header + SUM, text, sizeof(text) - 1);
    }
    return size;
}

static void read_samples(const struct dataset *dataset)
{
    size_t captions = 0;
    if (!dataset->count || dataset->labels > dataset->count)
        abort();
    for (size_t i = 0; i < dataset->count; i++) {
        const struct dataset_sample *sample = &dataset->samples[i];
        if (!sample->name || !sample->count || sample->caption != captions ||
            sample->label >= dataset->labels)
            abort();
        captions += sample->count;
        for (size_t k = 0; k < sample->count; k++)
            fuzz_sum += strlen(dataset->captions[sample->caption + k]);
        if (sample->shard == DATASET_FILE)
            continue;
        const struct file_map *map = &dataset->shards[sample->shard].map;
        if (sample->offset > map->size || sample->size > map->size - sample->offset)
            abort();
        for (uint64_t k = 0; k < sample->size; k++)
            fuzz_sum += map->data[sample->offset + k];
    }
    if (captions != dataset->caption_count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dataset_params labels = {.label_key = "name"};
    const char *const paths[] = {tar, csv};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        struct file_part part = {data, size};
        if (file_write(paths[i], &part, 1))
            abort();
        for (int with_labels = 0; with_labels < 2; with_labels++) {
            struct dataset *dataset;
            if (!dataset_open(paths[i], with_labels ? &labels : NULL, &dataset)) {
                read_samples(dataset);
                dataset_close(&dataset);
            } else if (!*vkclip_last_error() || strchr(vkclip_last_error(), '\n')) {
                abort();
            }
            if (dataset)
                abort();
        }
    }
    return 0;
}
