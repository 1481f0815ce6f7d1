/* SPDX-License-Identifier: MIT
 *
 * Encodes events field by field. A message that is a field of another one is encoded first, because
 * its length precedes it.
 */
#include "format/event_file.h"
#include "base/error.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/string.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* Numbers of the fields of Event, Summary, Summary.Value and SessionLog. */
enum { EVENT_WALL_TIME = 1, EVENT_STEP, EVENT_VERSION, EVENT_SUMMARY = 5, EVENT_SESSION = 7 };
enum { SUMMARY_VALUE = 1, VALUE_TAG = 1, VALUE_SIMPLE, SESSION_STATUS = 1 };
enum { SESSION_START = 1 };
/* The types of fields in a protocol buffer. */
enum wire { WIRE_VARINT, WIRE_64, WIRE_BYTES, WIRE_32 = 5 };

#define EVENT_BYTES 4096 /* of one event, which has some twenty short scalars at most */
#define MOST_FILES 1000  /* begun in one second */

struct event_file {
    FILE *file;
    char *path;
};

/* An encoded message. What does not fit is left out and makes `size` larger than the capacity. */
struct message {
    unsigned char bytes[EVENT_BYTES];
    size_t size;
};

/* ---- Protocol buffers ------------------------------------------------------------------------ */

static void put_bytes(struct message *message, const void *bytes, size_t size)
{
    if (message->size + size <= sizeof(message->bytes))
        memcpy(message->bytes + message->size, bytes, size);
    message->size += size;
}

static void put_little(struct message *message, uint64_t value, size_t size)
{
    unsigned char bytes[8];
    for (size_t i = 0; i < size; i++)
        bytes[i] = (unsigned char)(value >> (8 * i));
    put_bytes(message, bytes, size);
}

static void put_varint(struct message *message, uint64_t value)
{
    for (; value >= 0x80; value >>= 7)
        put_little(message, (value & 0x7f) | 0x80, 1);
    put_little(message, value, 1);
}

static void put_key(struct message *message, unsigned field, enum wire wire)
{
    put_varint(message, field << 3 | wire);
}

static void put_number(struct message *message, unsigned field, uint64_t value)
{
    put_key(message, field, WIRE_VARINT);
    put_varint(message, value);
}

static void put_text(struct message *message, unsigned field, const void *bytes, size_t size)
{
    put_key(message, field, WIRE_BYTES);
    put_varint(message, size);
    put_bytes(message, bytes, size);
}

static void put_double(struct message *message, unsigned field, double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_key(message, field, WIRE_64);
    put_little(message, bits, sizeof(bits));
}

static void put_float(struct message *message, unsigned field, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof(bits));
    put_key(message, field, WIRE_32);
    put_little(message, bits, sizeof(bits));
}

/* ---- Records --------------------------------------------------------------------------------- */

/* CRC-32C (Castagnoli), in the masked form that TFRecord has. */
static uint32_t masked_crc(const unsigned char *bytes, size_t size)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78u : 0);
    }
    crc = ~crc;
    return (crc >> 15 | crc << 17) + 0xa282ead8u;
}

static int write_record(struct event_file *file, const struct message *event)
{
    struct message head = {.size = 0}, tail = {.size = 0};
    if (event->size > sizeof(event->bytes))
        return error_fail(VKCLIP_EINVALID, "%s: an event of %zu bytes, expected at most %d",
                          file->path, event->size, EVENT_BYTES);
    put_little(&head, event->size, 8);
    put_little(&head, masked_crc(head.bytes, head.size), 4);
    put_little(&tail, masked_crc(event->bytes, event->size), 4);
    if (fwrite(head.bytes, head.size, 1, file->file) != 1 ||
        fwrite(event->bytes, event->size, 1, file->file) != 1 ||
        fwrite(tail.bytes, tail.size, 1, file->file) != 1 || fflush(file->file))
        return file_fail_writing(file->path);
    return VKCLIP_OK;
}

/* ---- Events ---------------------------------------------------------------------------------- */

static int write_version(struct event_file *file, double wall_time)
{
    static const char version[] = "brain.Event:2";
    struct message event = {.size = 0};
    put_double(&event, EVENT_WALL_TIME, wall_time);
    put_text(&event, EVENT_VERSION, version, strlen(version));
    return write_record(file, &event);
}

static int write_start(struct event_file *file, double wall_time, uint64_t step)
{
    struct message event = {.size = 0}, session = {.size = 0};
    put_number(&session, SESSION_STATUS, SESSION_START);
    put_double(&event, EVENT_WALL_TIME, wall_time);
    put_number(&event, EVENT_STEP, step);
    put_text(&event, EVENT_SESSION, session.bytes, session.size);
    return write_record(file, &event);
}

/* Opens the first file of a second whose name is not taken. */
static int open_file(const char *folder, double wall_time, struct event_file *file)
{
    for (unsigned i = 0; i < MOST_FILES && !file->file; i++) {
        memory_free(file->path);
        file->path = string_format("%s/events.out.tfevents.%010llu.vkclip.%u", folder,
                                   (unsigned long long)wall_time, i);
        if (!file->path)
            return error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
        if (!file_exists(file->path))
            file->file = file_stream(file->path, "wb");
    }
    return file->file ? VKCLIP_OK
                      : error_fail(VKCLIP_EIO, "%s: a file of events cannot be made in it", folder);
}

int event_file_open(const char *folder, double wall_time, uint64_t purge,
                    struct event_file **result)
{
    struct event_file *file = *result = memory_calloc(1, sizeof(*file));
    if (!file)
        return error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    int error = folder_exists(folder) ? VKCLIP_OK : folder_make(folder);
    if (!error)
        error = open_file(folder, wall_time, file);
    if (!error)
        error = write_version(file, wall_time);
    if (!error && purge)
        error = write_start(file, wall_time, purge);
    if (error)
        event_file_close(result);
    return error;
}

int event_file_write(struct event_file *file, double wall_time, uint64_t step,
                     const struct event_scalar *scalars, size_t count)
{
    struct message event = {.size = 0}, summary = {.size = 0};
    for (size_t i = 0; i < count; i++) {
        struct message value = {.size = 0};
        put_text(&value, VALUE_TAG, scalars[i].tag, strlen(scalars[i].tag));
        put_float(&value, VALUE_SIMPLE, (float)scalars[i].value);
        put_text(&summary, SUMMARY_VALUE, value.bytes, value.size);
    }
    put_double(&event, EVENT_WALL_TIME, wall_time);
    put_number(&event, EVENT_STEP, step);
    put_text(&event, EVENT_SUMMARY, summary.bytes, summary.size);
    return write_record(file, &event);
}

int event_file_close(struct event_file **handle)
{
    struct event_file *file = *handle;
    int error = VKCLIP_OK;
    if (!file)
        return error;
    if (file->file && fclose(file->file))
        error = file_fail_writing(file->path);
    memory_free(file->path);
    memory_free(file);
    *handle = NULL;
    return error;
}
