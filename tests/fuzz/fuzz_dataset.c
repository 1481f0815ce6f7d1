/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a tar shard and as a table of pictures. It must be refused, or every sample
 * must have a name, captions, a label and a place inside the shard. No picture is decoded.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "data/dataset.h"

volatile uint64_t fuzz_sum; /* The compiler must not remove the reads that are added to it. */
static char *folder, *tar, *csv;

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder = fuzz_folder();
    tar = fuzz_path(folder, "data.tar");
    csv = fuzz_path(folder, "data.csv");
    return 0;
}

/* Corrects the checksums of tar headers after each mutation, because a header with a wrong checksum
 * ends the archive and the fuzzer would not reach anything after it. */
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
    enum { BLOCK = 512, MAGIC = 257, SUM = 148 };
    (void)seed;
    size = LLVMFuzzerMutate(data, size, max_size);
    for (size_t offset = 0; offset + BLOCK <= size; offset += BLOCK) {
        uint8_t *header = data + offset;
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
        if (dataset->files[sample->file].is_table)
            continue;
        const uint64_t size = dataset->files[sample->file].size;
        if (sample->offset > size || sample->size > size - sample->offset)
            abort();
    }
    if (captions != dataset->caption_count)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct dataset_params labels = {.label_key = "name"};
    const char *const paths[] = {tar, csv};
    for (size_t i = 0; i < ARRAY_COUNT(paths); i++) {
        fuzz_write(paths[i], data, size);
        for (int with_labels = 0; with_labels < 2; with_labels++) {
            struct dataset *dataset;
            if (!dataset_open(&paths[i], 1, with_labels ? &labels : NULL, &dataset)) {
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
