/* SPDX-License-Identifier: MIT
 *
 * Everything the command writes: error lines, the progress bar, JSON, and text for terminals.
 */
#ifndef VKCLIP_CLI_PRINT_H
#define VKCLIP_CLI_PRINT_H

#include <jansson.h>
#include <stdio.h>

#include "base/error.h"
#include "cli/table.h"

/* ---- Lines on standard error ------------------------------------------------------------------ */

/* Prints "vkclip: message" and returns `status`. */
int cli_fail(int status, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints "vkclip: out of memory" and returns CLI_FAILED. */
int cli_fail_memory(void);
/* Prints a message that ends with "see 'vkclip COMMAND --help'" and returns CLI_USAGE. */
int cli_fail_usage(const struct cli_session *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints the message about one input and counts the input as failed. */
void cli_fail_input(struct cli_session *session, const char *format, ...) PRINTF_LIKE(2, 3);
/* Prints "vkclip: message" about something that is no failure. */
void cli_say(const char *format, ...) PRINTF_LIKE(1, 2);
/* Prints "vkclip: PREFIX SUBJECT MESSAGE", each with its own separators. */
void cli_print_line(const char *prefix, const char *subject, const char *message);

/* Tells whether this build has a part or library, given its word in vkclip_get_build. */
bool cli_has(const char *word);

/* ---- Progress --------------------------------------------------------------------------------- */

/* Starts a bar on standard error for items, of which `done` counts up to `total`. The bar appears
 * when the items have taken a second. Where standard error is no terminal, there is a line per
 * minute instead, if the items have a note. */
void cli_start_progress(const struct cli_session *session, size_t done, size_t total);
/* Starts a bar for a file of `total` MiB, of which `done` are there already. */
void cli_start_download(const struct cli_session *session, const char *name, size_t done,
                        size_t total);
/* Draws the bar; `note` follows the numbers. */
void cli_show_progress(size_t done, const char *note);
/* Is a vkclip_progress_fn that draws the bar. */
int cli_show_count(void *user, uint64_t done, uint64_t total);
/* Shows a message in the bar's place, for work of a second or two that has no bar. */
void cli_show_wait(const struct cli_session *session, const char *message);
void cli_clear_progress(void);

/* ---- Results ---------------------------------------------------------------------------------- */

/* Makes a JSON string of any bytes; those that are not UTF-8 become U+FFFD. */
json_t *cli_json_text(const char *text, size_t length);
/* Makes an object with a name of any bytes. Where these are not UTF-8, KEY_bytes has them in
 * base64, so that the name can be found again: {"path":"\ufffd.png","path_bytes":"/y5wbmc="}. */
json_t *cli_json_name(const char *key, const char *name, size_t length);
/* Adds a name of any bytes to a list of strings. Where it is not UTF-8, the object `bytes` gets it
 * in base64 by its place in the list: {"2":"/y5wbmc="}. */
void cli_json_add_name(json_t *names, json_t *bytes, const char *name, size_t length);
/* Adds a member to an object that may be NULL, and releases `value`; returns the object, or NULL if
 * it could not be built. */
json_t *cli_json_with(json_t *object, const char *key, json_t *value);
/* Makes a JSON list of the words of a text, which spaces separate. */
json_t *cli_json_words(const char *text);
/* Makes a JSON string of a device's version of Vulkan: "1.3.250". */
json_t *cli_json_api(const struct vkclip_device_info *info);
json_t *cli_json_floats(const float *values, size_t count);
/* Makes an object of the recall at 1, 5 and 10. */
json_t *cli_json_recall(const double percents[3]);
/* Prints one line and releases `json`. False: it could not be built or written. */
bool cli_print_json(json_t *json, FILE *file);
/* Reads a file of JSON; NULL, with the reason in error->text, if that fails. */
json_t *cli_load_json(const char *path, json_error_t *error);
/* Tells whether standard output is read by a person. */
bool cli_prints_to_terminal(void);
/* Tells whether standard error is. */
bool cli_reports_to_terminal(void);
/* Prints a text for a person: without control characters, filled up to `columns` of a terminal. */
void cli_print_text(const char *text, int columns);
int cli_text_columns(const char *text);

#endif
