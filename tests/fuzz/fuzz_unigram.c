/* SPDX-License-Identifier: MIT
 *
 * Uses the input as a file of a tokenizer in memory (spiece.model or a tokenizer.json of any kind),
 * as a GGUF file, or as a text; its first byte says which. A file must be refused or give a
 * tokenizer, and all ids of a text must be in the vocabulary and decode to a text again. Run it in
 * the project's root, because it reads tests/golden.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/array.h"
#include "format/gguf.h"
#include "text/tokenizer.h"

#define FOLDER "tests/golden/conditioning/tokenizers/t5-small/"

static const char *const files[] = {FOLDER "spiece.model", FOLDER "tokenizer.json",
                                    FOLDER "tokenizer_metaspace.json"};
static struct tokenizer *good[ARRAY_COUNT(files)];

static void finish(void)
{
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        tokenizer_close(&good[i]);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    for (size_t i = 0; i < ARRAY_COUNT(good); i++)
        fuzz_check(!tokenizer_open(files[i], TOKENIZER_BY_FILE, &good[i]), files[i]);
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
    fuzz_check(again == count && ids[count - 1] == tokenizer_end(tokenizer), "end");
    fuzz_check(!tokenizer_decode(tokenizer, ids, count, &decoded), "decode");
    free(decoded);
    free(ids);
}

static int open_gguf(const void *data, size_t size, struct tokenizer **tokenizer)
{
    struct gguf *file;
    *tokenizer = NULL;
    int error = gguf_parse(data, size, "fuzz", &file);
    if (!error)
        error = tokenizer_from_gguf(file, tokenizer);
    gguf_close(&file);
    return error;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char sample[] =
        " A photo\tof  12 ab a \xef\xac\x81 e\xcc\x81 \xf0\x9f\x90\xb6 \xe2\x96\x81 <extra_id_0> "
        "<x> \xff";
    struct tokenizer *tokenizer;
    if (!size)
        return 0;
    const size_t kind = data[0] % (ARRAY_COUNT(good) + 2);
    data++;
    size--;
    if (kind < ARRAY_COUNT(good)) {
        tokenize_text(good[kind], (const char *)data, size);
        return 0;
    }
    int error = kind == ARRAY_COUNT(good) ? tokenizer_parse(data, size, "fuzz", &tokenizer)
                                          : open_gguf(data, size, &tokenizer);
    fuzz_check(!error == (tokenizer != NULL), "result");
    if (error) {
        fuzz_check(strstr(vkclip_last_error(), "fuzz"), "message");
        return 0;
    }
    fuzz_check(tokenizer_pad(tokenizer) >= 0 &&
                   (uint32_t)tokenizer_pad(tokenizer) < tokenizer_size(tokenizer),
               "pad");
    tokenize_text(tokenizer, sample, strlen(sample));
    tokenizer_close(&tokenizer);
    return 0;
}
