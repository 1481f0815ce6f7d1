/* SPDX-License-Identifier: MIT
 *
 * Writes GGUF files for the tests, with clip.cpp's names, from Hugging Face checkpoints. It is
 * written apart from the library's own writer, so that a mistake there is not repeated here.
 */
#ifndef VKCLIP_TESTS_SUPPORT_GGUF_WRITER_H
#define VKCLIP_TESTS_SUPPORT_GGUF_WRITER_H

#include "base/array.h"
#include "base/half.h"
#include "base/string.h"
#include "support/scratch.h"
#include "format/gguf.h"
#include "format/safetensors.h"

struct gguf_writer {
    uint8_t *data;
    size_t size, capacity;
};

static inline void put(struct gguf_writer *w, const void *data, size_t size)
{
    if (w->size + size > w->capacity) {
        w->capacity = 2 * (w->size + size);
        w->data = realloc(w->data, w->capacity);
        assert_non_null(w->data);
    }
    if (size)
        memcpy(w->data + w->size, data, size);
    w->size += size;
}

static inline void put_u32(struct gguf_writer *w, uint32_t value)
{
    put(w, &value, sizeof(value));
}

static inline void put_u64(struct gguf_writer *w, uint64_t value)
{
    put(w, &value, sizeof(value));
}

static inline void put_text(struct gguf_writer *w, const char *text)
{
    put_u64(w, strlen(text));
    put(w, text, strlen(text));
}

static inline void put_key(struct gguf_writer *w, const char *key, uint32_t type)
{
    put_text(w, key);
    put_u32(w, type);
}

static inline void put_key_u32(struct gguf_writer *w, const char *key, uint32_t value)
{
    put_key(w, key, GGUF_U32);
    put_u32(w, value);
}

static inline void put_key_f32(struct gguf_writer *w, const char *key, float value)
{
    put_key(w, key, GGUF_F32);
    put(w, &value, sizeof(value));
}

static inline void put_key_bool(struct gguf_writer *w, const char *key, bool value)
{
    uint8_t byte = value;
    put_key(w, key, GGUF_BOOL);
    put(w, &byte, 1);
}

static inline void put_key_text(struct gguf_writer *w, const char *key, const char *value)
{
    put_key(w, key, GGUF_STRING);
    put_text(w, value);
}

static inline void put_key_array(struct gguf_writer *w, const char *key, uint32_t type,
                                 uint64_t count)
{
    put_key(w, key, GGUF_ARRAY);
    put_u32(w, type);
    put_u64(w, count);
}

static inline void pad_to(struct gguf_writer *w, size_t alignment)
{
    static const uint8_t zeros[64];
    put(w, zeros, (alignment - w->size % alignment) % alignment);
}

/* Returns a name as a new string in which each of the parts that it has is replaced once. */
static inline char *rename_parts(const char *name, const char *const parts[][2], size_t count)
{
    char *result = string_format("%s", name);
    for (size_t i = 0; i < count; i++) {
        char *found = strstr(result, parts[i][0]);
        if (!found)
            continue;
        char *next = string_format("%.*s%s%s", (int)(found - result), result, parts[i][1],
                                   found + strlen(parts[i][0]));
        free(result);
        result = next;
    }
    return result;
}

/* Returns a new string, the name that clip.cpp's files have for a Hugging Face tensor. */
static inline char *gguf_name(const char *name)
{
    static const char *const parts[][2] = {
        {"text_model.", "t."},          {"vision_model.", "v."},
        {"encoder.layers.", "blk."},    {"embeddings.", ""},
        {"embedding", "embd"},          {"self_attn.out_proj", "attn_out"},
        {"self_attn.q_proj", "attn_q"}, {"self_attn.k_proj", "attn_k"},
        {"self_attn.v_proj", "attn_v"}, {"final_layer_norm", "post_ln"},
        {"post_layernorm", "post_ln"},  {"pre_layrnorm", "pre_ln"},
        {"layer_norm1", "ln1"},         {"layer_norm2", "ln2"},
        {"mlp.fc1", "ffn_down"},        {"mlp.fc2", "ffn_up"},
    };
    return rename_parts(name, parts, ARRAY_COUNT(parts));
}

/* ---- Values ---------------------------------------------------------------------------------- */

struct gguf_kind {
    uint32_t number;
    enum dtype dtype;
    unsigned block, bytes;
};
static const struct gguf_kind gguf_kinds[] = {
    {0, DTYPE_F32, 1, 4},    {1, DTYPE_F16, 1, 2},    {2, DTYPE_Q4_0, 32, 18},
    {3, DTYPE_Q4_1, 32, 20}, {6, DTYPE_Q5_0, 32, 22}, {7, DTYPE_Q5_1, 32, 24},
    {8, DTYPE_Q8_0, 32, 34}, {28, DTYPE_F64, 1, 8},   {30, DTYPE_BF16, 1, 2},
};

/* Writes one block, and gives the values that the format defines for its bytes. */
static inline void write_block(struct gguf_writer *w, const struct gguf_kind *kind,
                               const float *values, float *defined)
{
    const bool q8 = kind->dtype == DTYPE_Q8_0;
    const bool q5 = kind->dtype == DTYPE_Q5_0 || kind->dtype == DTYPE_Q5_1;
    const bool least = kind->dtype == DTYPE_Q4_1 || kind->dtype == DTYPE_Q5_1;
    const int lowest = q8 ? -127 : 0;
    int steps = q5 ? 31 : 15, middle = q5 ? 16 : 8, numbers[32];
    if (q8)
        steps = 254;
    if (q8 || least)
        middle = 0;
    float low = values[0], high = values[0];
    for (int i = 1; i < 32; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    float largest = -low > high ? -low : high;
    uint16_t scale16 =
        half_from_float(least ? (high - low) / (float)steps : 2 * largest / (float)steps);
    uint16_t least16 = half_from_float(low);
    float scale = half_to_float(scale16), base = least ? half_to_float(least16) : 0;
    put(w, &scale16, 2);
    if (least)
        put(w, &least16, 2);
    uint32_t fifth = 0;
    for (int i = 0; i < 32; i++) {
        float place = scale ? (values[i] - base) / scale + (float)middle : (float)middle;
        int number = (int)(place + (place < 0 ? -0.5f : 0.5f));
        number = number < lowest ? lowest : number;
        numbers[i] = number > lowest + steps ? lowest + steps : number;
        fifth |= (uint32_t)(numbers[i] >> 4 & 1) << i;
        defined[i] = (float)(numbers[i] - middle) * scale + base;
        if (!least)
            defined[i] = (float)(numbers[i] - middle) * scale;
    }
    if (q5)
        put(w, &fifth, 4);
    for (int i = 0; i < (q8 ? 32 : 16); i++) {
        uint8_t byte = q8 ? (uint8_t)(int8_t)numbers[i]
                          : (uint8_t)((numbers[i] & 15) | (numbers[i + 16] & 15) << 4);
        put(w, &byte, 1);
    }
}

/* Writes `count` elements of `view`, and gives the values that the file has for them. */
static inline void write_values(struct gguf_writer *w, const struct gguf_kind *kind,
                                const struct tensor_view *view, uint64_t count, float *defined)
{
    tensor_view_read(view, 0, count, defined);
    for (uint64_t i = 0; i < count; i += kind->block) {
        double wide = defined[i];
        uint16_t half = half_from_float(defined[i]);
        uint32_t bits;
        memcpy(&bits, &defined[i], sizeof(bits));
        uint16_t brain = (uint16_t)(bits >> 16);
        if (kind->dtype == DTYPE_F32) {
            put(w, &defined[i], sizeof(float));
        } else if (kind->dtype == DTYPE_F64) {
            put(w, &wide, sizeof(wide));
        } else if (kind->dtype == DTYPE_F16) {
            put(w, &half, sizeof(half));
            defined[i] = half_to_float(half);
        } else if (kind->dtype == DTYPE_BF16) {
            put(w, &brain, sizeof(brain));
            bits = (uint32_t)brain << 16;
            memcpy(&defined[i], &bits, sizeof(bits));
        } else {
            float values[32];
            memcpy(values, defined + i, sizeof(values));
            write_block(w, kind, values, defined + i);
        }
    }
}

/* ---- Checkpoints ----------------------------------------------------------------------------- */

/* These values are those of the reference model hf-vit's configuration. */
struct gguf_sizes {
    uint32_t width, mlp, layers, heads, context, image, patch, embed;
};
static const struct gguf_sizes hf_vit_sizes = {64, 256, 2, 1, 77, 48, 8, 64};

static inline void put_tower(struct gguf_writer *w, const char *tower, const struct gguf_sizes *s)
{
    const struct {
        const char *key;
        uint32_t value;
    } sizes[] = {{"embedding_length", s->width},
                 {"feed_forward_length", s->mlp},
                 {"projection_dim", s->embed},
                 {"attention.head_count", s->heads},
                 {"block_count", s->layers}};
    char key[64];
    for (size_t i = 0; i < ARRAY_COUNT(sizes); i++) {
        snprintf(key, sizeof(key), "clip.%s.%s", tower, sizes[i].key);
        put_key_u32(w, key, sizes[i].value);
    }
    snprintf(key, sizeof(key), "clip.%s.attention.layer_norm_epsilon", tower);
    put_key_f32(w, key, 1e-5f);
}

/* Writes the metadata that clip.cpp's converter writes for these towers, and returns the number of
 * keys. */
static inline uint64_t put_values(struct gguf_writer *w, bool text, bool image)
{
    static const float colours[][3] = {{0.5f, 0.25f, 0.125f}, {0.3f, 0.2f, 0.1f}};
    const struct gguf_sizes *s = &hf_vit_sizes;
    put_key_text(w, "general.architecture", "clip");
    put_key_bool(w, "clip.has_text_encoder", text);
    put_key_bool(w, "clip.has_vision_encoder", image);
    put_key_bool(w, "clip.use_gelu", false);
    if (text) {
        put_tower(w, "text", s);
        put_key_u32(w, "clip.text.context_length", s->context);
    }
    if (image) {
        put_tower(w, "vision", s);
        put_key_u32(w, "clip.vision.image_size", s->image);
        put_key_u32(w, "clip.vision.patch_size", s->patch);
        for (int i = 0; i < 2; i++) {
            put_key_array(w, i ? "clip.vision.image_std" : "clip.vision.image_mean", GGUF_F32, 3);
            put(w, colours[i], sizeof(colours[i]));
        }
    }
    return 4u + (text ? 7u : 0) + (image ? 10u : 0);
}

static inline bool gguf_has(const char *name, bool text, bool image)
{
    if (name[0] == 't')
        return text;
    return name[0] == 'v' ? image : text && image;
}

/* Returns the type that a tensor gets, which is `kind` for matrices whose rows are whole blocks. */
static inline const struct gguf_kind *choose_kind(const struct tensor_view *view,
                                                  const struct gguf_kind *kind)
{
    bool matrix = view->rank == 2 && !(view->shape[1] % kind->block);
    return matrix ? kind : &gguf_kinds[view->rank == 4 && kind->dtype != DTYPE_F32];
}

/* Writes hf-vit as FOLDER/model.gguf, and the values of that file as FOLDER/model.safetensors. */
static inline void write_hf_vit(const char *folder, const struct gguf_kind *kind, bool text,
                                bool image)
{
    char *source = golden_path("models/hf-vit/model.safetensors");
    struct safetensors *file = NULL;
    struct gguf_writer header = {0}, values = {0}, data = {0};
    assert_non_null(source);
    assert_int_equal(safetensors_open(source, &file), 0);
    struct tensor_view *defined = calloc(file->count, sizeof(*defined));
    size_t count = 0;
    uint64_t value_count = put_values(&values, text, image);
    for (size_t i = 0; i < file->count; i++) {
        const struct tensor_view *view = &file->tensors[i];
        if (!gguf_has(view->name, text, image))
            continue;
        const struct gguf_kind *chosen = choose_kind(view, kind);
        uint64_t elements = view->size / dtype_size(view->dtype);
        char *name = gguf_name(view->name);
        put_text(&values, name);
        put_u32(&values, view->rank);
        for (unsigned d = view->rank; d--;)
            put_u64(&values, view->shape[d]);
        put_u32(&values, chosen->number);
        put_u64(&values, data.size);
        float *floats = malloc(elements * sizeof(*floats));
        write_values(&data, chosen, view, elements, floats);
        pad_to(&data, 32);
        defined[count] = *view;
        defined[count].dtype = DTYPE_F32;
        defined[count].data = floats;
        defined[count].map = NULL;
        defined[count++].size = elements * sizeof(*floats);
        free(name);
    }
    put(&header, "GGUF", 4);
    put_u32(&header, 3);
    put_u64(&header, count);
    put_u64(&header, value_count);
    put(&header, values.data, values.size);
    pad_to(&header, 32);
    put(&header, data.data, data.size);
    scratch_write(folder, "model.gguf", header.data, header.size);
    char *reference = scratch_path(folder, "model.safetensors");
    assert_int_equal(safetensors_write(reference, defined, count, NULL), 0);
    for (size_t i = 0; i < count; i++)
        free((void *)defined[i].data);
    free(defined);
    free(reference), free(source);
    free(header.data), free(values.data), free(data.data);
    safetensors_close(&file);
}

#endif
