/* SPDX-License-Identifier: MIT
 *
 * Reads texts from a stream. Nothing is read ahead of a text, so that a program which writes texts
 * into a pipe gets its answer to each before it writes the next.
 */
#include "cli/reader.h"
#include "base/file.h"
#include "cli/print.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* A text has fewer bytes: the limit is far beyond any context, and a file that holds no texts is
 * noticed early. */
enum { MAX_TEXT = 1 << 20 };

/* ---- Bytes and characters -------------------------------------------------------------------- */

static int next_byte(struct cli_reader *reader)
{
    if (reader->ahead_count)
        return reader->ahead[--reader->ahead_count];
    return getc(reader->file);
}

static void put_back(struct cli_reader *reader, int byte)
{
    if (byte != EOF)
        reader->ahead[reader->ahead_count++] = (unsigned char)byte;
}

/* Skips a byte-order mark. A mark is read only as far as the bytes are those of one. */
static void find_encoding(struct cli_reader *reader)
{
    const int first = next_byte(reader);
    if (first != 0xef && first != 0xff && first != 0xfe) {
        put_back(reader, first);
        return;
    }
    const int second = next_byte(reader), third = first == 0xef ? next_byte(reader) : EOF;
    if (first == 0xff && second == 0xfe) {
        reader->encoding = CLI_UTF16_LITTLE;
    } else if (first == 0xfe && second == 0xff) {
        reader->encoding = CLI_UTF16_BIG;
    } else if (first != 0xef || second != 0xbb || third != 0xbf) {
        put_back(reader, third);
        put_back(reader, second);
        put_back(reader, first);
    }
}

/* Reads 16 bits, or EOF where the file ends. */
static long next_unit(struct cli_reader *reader)
{
    const int first = getc(reader->file), second = getc(reader->file);
    if (second == EOF)
        return EOF;
    return reader->encoding == CLI_UTF16_BIG ? first << 8 | second : second << 8 | first;
}

/* Reads a character of UTF-16 and gives the first byte of its UTF-8, whose others come next. Half
 * of a surrogate pair becomes U+FFFD. */
static int next_character(struct cli_reader *reader)
{
    long code = next_unit(reader);
    unsigned char utf8[4];
    if (code == EOF)
        return EOF;
    if (code >= 0xd800 && code < 0xdc00) {
        const long low = next_unit(reader);
        code = low >= 0xdc00 && low < 0xe000 ? 0x10000 + (code - 0xd800) * 0x400 + (low - 0xdc00)
                                             : 0xfffd;
    } else if (code >= 0xdc00 && code < 0xe000) {
        code = 0xfffd;
    }
    for (utf8proc_ssize_t i = utf8proc_encode_char((utf8proc_int32_t)code, utf8); i > 0; i--)
        put_back(reader, utf8[i - 1]);
    return next_byte(reader);
}

static int next_utf8(struct cli_reader *reader)
{
    if (reader->encoding == CLI_UTF8 || reader->ahead_count)
        return next_byte(reader);
    return next_character(reader);
}

/* ---- Texts ----------------------------------------------------------------------------------- */

/* Appends one byte, or drops it if the text is too long already. False when out of memory. */
static bool keep_byte(struct cli_reader *reader, int byte)
{
    if (reader->length + 1 >= reader->capacity) {
        size_t capacity = reader->capacity ? 2 * reader->capacity : 256;
        char *text = realloc(reader->text, capacity);
        if (!text)
            return false;
        reader->text = text;
        reader->capacity = capacity;
    }
    reader->text[reader->length] = (char)byte;
    reader->length += reader->length < MAX_TEXT;
    return true;
}

/* Says what is wrong with the first text of a list of lines, or returns NULL. Another kind of file
 * would come out as one long text, or as letters with NULs between them. */
static const char *find_fault(const struct cli_reader *reader, bool ended)
{
    const char *text = reader->text;
    const size_t length = reader->length;
    if (reader->number || reader->delimiter != '\n' || reader->encoding != CLI_UTF8 || length < 4)
        return NULL; /* A later text, texts that end with NUL, or too few bytes to tell. */
    const bool even = text[0] || text[2], odd = text[1] || text[3];
    if (even != odd)
        return "is UTF-16 without a byte-order mark, expected UTF-8";
    if (ended && memchr(text, '\r', length - 1))
        return "has lines that end in CR, expected LF or CR LF";
    return NULL;
}

/* Reads the bytes up to the delimiter or the end of the file. False: there are none, or they cannot
 * be read, which was reported. */
static bool read_bytes(struct cli_session *session, struct cli_reader *reader)
{
    bool any = false, good = true;
    int byte = 0;
    reader->length = 0;
    while (good) {
        byte = next_utf8(reader);
        if (byte == EOF || byte == reader->delimiter)
            break;
        any = true;
        good = keep_byte(reader, byte);
    }
    const char *fault = find_fault(reader, byte == EOF);
    if (!good)
        cli_fail_input(session, "%s: out of memory", reader->name);
    else if (fault)
        cli_fail_input(session, "%s: %s", reader->name, fault);
    if (byte == EOF && ferror(reader->file)) {
        cli_fail_input(session, "%s: %s", reader->name, strerror(errno));
        good = false;
    }
    return good && !fault && (any || byte != EOF);
}

bool cli_read_text(struct cli_session *session, struct cli_reader *reader)
{
    bool good = read_bytes(session, reader);
    reader->number++;
    while (good && reader->length == MAX_TEXT) {
        cli_fail_input(session, "%s: text %zu: expected at most %d bytes", reader->name,
                       reader->number, MAX_TEXT - 1);
        good = read_bytes(session, reader);
        reader->number++;
    }
    if (good && reader->delimiter == '\n' && reader->length &&
        reader->text[reader->length - 1] == '\r')
        reader->length--;
    return good;
}

bool cli_open_reader(struct cli_session *session, struct cli_reader *reader, const char *path,
                     int delimiter)
{
    bool standard = !strcmp(path, "-");
    *reader =
        (struct cli_reader){.name = standard ? "standard input" : path, .delimiter = delimiter};
    reader->file = standard ? stdin : file_stream(path, "rb");
    if (!reader->file) {
        cli_fail_input(session, "%s: %s", path, strerror(errno));
        return false;
    }
    find_encoding(reader);
    return true;
}

void cli_close_reader(struct cli_reader *reader)
{
    if (reader->file && reader->file != stdin)
        fclose(reader->file);
    free(reader->text);
    *reader = (struct cli_reader){0};
}
