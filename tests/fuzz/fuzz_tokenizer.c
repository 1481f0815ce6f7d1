/* SPDX-License-Identifier: MIT
 *
 * Any bytes as a vocabulary file or as a text; the first byte says which. A file is refused or
 * gives a tokenizer whose ids are all in its vocabulary and can be read back; a text always gives
 * such ids. Run it in the project's root, where models/emoji-clip is.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/string.h"
#include "text/tokenizer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The file that the input becomes, and the good one beside it. */
static const char *const kinds[][2] = {
    {"tokenizer.json", NULL}, {"vocab.json", "merges.txt"},    {"merges.txt", "vocab.json"},
    {"bpe.txt.gz", NULL},     {"tokenizer_config.json", NULL},
};
static char folder[] = "/tmp/vkclip-fuzz-XXXXXX";
static struct tokenizer *good[2];

static void must(bool condition, const char *what)
{
    if (!condition) {
        fprintf(stderr, "%s: %s\n", what, vkclip_last_error());
        abort();
    }
}

static char *path_of(const char *name)
{
    char *path = string_format("%s/%s", folder, name);
    must(path, "path");
    return path;
}

static void write_file(const char *name, const void *data, size_t size)
{
    char *path = path_of(name);
    FILE *file = fopen(path, "wb");
    must(file && fwrite(data, 1, size, file) == size, "write");
    fclose(file);
    free(path);
}

static void clean(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char *path = path_of(kinds[i][0]);
        remove(path);
        free(path);
    }
}

static void finish(void)
{
    clean();
    rmdir(folder);
    tokenizer_close(&good[0]);
    tokenizer_close(&good[1]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    must(mkdtemp(folder), "folder");
    for (int i = 0; i < 2; i++)
        must(!tokenizer_open("models/emoji-clip/tokenizer.json",
                             i ? TOKENIZER_OPENAI : TOKENIZER_HF, &good[i]),
             "model");
    atexit(finish);
    return 0;
}

static void use(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    size_t count, again = 0;
    char *decoded;
    must(!tokenizer_encode(tokenizer, text, size, NULL, 0, &count), "encode");
    int32_t *ids = malloc(count * sizeof(*ids));
    must(ids && !tokenizer_encode(tokenizer, text, size, ids, count, &again), "encode again");
    must(again == count && ids[0] == tokenizer_start(tokenizer) &&
             ids[count - 1] == tokenizer_end(tokenizer),
         "start and end");
    must(!tokenizer_decode(tokenizer, ids, count, &decoded), "decode");
    free(decoded);
    free(ids);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] =
        "A photo of it's 12 dogs!\xf0\x9f\x90\xb6 &eacute; <|endoftext|> \xff";
    if (!size)
        return 0;
    size_t kind = data[0] % (ARRAY_COUNT(kinds) + 2);
    data++;
    size--;
    if (kind >= ARRAY_COUNT(kinds)) {
        use(good[kind - ARRAY_COUNT(kinds)], (const char *)data, size);
        return 0;
    }
    static const char vocab[] = "{\"a\":0,\"b</w>\":1,\"ab</w>\":2,\"<|startoftext|>\":3,"
                                "\"<|endoftext|>\":4}";
    static const char merges[] = "#version: 0.2\na b</w>\n";
    const char *opened = kinds[kind][0], *beside = kinds[kind][1];
    struct tokenizer *tokenizer;
    write_file(opened, data, size);
    if (!strcmp(opened, "tokenizer_config.json")) {
        write_file("vocab.json", vocab, strlen(vocab));
        write_file("merges.txt", merges, strlen(merges));
        opened = "vocab.json";
    } else if (beside) {
        bool is_vocab = !strcmp(beside, "vocab.json");
        write_file(beside, is_vocab ? vocab : merges, strlen(is_vocab ? vocab : merges));
    }
    char *path = path_of(opened);
    for (int rules = TOKENIZER_BY_FILE; rules <= TOKENIZER_HF; rules++) {
        if (tokenizer_open(path, (enum tokenizer_rules)rules, &tokenizer)) {
            must(!tokenizer && strstr(vkclip_last_error(), folder), "message");
            continue;
        }
        must(tokenizer_pad(tokenizer) >= 0 &&
                 (uint32_t)tokenizer_pad(tokenizer) < tokenizer_size(tokenizer),
             "pad");
        use(tokenizer, sample, strlen(sample));
        tokenizer_close(&tokenizer);
    }
    free(path);
    clean();
    return 0;
}
