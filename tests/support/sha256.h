/* SPDX-License-Identifier: MIT
 *
 * Computes SHA-256 (FIPS 180-4), by which reference data names values that are too many to store.
 */
#ifndef VKCLIP_TESTS_SUPPORT_SHA256_H
#define VKCLIP_TESTS_SUPPORT_SHA256_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static inline uint32_t sha256_rotate(uint32_t value, int bits)
{
    return value >> bits | value << (32 - bits);
}

/* Returns the first 32 bits of the fractional part of a root of a prime number. They are exact in a
 * double of 53 bits. */
static inline uint32_t sha256_fraction(double root)
{
    return (uint32_t)(int64_t)floor((root - floor(root)) * 4294967296.0);
}

/* Fills the constants: cube roots of the first 64 primes, and square roots of the first 8. */
static inline void sha256_constants(uint32_t k[64], uint32_t state[8])
{
    int count = 0;
    for (int number = 2; count < 64; number++) {
        bool prime = true;
        for (int i = 2; i * i <= number; i++)
            prime = prime && number % i;
        if (!prime)
            continue;
        if (count < 8)
            state[count] = sha256_fraction(sqrt(number));
        k[count++] = sha256_fraction(cbrt(number));
    }
}

static inline void sha256_block(const uint32_t k[64], uint32_t state[8], const uint8_t *data)
{
    uint32_t w[64], v[8];
    for (int i = 0; i < 16; i++)
        w[i] = (uint32_t)data[4 * i] << 24 | (uint32_t)data[4 * i + 1] << 16 |
               (uint32_t)data[4 * i + 2] << 8 | data[4 * i + 3];
    for (int i = 16; i < 64; i++)
        w[i] = w[i - 16] + w[i - 7] +
               (sha256_rotate(w[i - 15], 7) ^ sha256_rotate(w[i - 15], 18) ^ w[i - 15] >> 3) +
               (sha256_rotate(w[i - 2], 17) ^ sha256_rotate(w[i - 2], 19) ^ w[i - 2] >> 10);
    memcpy(v, state, sizeof(v));
    for (int i = 0; i < 64; i++) {
        uint32_t first =
            v[7] + k[i] + w[i] + ((v[4] & v[5]) ^ (~v[4] & v[6])) +
            (sha256_rotate(v[4], 6) ^ sha256_rotate(v[4], 11) ^ sha256_rotate(v[4], 25));
        uint32_t second =
            ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2])) +
            (sha256_rotate(v[0], 2) ^ sha256_rotate(v[0], 13) ^ sha256_rotate(v[0], 22));
        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += first;
        v[0] = first + second;
    }
    for (int i = 0; i < 8; i++)
        state[i] += v[i];
}

/* Writes the hash of the data as 64 hexadecimal digits. */
static inline void sha256(const void *data, size_t size, char text[65])
{
    uint32_t k[64], state[8];
    uint8_t last[128] = {0};
    const size_t whole = size / 64 * 64, rest = size - whole, end = rest < 56 ? 64 : 128;
    sha256_constants(k, state);
    for (size_t i = 0; i < whole; i += 64)
        sha256_block(k, state, (const uint8_t *)data + i);
    memcpy(last, (const uint8_t *)data + whole, rest);
    last[rest] = 0x80;
    for (size_t i = 0; i < 8; i++)
        last[end - 1 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
    for (size_t i = 0; i < end; i += 64)
        sha256_block(k, state, last + i);
    for (int i = 0; i < 8; i++)
        snprintf(text + 8 * i, 9, "%08x", state[i]);
}

#endif
