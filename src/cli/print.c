/* SPDX-License-Identifier: MIT
 *
 * Everything the command writes: error lines, the progress bar, JSON, and text for terminals. Text
 * for a person has no control characters, whatever file names and texts contain.
 */
#include "base/base64.h"
#include "base/clock.h"
#include "base/console.h"
#include "base/file.h"
#include "base/string.h"
#include "cli/print.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

/* There is one terminal, and so there is one bar. */
static struct {
    bool enabled, visible;
    bool lines;          /* there is no terminal: a line per minute takes the place of the bar */
    size_t first, total; /* done at the start, and at the end */
    const char *name, *unit;
    double started, drawn;
} progress;

void cli_start_progress(const struct cli_session *session, size_t done, size_t total)
{
    cli_clear_progress();
    progress.lines = !session->common.quiet && !cli_reports_to_terminal();
    progress.enabled = !session->common.quiet && !progress.lines;
    progress.first = done;
    progress.total = total;
    progress.name = progress.unit = "";
    progress.started = progress.drawn = clock_seconds();
}

void cli_start_download(const struct cli_session *session, const char *name, size_t done,
                        size_t total)
{
    cli_start_progress(session, done, total);
    progress.name = name;
    progress.unit = " MiB";
}

/* Writes a time as "50 s" or "1 h 05 min". */
static void format_time(double time, char text[32])
{
    const unsigned long minutes = (unsigned long)(time / 60 + 0.5);
    if (time < 120)
        snprintf(text, 32, "%.0f s", time);
    else if (minutes < 60)
        snprintf(text, 32, "%lu min", minutes);
    else
        snprintf(text, 32, "%lu h %02lu min", minutes / 60, minutes % 60);
}

void cli_show_progress(size_t done, const char *note)
{
    enum { CELLS = 30 };
    char bar[CELLS + 1] = {0}, left[32];
    const bool lines = progress.lines && *note;
    double now = progress.enabled || lines ? clock_seconds() : 0;
    if (now - progress.started < 1 || now - progress.drawn < (lines ? 60 : 0.1) ||
        done <= progress.first || done > progress.total)
        return;
    format_time((now - progress.started) * (double)(progress.total - done) /
                    (double)(done - progress.first),
                left);
    progress.drawn = now;
    if (lines) {
        cli_say("%zu/%zu%s, %s left", done, progress.total, note, left);
        return;
    }
    int filled = (int)(CELLS * done / progress.total);
    memset(bar, '-', CELLS);
    memset(bar, '#', (size_t)filled);
    fprintf(stderr, "\r%s%s[%s] %zu/%zu%s%s, %s left\033[K", progress.name,
            *progress.name ? " " : "", bar, done, progress.total, progress.unit, note, left);
    fflush(stderr);
    progress.visible = true;
}

int cli_show_count(void *user, uint64_t done, uint64_t total)
{
    (void)user;
    (void)total;
    cli_show_progress((size_t)done, "");
    return 0;
}

void cli_clear_progress(void)
{
    if (progress.visible)
        fputs("\r\033[K", stderr);
    progress.visible = false;
}

/* Reads one code point, which takes at least a byte; bytes that are not UTF-8 become U+FFFD. */
static size_t next_code_point(const char *text, size_t length, utf8proc_int32_t *code)
{
    utf8proc_ssize_t size =
        utf8proc_iterate((const utf8proc_uint8_t *)text, (utf8proc_ssize_t)length, code);
    if (size <= 0) {
        *code = 0xfffd;
        size = 1;
    }
    return (size_t)size;
}

/* Copies text as UTF-8, without control characters unless `controls`. `clean` has room for three
 * times the length, because each wrong byte becomes three. Returns the bytes written. */
static size_t clean_text(const char *text, size_t length, bool controls, char *clean)
{
    size_t size = 0;
    while (length) {
        utf8proc_int32_t code;
        size_t step = next_code_point(text, length, &code);
        if (!controls && (code < 32 || (code >= 127 && code < 160)))
            code = '?';
        size += (size_t)utf8proc_encode_char(code, (utf8proc_uint8_t *)clean + size);
        text += step;
        length -= step;
    }
    return size;
}

static char *clean_line(const char *text)
{
    size_t length = strlen(text);
    char *clean = length < SIZE_MAX / 3 ? malloc(3 * length + 1) : NULL;
    if (clean)
        clean[clean_text(text, length, false, clean)] = 0;
    return clean;
}

void cli_print_line(const char *prefix, const char *subject, const char *message)
{
    char *line = string_format("%s%s%s", prefix, subject, message),
         *clean = line ? clean_line(line) : NULL;
    cli_clear_progress();
    fprintf(stderr, "vkclip: %s\n", clean ? clean : "out of memory");
    free(clean);
    free(line);
}

static void print_error(const char *suffix, const char *format, va_list args)
{
    char message[4096];
    int length = vsnprintf(message, sizeof(message), format, args);
    if (length >= 0 && (size_t)length < sizeof(message))
        snprintf(message + length, sizeof(message) - (size_t)length, "%s", suffix);
    cli_print_line("", "", message);
}

void cli_say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_error("", format, args);
    va_end(args);
}

int cli_fail(int status, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_error("", format, args);
    va_end(args);
    return status;
}

int cli_fail_memory(void)
{
    return cli_fail(CLI_FAILED, "out of memory");
}

int cli_fail_usage(const struct cli_session *session, const char *format, ...)
{
    char suffix[64];
    snprintf(suffix, sizeof(suffix), "; see 'vkclip %s --help'", session->command->name);
    va_list args;
    va_start(args, format);
    print_error(suffix, format, args);
    va_end(args);
    return CLI_USAGE;
}

void cli_fail_input(struct cli_session *session, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    print_error("", format, args);
    va_end(args);
    session->failures++;
}

void cli_show_wait(const struct cli_session *session, const char *message)
{
    cli_clear_progress();
    if (session->common.quiet || !cli_reports_to_terminal())
        return;
    fprintf(stderr, "\r%s\033[K", message);
    fflush(stderr);
    progress.visible = true;
}

json_t *cli_json_text(const char *text, size_t length)
{
    json_t *json = json_stringn(text, length);
    char *clean = json || length >= SIZE_MAX / 3 ? NULL : malloc(3 * length + 1);
    if (clean)
        json = json_stringn(clean, clean_text(text, length, true, clean));
    free(clean);
    return json;
}

json_t *cli_json_with(json_t *object, const char *key, json_t *value)
{
    if (!object || !value || json_object_set_new(object, key, value)) {
        if (!object)
            json_decref(value);
        json_decref(object);
        return NULL;
    }
    return object;
}

json_t *cli_json_name(const char *key, const char *name, size_t length)
{
    json_t *text = json_stringn(name, length), *object = json_object();
    if (text)
        return cli_json_with(object, key, text);
    char *encoded = base64_encode(name, length), *bytes_key = string_format("%s_bytes", key);
    object = cli_json_with(object, key, cli_json_text(name, length));
    if (encoded && bytes_key)
        object = cli_json_with(object, bytes_key, json_string(encoded));
    free(bytes_key);
    free(encoded);
    return object;
}

void cli_json_add_name(json_t *names, json_t *bytes, const char *name, size_t length)
{
    json_t *text = json_stringn(name, length);
    char place[32], *encoded = text ? NULL : base64_encode(name, length);
    snprintf(place, sizeof(place), "%zu", json_array_size(names));
    if (encoded)
        json_object_set_new(bytes, place, json_string(encoded));
    json_array_append_new(names, text ? text : cli_json_text(name, length));
    free(encoded);
}

json_t *cli_json_words(const char *text)
{
    json_t *array = json_array();
    while (array && *text) {
        size_t length = strcspn(text, " ");
        if (length)
            json_array_append_new(array, cli_json_text(text, length));
        text += length + (text[length] == ' ');
    }
    return array;
}

json_t *cli_json_api(const struct vkclip_device_info *info)
{
    return json_sprintf("%u.%u.%u", info->api_version[0], info->api_version[1],
                        info->api_version[2]);
}

json_t *cli_json_floats(const float *values, size_t count)
{
    json_t *array = json_array();
    for (size_t i = 0; array && i < count; i++)
        if (json_array_append_new(array, json_real((double)values[i]))) {
            json_decref(array);
            array = NULL;
        }
    return array;
}

json_t *cli_json_recall(const double percents[3])
{
    return json_pack("{sf sf sf}", "recall@1", percents[0], "recall@5", percents[1], "recall@10",
                     percents[2]);
}

bool cli_print_json(json_t *json, FILE *file)
{
    /* Nine digits are enough to tell all fp32 values apart. */
    bool good = json && !json_dumpf(json, file, JSON_COMPACT | JSON_REAL_PRECISION(9)) &&
                putc('\n', file) != EOF;
    json_decref(json);
    return good;
}

json_t *cli_load_json(const char *path, json_error_t *error)
{
    FILE *file = file_stream(path, "rb");
    if (!file) {
        snprintf(error->text, sizeof(error->text), "%s", strerror(errno));
        return NULL;
    }
    json_t *json = json_loadf(file, 0, error);
    fclose(file);
    return json;
}

bool cli_prints_to_terminal(void)
{
    return console_is_terminal(1);
}

bool cli_reports_to_terminal(void)
{
    return console_is_terminal(2);
}

int cli_text_columns(const char *text)
{
    int columns = 0;
    for (size_t length = strlen(text); length;) {
        utf8proc_int32_t code;
        size_t step = next_code_point(text, length, &code);
        columns += code < 32 || (code >= 127 && code < 160) ? 1 : utf8proc_charwidth(code);
        text += step;
        length -= step;
    }
    return columns;
}

void cli_print_text(const char *text, int columns)
{
    char *clean = clean_line(text);
    int missing = columns - cli_text_columns(text);
    printf("%s%*s", clean ? clean : "", missing > 0 ? missing : 0, "");
    free(clean);
}

bool cli_has(const char *word)
{
    const size_t length = strlen(word);
    for (const char *found = vkclip_get_build(); (found = strstr(found, word)); found += length)
        if ((found == vkclip_get_build() || found[-1] == ' ') &&
            (!found[length] || found[length] == ' '))
            return true;
    return false;
}
