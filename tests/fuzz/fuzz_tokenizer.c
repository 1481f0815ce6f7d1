/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a vocabulary file or as a text; its first byte says which. A file must be
 * refused or give a tokenizer, and all ids of a text must be in the vocabulary and decode to a text
 * again. Run it in the project's root, because it reads models/emoji-clip.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "text/tokenizer.h"

/* Each kind has the name of the file that the input becomes, and that of a good file beside it. */
static const char *const kinds[][2] = {
    {"tokenizer.json", NULL}, {"vocab.json", "merges.txt"},    {"merges.txt", "vocab.json"},
    {"bpe.txt.gz", NULL},     {"tokenizer_config.json", NULL},
};
static char *folder;
static struct tokenizer *good[2];

static void write_file(const char *name, const void *data, size_t size)
{
    char *path = fuzz_path(folder, name);
    fuzz_write(path, data, size);
    free(path);
}

static void remove_files(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(kinds); i++) {
        char *path = fuzz_path(folder, kinds[i][0]);
        remove(path);
        free(path);
    }
}

static void finish(void)
{
    tokenizer_close(&good[0]);
    tokenizer_close(&good[1]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    folder = fuzz_folder();
    for (int i = 0; i < 2; i++)
        fuzz_check(!tokenizer_open("models/emoji-clip/tokenizer.json",
                                   i ? TOKENIZER_OPENAI : TOKENIZER_HF, &good[i]),
                   "model");
    atexit(finish);
    return 0;
}

static void tokenize_text(const struct tokenizer *tokenizer, const char *text, size_t size)
{
    size_t count, again = 0;
    char *decoded;
    fuzz_check(!tokenizer_encode(tokenizer, text, size, NULL, 0, &count), "encode");
    int32_t *ids = malloc(count * sizeof(*ids));
    fuzz_check(ids && !tokenizer_encode(tokenizer, text, size, ids, count, &again), "encode again");
    fuzz_check(again == count && ids[0] == tokenizer_start(tokenizer) &&
                   ids[count - 1] == tokenizer_end(tokenizer),
               "start and end");
    fuzz_check(!tokenizer_decode(tokenizer, ids, count, &decoded), "decode");
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
        tokenize_text(good[kind - ARRAY_COUNT(kinds)], (const char *)data, size);
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
    char *path = fuzz_path(folder, opened);
    for (int rules = TOKENIZER_BY_FILE; rules <= TOKENIZER_HF; rules++) {
        if (tokenizer_open(path, (enum tokenizer_rules)rules, &tokenizer)) {
            fuzz_check(!tokenizer && strstr(vkclip_last_error(), folder), "message");
            continue;
        }
        fuzz_check(tokenizer_pad(tokenizer) >= 0 &&
                       (uint32_t)tokenizer_pad(tokenizer) < tokenizer_size(tokenizer),
                   "pad");
        tokenize_text(tokenizer, sample, strlen(sample));
        tokenizer_close(&tokenizer);
    }
    free(path);
    remove_files();
    return 0;
}
