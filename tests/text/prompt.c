/* SPDX-License-Identifier: MIT
 *
 * Prompts: pieces and weights, chunks, textual inversions and what was left out agree with the
 * webui, ComfyUI and diffusers, and weights change an encoder's output as theirs do.
 */
#define _GNU_SOURCE
#include "text/prompt.h"
#include "format/safetensors.h"
#include "support/json_lines.h"
#include "support/scratch.h"

#include <math.h>

static const char FOLDER[] = "conditioning/prompts";
static const char VOCABULARY[] = "conditioning/pipelines/sd1/tokenizer/vocab.json";
enum { START = 1024, END = 1025, CONTEXT = 77 };

/* The embeddings of the reference data. */
static const struct vkclip_embedding EMBEDDINGS[] = {
    {"bad-hands", 2}, {"cat-toy", 1}, {"foggy-style", 3}, {"tiny3", 4}, {"xl-paint", 2}};

static struct tokenizer *open_tokenizer(const char *file)
{
    char *path = golden_path(file);
    struct tokenizer *tokenizer = NULL;
    if (!path || tokenizer_open(path, TOKENIZER_HF, &tokenizer))
        fail_msg("%s: %s", file, vkclip_last_error());
    free(path);
    return tokenizer;
}

static int open_vocabulary(void **state)
{
    *state = open_tokenizer(VOCABULARY);
    return 0;
}

static int close_vocabulary(void **state)
{
    tokenizer_close((struct tokenizer **)state);
    return 0;
}

static struct prompt_form form_of(void **state)
{
    return (struct prompt_form){
        .name = "clip_l", .tokenizer = *state, .length = CONTEXT, .fill = END};
}

static json_t *read_golden(const char *file)
{
    char *name = scratch_path(FOLDER, file), *path = golden_path(name);
    json_t *json = path ? json_load_file(path, 0, NULL) : NULL;
    if (!json)
        print_message("skipped: reference data %s is not here\n", name);
    free(path);
    free(name);
    return json;
}

/* ---- Parsing --------------------------------------------------------------------------------- */

/* Reads a weight of the reference data, in which values that are not finite are strings. */
static double weight_value(const json_t *json)
{
    return json_is_string(json) ? strtod(json_string_value(json), NULL) : json_number_value(json);
}

static bool is_piece(const struct prompt_pieces *pieces, size_t index, const json_t *expected)
{
    const struct prompt_piece *piece = &pieces->list[index];
    const json_t *text = json_array_get(expected, 0);
    const double weight = weight_value(json_array_get(expected, 1));
    return piece->length == json_string_length(text) &&
           !memcmp(pieces->text + piece->start, json_string_value(text), piece->length) &&
           (piece->weight == weight || (isnan(weight) && isnan(piece->weight)));
}

static void check_pieces(const char *file, enum vkclip_syntax syntax)
{
    char *path = scratch_path(FOLDER, file);
    json_t *lines = read_lines(path), *line;
    size_t i;
    json_array_foreach (lines, i, line) {
        const json_t *text = json_object_get(line, "text"),
                     *parsed = json_object_get(line, "parsed");
        struct prompt_pieces pieces;
        int error = prompt_parse("prompt", json_string_value(text), json_string_length(text),
                                 syntax, &pieces);
        assert_int_equal(error, parsed ? VKCLIP_OK : VKCLIP_EINVALID);
        assert_int_equal(pieces.count, json_array_size(parsed));
        for (size_t k = 0; k < pieces.count; k++)
            if (!is_piece(&pieces, k, json_array_get(parsed, k)))
                fail_msg("%s: piece %zu is '%.*s' with weight %.17g", json_string_value(text), k,
                         (int)pieces.list[k].length, pieces.text + pieces.list[k].start,
                         pieces.list[k].weight);
        prompt_free_pieces(&pieces);
    }
    json_decref(lines);
    free(path);
}

static void parsers(void **state)
{
    (void)state;
    check_pieces("a1111_parser.jsonl", VKCLIP_SYNTAX_A1111);
    check_pieces("comfyui_parser.jsonl", VKCLIP_SYNTAX_COMFY);
}

/* Numbers have the forms that Python's float() reads. */
static void numbers(void **state)
{
    static const struct {
        const char *text;
        double weight; /* of "a" in the text */
    } cases[] = {
        {"(a:1.25)", 1.25},
        {"(a:1e-3)", 1e-3},
        {"(a:+1_0.5_0E+0_1)", 105},
        {"(a: -Infinity)", -INFINITY},
        {"(a:.5\n)", 0.5},
        {"(a:1e999999999999)", INFINITY},
        {"(a:0x10)", 1.1},
        {"(a:1__0)", 1.1},
        {"(a:_1)", 1.1},
        {"(a:1_)", 1.1},
        {"(a:1,5)", 1.1},
        {"(a:.)", 1.1},
        {"(a:1e)", 1.1},
        {"(a:1e+)", 1.1},
        {"(a:infinit)", 1.1},
        {"(a:--1)", 1.1},
        {"(a:0.1000000000000000055511151231257827)", 0.1},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        struct prompt_pieces pieces;
        assert_int_equal(prompt_parse("prompt", cases[i].text, strlen(cases[i].text),
                                      VKCLIP_SYNTAX_COMFY, &pieces),
                         0);
        if (pieces.list[0].weight != cases[i].weight)
            fail_msg("%s: weight %.17g", cases[i].text, pieces.list[0].weight);
        prompt_free_pieces(&pieces);
    }
}

/* ---- Chunks ---------------------------------------------------------------------------------- */

/* Returns the weight of a place in a list of weights, which may have one number for all. */
static double list_weight(const json_t *weights, size_t place)
{
    return weight_value(json_array_get(weights, json_array_size(weights) == 1 ? 0 : place));
}

static void check_chunk(const char *text, const struct vkclip_prompt *prompt, size_t chunk,
                        const json_t *tokens, const json_t *weights)
{
    const struct vkclip_prompt_place *places = prompt->places + chunk * prompt->length;
    assert_int_equal(json_array_size(tokens), prompt->length);
    for (size_t i = 0; i < prompt->length; i++) {
        const json_t *token = json_array_get(tokens, i);
        const bool vector = json_is_string(token);
        const int32_t id = vector ? 0 : (int32_t)json_integer_value(token);
        if (places[i].id != id || (vector && places[i].embedding < 0) ||
            places[i].weight != list_weight(weights, i))
            fail_msg("%.60s: chunk %zu, place %zu is %d with weight %.17g, expected %d with %.17g",
                     text, chunk, i, places[i].id, places[i].weight, id, list_weight(weights, i));
    }
}

static void encode(const char *text, enum vkclip_syntax syntax, const struct prompt_form *form,
                   struct vkclip_prompt *prompt)
{
    if (prompt_encode(text, strlen(text), syntax, form, prompt))
        fail_msg("%s: %s", text, vkclip_last_error());
}

static void check_chunks(void **state, const char *file, enum vkclip_syntax syntax,
                         const char *weights)
{
    char *path = scratch_path(FOLDER, file);
    json_t *lines = read_lines(path), *line, *chunk;
    const struct prompt_form form = form_of(state);
    size_t i, k;
    json_array_foreach (lines, i, line) {
        const char *text = json_string_value(json_object_get(line, "text"));
        const json_t *count = json_object_get(line, "token_count");
        struct vkclip_prompt prompt;
        encode(text, syntax, &form, &prompt);
        assert_int_equal(prompt.chunks, json_array_size(json_object_get(line, "chunks")));
        json_array_foreach (json_object_get(line, "chunks"), k, chunk)
            check_chunk(text, &prompt, k, json_object_get(chunk, "tokens"),
                        json_object_get(chunk, weights));
        if (count)
            assert_int_equal(prompt.used, json_integer_value(count));
        assert_int_equal(prompt.available, prompt.chunks * (CONTEXT - 2));
        assert_null(prompt.rest);
        prompt_free(&prompt);
    }
    json_decref(lines);
    free(path);
}

static void chunks(void **state)
{
    check_chunks(state, "a1111_chunks.jsonl", VKCLIP_SYNTAX_A1111, "multipliers");
    check_chunks(state, "comfyui_chunks.jsonl", VKCLIP_SYNTAX_COMFY, "weights");
}

/* ---- Textual inversions ---------------------------------------------------------------------- */

/* The cases of the reference outputs have the tokens of their chunks, and what was inserted. */
static const struct {
    const char *file;
    enum vkclip_syntax syntax;
} CASES[] = {{"a1111_sd1.json", VKCLIP_SYNTAX_A1111}, {"comfyui_sd1.json", VKCLIP_SYNTAX_COMFY}};

/* Checks the places of the webui's inversions: [[place after the start of text, name], ...]. */
static void check_inserted(const struct vkclip_prompt *prompt, size_t chunk, const json_t *inserted)
{
    const struct vkclip_prompt_place *places = prompt->places + chunk * prompt->length + 1;
    const json_t *insertion;
    size_t i, vectors = 0;
    for (size_t k = 0; k + 1 < prompt->length; k++)
        vectors += places[k].embedding >= 0;
    json_array_foreach (inserted, i, insertion) {
        const struct vkclip_prompt_place *place =
            &places[json_integer_value(json_array_get(insertion, 0))];
        const struct vkclip_embedding *embedding = &EMBEDDINGS[place->embedding];
        assert_true(place->embedding >= 0);
        assert_string_equal(embedding->name, json_string_value(json_array_get(insertion, 1)));
        for (uint32_t k = 0; k < embedding->vectors; k++)
            assert_true(place[k].embedding == place->embedding && place[k].vector == k);
        vectors -= embedding->vectors;
    }
    assert_int_equal(vectors, 0);
}

static enum vkclip_syntax case_syntax(const json_t *object, enum vkclip_syntax syntax)
{
    static const char *const emphases[] = {"Original", "No norm", "Ignore", "None"};
    const json_t *emphasis = json_object_get(object, "emphasis");
    for (size_t i = 0; emphasis && i < ARRAY_COUNT(emphases); i++)
        if (!strcmp(json_string_value(emphasis), emphases[i]))
            return VKCLIP_SYNTAX_A1111 + (enum vkclip_syntax)i;
    return syntax;
}

/* Splits ComfyUI's [[token or "vector", weight], ...] into two lists. */
static json_t *split_pairs(const json_t *pairs, size_t index)
{
    json_t *list = json_array(), *pair;
    size_t i;
    json_array_foreach (pairs, i, pair)
        json_array_append(list, json_array_get(pair, index));
    return list;
}

static void check_case(const json_t *object, enum vkclip_syntax syntax, struct prompt_form form)
{
    const char *text = json_string_value(json_object_get(object, "text"));
    const json_t *pairs = json_object_get(object, "chunks");
    if (!pairs)
        pairs = json_object_get(object, "tokens");
    const json_t *inserted = json_object_get(object, "inserted");
    struct vkclip_prompt prompt;
    if (!inserted || json_object_get(object, "embeddings")) {
        form.embeddings = EMBEDDINGS;
        form.embedding_count = ARRAY_COUNT(EMBEDDINGS);
    }
    encode(text, case_syntax(object, syntax), &form, &prompt);
    for (size_t k = 0; k < prompt.chunks; k++) {
        json_t *tokens, *weights;
        if (inserted) {
            tokens = json_incref(json_array_get(json_object_get(object, "tokens"), k));
            weights = json_incref(json_array_get(json_object_get(object, "multipliers"), k));
            check_inserted(&prompt, k, json_array_get(inserted, k));
        } else {
            tokens = split_pairs(json_array_get(pairs, k), 0);
            weights = split_pairs(json_array_get(pairs, k), 1);
        }
        check_chunk(text, &prompt, k, tokens, weights);
        json_decref(tokens);
        json_decref(weights);
    }
    prompt_free(&prompt);
}

/* ComfyUI's prompts of T5 are one sequence, which is filled up to a length. */
static void t5_references(void **state)
{
    struct tokenizer *tokenizer = open_tokenizer("conditioning/tokenizers/t5-small/tokenizer.json");
    json_t *file = read_golden("comfyui_t5.json"), *object;
    size_t k;
    (void)state;
    json_array_foreach (json_object_get(file, "cases"), k, object) {
        const json_t *length = json_object_get(object, "min_length");
        check_case(object, VKCLIP_SYNTAX_COMFY,
                   (struct prompt_form){.name = "t5xxl",
                                        .tokenizer = tokenizer,
                                        .length = (uint32_t)json_integer_value(length),
                                        .sequence = true});
    }
    assert_true(k > 0);
    json_decref(file);
    tokenizer_close(&tokenizer);
}

static void references(void **state)
{
    for (size_t i = 0; i < ARRAY_COUNT(CASES); i++) {
        json_t *file = read_golden(CASES[i].file), *object;
        size_t k;
        json_array_foreach (json_object_get(file, "cases"), k, object)
            check_case(object, CASES[i].syntax, form_of(state));
        json_decref(file);
    }
}

/* Writes the places of a prompt: ids, names and numbers of vectors, "|" between chunks, without the
 * start of text and without what follows the first end of text. */
static char *spell(const struct vkclip_prompt *prompt, const struct prompt_form *form)
{
    char *text = string_format("%s", "");
    for (size_t i = 0; i < (size_t)prompt->chunks * prompt->length; i++) {
        const struct vkclip_prompt_place *place = &prompt->places[i];
        char *longer = NULL;
        if (i && place->id == START)
            longer = string_format("%s| ", text);
        else if (place->embedding >= 0)
            longer = string_format("%s%s%u ", text, form->embeddings[place->embedding].name,
                                   place->vector);
        else if (place->id != START && place->id != END)
            longer = string_format("%s%d ", text, place->id);
        if (longer) {
            free(text);
            text = longer;
        }
    }
    return text;
}

static void assert_places(const char *text, enum vkclip_syntax syntax,
                          const struct prompt_form *form, const char *expected)
{
    struct vkclip_prompt prompt;
    encode(text, syntax, form, &prompt);
    char *found = spell(&prompt, form);
    if (strcmp(found, expected))
        fail_msg("%s: expected %s, found %s", text, expected, found);
    free(found);
    prompt_free(&prompt);
}

/* 320 is "a", 66 536 is "cat", 267 is ",". */
static void names(void **state)
{
    static const struct vkclip_embedding embeddings[] = {{"cat", 2}, {"cat a", 1}, {"<Cat>", 1}};
    static const struct {
        enum vkclip_syntax syntax;
        const char *text, *places;
    } cases[] = {
        {VKCLIP_SYNTAX_A1111, "a cat a", "320 cat a0 "}, /* The longest name is found. */
        {VKCLIP_SYNTAX_A1111, "cat (a)", "cat0 cat1 320 "},
        {VKCLIP_SYNTAX_A1111, "embedding:cat BREAK", "908 571 67 796 281 cat0 cat1 "},
        {VKCLIP_SYNTAX_A1111, "BREAK a", "| 320 "},
        {VKCLIP_SYNTAX_A1111_NONE, "a BREAK a", "320 887 64 330 320 "},
        {VKCLIP_SYNTAX_NONE, "a CAT, a", "320 cat0 cat1 267 320 "},
        {VKCLIP_SYNTAX_NONE, "a acat, cata a<cat>a", "320 546 536 267 66 527 320 320 <Cat>0 320 "},
        {VKCLIP_SYNTAX_COMFY, "cat embedding:cat", "66 536 cat0 cat1 "},
        {VKCLIP_SYNTAX_COMFY, "embedding:cat.pt,, a", "cat0 cat1 11 267 320 "},
        {VKCLIP_SYNTAX_COMFY, " embedding:cat  a\n a", "cat0 cat1 320 320 "},
        {VKCLIP_SYNTAX_COMFY, "\nembedding:dog, a embedding: ", "267 320 "},
        {VKCLIP_SYNTAX_COMFY, "(embedding:cat:1.2) embedding:cat:1", "cat0 cat1 "},
    };
    struct prompt_form form = form_of(state);
    form.embeddings = embeddings;
    form.embedding_count = ARRAY_COUNT(embeddings);
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++)
        assert_places(cases[i].text, cases[i].syntax, &form, cases[i].places);
}

/* Vectors that follow the last comma of a full chunk move with it. */
static void moved_vectors(void **state)
{
    char text[512] = "";
    struct prompt_form form = form_of(state);
    struct vkclip_prompt prompt;
    for (int i = 0; i < 30; i++)
        strcat(text, "cat ");
    strcat(text, ", bad-hands cat cat cat cat cat cat cat");
    form.embeddings = EMBEDDINGS;
    form.embedding_count = ARRAY_COUNT(EMBEDDINGS);
    encode(text, VKCLIP_SYNTAX_A1111, &form, &prompt);
    assert_int_equal(prompt.chunks, 2);
    assert_int_equal(prompt.used, 75 + 16);
    for (uint32_t i = 0; i < 2; i++) {
        const struct vkclip_prompt_place *place = &prompt.places[CONTEXT + 1 + i];
        assert_true(place->embedding == 0 && place->vector == i && place->id == 0);
    }
    assert_int_equal(prompt.places[62].id, END);
    prompt_free(&prompt);
}

/* ---- Fills and cuts -------------------------------------------------------------------------- */

/* What follows the first end of text is the fill, in the webui also where the text has one. */
static void fills(void **state)
{
    static const char text[] = "a<|endoftext|>a";
    struct prompt_form form = form_of(state);
    struct vkclip_prompt prompt;
    form.fill = 0;
    encode(text, VKCLIP_SYNTAX_A1111, &form, &prompt);
    assert_true(prompt.places[2].id == END && !prompt.places[3].id && !prompt.places[4].id);
    prompt_free(&prompt);
    encode(text, VKCLIP_SYNTAX_COMFY, &form, &prompt);
    assert_true(prompt.places[3].id == 320 && prompt.places[4].id == END && !prompt.places[5].id);
    prompt_free(&prompt);

    int32_t ids[4];
    prompt_empty(&form, 4, ids);
    assert_memory_equal(ids, ((int32_t[]){START, END, 0, 0}), sizeof(ids));
    form.empty_is_fill = true;
    form.fill = 7;
    prompt_empty(&form, 4, ids);
    assert_memory_equal(ids, ((int32_t[]){7, 7, 7, 7}), sizeof(ids));
}

static void cuts(void **state)
{
    static const struct vkclip_embedding embeddings[] = {{"tiny3", 4}};
    struct prompt_form form = form_of(state);
    struct vkclip_prompt prompt;
    form.length = 6;
    form.embeddings = embeddings;
    form.embedding_count = 1;
    encode("a cat a", VKCLIP_SYNTAX_NONE, &form, &prompt);
    assert_true(prompt.used == 4 && prompt.available == 4 && !prompt.rest);
    prompt_free(&prompt);
    encode("a cat, (tiny3:2) a CAT", VKCLIP_SYNTAX_NONE, &form, &prompt);
    assert_int_equal(prompt.used, 15);
    assert_string_equal(prompt.rest, "( tiny3 : 2 ) a cat");
    assert_true(prompt.places[4].id == 267 && prompt.places[5].id == END);
    prompt_free(&prompt);
    encode("a cat tiny3 a", VKCLIP_SYNTAX_NONE, &form, &prompt);
    assert_string_equal(prompt.rest, "tiny3 a");
    assert_true(prompt.places[4].embedding == 0 && prompt.places[5].embedding == -1);
    prompt_free(&prompt);
    form.strict = true;
    assert_failed(prompt_encode("a cat a cat", 11, VKCLIP_SYNTAX_NONE, &form, &prompt),
                  VKCLIP_ETOOLONG, "clip_l: 6 tokens, expected at most 4; does not fit: 'cat'");
    assert_null(prompt.places);
}

/* A sequence is cut with its weights in the webui, and has no end in ComfyUI. */
static void sequences(void **state)
{
    struct prompt_form form = form_of(state);
    struct vkclip_prompt prompt;
    form.length = 6;
    form.sequence = true;
    encode("(a cat:2) BREAK a cat", VKCLIP_SYNTAX_A1111, &form, &prompt);
    assert_true(prompt.chunks == 1 && prompt.length == 6 && prompt.used == 6);
    assert_true(prompt.weighting == VKCLIP_WEIGHTING_NONE && prompt.places[4].id == 320);
    assert_string_equal(prompt.rest, "cat");
    prompt_free(&prompt);
    encode("(a cat:2) a cat", VKCLIP_SYNTAX_COMFY, &form, &prompt);
    assert_true(prompt.chunks == 1 && prompt.length == 8 &&
                prompt.weighting == VKCLIP_WEIGHTING_INTERPOLATE);
    assert_true(prompt.used == 6 && prompt.available == 6 && prompt.places[7].id == END);
    prompt_free(&prompt);
    encode("a", VKCLIP_SYNTAX_COMFY, &form, &prompt);
    assert_true(prompt.length == 6 && prompt.used == 1 &&
                prompt.weighting == VKCLIP_WEIGHTING_NONE);
    prompt_free(&prompt);
}

/* ---- What is refused ------------------------------------------------------------------------- */

static void refused(void **state)
{
    static const struct vkclip_embedding large[] = {{"cat", 76}}, none[] = {{"cat", 0}};
    struct prompt_form form = form_of(state);
    struct vkclip_prompt prompt;
    struct prompt_pieces pieces;
    char *text = calloc(1, PROMPT_LIMIT + 2);
    assert_non_null(text);
    assert_failed(prompt_encode("(a:1.2.3)", 9, VKCLIP_SYNTAX_A1111, &form, &prompt),
                  VKCLIP_EINVALID, "clip_l: weight '1.2.3' is not a number");
    assert_failed(prompt_encode("a (cat:nan)", 11, VKCLIP_SYNTAX_COMFY, &form, &prompt),
                  VKCLIP_EINVALID, "clip_l: weight of 'cat' is not finite");
    assert_failed(prompt_encode("a", 1, (enum vkclip_syntax)99, &form, &prompt), VKCLIP_EINVALID,
                  "clip_l: syntax 99, expected 0 to 5");
    memset(text, '(', 1000);
    memset(text + 1000, ')', 1000);
    assert_failed(prompt_parse("prompt", text, 2000, VKCLIP_SYNTAX_COMFY, &pieces), VKCLIP_EINVALID,
                  "prompt: brackets in more than 900 levels");
    memset(text, 'a', PROMPT_LIMIT + 1);
    assert_failed(prompt_encode(text, PROMPT_LIMIT + 1, VKCLIP_SYNTAX_NONE, &form, &prompt),
                  VKCLIP_EINVALID, "prompt of 65537 bytes, expected at most 65536");
    form.embeddings = large;
    form.embedding_count = 1;
    assert_failed(prompt_encode("cat", 3, VKCLIP_SYNTAX_A1111, &form, &prompt), VKCLIP_EINVALID,
                  "clip_l: embedding cat has 76 vectors, but a chunk has 75");
    form.embeddings = none;
    assert_failed(prompt_encode("cat", 3, VKCLIP_SYNTAX_A1111, &form, &prompt), VKCLIP_EINVALID,
                  "clip_l: embedding cat of 0 vectors");
    form.embeddings = EMBEDDINGS;
    form.strict = true;
    assert_failed(prompt_encode("embedding:dog", 13, VKCLIP_SYNTAX_COMFY, &form, &prompt),
                  VKCLIP_EABSENT, "clip_l: embedding:dog is not among the 1 embeddings");
    form.length = 20;
    assert_failed(prompt_encode("a", 1, VKCLIP_SYNTAX_COMFY, &form, &prompt), VKCLIP_EINVALID,
                  "clip_l: prompt of 20 places, expected at least 24");
    form.sequence = true;
    form.length = PROMPT_PLACES + 1;
    assert_failed(prompt_encode("a", 1, VKCLIP_SYNTAX_COMFY, &form, &prompt), VKCLIP_EINVALID,
                  "clip_l: prompt of more than 1048576 places");
    free(text);
}

/* ---- Weights --------------------------------------------------------------------------------- */

/* Two rows of two, of which the second has the weight 3. */
static void weights(void **state)
{
    struct vkclip_prompt_place places[] = {{0, -1, 0, false, 1}, {0, -1, 0, false, 3}};
    struct vkclip_prompt prompt = {.places = places, .chunks = 1, .length = 2};
    static const float empty[] = {5, 5, 1, 1}, rows[] = {1, 2, 3, 4};
    static const float expected[][4] = {
        [VKCLIP_WEIGHTING_NONE] = {1, 2, 3, 4},
        [VKCLIP_WEIGHTING_MULTIPLY] = {1, 2, 9, 12},
        [VKCLIP_WEIGHTING_RENORMALISE] = {10 / 24.f, 20 / 24.f, 90 / 24.f, 5},
        [VKCLIP_WEIGHTING_INTERPOLATE] = {1, 2, 7, 10}};
    (void)state;
    for (size_t i = 0; i < ARRAY_COUNT(expected); i++) {
        float found[4];
        memcpy(found, rows, sizeof(rows));
        prompt.weighting = (enum vkclip_weighting)i;
        prompt_weigh(&prompt, 0, 2, empty, found);
        for (int k = 0; k < 4; k++)
            assert_float_equal(found[k], expected[i][k], 1e-6);
    }
    /* The mean is 0 after multiplying, so that there is no factor. */
    float zero[] = {-3, 0, 1, 0};
    prompt.weighting = VKCLIP_WEIGHTING_RENORMALISE;
    prompt_weigh(&prompt, 0, 2, NULL, zero);
    assert_float_equal(zero[0], -3, 0);
}

static float *read_rows(const char *file, const char *tensor)
{
    char *name = scratch_path(FOLDER, file), *path = golden_path(name);
    struct safetensors *opened = NULL;
    float *rows = NULL;
    if (path) {
        assert_int_equal(safetensors_open(path, &opened), 0);
        const struct tensor_view *view = safetensors_find(opened, tensor);
        assert_non_null(view);
        rows = calloc(tensor_view_elements(view), sizeof(*rows));
        assert_int_equal(tensor_view_read(view, 0, tensor_view_elements(view), rows), 0);
    } else {
        print_message("skipped: reference data %s is not here\n", name);
    }
    safetensors_close(&opened);
    free(path);
    free(name);
    return rows;
}

/* Each text has the same tokens, so that the encoder's rows are those of the case without weights.
 */
static void reference_weights(void **state)
{
    enum { WIDTH = 64 };
    static const struct {
        const char *file, *tensor, *text;
        enum vkclip_syntax syntax;
    } cases[] = {
        {"a1111_sd1.safetensors", "0.cond", "a (red:1.4) cat, [blurry], ((castle))",
         VKCLIP_SYNTAX_A1111},
        {"a1111_sd1.safetensors", "5.cond", "a (red:1.4) cat, [blurry], ((castle))",
         VKCLIP_SYNTAX_A1111_NO_NORM},
        {"comfyui_sd1.safetensors", "0.cond", "a (red:1.4) cat, (blurry:0.3), ((castle))",
         VKCLIP_SYNTAX_COMFY},
    };
    const struct prompt_form form = form_of(state);
    float *plain = read_rows("a1111_sd1.safetensors", "7.cond");
    float *empty = read_rows("comfyui_sd1.safetensors", "2.cond");
    for (size_t i = 0; plain && empty && i < ARRAY_COUNT(cases); i++) {
        float *expected = read_rows(cases[i].file, cases[i].tensor);
        float rows[CONTEXT * WIDTH];
        struct vkclip_prompt prompt;
        memcpy(rows, plain, sizeof(rows));
        encode(cases[i].text, cases[i].syntax, &form, &prompt);
        prompt_weigh(&prompt, 0, WIDTH, empty, rows);
        for (size_t k = 0; k < ARRAY_COUNT(rows); k++)
            assert_float_equal(rows[k], expected[k], 4e-6);
        prompt_free(&prompt);
        free(expected);
    }
    free(plain);
    free(empty);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parsers),
        cmocka_unit_test(numbers),
        cmocka_unit_test(chunks),
        cmocka_unit_test(references),
        cmocka_unit_test(t5_references),
        cmocka_unit_test(names),
        cmocka_unit_test(moved_vectors),
        cmocka_unit_test(fills),
        cmocka_unit_test(cuts),
        cmocka_unit_test(sequences),
        cmocka_unit_test(refused),
        cmocka_unit_test(weights),
        cmocka_unit_test(reference_weights),
    };
    return cmocka_run_group_tests_name("prompt", tests, open_vocabulary, close_vocabulary);
}
