/* SPDX-License-Identifier: MIT
 *
 * Finds out how the terminal shows pictures. Most terminals say so when they are asked; iTerm2
 * names itself in the environment, as terminals with 24-bit colours do. Names of terminals in TERM
 * are not used, because they do not survive ssh, tmux and new versions.
 */
#include "cli/commands/terminal.h"
#include "base/console.h"
#include "base/environment.h"

#include <stdlib.h>
#include <string.h>

/* The first part asks whether kitty would show a picture of one pixel. The second one asks for the
 * attributes that every terminal has; its answer says that the first one is not coming any more. */
const char terminal_question[] = "\033_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\033\\\033[c";

/* Attributes are "\033[?62;4;22c": numbers after the first one, of which 4 is sixel graphics. */
static bool has_sixel(const char *attributes)
{
    while (*attributes && *attributes != 'c') {
        const size_t length = strspn(attributes, "0123456789");
        if (length == 1 && *attributes == '4')
            return true;
        attributes += length + (attributes[length] == ';');
        if (!length && *attributes != ';')
            return false;
    }
    return false;
}

enum preview_protocol terminal_read_answer(const char *answer, size_t size)
{
    char text[256];
    size = size < sizeof(text) - 1 ? size : sizeof(text) - 1;
    memcpy(text, answer, size);
    text[size] = 0;
    const char *attributes = strstr(text, "\033[?");
    if (strstr(text, "\033_Gi=31;OK"))
        return PREVIEW_KITTY;
    if (attributes && (attributes = strchr(attributes, ';')) && has_sixel(attributes + 1))
        return PREVIEW_SIXEL;
    return PREVIEW_AUTO;
}

static bool variable_is(const char *name, const char *value)
{
    char *found = environment_ask(name);
    const bool same = found && !strcmp(found, value);
    free(found);
    return same;
}

static enum preview_protocol choose_blocks(void)
{
    if (variable_is("COLORTERM", "truecolor") || variable_is("COLORTERM", "24bit"))
        return PREVIEW_BLOCKS;
    return PREVIEW_BLOCKS_256;
}

/* The attributes, which come last, end with c. */
static enum preview_protocol ask_terminal(void)
{
    char answer[256];
    return terminal_read_answer(answer,
                                console_ask(terminal_question, 'c', answer, sizeof(answer)));
}

/* Returns whether standard output is a terminal. */
static bool find_size(struct preview_screen *screen)
{
    struct console_size size;
    const bool is_terminal = console_find_size(&size);
    if (size.columns && size.rows) {
        screen->columns = size.columns;
        if (size.width >= size.columns && size.height >= size.rows) {
            screen->cell_width = size.width / size.columns;
            screen->cell_height = size.height / size.rows;
        }
    }
    return is_terminal;
}

void terminal_find(struct preview_screen *screen)
{
    screen->columns = 80;
    screen->cell_width = 10; /* what xterm and most others assume where the size is unknown */
    screen->cell_height = 20;
    const bool is_terminal = find_size(screen);
    if (screen->protocol != PREVIEW_AUTO)
        return;
    if (is_terminal &&
        (variable_is("TERM_PROGRAM", "iTerm.app") || variable_is("LC_TERMINAL", "iTerm2")))
        screen->protocol = PREVIEW_ITERM;
    else if (is_terminal)
        screen->protocol = ask_terminal();
    if (screen->protocol == PREVIEW_AUTO)
        screen->protocol = choose_blocks();
}
