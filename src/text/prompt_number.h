/* SPDX-License-Identifier: MIT
 *
 * Reads a number as Python's float() does, in which the webui and ComfyUI are written, whatever the
 * locale of the program is. Only ASCII digits and white space count.
 */
#ifndef VKCLIP_TEXT_PROMPT_NUMBER_H
#define VKCLIP_TEXT_PROMPT_NUMBER_H

#include "vkclip.h"

/* Returns false if the text is no number, or longer than 128 bytes. */
bool prompt_read_number(const char *text, size_t length, double *value);

#endif
