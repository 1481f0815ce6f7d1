/* SPDX-License-Identifier: MIT
 *
 * What can be said of network addresses without asking anyone.
 */
#ifndef VKCLIP_SERVER_ADDRESS_H
#define VKCLIP_SERVER_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

struct sockaddr;

/* Tells whether an address is one of the internet, and neither this machine's nor one of a private
 * network, of a link, of several machines, or of a form that hides another address. */
bool address_is_public(const struct sockaddr *address);
/* Tells whether only programs of this machine reach a socket with this address. */
bool address_is_loopback(const struct sockaddr *address);
/* Numbers whom an address stands for: a machine, or with IPv6 a network (/64), whose machines give
 * themselves addresses. 0: neither. */
uint64_t address_number(const struct sockaddr *address);
/* Cuts ADDRESS:PORT, [ADDRESS]:PORT, ADDRESS or PORT, which is changed, into its parts; what is
 * left out stays as it was. False: it is none of these. */
bool address_split(char *text, const char **address, const char **port);

#endif
