/* SPDX-License-Identifier: MIT
 *
 * The file is read in two passes, of which the first counts the pieces. Groups, which protobuf has
 * given up, and models that put the space behind a word or leave spaces as they are, are refused.
 */
#include "format/sentencepiece.h"
#include "base/memory.h"

#include <math.h>
#include <string.h>

/* ---- Protobuf -------------------------------------------------------------------------------- */

struct message {
    const uint8_t *next, *end;
};

/* Either `value` or `bytes` and `size` are set, as the field's wire type says. */
struct field {
    uint32_t number;
    uint64_t value;
    const uint8_t *bytes; /* NULL: the field is a number */
    size_t size;
};

static bool take_varint(struct message *message, uint64_t *value)
{
    *value = 0;
    for (int shift = 0; shift < 64 && message->next < message->end; shift += 7) {
        const uint8_t byte = *message->next++;
        *value |= (uint64_t)(byte & 0x7F) << shift;
        if (byte < 0x80)
            return true;
    }
    return false;
}

/* Takes a number of `size` bytes, the lowest byte first. */
static bool take_fixed(struct message *message, size_t size, uint64_t *value)
{
    *value = 0;
    if ((size_t)(message->end - message->next) < size)
        return false;
    for (size_t i = 0; i < size; i++)
        *value |= (uint64_t)*message->next++ << 8 * i;
    return true;
}

static bool take_bytes(struct message *message, struct field *field)
{
    uint64_t size;
    if (!take_varint(message, &size) || size > (size_t)(message->end - message->next))
        return false;
    field->bytes = message->next;
    field->size = (size_t)size;
    message->next += size;
    return true;
}

/* Takes the next field. Returns false if it is malformed or cut off. */
static bool take_field(struct message *message, struct field *field)
{
    uint64_t tag;
    *field = (struct field){0};
    if (!take_varint(message, &tag) || !(tag >> 3) || tag >> 3 > UINT32_MAX)
        return false;
    field->number = (uint32_t)(tag >> 3);
    switch (tag & 7) {
    case 0:
        return take_varint(message, &field->value);
    case 1:
        return take_fixed(message, 8, &field->value);
    case 2:
        return take_bytes(message, field);
    case 5:
        return take_fixed(message, 4, &field->value);
    default:
        return false;
    }
}

/* Returns the message in a field, which is empty if the field is a number. */
static struct message submessage(const struct field *field)
{
    return (struct message){field->bytes, field->bytes ? field->bytes + field->size : NULL};
}

/* ---- The three messages in a model ----------------------------------------------------------- */

enum { MODEL_PIECE = 1, MODEL_TRAINER, MODEL_NORMALIZER };

/* Keeps what is needed while a file is read. */
struct reader {
    struct sentencepiece *model;
    const char *name;
    struct field end, pad; /* the texts of the pieces */
};

static int malformed(const struct reader *reader, const char *what)
{
    return error_fail(VKCLIP_EFORMAT, "%s: %s is malformed or cut off: not a SentencePiece model",
                      reader->name, what);
}

static int read_piece(struct reader *reader, const struct field *source)
{
    struct sentencepiece *model = reader->model;
    struct sentencepiece_piece piece = {.kind = SENTENCEPIECE_NORMAL};
    struct message message = submessage(source);
    struct field field;
    float score = 0;
    while (message.next < message.end) {
        if (!take_field(&message, &field))
            return malformed(reader, "a piece");
        if (field.number == 1 && field.size <= SENTENCEPIECE_PIECE_SIZE) {
            piece.text = (const char *)field.bytes;
            piece.length = (uint32_t)field.size;
        } else if (field.number == 2) {
            const uint32_t bits = (uint32_t)field.value;
            memcpy(&score, &bits, sizeof(score));
        } else if (field.number == 3) {
            piece.kind =
                field.value > SENTENCEPIECE_BYTE ? 0 : (enum sentencepiece_kind)field.value;
        }
    }
    piece.score = score;
    if (!piece.length || !piece.kind || !isfinite(score))
        return error_fail(VKCLIP_EFORMAT,
                          "%s: piece %zu: expected a text of 1 to %d bytes, a finite score and a "
                          "type from 1 to 6",
                          reader->name, model->count, SENTENCEPIECE_PIECE_SIZE);
    if (piece.kind == SENTENCEPIECE_UNKNOWN && model->unknown >= 0)
        return error_fail(VKCLIP_EFORMAT, "%s: pieces %d and %zu both mean unknown characters",
                          reader->name, model->unknown, model->count);
    if (piece.kind == SENTENCEPIECE_UNKNOWN)
        model->unknown = (int32_t)model->count;
    model->pieces[model->count++] = piece;
    return VKCLIP_OK;
}

static int read_trainer(struct reader *reader, const struct field *source)
{
    struct message message = submessage(source);
    struct field field;
    while (message.next < message.end) {
        if (!take_field(&message, &field))
            return malformed(reader, "the training specification");
        if (field.number == 3)
            reader->model->algorithm = (enum sentencepiece_algorithm)field.value;
        else if (field.number == 24 && field.value)
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: spaces stand behind words (treat_whitespace_as_suffix), "
                              "expected before them",
                              reader->name);
        else if (field.number == 35)
            reader->model->byte_fallback = field.value;
        else if (field.number == 47)
            reader->end = field;
        else if (field.number == 48)
            reader->pad = field;
    }
    return VKCLIP_OK;
}

static int read_normalizer(struct reader *reader, const struct field *source)
{
    struct sentencepiece *model = reader->model;
    struct message message = submessage(source);
    struct field field;
    while (message.next < message.end) {
        if (!take_field(&message, &field))
            return malformed(reader, "the normaliser's specification");
        if (field.number == 2 && field.size) {
            model->charsmap = field.bytes;
            model->charsmap_size = field.size;
        } else if (field.number == 3) {
            model->prefix_space = field.value;
        } else if (field.number == 4) {
            model->remove_spaces = field.value;
        } else if (field.number == 5 && !field.value) {
            return error_fail(VKCLIP_EUNSUPPORTED,
                              "%s: spaces stay spaces (escape_whitespaces is false), expected "
                              "U+2581 in their place",
                              reader->name);
        }
    }
    return VKCLIP_OK;
}

/* ---- The file -------------------------------------------------------------------------------- */

static int count_pieces(const struct reader *reader, struct message message, size_t *count)
{
    struct field field;
    while (message.next < message.end) {
        if (!take_field(&message, &field))
            return malformed(reader, "a field");
        *count += field.number == MODEL_PIECE;
    }
    if (!*count || *count > SENTENCEPIECE_PIECES)
        return error_fail(VKCLIP_EFORMAT, "%s: %zu pieces, expected 1 to %d", reader->name, *count,
                          SENTENCEPIECE_PIECES);
    return VKCLIP_OK;
}

static int read_fields(struct reader *reader, struct message message)
{
    struct field field;
    int error = VKCLIP_OK;
    while (!error && message.next < message.end && take_field(&message, &field)) {
        if (field.number == MODEL_PIECE)
            error = read_piece(reader, &field);
        else if (field.number == MODEL_TRAINER)
            error = read_trainer(reader, &field);
        else if (field.number == MODEL_NORMALIZER)
            error = read_normalizer(reader, &field);
    }
    return error;
}

/* Returns the id of the control piece of a text, or -1. */
static int32_t find_control(const struct sentencepiece *model, const char *text, size_t length)
{
    for (size_t i = 0; i < model->count; i++) {
        const struct sentencepiece_piece *piece = &model->pieces[i];
        if (piece->kind == SENTENCEPIECE_CONTROL && piece->length == length &&
            !memcmp(piece->text, text, length))
            return (int32_t)i;
    }
    return -1;
}

static int32_t find_named(const struct sentencepiece *model, const struct field *field,
                          const char *otherwise)
{
    if (field->size)
        return find_control(model, (const char *)field->bytes, field->size);
    return find_control(model, otherwise, strlen(otherwise));
}

static int finish(struct reader *reader)
{
    struct sentencepiece *model = reader->model;
    if (model->unknown < 0)
        return error_fail(VKCLIP_EFORMAT, "%s: no piece means unknown characters (type 2)",
                          reader->name);
    model->end = find_named(model, &reader->end, "</s>");
    model->pad = find_named(model, &reader->pad, "<pad>");
    return VKCLIP_OK;
}

bool sentencepiece_is_model(const void *data, size_t size)
{
    struct field field = {.bytes = data, .size = size};
    struct message message = submessage(&field);
    if (!size || !take_field(&message, &field) || field.number != MODEL_PIECE || !field.size)
        return false;
    message = submessage(&field);
    return take_field(&message, &field) && field.number == 1 && field.bytes;
}

int sentencepiece_parse(const void *data, size_t size, const char *name,
                        struct sentencepiece *model)
{
    const struct message message = {data, (const uint8_t *)data + size};
    struct reader reader = {.model = model, .name = name};
    size_t count = 0;
    *model = (struct sentencepiece){.algorithm = SENTENCEPIECE_UNIGRAM,
                                    .prefix_space = true,
                                    .remove_spaces = true,
                                    .unknown = -1};
    int error = count_pieces(&reader, message, &count);
    if (error)
        return error;
    model->pieces = memory_alloc(count * sizeof(*model->pieces));
    if (!model->pieces)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory for %zu pieces", name, count);
    error = read_fields(&reader, message);
    if (!error)
        error = finish(&reader);
    if (error)
        sentencepiece_close(model);
    return error;
}

void sentencepiece_close(struct sentencepiece *model)
{
    memory_free(model->pieces);
    *model = (struct sentencepiece){0};
}

int sentencepiece_byte(const char *text, size_t length)
{
    static const char digits[] = "0123456789ABCDEF";
    if (length != 6 || memcmp(text, "<0x", 3) || text[5] != '>')
        return -1;
    const char *high = memchr(digits, text[3], 16), *low = memchr(digits, text[4], 16);
    return high && low ? (int)(16 * (high - digits) + (low - digits)) : -1;
}
