/* SPDX-License-Identifier: MIT
 *
 * The C library reads numbers by the program's locale, in which "1.3" may be 1. So the digits are
 * handed to it without a decimal point, as a whole number with an exponent.
 */
#include "text/prompt_number.h"
#include "base/array.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    NUMBER_LIMIT = 128,      /* bytes; a weight has a few digits */
    EXPONENT_LIMIT = 100000, /* makes any number zero or infinite */
};

struct number {
    const char *text;
    size_t length, place;           /* `place` is where reading goes on */
    char digits[NUMBER_LIMIT + 32]; /* the sign and the digits, then the exponent */
    size_t count;
};

static bool is_digit(const struct number *number, size_t place)
{
    return place < number->length && number->text[place] >= '0' && number->text[place] <= '9';
}

static bool is_space(char byte)
{
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Takes a character if it comes next. */
static bool take(struct number *number, char lower, char upper)
{
    const bool found = number->place < number->length && (number->text[number->place] == lower ||
                                                          number->text[number->place] == upper);
    number->place += found;
    return found;
}

/* Copies digits, between which Python allows single underscores, and returns their number. */
static size_t take_digits(struct number *number)
{
    const size_t before = number->count, start = number->place;
    for (;; number->place++) {
        const size_t place = number->place;
        if (is_digit(number, place))
            number->digits[number->count++] = number->text[place];
        else if (place == start || place == number->length || number->text[place] != '_' ||
                 !is_digit(number, place - 1) || !is_digit(number, place + 1))
            return number->count - before;
    }
}

static bool take_exponent(struct number *number, long *exponent)
{
    *exponent = 0;
    if (!take(number, 'e', 'E'))
        return true;
    const bool negative = take(number, '-', '-');
    if (!negative)
        take(number, '+', '+');
    const size_t digits = number->count;
    const bool good = take_digits(number) > 0;
    for (size_t i = digits; i < number->count; i++)
        if (*exponent < EXPONENT_LIMIT)
            *exponent = 10 * *exponent + number->digits[i] - '0';
    number->count = digits;
    if (negative)
        *exponent = -*exponent;
    return good;
}

/* Reads "inf", "infinity" and "nan" in any case. */
static bool take_word(struct number *number, double *value)
{
    const struct {
        const char *lower, *upper;
        double value; /* which is no constant expression with the newest C library of Windows */
    } words[] = {{"infinity", "INFINITY", INFINITY}, {"inf", "INF", INFINITY}, {"nan", "NAN", NAN}};
    const size_t start = number->place;
    for (size_t i = 0; i < ARRAY_COUNT(words); i++) {
        size_t k = 0;
        while (words[i].lower[k] && take(number, words[i].lower[k], words[i].upper[k]))
            k++;
        *value = words[i].value;
        if (!words[i].lower[k])
            return true;
        number->place = start;
    }
    return false;
}

static bool take_decimal(struct number *number, double *value)
{
    long exponent;
    size_t digits = take_digits(number), fraction = 0;
    if (take(number, '.', '.'))
        fraction = take_digits(number);
    if (!(digits + fraction) || !take_exponent(number, &exponent))
        return false;
    snprintf(number->digits + number->count, sizeof(number->digits) - number->count, "e%ld",
             exponent - (long)fraction);
    *value = strtod(number->digits, NULL);
    return true;
}

bool prompt_read_number(const char *text, size_t length, double *value)
{
    struct number number = {.text = text, .length = length};
    while (number.length && is_space(text[number.length - 1]))
        number.length--;
    while (number.place < number.length && is_space(text[number.place]))
        number.place++;
    if (number.length - number.place > NUMBER_LIMIT)
        return false;
    const bool negative = take(&number, '-', '-');
    if (!negative)
        take(&number, '+', '+');
    if (!take_word(&number, value) && !take_decimal(&number, value))
        return false;
    if (negative)
        *value = -*value;
    return number.place == number.length;
}
