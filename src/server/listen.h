/* SPDX-License-Identifier: MIT
 *
 * Opens the sockets that the server listens on, or takes those that systemd has opened.
 */
#ifndef VKCLIP_SERVER_LISTEN_H
#define VKCLIP_SERVER_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { LISTEN_MOST = 4 };

struct listening {
    struct {
        int socket;
        bool is_unix, is_loopback;
        char address[256]; /* as people write it */
    } sockets[LISTEN_MOST];
    size_t count;
    char *unix_path;                  /* of the file to remove in the end; NULL: none */
    uint64_t unix_device, unix_inode; /* of that file */
};

/* Writes the path of the socket on which the user's server listens, and where the command looks for
 * it: vkclip.sock in XDG_RUNTIME_DIR, or in the folder vkclip-UID of /tmp. Fails with EINVALID if
 * the path does not fit. */
int server_socket_path(char *path, size_t size);
/* Listens there, if no other server does and the folder is the user's own. */
int listen_user(struct listening *listening);

/* Opens ADDRESS:PORT, [ADDRESS]:PORT, ADDRESS or PORT. Port 0 stands for any that is free. */
int listen_tcp(struct listening *listening, const char *text);
/* Makes a socket that only this user can use. One that another process listens on is EIO, and one
 * that was left behind is replaced. */
int listen_unix(struct listening *listening, const char *path);
/* Takes the sockets of LISTEN_FDS (sd_listen_fds(3)); *found tells whether there were any. */
int listen_systemd(struct listening *listening, bool *found);
/* Removes the file of the Unix socket. */
void listen_remove(struct listening *listening);
/* Closes the sockets that nobody has taken over (-1), and removes the file. */
void listen_close(struct listening *listening);

#endif
