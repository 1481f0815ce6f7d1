/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE /* SOCK_CLOEXEC */
#include "server/listen.h"
#include "base/environment.h"
#include "base/error.h"
#include "server/address.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

enum { BACKLOG = 1024, FIRST_SYSTEMD_SOCKET = 3 };
static const char default_address[] = "127.0.0.1", default_port[] = "8765";

/* Keeps a socket that listens, with its address as the system tells it. */
static int keep(struct listening *listening, int socket)
{
    struct sockaddr_storage storage = {0};
    int listens = 0, type = 0;
    socklen_t number = sizeof(int);
    struct sockaddr *address = (struct sockaddr *)&storage;
    socklen_t size = sizeof(storage);
    char host[128] = "", port[16] = "";
    getsockopt(socket, SOL_SOCKET, SO_ACCEPTCONN, &listens, &number);
    getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &number);
    if (listening->count == LISTEN_MOST || !listens || type != SOCK_STREAM ||
        getsockname(socket, address, &size) || fcntl(socket, F_SETFD, FD_CLOEXEC) ||
        fcntl(socket, F_SETFL, fcntl(socket, F_GETFL) | O_NONBLOCK)) {
        close(socket);
        return error_fail(VKCLIP_EIO, "expected at most %d stream sockets that listen",
                          LISTEN_MOST);
    }
    const size_t i = listening->count++;
    listening->sockets[i].socket = socket;
    listening->sockets[i].is_unix = address->sa_family == AF_UNIX;
    listening->sockets[i].is_loopback = address_is_loopback(address);
    char *text = listening->sockets[i].address;
    const size_t most = sizeof(listening->sockets[i].address);
    if (address->sa_family == AF_UNIX) {
        snprintf(text, most, "%s", ((const struct sockaddr_un *)address)->sun_path);
        return VKCLIP_OK;
    }
    getnameinfo(address, size, host, sizeof(host), port, sizeof(port),
                NI_NUMERICHOST | NI_NUMERICSERV);
    snprintf(text, most, strchr(host, ':') ? "[%s]:%s" : "%s:%s", host, port);
    return VKCLIP_OK;
}

/* ---- TCP ----------------------------------------------------------------------------------------- */

/* Listens on the first address of a name on which that is possible. */
static int bind_tcp(struct listening *listening, const struct addrinfo *info, const char *text)
{
    const int yes = 1;
    int error = 0;
    for (; info; info = info->ai_next) {
        const int file = socket(info->ai_family, info->ai_socktype | SOCK_CLOEXEC, 0);
        if (file >= 0) {
            setsockopt(file, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
            if (!bind(file, info->ai_addr, info->ai_addrlen) && !listen(file, BACKLOG))
                return keep(listening, file);
        }
        error = errno;
        if (file >= 0)
            close(file);
    }
    const char *hint = "";
    if (error == EADDRINUSE)
        hint = "; another server may run; name another port with `listen`";
    else if (error == EADDRNOTAVAIL)
        hint = "; name an address of this machine with `listen`";
    return error_fail(VKCLIP_EIO, "%s: the server cannot listen there: %s%s", text, strerror(error),
                      hint);
}

static int fail_address(const char *text, const char *port)
{
    if (*port && !port[strspn(port, "0123456789")] && port != default_port)
        return error_fail(VKCLIP_EINVALID, "`listen`: expected a port from 0 to 65535, found '%s'",
                          text);
    return error_fail(VKCLIP_EINVALID,
                      "`listen`: expected ADDRESS:PORT, ADDRESS or PORT, found '%s'", text);
}

int listen_tcp(struct listening *listening, const char *text)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC,
                                   .ai_socktype = SOCK_STREAM,
                                   .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *infos = NULL;
    const char *address = default_address, *port = default_port;
    char *copy = strdup(text);
    if (!copy)
        return error_fail(VKCLIP_EMEMORY, "out of memory");
    int error;
    if (!address_split(copy, &address, &port))
        error = fail_address(text, port);
    else if ((error = getaddrinfo(address, port, &hints, &infos)))
        error = error_fail(VKCLIP_EINVALID,
                           "`listen`: expected an address or name of this machine, such as "
                           "127.0.0.1, or 0.0.0.0 for all, found '%s': %s",
                           address, gai_strerror(error));
    else
        error = bind_tcp(listening, infos, text);
    if (infos)
        freeaddrinfo(infos);
    free(copy);
    return error;
}

/* ---- Unix ---------------------------------------------------------------------------------------- */

static bool is_in_use(const struct sockaddr_un *address)
{
    /* A server that is too busy to take the connection is there, too. */
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    const bool used =
        file >= 0 &&
        (!connect(file, (const struct sockaddr *)address, sizeof(*address)) || errno == EAGAIN);
    if (file >= 0)
        close(file);
    return used;
}

int listen_unix(struct listening *listening, const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct stat status;
    if (strlen(path) >= sizeof(address.sun_path))
        return error_fail(VKCLIP_EINVALID,
                          "%s: expected a socket's path of at most %zu bytes, found %zu", path,
                          sizeof(address.sun_path) - 1, strlen(path));
    strcpy(address.sun_path, path);
    if (is_in_use(&address))
        return error_fail(VKCLIP_EIO, "%s: another server listens there", path);
    if (!lstat(path, &status) && S_ISSOCK(status.st_mode))
        unlink(path);
    const int file = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const mode_t mask = umask(0177);
    const bool good = file >= 0 &&
                      !bind(file, (const struct sockaddr *)&address, sizeof(address)) &&
                      !listen(file, BACKLOG);
    const int error = errno;
    umask(mask);
    if (good) {
        listening->unix_path = strdup(path);
        if (!lstat(path, &status)) {
            listening->unix_device = (uint64_t)status.st_dev;
            listening->unix_inode = (uint64_t)status.st_ino;
        }
        return keep(listening, file);
    }
    if (file >= 0)
        close(file);
    return error_fail(VKCLIP_EIO, "%s: the server cannot listen there: %s", path, strerror(error));
}

int server_socket_path(char *path, size_t size)
{
    const char *folder = environment_get("XDG_RUNTIME_DIR");
    const int length = folder && *folder == '/'
                           ? snprintf(path, size, "%s/vkclip.sock", folder)
                           : snprintf(path, size, "/tmp/vkclip-%u/vkclip.sock", (unsigned)getuid());
    struct sockaddr_un address;
    if (length < 0 || (size_t)length >= size || (size_t)length >= sizeof(address.sun_path))
        return error_fail(VKCLIP_EINVALID, "XDG_RUNTIME_DIR is too long for a socket");
    return VKCLIP_OK;
}

/* Whoever owns the folder decides which socket lies there. */
static bool is_own_folder(const char *path)
{
    struct stat status;
    return !lstat(path, &status) && S_ISDIR(status.st_mode) && status.st_uid == getuid() &&
           !(status.st_mode & 022);
}

int listen_user(struct listening *listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char *path = address.sun_path;
    int error = server_socket_path(path, sizeof(address.sun_path));
    if (error)
        return error;
    char *slash = strrchr(path, '/');
    *slash = 0;
    const bool good = !mkdir(path, 0700) || is_own_folder(path);
    *slash = '/';
    return good && !is_in_use(&address) ? listen_unix(listening, path) : VKCLIP_OK;
}

/* ---- systemd ------------------------------------------------------------------------------------- */

int listen_systemd(struct listening *listening, bool *found)
{
    const char *process = environment_get("LISTEN_PID"), *count = environment_get("LISTEN_FDS");
    *found = process && count && strtol(process, NULL, 10) == (long)getpid();
    if (!*found)
        return VKCLIP_OK;
    for (long i = 0; i < strtol(count, NULL, 10); i++) {
        const int error = keep(listening, FIRST_SYSTEMD_SOCKET + (int)i);
        if (error)
            return error;
    }
    return VKCLIP_OK;
}

/* Another server may have put its own socket there meanwhile. */
void listen_remove(struct listening *listening)
{
    struct stat status;
    const char *path = listening->unix_path;
    if (path && !lstat(path, &status) && (uint64_t)status.st_dev == listening->unix_device &&
        (uint64_t)status.st_ino == listening->unix_inode)
        unlink(path);
    free(listening->unix_path);
    listening->unix_path = NULL;
}

void listen_close(struct listening *listening)
{
    for (size_t i = 0; i < listening->count; i++)
        if (listening->sockets[i].socket >= 0)
            close(listening->sockets[i].socket);
    listen_remove(listening);
    *listening = (struct listening){0};
}
