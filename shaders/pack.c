/* SPDX-License-Identifier: MIT
 *
 * Packs the SPIR-V of a table's rows for the library, as a program that runs while it is built:
 *
 *     pack LIST OUTPUT
 *
 * A line of LIST is "SHADER SYMBOL"; SYMBOL.h beside LIST has the words of that row as glslang
 * writes them. OUTPUT gets a `struct spirv_block` per shader, whose modules differ little from one
 * another, and a macro SPIRV_SYMBOL for each row, which says where in its block the module lies.
 * Equal modules of a block are stored once. vulkan/spirv.h says how a block is packed. A list that
 * names no files, and a file without words, are refused.
 */
#include "vulkan/spirv.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MOST_ROWS 1024
#define LINE 256

struct module {
    char shader[LINE], symbol[LINE];
    uint32_t *words;
    size_t count, offset; /* words, and the words of its block before them */
};

static struct module modules[MOST_ROWS];
static size_t module_count;

static void fail(const char *path, const char *what)
{
    fprintf(stderr, "pack: %s: %s\n", path, what);
    exit(1);
}

static void *allocate(size_t bytes)
{
    void *memory = malloc(bytes + 1);
    if (!memory)
        fail("memory", "none is left");
    return memory;
}

static char *read_text(const char *path)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END))
        fail(path, "cannot be read");
    const long size = ftell(file);
    rewind(file);
    char *text = allocate((size_t)size);
    if (size < 0 || fread(text, 1, (size_t)size, file) != (size_t)size)
        fail(path, "cannot be read");
    text[size] = 0;
    fclose(file);
    return text;
}

static void read_words(struct module *module, const char *list)
{
    char path[4096];
    const char *slash = strrchr(list, '/');
    snprintf(path, sizeof(path), "%.*s%s.h", slash ? (int)(slash - list + 1) : 0, list,
             module->symbol);
    char *text = read_text(path);
    const char *position = strchr(text, '{');
    module->words = allocate(strlen(text));
    while (position && (position = strstr(position, "0x")))
        module->words[module->count++] = (uint32_t)strtoul(position, (char **)&position, 16);
    if (!module->count)
        fail(path, "expected words of SPIR-V");
    free(text);
}

static void read_list(const char *path)
{
    FILE *file = fopen(path, "r");
    if (!file)
        fail(path, "cannot be read");
    for (; module_count < MOST_ROWS; module_count++) {
        struct module *module = &modules[module_count];
        if (fscanf(file, "%255s %255s", module->shader, module->symbol) != 2)
            break;
        read_words(module, path);
    }
    if (!module_count || module_count == MOST_ROWS)
        fail(path, "expected lines with a shader and a symbol, fewer than 1024");
    fclose(file);
}

/* Places a module behind those of its shader before it, or where an equal one is. Returns whether
 * it takes space. */
static int place(struct module *module)
{
    for (struct module *other = modules; other < module; other++) {
        if (strcmp(other->shader, module->shader))
            continue;
        if (other->count == module->count &&
            !memcmp(other->words, module->words, 4 * module->count)) {
            module->offset = other->offset;
            return 0;
        }
        if (module->offset < other->offset + other->count)
            module->offset = other->offset + other->count;
    }
    return 1;
}

/* Replaces the ids of a block's words by codes, and writes the list of ids behind them. Returns the
 * length of that list. */
static size_t encode(uint32_t *words, size_t count)
{
    static size_t places[SPIRV_IDS]; /* 1 more than the place of an id among the block's ids */
    size_t first = 0, ids = 0;
    uint32_t last = 0;
    memset(places, 0, sizeof(places));
    for (size_t i = 0; i < count; i++) {
        const uint32_t id = words[i];
        if (id == SPIRV_MAGIC)
            first = ids;
        if (id >= SPIRV_IDS)
            continue;
        const size_t place = places[id] - 1;
        if (places[id] > first && ids - place <= SPIRV_NEAR) {
            words[i] = (uint32_t)(ids - place);
        } else if (places[id] > first) {
            words[i] = (uint32_t)(place - first + SPIRV_NEAR + 1);
        } else {
            words[i] = 0;
            words[count + ids] = (id - last) % SPIRV_IDS;
            last = id;
            places[id] = ++ids;
        }
        if (words[i] >= SPIRV_IDS)
            fail("a module", "it has too many ids");
    }
    return ids;
}

/* Compresses the lowest bytes of all words, then the second ones and so on. */
static uint8_t *compress_words(const uint32_t *words, size_t count, uLongf *bytes)
{
    uint8_t *planes = allocate(4 * count);
    for (size_t i = 0; i < 4 * count; i++)
        planes[i] = (uint8_t)(words[i % count] >> i / count * 8);
    *bytes = compressBound(4 * (uLong)count);
    uint8_t *packed = allocate(*bytes);
    if (compress2(packed, bytes, planes, 4 * (uLong)count, Z_BEST_COMPRESSION) != Z_OK)
        fail("a block", "it cannot be compressed");
    free(planes);
    return packed;
}

/* Packs the modules of a shader. */
static void write_block(FILE *file, const char *shader)
{
    size_t count = 0;
    for (size_t i = 0; i < module_count; i++)
        if (!strcmp(modules[i].shader, shader) && place(&modules[i]))
            count = modules[i].offset + modules[i].count;
    uint32_t *words = allocate(2 * 4 * count);
    for (size_t i = 0; i < module_count; i++)
        if (!strcmp(modules[i].shader, shader))
            memcpy(words + modules[i].offset, modules[i].words, 4 * modules[i].count);
    const size_t ids = encode(words, count);
    uLongf bytes = 0;
    uint8_t *packed = compress_words(words, count + ids, &bytes);
    fprintf(file, "static const uint8_t spirv_packed_%s[] = {", shader);
    for (uLongf i = 0; i < bytes; i++)
        fprintf(file, "%s%u,", i % 32 ? "" : "\n", packed[i]);
    fprintf(file,
            "};\nstatic const struct spirv_block spirv_block_%s = {spirv_packed_%s, "
            "sizeof(spirv_packed_%s), %zu, %zu};\n",
            shader, shader, shader, count, ids);
    free(words);
    free(packed);
}

int main(int argc, char **argv)
{
    if (argc != 3)
        fail("usage", "pack LIST OUTPUT");
    read_list(argv[1]);
    FILE *file = fopen(argv[2], "w");
    if (!file)
        fail(argv[2], "cannot be written");
    /* A build may leave rows out whose SPIR-V comes from another build. */
    fprintf(file,
            "/* Generated by shaders/pack.c. */\n#include \"row_macros.h\"\n"
            "#include \"vulkan/spirv.h\"\n"
            "#ifdef __GNUC__\n#pragma GCC diagnostic ignored \"-Wunused-variable\"\n#endif\n");
    for (size_t i = 0; i < module_count; i++) {
        size_t first = 0;
        while (strcmp(modules[first].shader, modules[i].shader))
            first++;
        if (first == i)
            write_block(file, modules[i].shader);
        fprintf(file, "#define SPIRV_%s {NULL, &spirv_block_%s, %zu, %zu}\n",
                modules[i].symbol + strlen("spirv_"), modules[i].shader, modules[i].offset,
                modules[i].count);
    }
    if (fclose(file))
        fail(argv[2], "cannot be written");
    return 0;
}
