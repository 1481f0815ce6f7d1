/* SPDX-License-Identifier: MIT */
#include "server/address.h"
#include "base/array.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* A network of IPv4 or IPv6, whose addresses have the same first bits. */
struct network {
    uint8_t first[8];
    unsigned bits;
};

static bool is_in(const uint8_t *address, const struct network *network)
{
    const unsigned whole = network->bits / 8, rest = network->bits % 8;
    return !memcmp(address, network->first, whole) &&
           !((address[whole] ^ network->first[whole]) >> (8 - rest) & 0xff);
}

static bool is_in_any(const uint8_t *address, const struct network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (is_in(address, &networks[i]))
            return true;
    return false;
}

/* The registry of special addresses (RFC 6890), and multicast upwards. */
static bool is_public_v4(const uint8_t *address)
{
    static const struct network special[] = {{{0}, 8},
                                             {{10}, 8},
                                             {{100, 64}, 10},
                                             {{127}, 8},
                                             {{169, 254}, 16},
                                             {{172, 16}, 12},
                                             {{192, 0, 0}, 24},
                                             {{192, 0, 2}, 24},
                                             {{192, 88, 99}, 24},
                                             {{192, 168}, 16},
                                             {{198, 18}, 15},
                                             {{198, 51, 100}, 24},
                                             {{203, 0, 113}, 24},
                                             {{224}, 3}};
    return !is_in_any(address, special, ARRAY_COUNT(special));
}

/* Only 2000::/3 is assigned to the internet. Some of it embeds addresses of IPv4 (2001::/32 and
 * 2002::/16), or is for protocols and documents. */
static bool is_public_v6(const uint8_t *address)
{
    static const struct network assigned = {{0x20}, 3};
    static const struct network special[] = {
        {{0x20, 0x01}, 23}, {{0x20, 0x01, 0x0d, 0xb8}, 32}, {{0x20, 0x02}, 16}, {{0x3f, 0xff}, 20}};
    return is_in(address, &assigned) && !is_in_any(address, special, ARRAY_COUNT(special));
}

bool address_is_public(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return is_public_v4(
            (const uint8_t *)&((const struct sockaddr_in *)address)->sin_addr.s_addr);
    if (address->sa_family != AF_INET6)
        return false;
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    if (IN6_IS_ADDR_V4MAPPED(v6))
        return is_public_v4(v6->s6_addr + 12);
    return is_public_v6(v6->s6_addr);
}

bool address_is_loopback(const struct sockaddr *address)
{
    if (address->sa_family == AF_INET)
        return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> 24 == 127;
    if (address->sa_family == AF_INET6)
        return IN6_IS_ADDR_LOOPBACK(&((const struct sockaddr_in6 *)address)->sin6_addr);
    return address->sa_family == AF_UNIX;
}

uint64_t address_number(const struct sockaddr *address)
{
    const struct in6_addr *v6 = &((const struct sockaddr_in6 *)address)->sin6_addr;
    uint64_t number = 0;
    if (address->sa_family == AF_INET)
        memcpy(&number, &((const struct sockaddr_in *)address)->sin_addr, 4);
    else if (address->sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(v6))
        memcpy(&number, v6->s6_addr + 12, 4);
    else if (address->sa_family == AF_INET6)
        memcpy(&number, v6->s6_addr, sizeof(number));
    return number;
}

/* ---- Texts --------------------------------------------------------------------------------------- */

static bool is_number(const char *text)
{
    return *text && !text[strspn(text, "0123456789")];
}

static bool is_port(const char *text)
{
    return is_number(text) && strlen(text) <= 5 && strtol(text, NULL, 10) <= 65535;
}

bool address_split(char *text, const char **address, const char **port)
{
    char *colon = strrchr(text, ':'), *bracket = strchr(text, ']');
    if (is_number(text)) {
        *port = text;
        return is_port(text);
    }
    if (*text == '[') {
        if (!bracket || bracket == text + 1 || (bracket[1] && bracket[1] != ':'))
            return false;
        colon = bracket[1] ? bracket + 1 : NULL;
        *bracket = 0;
        text++;
    } else if (colon && strchr(text, ':') != colon) {
        colon = NULL; /* an IPv6 address without a port */
    }
    if (colon) {
        *colon = 0;
        *port = colon + 1;
    }
    if (*text)
        *address = text;
    return is_port(*port);
}
