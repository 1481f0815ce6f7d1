/* SPDX-License-Identifier: MIT
 *
 * Chooses pictures of an index by path, date, place, camera, format and size.
 */
#include "search/filter.h"
#include "base/error.h"
#include "base/file.h"

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846
#define EARTH_RADIUS 6371.0088 /* kilometers, the mean radius by the IUGG */

/* ---- Patterns -------------------------------------------------------------------------------- */

/* Returns the bytes of the UTF-8 character at `text`, or 1 where it is no whole character, so that
 * names in other encodings match too. */
static size_t character_size(const char *text)
{
    const unsigned char first = (unsigned char)*text;
    const size_t size = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : first >= 0xc0 ? 2 : 1;
    for (size_t i = 1; i < size; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80)
            return 1;
    return size;
}

/* Compares one character of a set with the character `text`: returns less than 0, 0 or more. UTF-8
 * sorts by bytes as by code points. */
static int compare_characters(const char *a, const char *b)
{
    const size_t size_a = character_size(a), size_b = character_size(b);
    const int order = memcmp(a, b, size_a < size_b ? size_a : size_b);
    return order ? order : (int)size_a - (int)size_b;
}

/* Returns the end of the set that begins after a bracket, or NULL if it has none before the
 * pattern's end: then the bracket is an ordinary character. A closing bracket that comes first
 * belongs to the set. */
static const char *find_set_end(const char *set, const char *end)
{
    set += set < end && (*set == '!' || *set == '^');
    return set < end ? memchr(set + 1, ']', (size_t)(end - set - 1)) : NULL;
}

static bool set_has(const char *set, const char *end, const char *character)
{
    const bool negated = *set == '!' || *set == '^';
    bool found = false;
    for (set += negated; set < end;) {
        const char *first = set, *last = set;
        set += character_size(set);
        if (*set == '-' && set + 1 < end) {
            last = set + 1;
            set = last + character_size(last);
        }
        found |=
            compare_characters(first, character) <= 0 && compare_characters(character, last) <= 0;
    }
    return found != negated;
}

/* Matches one character of the text with the pattern's next element, which is no *, and returns
 * what follows that element; NULL: it does not match. */
static const char *match_element(const char *pattern, const char *end, const char *text)
{
    if (pattern == end)
        return NULL;
    const char *set_end = *pattern == '[' ? find_set_end(pattern + 1, end) : NULL;
    if (set_end)
        return set_has(pattern + 1, set_end, text) ? set_end + 1 : NULL;
    if (*pattern == '?')
        return pattern + 1;
    if (*pattern == '\\' && pattern + 1 < end)
        pattern++;
    return !compare_characters(pattern, text) ? pattern + character_size(pattern) : NULL;
}

/* Matches a text with a pattern that ends at `end`. Only the last * is tried with longer texts,
 * since an earlier one could not match more. So a pattern takes at most the product of both
 * lengths. */
static bool match_glob(const char *pattern, const char *end, const char *text)
{
    const char *star = NULL, *tried = NULL;
    while (*text) {
        if (pattern < end && *pattern == '*') {
            star = ++pattern;
            tried = text;
            continue;
        }
        const char *next = match_element(pattern, end, text);
        if (next) {
            pattern = next;
            text += character_size(text);
        } else if (star) {
            pattern = star;
            tried += character_size(tried);
            text = tried;
        } else {
            return false;
        }
    }
    while (pattern < end && *pattern == '*')
        pattern++;
    return pattern == end;
}

bool filter_match_glob(const char *pattern, const char *text)
{
    return match_glob(pattern, pattern + strlen(pattern), text);
}

/* A pattern for folders and one for the name may be joined by any_folders. */
static bool match_path(const char *pattern, const char *path)
{
    static const char any_folders[] = "/**/";
    const char *folders = strstr(pattern, any_folders);
    if (folders)
        return match_glob(pattern, folders + strlen("/*"), path) &&
               filter_match_glob(folders + strlen(any_folders), file_name(path));
    return filter_match_glob(pattern, strchr(pattern, '/') ? path : file_name(path));
}

/* ---- Other values ---------------------------------------------------------------------------- */

double filter_distance(double latitude_a, double longitude_a, double latitude_b, double longitude_b)
{
    const double radians = PI / 180;
    const double south = sin((latitude_b - latitude_a) * radians / 2);
    const double west = sin((longitude_b - longitude_a) * radians / 2);
    const double a =
        south * south + cos(latitude_a * radians) * cos(latitude_b * radians) * west * west;
    return 2 * EARTH_RADIUS * asin(sqrt(a > 1 ? 1 : a));
}

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool begins_with(const char *text, const char *start)
{
    while (*start && lower(*text) == lower(*start)) {
        text++;
        start++;
    }
    return !*start;
}

static bool has_part(const char *text, const char *part)
{
    for (; !begins_with(text, part); text++)
        if (!*text)
            return false;
    return true;
}

static bool is_type(const char *format, const char *type)
{
    if (begins_with("jpg", type) && strlen(type) == 3)
        type = "jpeg";
    if (begins_with("tif", type) && strlen(type) == 3)
        type = "tiff";
    return begins_with(format, type) && strlen(format) == strlen(type);
}

static bool is_near(const struct vkclip_search_params *params, const struct vkclip_hit *hit)
{
    return filter_distance(params->latitude, params->longitude, hit->latitude, hit->longitude) <=
           params->kilometers; /* A place that is unknown makes the distance NAN. */
}

/* ---- All of them ----------------------------------------------------------------------------- */

int filter_check(const struct vkclip_search_params *params)
{
    if (!(fabs(params->latitude) <= 90 && fabs(params->longitude) <= 180))
        return error_fail(VKCLIP_EINVALID,
                          "expected a latitude from -90 to 90 and a longitude from -180 to 180, "
                          "found %g and %g",
                          params->latitude, params->longitude);
    if (!(params->kilometers >= 0))
        return error_fail(VKCLIP_EINVALID, "expected a distance of 0 kilometers or more, found %g",
                          params->kilometers);
    if (!(params->relative >= 0 && params->relative <= 1))
        return error_fail(VKCLIP_EINVALID, "`relative`: expected a share from 0 to 1, found %g",
                          params->relative);
    if (params->after && params->before && params->after >= params->before)
        return error_fail(VKCLIP_EINVALID,
                          "no date is in `after` and `before`: expected the first to be earlier");
    return VKCLIP_OK;
}

bool filter_is_empty(const struct vkclip_search_params *params)
{
    return !params->path_glob && !params->after && !params->before && params->kilometers <= 0 &&
           !params->camera && !params->type && !params->min_width && !params->min_height;
}

bool filter_match(const struct vkclip_search_params *params, const struct vkclip_hit *hit)
{
    return (!params->path_glob || match_path(params->path_glob, hit->path)) &&
           (!params->after || hit->date >= params->after) &&
           (!params->before || hit->date < params->before) &&
           (params->kilometers <= 0 || is_near(params, hit)) &&
           (!params->camera || has_part(hit->camera, params->camera)) &&
           (!params->type || is_type(hit->format, params->type)) &&
           hit->width >= params->min_width && hit->height >= params->min_height;
}
