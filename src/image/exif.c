/* SPDX-License-Identifier: MIT
 *
 * Reads orientation, date, camera and place of a picture by libexif. EXIF data are often damaged by
 * programs that edit pictures, so that anything that makes no sense counts as missing.
 */
#include "image/exif.h"
#include "base/calendar.h"
#include "base/memory.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <libexif/exif-data.h>

#define HEADER "Exif\0" /* with its final NUL, what libexif expects before the TIFF header */

/* libexif reads entries from as many bytes only as a segment of a JPEG can hold, which is why
 * image/tiff.c copies those that lie elsewhere in a TIFF. Of a larger block
 * it would copy maker's notes from the rest, which nobody asks for, and a hostile file can have
 * hundreds of those that all have the same megabytes as their value. */
#define MOST_BYTES 0xfffe

static const ExifEntry *find_entry(const ExifData *data, ExifIfd ifd, int tag, ExifFormat format,
                                   unsigned long components)
{
    const ExifEntry *entry = exif_content_get_entry(data->ifd[ifd], (ExifTag)tag);
    const bool good = entry && entry->data && entry->format == format &&
                      entry->components >= components &&
                      entry->size >= components * exif_format_get_size(format);
    return good ? entry : NULL;
}

/* Copies a text without the white space around it; anything but printable ASCII becomes "?". */
static void copy_text(const ExifData *data, ExifIfd ifd, int tag, char *text, size_t capacity)
{
    const ExifEntry *entry = find_entry(data, ifd, tag, EXIF_FORMAT_ASCII, 1);
    size_t length = 0;
    for (size_t i = 0; entry && i < entry->size && entry->data[i] && length + 1 < capacity; i++) {
        const unsigned char c = entry->data[i];
        if (length || c != ' ')
            text[length++] = c >= ' ' && c < 127 ? (char)c : '?';
    }
    while (length && text[length - 1] == ' ')
        length--;
    text[length] = 0;
}

/* ---- Date ------------------------------------------------------------------------------------ */

static bool read_date(const ExifData *data, ExifIfd ifd, int tag, int64_t *taken)
{
    char text[32];
    int year, month, day, hour, minute, second;
    copy_text(data, ifd, tag, text, sizeof(text));
    if (sscanf(text, "%4d%*1[:-]%2d%*1[:-]%2d%*1[ T]%2d:%2d:%2d", &year, &month, &day, &hour,
               &minute, &second) != 6)
        return false;
    if (year < 1 || month < 1 || month > 12 || day < 1 || day > 31 || hour < 0 || hour > 23 ||
        minute < 0 || minute > 59 || second < 0 || second > 60)
        return false;
    *taken = calendar_days(year, month, day) * CALENDAR_DAY + hour * 3600 + minute * 60 + second;
    return true;
}

/* ---- Camera ---------------------------------------------------------------------------------- */

static bool begins_with(const char *text, const char *start)
{
    while (*start && tolower((unsigned char)*text) == tolower((unsigned char)*start)) {
        text++;
        start++;
    }
    return !*start;
}

/* Most models begin with their maker's name already, as in "Canon EOS 5D". */
static void read_camera(const ExifData *data, char *camera, size_t capacity)
{
    char maker[48], model[48];
    copy_text(data, EXIF_IFD_0, EXIF_TAG_MAKE, maker, sizeof(maker));
    copy_text(data, EXIF_IFD_0, EXIF_TAG_MODEL, model, sizeof(model));
    if (begins_with(model, maker))
        *maker = 0;
    snprintf(camera, capacity, "%s%s%s", maker, *maker && *model ? " " : "", model);
}

/* ---- Place ----------------------------------------------------------------------------------- */

/* Reads degrees, minutes and seconds; `negative` is the letter of the southern or western half. */
static double read_degrees(const ExifData *data, int tag, int half_tag, char negative, double most)
{
    const ExifByteOrder order = exif_data_get_byte_order((ExifData *)data);
    const ExifEntry *entry = find_entry(data, EXIF_IFD_GPS, tag, EXIF_FORMAT_RATIONAL, 3);
    const ExifEntry *half = find_entry(data, EXIF_IFD_GPS, half_tag, EXIF_FORMAT_ASCII, 1);
    double degrees = 0, unit = 1;
    for (size_t i = 0; entry && half && i < 3; i++, unit /= 60) {
        const ExifRational part = exif_get_rational(entry->data + i * 8, order);
        if (part.denominator)
            degrees += unit * part.numerator / part.denominator;
        else if (part.numerator || i == 0)
            return NAN;
    }
    if (!entry || !half || !(degrees <= most))
        return NAN;
    return toupper(*half->data) == negative ? -degrees : degrees;
}

static void read_place(const ExifData *data, struct image_facts *facts)
{
    const double latitude =
        read_degrees(data, EXIF_TAG_GPS_LATITUDE, EXIF_TAG_GPS_LATITUDE_REF, 'S', 90);
    const double longitude =
        read_degrees(data, EXIF_TAG_GPS_LONGITUDE, EXIF_TAG_GPS_LONGITUDE_REF, 'W', 180);
    if (isnan(latitude) || isnan(longitude))
        return;
    facts->latitude = latitude;
    facts->longitude = longitude;
}

/* ---- All of it ------------------------------------------------------------------------------- */

static ExifData *open_data(const uint8_t *bytes, size_t size)
{
    const size_t header = sizeof(HEADER);
    const size_t most = MOST_BYTES - header, used = size < most ? size : most;
    ExifData *data = exif_data_new();
    uint8_t *copy = memory_alloc(header + used);
    if (data && copy) {
        memcpy(copy, HEADER, header);
        memcpy(copy + header, bytes, used);
        /* libexif would fill in what the specification demands, such as the date of today. */
        exif_data_unset_option(data, EXIF_DATA_OPTION_FOLLOW_SPECIFICATION);
        exif_data_load_data(data, copy, (unsigned)(header + used));
    }
    memory_free(copy);
    return data;
}

void exif_read(const uint8_t *bytes, size_t size, struct image_facts *facts)
{
    ExifData *data = size > 0 ? open_data(bytes, size) : NULL;
    if (!data)
        return;
    const ExifByteOrder order = exif_data_get_byte_order(data);
    const ExifEntry *entry =
        find_entry(data, EXIF_IFD_0, EXIF_TAG_ORIENTATION, EXIF_FORMAT_SHORT, 1);
    const unsigned orientation = entry ? exif_get_short(entry->data, order) : 0;
    if (orientation >= 1 && orientation <= 8)
        facts->orientation = orientation;
    if (!read_date(data, EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_ORIGINAL, &facts->taken) &&
        !read_date(data, EXIF_IFD_EXIF, EXIF_TAG_DATE_TIME_DIGITIZED, &facts->taken))
        read_date(data, EXIF_IFD_0, EXIF_TAG_DATE_TIME, &facts->taken);
    read_camera(data, facts->camera, sizeof(facts->camera));
    read_place(data, facts);
    exif_data_unref(data);
}
