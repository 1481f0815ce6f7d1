/* SPDX-License-Identifier: MIT
 *
 * Builds the head of GGUF files of version 3. Little-endian hosts only.
 */
#include "format/gguf_write.h"
#include "base/error.h"
#include "base/memory.h"

#include <string.h>

static bool grow(struct gguf_head *head, size_t capacity)
{
    uint8_t *data = memory_realloc(head->data, capacity);
    if (!data)
        return false;
    head->data = data;
    head->capacity = capacity;
    return true;
}

static void put_bytes(struct gguf_head *head, const void *data, size_t size)
{
    const size_t needed = head->size + size;
    if (needed > head->capacity && !head->failed)
        head->failed = !grow(head, 2 * needed);
    if (head->failed || !size)
        return;
    memcpy(head->data + head->size, data, size);
    head->size += size;
}

static void put_u32(struct gguf_head *head, uint32_t value)
{
    put_bytes(head, &value, sizeof(value));
}

static void put_u64(struct gguf_head *head, uint64_t value)
{
    put_bytes(head, &value, sizeof(value));
}

static void put_string(struct gguf_head *head, const char *text)
{
    put_u64(head, strlen(text));
    put_bytes(head, text, strlen(text));
}

static void put_key(struct gguf_head *head, const char *key, enum gguf_type type)
{
    put_string(head, key);
    put_u32(head, type);
    head->value_count++;
}

static void put_array(struct gguf_head *head, const char *key, enum gguf_type type, size_t count)
{
    put_key(head, key, GGUF_ARRAY);
    put_u32(head, type);
    put_u64(head, count);
}

void gguf_put_size(struct gguf_head *head, const char *key, uint32_t value)
{
    put_key(head, key, GGUF_U32);
    put_u32(head, value);
}

void gguf_put_number(struct gguf_head *head, const char *key, float value)
{
    put_key(head, key, GGUF_F32);
    put_bytes(head, &value, sizeof(value));
}

void gguf_put_flag(struct gguf_head *head, const char *key, bool value)
{
    const uint8_t byte = value;
    put_key(head, key, GGUF_BOOL);
    put_bytes(head, &byte, sizeof(byte));
}

void gguf_put_text(struct gguf_head *head, const char *key, const char *value)
{
    put_key(head, key, GGUF_STRING);
    put_string(head, value);
}

void gguf_put_numbers(struct gguf_head *head, const char *key, const float *values, size_t count)
{
    put_array(head, key, GGUF_F32, count);
    put_bytes(head, values, count * sizeof(*values));
}

void gguf_put_texts(struct gguf_head *head, const char *key, const char *const *values,
                    size_t count)
{
    put_array(head, key, GGUF_STRING, count);
    for (size_t i = 0; i < count; i++)
        put_string(head, values[i]);
}

void gguf_put_tensor(struct gguf_head *head, const struct tensor_view *tensor)
{
    put_string(head, tensor->name);
    put_u32(head, tensor->rank);
    for (unsigned i = tensor->rank; i--;) /* The files begin with the fastest dimension. */
        put_u64(head, tensor->shape[i]);
    put_u32(head, gguf_type_number(tensor->dtype));
    put_u64(head, head->data_end);
    head->data_end += (tensor->size + GGUF_ALIGNMENT - 1) / GGUF_ALIGNMENT * GGUF_ALIGNMENT;
    head->tensor_count++;
}

int gguf_finish(struct gguf_head *head, uint8_t **data, size_t *size)
{
    static const uint8_t zeros[GGUF_ALIGNMENT];
    struct gguf_head whole = {.failed = head->failed};
    put_bytes(&whole, "GGUF", 4);
    put_u32(&whole, 3);
    put_u64(&whole, head->tensor_count);
    put_u64(&whole, head->value_count);
    put_bytes(&whole, head->data, head->size);
    put_bytes(&whole, zeros, (GGUF_ALIGNMENT - whole.size % GGUF_ALIGNMENT) % GGUF_ALIGNMENT);
    memory_free(head->data);
    *head = (struct gguf_head){0};
    *data = whole.data;
    *size = whole.size;
    if (!whole.failed)
        return VKCLIP_OK;
    memory_free(whole.data);
    *data = NULL;
    return error_fail(VKCLIP_EMEMORY, "out of memory for the head of a GGUF file");
}
