/* SPDX-License-Identifier: MIT
 *
 * Each function has one version per system.
 */
#define _GNU_SOURCE
#include "base/console.h"
#include "base/array.h"
#include "base/memory.h"
#include "base/mute.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifdef _WIN32
#include "base/wide.h"

#include <fcntl.h>
#include <io.h>
#include <windows.h>
#include <shellapi.h>
#else
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>
#endif

/* ---- The process ----------------------------------------------------------------------------- */

#ifdef _WIN32
static UINT code_page;

static void restore_code_page(void)
{
    SetConsoleOutputCP(code_page);
}

/* The code page belongs to the console, and the programs that use it next expect the old one. */
static void prepare_console(void)
{
    DWORD mode;
    code_page = GetConsoleOutputCP();
    if (code_page && code_page != CP_UTF8 && SetConsoleOutputCP(CP_UTF8))
        atexit(restore_code_page);
    HANDLE console = GetStdHandle(STD_ERROR_HANDLE);
    if (GetConsoleMode(console, &mode))
        SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
    console = GetStdHandle(STD_OUTPUT_HANDLE);
    if (GetConsoleMode(console, &mode))
        SetConsoleMode(console, mode | ENABLE_VIRTUAL_TERMINAL_PROCESSING);
}

bool console_begin(int *argc, char ***argv)
{
    int count = 0;
    wchar_t **wide = CommandLineToArgvW(GetCommandLineW(), &count);
    char **arguments = wide ? memory_calloc((size_t)count + 1, sizeof(*arguments)) : NULL;
    bool good = arguments != NULL;
    for (int i = 0; i < count && good; i++) {
        arguments[i] = wide_to_utf8(wide[i]);
        good = arguments[i] != NULL;
    }
    LocalFree(wide);
    *argc = count;
    *argv = arguments; /* They are used to the end of the process. */
    for (int i = 0; i < 3; i++)
        _setmode(i, _O_BINARY);
    prepare_console();
    return good;
}
#else
bool console_begin(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    signal(SIGPIPE, SIG_IGN);
    for (int fd = 0; fd < 3; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd ? O_RDONLY : O_WRONLY) != fd)
            return false;
    return true;
}
#endif

#ifdef __GLIBC__
static ssize_t write_unless_mute(void *cookie, const char *data, size_t size)
{
    (void)cookie;
    return mute_is_on() ? (ssize_t)size : write(STDERR_FILENO, data, size);
}

void console_mute_libraries(void)
{
    const cookie_io_functions_t functions = {.write = write_unless_mute};
    FILE *stream = fopencookie(NULL, "w", functions);
    if (stream && !setvbuf(stream, NULL, _IONBF, 0))
        stderr = stream;
}
#else
void console_mute_libraries(void)
{
}
#endif

/* ---- The terminal ---------------------------------------------------------------------------- */

#ifdef _WIN32
static HANDLE find_console(int stream)
{
    return GetStdHandle(stream == 1 ? STD_OUTPUT_HANDLE : STD_ERROR_HANDLE);
}

bool console_is_terminal(int stream)
{
    DWORD mode;
    return GetConsoleMode(find_console(stream), &mode);
}

bool console_find_size(struct console_size *size)
{
    CONSOLE_SCREEN_BUFFER_INFO info;
    *size = (struct console_size){0};
    if (!GetConsoleScreenBufferInfo(find_console(1), &info))
        return false;
    size->columns = (unsigned)(info.srWindow.Right - info.srWindow.Left + 1);
    size->rows = (unsigned)(info.srWindow.Bottom - info.srWindow.Top + 1);
    return true;
}

size_t console_ask(const char *question, char last, char *answer, size_t capacity)
{
    (void)question;
    (void)last;
    (void)answer;
    (void)capacity;
    return 0;
}
#else
bool console_is_terminal(int stream)
{
    return isatty(stream);
}

bool console_find_size(struct console_size *size)
{
    struct winsize found;
    *size = (struct console_size){0};
    if (!ioctl(STDOUT_FILENO, TIOCGWINSZ, &found))
        *size = (struct console_size){found.ws_col, found.ws_row, found.ws_xpixel, found.ws_ypixel};
    return isatty(STDOUT_FILENO);
}

static size_t read_answer(int terminal, char last, char *answer, size_t capacity)
{
    /* Milliseconds. A slow network and a busy machine take some hundred. Nearly every terminal
     * answers, so that hardly anyone waits to the end. */
    enum { WAIT = 1000 };
    struct pollfd poll_terminal = {.fd = terminal, .events = POLLIN};
    size_t size = 0;
    while (size < capacity && poll(&poll_terminal, 1, WAIT) > 0) {
        const ssize_t count = read(terminal, answer + size, capacity - size);
        if (count <= 0)
            break;
        size += (size_t)count;
        if (answer[size - 1] == last)
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
static size_t ask_quietly(int terminal, const char *question, char last, char *answer,
                          size_t capacity)
{
    struct sigaction before[ARRAY_COUNT(signals)];
    const struct sigaction restore = {.sa_handler = restore_echo};
    struct termios quiet = asked.before;
    size_t count = 0;
    quiet.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        if (!sigaction(signals[i], NULL, &before[i]) && before[i].sa_handler == SIG_DFL)
            sigaction(signals[i], &restore, NULL);
    tcsetattr(terminal, TCSAFLUSH, &quiet);
    const ssize_t size = (ssize_t)strlen(question);
    if (write(terminal, question, (size_t)size) == size)
        count = read_answer(terminal, last, answer, capacity);
    tcsetattr(terminal, TCSAFLUSH, &asked.before);
    for (size_t i = 0; i < ARRAY_COUNT(signals); i++)
        sigaction(signals[i], &before[i], NULL);
    return count;
}

/* A process in the background does not ask, because the system would stop it. */
size_t console_ask(const char *question, char last, char *answer, size_t capacity)
{
    size_t count = 0;
    asked.terminal = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    if (asked.terminal < 0)
        return 0;
    if (tcgetpgrp(asked.terminal) == getpgrp() && !tcgetattr(asked.terminal, &asked.before))
        count = ask_quietly(asked.terminal, question, last, answer, capacity);
    close(asked.terminal);
    return count;
}
#endif
