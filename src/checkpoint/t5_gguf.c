/* SPDX-License-Identifier: MIT
 *
 * Keys are ARCHITECTURE.NAME. A file may lack any of them.
 */
#include "checkpoint/t5_gguf.h"
#include "base/array.h"
#include "base/error.h"

#include <stdio.h>

/* The second is llama.cpp's for a file that has the encoder alone. */
static const char *const architectures[] = {"t5", "t5encoder"};

static const char *find_architecture(const struct gguf *file)
{
    const struct gguf_value *value = gguf_find(file, "general.architecture");
    for (size_t i = 0; i < ARRAY_COUNT(architectures); i++)
        if (gguf_is_text(value, architectures[i]))
            return architectures[i];
    return NULL;
}

bool t5_gguf_is_file(const struct gguf *file)
{
    return find_architecture(file) != NULL;
}

static const struct gguf_value *find_value(const struct gguf *file, const char *name, char key[96])
{
    snprintf(key, 96, "%s.%s", find_architecture(file), name);
    return gguf_find(file, key);
}

static int check_size(const struct gguf *file, const char *name, uint32_t size)
{
    char key[96];
    const struct gguf_value *value = find_value(file, name, key);
    uint64_t found = 0;
    if (value && (!gguf_read_integer(value, &found) || found != size))
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected %u, found %llu", file->path, key, size,
                          (unsigned long long)found);
    return VKCLIP_OK;
}

static int read_epsilon(const struct gguf *file, float *epsilon)
{
    char key[96];
    const struct gguf_value *value = find_value(file, "attention.layer_norm_rms_epsilon", key);
    double number = 0;
    if (!value)
        return VKCLIP_OK;
    if (!gguf_read_number(value, 0, &number) || !(number > 0 && number < 1))
        return error_fail(VKCLIP_EFORMAT, "%s: %s: expected a number between 0 and 1", file->path,
                          key);
    *epsilon = (float)number;
    return VKCLIP_OK;
}

int t5_gguf_read(const struct gguf *file, struct config *config)
{
    enum { BUCKETS = 32 }; /* All published models have this number of buckets of positions. */
    const struct config_tower *text = &config->text;
    const struct {
        const char *name;
        uint32_t size;
    } sizes[] = {
        {"embedding_length", text->width},
        {"feed_forward_length", text->mlp},
        {"block_count", text->layers},
        {"attention.head_count", text->heads},
        {"attention.key_length", text->head_width},
        {"attention.value_length", text->head_width},
        {"attention.relative_buckets_count", BUCKETS},
    };
    int error = VKCLIP_OK;
    for (size_t i = 0; i < ARRAY_COUNT(sizes) && !error; i++)
        error = check_size(file, sizes[i].name, sizes[i].size);
    if (!error)
        error = read_epsilon(file, &config->text.epsilon);
    return error;
}
