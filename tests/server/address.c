/* SPDX-License-Identifier: MIT
 *
 * Which addresses the server fetches from, and how the address to listen on is read.
 */
#define _GNU_SOURCE /* struct addrinfo */
#include "support/testing.h"
#include "base/array.h"
#include "server/address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/un.h>

static bool is_public(const char *text)
{
    struct sockaddr_in v4 = {.sin_family = AF_INET};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};
    if (inet_pton(AF_INET, text, &v4.sin_addr) == 1)
        return address_is_public((const struct sockaddr *)&v4);
    assert_int_equal(inet_pton(AF_INET6, text, &v6.sin6_addr), 1);
    return address_is_public((const struct sockaddr *)&v6);
}

/* The first and the last address of each special network. */
static void special_addresses_are_not_public(void **state)
{
    static const char *const addresses[] = {
        "0.0.0.0", "0.255.255.255", "10.0.0.0", "10.255.255.255", "100.64.0.0", "100.127.255.255",
        "127.0.0.0", "127.0.0.1", "127.255.255.255", "169.254.0.0", "169.254.169.254",
        "169.254.255.255", "172.16.0.0", "172.31.255.255", "192.0.0.0", "192.0.0.255", "192.0.2.0",
        "192.0.2.255", "192.88.99.0", "192.168.0.0", "192.168.255.255", "198.18.0.0",
        "198.19.255.255", "198.51.100.0", "198.51.100.255", "203.0.113.0", "203.0.113.255",
        "224.0.0.0", "239.255.255.255", "240.0.0.0", "255.255.255.255",
        /* this machine, links, private networks, several machines */
        "::", "::1", "fe80::1", "febf::1", "fec0::1", "fc00::", "fdff::1", "ff02::1", "100::1",
        /* addresses of IPv4 in others: mapped, compatible, translated, 6to4, Teredo, ISATAP */
        "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:10.1.2.3", "::127.0.0.1", "::8.8.8.8",
        "64:ff9b::7f00:1", "64:ff9b:1::1", "2002:7f00:1::", "2002:0808:0808::1", "2001::1",
        "2001:0:7f00:1::", "2001:1ff:ffff::1", "fe80::5efe:7f00:1",
        /* protocols and documents */
        "2001:10::1", "2001:20::1", "2001:db8::1", "3fff::1", "3fff:fff:ffff::1", "4000::1",
        "5f00::1", "e000::1"};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
        if (is_public(addresses[i]))
            fail_msg("%s is fetched from", addresses[i]);
    (void)state;
}

/* The neighbours of these networks. */
static void others_are_public(void **state)
{
    static const char *const addresses[] = {
        "1.0.0.0",        "8.8.8.8",         "9.255.255.255", "11.0.0.0",        "100.63.255.255",
        "100.128.0.0",    "126.255.255.255", "128.0.0.0",     "169.253.255.255", "169.255.0.0",
        "172.15.255.255", "172.32.0.0",      "192.0.1.0",     "192.0.3.0",       "192.88.98.255",
        "192.88.100.0",   "192.167.255.255", "192.169.0.0",   "198.17.255.255",  "198.20.0.0",
        "198.51.99.255",  "198.51.101.0",    "203.0.112.255", "203.0.114.0",     "223.255.255.255",
        "2001:200::1",    "2001:db7::1",     "2001:db9::1",   "2003::1",         "2606:4700::1111",
        "2a00:1450::1",   "3ffe::1",         "3fff:1000::1",  "::ffff:8.8.8.8"};
    for (size_t i = 0; i < ARRAY_COUNT(addresses); i++)
        if (!is_public(addresses[i]))
            fail_msg("%s is not fetched from", addresses[i]);
    (void)state;
}

/* The resolver takes numbers for addresses in many forms; what it makes of them is looked at. */
static void odd_forms_of_hosts_are_not_public(void **state)
{
    static const char *const hosts[] = {"2130706433", "0x7f000001",   "0177.0.0.1", "127.1",
                                        "0x7f.1",     "017700000001", "0",          "2852039166",
                                        "0xa9fea9fe", "127.0.0.1"};
    const struct addrinfo hints = {.ai_flags = AI_NUMERICHOST, .ai_socktype = SOCK_STREAM};
    for (size_t i = 0; i < ARRAY_COUNT(hosts); i++) {
        struct addrinfo *info = NULL;
        if (!getaddrinfo(hosts[i], NULL, &hints, &info) && address_is_public(info->ai_addr))
            fail_msg("%s is fetched from", hosts[i]);
        if (info)
            freeaddrinfo(info);
    }
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    assert_false(address_is_public((const struct sockaddr *)&local));
    (void)state;
}

static void check_split(const char *text, const char *address, const char *port)
{
    char copy[128];
    const char *found_address = "default", *found_port = "1";
    snprintf(copy, sizeof(copy), "%s", text);
    if (address_split(copy, &found_address, &found_port) != !!address)
        fail_msg("%s is %s", text, address ? "refused" : "taken");
    if (!address)
        return;
    assert_string_equal(found_address, address);
    assert_string_equal(found_port, port);
}

static void addresses_are_split(void **state)
{
    static const struct {
        const char *text, *address, *port;
    } rows[] = {{"", "default", "1"},
                {"80", "default", "80"},
                {"0", "default", "0"},
                {"65535", "default", "65535"},
                {":80", "default", "80"},
                {"10.1.2.3", "10.1.2.3", "1"},
                {"10.1.2.3:80", "10.1.2.3", "80"},
                {"name", "name", "1"},
                {"name:80", "name", "80"},
                {"::1", "::1", "1"},
                {"[::1]", "::1", "1"},
                {"[::1]:80", "::1", "80"},
                {"fe80::1%eth0", "fe80::1%eth0", "1"}};
    static const char *const refused[] = {
        "65536", "100000", "name:",   "name:x", "name:-1", ":",           "name:1x", "[::1",
        "[]",    "[]:80",  "[::1]80", "[::1]:", "[::1]:x", "[::1]:65536", "a:65536"};
    for (size_t i = 0; i < ARRAY_COUNT(rows); i++)
        check_split(rows[i].text, rows[i].address, rows[i].port);
    for (size_t i = 0; i < ARRAY_COUNT(refused); i++)
        check_split(refused[i], NULL, NULL);
    (void)state;
}

static uint64_t number_of(const char *text)
{
    struct sockaddr_storage storage = {0};
    struct sockaddr_in *v4 = (struct sockaddr_in *)&storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&storage;
    storage.ss_family = strchr(text, ':') ? AF_INET6 : AF_INET;
    assert_int_equal(inet_pton(storage.ss_family, text,
                               strchr(text, ':') ? (void *)&v6->sin6_addr : (void *)&v4->sin_addr),
                     1);
    return address_number((const struct sockaddr *)&storage);
}

/* A machine of IPv4 has one number by either protocol, and a network of IPv6 one. */
static void machines_have_numbers(void **state)
{
    assert_true(number_of("192.0.2.1") && number_of("192.0.2.1") != number_of("192.0.2.2"));
    assert_true(number_of("192.0.2.1") == number_of("::ffff:192.0.2.1"));
    assert_true(number_of("2001:db8::1") == number_of("2001:db8::2:3"));
    assert_true(number_of("2001:db8::1") != number_of("2001:db8:0:1::1"));
    const struct sockaddr_un local = {.sun_family = AF_UNIX};
    assert_true(!address_number((const struct sockaddr *)&local));
    (void)state;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machines_have_numbers),
        cmocka_unit_test(special_addresses_are_not_public),
        cmocka_unit_test(others_are_public),
        cmocka_unit_test(odd_forms_of_hosts_are_not_public),
        cmocka_unit_test(addresses_are_split),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
