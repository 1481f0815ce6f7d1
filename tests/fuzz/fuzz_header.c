/* SPDX-License-Identifier: MIT
 *
 * Uses the input as the texts that clients of the server send in headers and paths, as base64, and
 * as the address that it listens on.
 */
#define _GNU_SOURCE
#include "fuzz/fuzz.h"
#include "base/base64.h"
#include "server/address.h"
#include "server/header.h"

#include <netinet/in.h>

static void check_texts(const char *text)
{
    char value[32];
    size_t length;
    const char *cookie = header_find_cookie(text, "token", &length);
    fuzz_check(!cookie || cookie + length <= text + strlen(text),
               "a cookie ends within the header");
    fuzz_check(header_host_length(text) <= strlen(text), "a host ends within the header");
    if (header_find_parameter(text, "boundary", value, sizeof(value)))
        fuzz_check(memchr(value, 0, sizeof(value)), "a parameter has an end");
}

static void check_range(const char *text, uint64_t size)
{
    struct header_range range;
    const bool good = header_read_range(text, size, &range);
    fuzz_check(good ? range.first <= size && range.size <= size - range.first : !range.size,
               "a range lies within the file");
    fuzz_check(range.partial || (!range.first && range.size == size), "the whole file");
}

static void check_base64(const char *text)
{
    size_t size;
    char *data = base64_decode(text, &size);
    if (!data)
        return;
    char *again = base64_encode(data, size);
    fuzz_check(again && strlen(again) == strlen(text), "base64 has one length");
    free(again);
    free(data);
}

static void check_address(const uint8_t *data, size_t size, char *text)
{
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    const char *address = "localhost", *port = "80";
    memcpy(&v6.sin6_addr, data, size < 16 ? size : 16);
    memcpy(&v4.sin_addr, data, size < 4 ? size : 4);
    address_is_public((const struct sockaddr *)&v6);
    address_is_public((const struct sockaddr *)&v4);
    if (address_split(text, &address, &port))
        fuzz_check(*address && atoi(port) >= 0 && atoi(port) <= 65535, "address");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = malloc(size + 1);
    fuzz_check(text, "memory");
    memcpy(text, data, size);
    text[size] = 0;
    const size_t length = strlen(text);
    check_texts(text);
    check_range(text, size * 1000);
    check_range(text, 0);
    check_base64(text);
    fuzz_check(header_unescape(text) <= length && strlen(text) <= length, "a path gets no longer");
    check_address(data, size, text);
    free(text);
    return 0;
}
