/* SPDX-License-Identifier: MIT
 *
 * Pictures in a terminal: the bytes that make kitty, iTerm2 and terminals with sixel graphics show
 * pixels, and blocks of colour for all others. Knows nothing of which terminal there is; that is in
 * terminal.h.
 */
#ifndef VKCLIP_CLI_COMMANDS_PREVIEW_H
#define VKCLIP_CLI_COMMANDS_PREVIEW_H

#include <stdio.h>

#include "vkclip.h"

enum preview_protocol {
    PREVIEW_AUTO,      /* what the terminal answers */
    PREVIEW_KITTY,     /* kitty's graphics protocol, which Ghostty, WezTerm and Konsole have too */
    PREVIEW_ITERM,     /* iTerm2's inline images */
    PREVIEW_SIXEL,     /* DEC's sixel graphics: xterm, foot, mlterm, Windows Terminal, tmux */
    PREVIEW_BLOCKS,    /* half blocks in 24-bit colours */
    PREVIEW_BLOCKS_256 /* half blocks in the 256 colours of older terminals */
};

/* The terminal, as far as a picture's size depends on it. */
struct preview_screen {
    enum preview_protocol protocol;   /* not AUTO */
    uint32_t columns;                 /* of the terminal */
    uint32_t cell_width, cell_height; /* pixels of a character */
};

/* RGB pixels with no gaps between rows. */
struct preview {
    uint8_t *pixels;
    uint32_t width, height;
    uint32_t columns, rows; /* characters that the picture covers */
};

/* Makes a picture smaller (never larger) by averaging areas, so that it covers at most `rows` rows
 * and the screen's columns. Transparent areas become white. False when out of memory. */
bool preview_scale(const struct vkclip_image *image, const struct preview_screen *screen,
                   uint32_t rows, struct preview *preview);
void preview_free(struct preview *preview);

/* Writes the picture; the cursor is at the beginning of the next line afterwards. False: out of
 * memory, or the file cannot be written. */
bool preview_write(const struct preview *preview, enum preview_protocol protocol, FILE *file);

#endif
