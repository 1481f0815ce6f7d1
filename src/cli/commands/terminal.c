/* SPDX-License-Identifier: MIT
 *
 * Finds out how the terminal shows pictures. Most terminals say so when they are asked; iTerm2
 * names itself in the environment, as terminals with 24-bit colours do. Names of terminals in TERM
 * are not used, because they do not survive ssh, tmux and new versions.
 */
#ifndef _WIN32
#define _DEFAULT_SOURCE
#endif
#include "cli/commands/terminal.h"
#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#ifndef _WIN32
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#endif

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
    const char *found = getenv(name);
    return found && !strcmp(found, value);
}

static enum preview_protocol choose_blocks(void)
{
    if (variable_is("COLORTERM", "truecolor") || variable_is("COLORTERM", "24bit"))
        return PREVIEW_BLOCKS;
    return PREVIEW_BLOCKS_256;
}

#ifndef _WIN32
/* Reads until the attributes have come, which end with c, or nothing comes any more. */
static size_t read_answer(int terminal, char *answer, size_t capacity)
{
    enum { WAIT = 200 }; /* milliseconds: longer than a good network needs */
    struct pollfd poll_terminal = {.fd = terminal, .events = POLLIN};
    size_t size = 0;
    while (size < capacity && poll(&poll_terminal, 1, WAIT) > 0) {
        const ssize_t count = read(terminal, answer + size, capacity - size);
        if (count <= 0)
            break;
        size += (size_t)count;
        if (answer[size - 1] == 'c')
            break;
    }
    return size;
}

/* The signals that end or stop a process whose terminal has no echo. */
static const int signals[] = {SIGINT, SIGQUIT, SIGTERM, SIGHUP, SIGTSTP};

/* What the handler of these signals restores. */
static struct {
    int terminal;
    struct termios before;
} asked;

/* Gives the terminal its echo back before the signal does what it does without a handler. */
static void restore_echo(int number)
{
    tcsetattr(asked.terminal, TCSANOW, &asked.before);
    signal(number, SIG_DFL);
    raise(number);
}

/* Asks without echo, so that the answer does not appear on the screen. */
static enum preview_protocol ask_quietly(int terminal)
{
    char answer[256];
    struct sigaction before[ARRAY_COUNT(signals)];
    const struct sigaction restore = {.sa_handler = restore_echo};
    struct termios quiet = asked.before;
    enum preview_protocol protocol = PREVIEW_AUTO;
    quiet.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        if (!sigaction(signals[i], NULL, &before[i]) && before[i].sa_handler == SIG_DFL)
            sigaction(signals[i], &restore, NULL);
    tcsetattr(terminal, TCSAFLUSH, &quiet);
    const ssize_t size = (ssize_t)strlen(terminal_question);
    if (write(terminal, terminal_question, (size_t)size) == size)
        protocol = terminal_read_answer(answer, read_answer(terminal, answer, sizeof(answer)));
    tcsetattr(terminal, TCSAFLUSH, &asked.before);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i], &before[i], NULL);
    return protocol;
}

/* A process in the background does not ask, because the system would stop it. */
static enum preview_protocol ask_terminal(void)
{
    enum preview_protocol protocol = PREVIEW_AUTO;
    asked.terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (asked.terminal < 0)
        return protocol;
    if (tcgetpgrp(asked.terminal) == getpgrp() && !tcgetattr(asked.terminal, &asked.before))
        protocol = ask_quietly(asked.terminal);
    close(asked.terminal);
    return protocol;
}

static bool find_size(struct preview_screen *screen)
{
    struct winsize size;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size))
        return false;
    if (size.ws_col && size.ws_row) {
        screen->columns = size.ws_col;
        if (size.ws_xpixel >= size.ws_col && size.ws_ypixel >= size.ws_row) {
            screen->cell_width = size.ws_xpixel / size.ws_col;
            screen->cell_height = size.ws_ypixel / size.ws_row;
        }
    }
    return isatty(STDOUT_FILENO);
}
#else
static enum preview_protocol ask_terminal(void)
{
    return PREVIEW_AUTO;
}

static bool find_size(struct preview_screen *screen)
{
    (void)screen;
    return true;
}
#endif

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
