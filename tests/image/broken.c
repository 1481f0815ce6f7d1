/* SPDX-License-Identifier: MIT
 *
 * Every kind of broken picture file has its message, and none makes a decoder allocate what only
 * its header claims.
 */
#define _GNU_SOURCE
#include "image/samples.h"
#include "base/process.h"
#include "support/scratch.h"

enum repair { AS_IS, REPAIR }; /* REPAIR corrects a PNG's checksums after the change. */

/* clang-format off */
/* A broken file consists of the first `keep` bytes of a golden file or a sample (0: all bytes;
 * negative: all but the last ones). At `offset` (negative: from the end) `bytes` overwrite it. If
 * there is no source, `bytes` are the whole file. */
static const struct broken {
    const char *name, *source;
    long keep, offset;
    const void *bytes;
    size_t size;
    enum repair repair;
    int error;
    const char *message;
} broken[] = {
    {"empty.png", NULL, 0, 0, B(""), AS_IS, VKCLIP_EFORMAT, "empty file, expected PNG"},
    {"text.png", NULL, 0, 0, B("no picture\n"), AS_IS, VKCLIP_EUNSUPPORTED, ": text, expected PNG"},
    {"page.jpg", NULL, 0, 0, B("<!DOCTYPE html>\n<HTML>"), AS_IS, VKCLIP_EUNSUPPORTED, "HTML page"},
    {"drawing.svg", NULL, 0, 0, B("<?xml?><svg>"), AS_IS, VKCLIP_EUNSUPPORTED, "SVG drawing"},
    {"a.mp4", NULL, 0, 0, B("\0\0\0 ftypisom\0\0\0\0"), AS_IS, VKCLIP_EUNSUPPORTED, ": video"},
    {"a.pdf", NULL, 0, 0, B("%PDF-1.7\n"), AS_IS, VKCLIP_EUNSUPPORTED, "PDF document"},
    {"a.zip", NULL, 0, 0, B("PK\3\4\0\0"), AS_IS, VKCLIP_EUNSUPPORTED, "ZIP archive"},
    {"unknown.png", NULL, 0, 0, B("\1\2\3\4\5\6"), AS_IS, VKCLIP_EFORMAT,
     "begins with 01 02 03 04"},
    {"short.bin", NULL, 0, 0, B("\7"), AS_IS, VKCLIP_EFORMAT, "begins with 07 00 00 00"},

    {"magic.png", "bilevel.png", 7, 0, B(""), AS_IS, VKCLIP_EFORMAT, "unknown kind of file"},
    {"only_magic.png", "bilevel.png", 8, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated PNG: 8 bytes, expected at least 20"},
    {"header.png", "bilevel.png", 30, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG: 30 bytes"},
    {"data.png", "bilevel.png", 900, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG: 900 bytes"},
    {"data2.png", "bilevel.png", -40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PNG"},
    {"crc_header.png", "bilevel.png", 0, 16, B("\0\0\1"), AS_IS, VKCLIP_EFORMAT,
     "checksum of chunk IHDR at byte 8"},
    {"crc_data.png", "bilevel.png", 0, 500, B("\x55\xaa"), AS_IS, VKCLIP_EFORMAT,
     "checksum of chunk IDAT"},
    {"deflate.png", "bilevel.png", 0, 43, B("\xff\xff\xff\xff"), REPAIR, VKCLIP_EFORMAT,
     "corrupt PNG: "},
    {"zlib.png", "bilevel.png", 0, 41, B("\x78\0"), REPAIR, VKCLIP_EFORMAT,
     "corrupt PNG: "},
    {"zero.png", "bilevel.png", 0, 16, B("\0\0\0\0"), REPAIR, VKCLIP_EFORMAT, "0 x 140 pixels"},
    {"color.png", "bilevel.png", 0, 25, B("\5"), REPAIR, VKCLIP_EFORMAT, "colour type"},
    {"depth.png", "bilevel.png", 0, 24, B("\7"), REPAIR, VKCLIP_EFORMAT, "a bit depth"},
    {"interlace.png", "bilevel.png", 0, 28, B("\2"), REPAIR, VKCLIP_EFORMAT, "interlace"},
    {"wide.png", "bilevel.png", 0, 16, B("\0\0\1\0"), REPAIR, VKCLIP_EFORMAT, "corrupt PNG: "},
    {"first.png", "bilevel.png", 0, 12, B("IDAT"), REPAIR, VKCLIP_EFORMAT, "first chunk"},
    {"critical.png", "bilevel.png", 0, 37, B("QDAT"), REPAIR, VKCLIP_EFORMAT,
     "unknown critical chunk QDAT at byte 33"},
    {"no_palette.png", "bilevel.png", 0, 25, B("\3"), REPAIR, VKCLIP_EFORMAT, "no PLTE"},
    {"chunk_size.png", "bilevel.png", 0, 8, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNG"},
    {"bomb1.png", "bilevel.png", 0, 16, B("\0\1\x86\xa0\0\1\x86\xa0"), REPAIR, VKCLIP_EUNSUPPORTED,
     "100000 x 100000 pixels, expected at most 89478485 (`max_pixels`"},
    {"bomb2.png", "bilevel.png", 0, 16, B("\0\0\x27\x10\0\0\x27\x10"), REPAIR, VKCLIP_EUNSUPPORTED,
     "10000 x 10000 pixels, expected at most 89478485 (`max_pixels`"},
    {"bomb3.png", "bilevel.png", 0, 16, B("\xff\xff\xff\xff\xff\xff\xff\xff"), REPAIR,
     VKCLIP_EUNSUPPORTED, "4294967295 x 4294967295 pixels"},
    {"starved.png", "bilevel.png", 0, 16, B("\0\0\x23\x28\0\0\x23\x28"), REPAIR, VKCLIP_EFORMAT,
     "cannot hold 9000 x 9000 pixels"},

    {"start.jpg", "jpeg_420_restart.jpg", 3, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"tables.jpg", "jpeg_420_restart.jpg", 100, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"half.jpg", "jpeg_420_restart.jpg", 3600, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated JPEG: 3600 bytes without the end-of-image marker"},
    {"end.jpg", "jpeg_420_restart.jpg", -2, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated JPEG"},
    {"early_end.jpg", NULL, 0, 0, B("\xff\xd8\xff\xe0\0\4ab\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "corrupt JPEG: "},
    {"segment.jpg", NULL, 0, 0, B("\xff\xd8\xff\xe0\0\1ab\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "corrupt JPEG: "},
    {"huffman.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc4\0\x15\0\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"
                                  "\xff\xff\xff\xff\xff\xff\1\2\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "Huffman table"},
#ifndef VKCLIP_WITH_JPEG
    {"arithmetic.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc9\0\xb\x8\0\x8\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "arithmetic coding"},
#endif
    {"twelve.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc1\0\xb\xc\0\x8\0\x8\1\1\x11\0"
                                 "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "12"},
    {"bomb.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\xff\xff\xff\xff\1\1\x11\0"
                               "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "65535 x 65535 pixels, expected at most"},
    {"bomb2.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\xea\x60\xea\x60\1\1\x11\0"
                                "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "60000 x 60000 pixels, expected at most"},
    {"zero.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\0\0\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EFORMAT, "8 x 0 pixels"},
    {"no_scan.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xb\x8\0\x8\0\x8\1\1\x11\0\xff\xd9"), AS_IS,
     VKCLIP_EFORMAT, "corrupt JPEG: "},
    {"starved.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc2\0\xb\x8\x20\0\x20\0\1\1\x11\0"
                                  "\xff\xda\0\x8\1\1\0\0\0\0\xff\xd9"), AS_IS, VKCLIP_EFORMAT,
     "cannot hold 8192 x 8192 pixels"},
#ifndef VKCLIP_WITH_JPEG
    {"cmyk.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\x14\x8\0\x8\0\x8\4"
                               "\1\x11\0\2\x11\0\3\x11\0\4\x11\0"
                               "\xff\xda\0\xe\4\1\0\2\0\3\0\4\0\0\0\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "four components without Adobe's marker"},
#else
    {"two.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc0\0\xe\x8\0\x8\0\x8\2\1\x11\0\2\x11\0"
                              "\xff\xda\0\xa\2\1\0\2\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "expected 1, 3 or 4 components"},
    {"lossless.jpg", NULL, 0, 0, B("\xff\xd8\xff\xc5\0\xb\x8\0\x8\0\x8\1\1\x11\0"
                                   "\xff\xda\0\x8\1\1\0\0\x3f\0\xff\xd9"), AS_IS,
     VKCLIP_EUNSUPPORTED, "SOF type"},
#endif

    {"header.gif", "animated.gif", 10, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated GIF: 10 bytes"},
    {"palette.gif", "animated.gif", 40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated GIF: 40 bytes"},
    {"data.gif", "animated.gif", 1500, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated GIF: 1500 bytes"},
    {"bomb.gif", "transparent.gif", 0, 6, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EUNSUPPORTED,
     "65535 x 65535 pixels"},
    {"frame.gif", "transparent.gif", 0, 34, B("\xff\xff\xff\xff\xff\xff\xff\xff"), AS_IS,
     VKCLIP_EUNSUPPORTED, "131070 x 131070 pixels"},
    {"none.gif", NULL, 0, 0, B("GIF89a\1\0\1\0\0\0\0;"), AS_IS, VKCLIP_EFORMAT, "holds no picture"},
    {"codes.gif", "transparent.gif", 0, 43, B("\xd"), AS_IS, VKCLIP_EFORMAT, "wrong code size"},
    {"lzw.gif", "transparent.gif", 0, 45, B("\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "data ends after 0 of 1 pixels"},
    {"few.gif", "transparent.gif", 0, 38, B("\1\0\2\0"), AS_IS, VKCLIP_EFORMAT,
     "data ends after 1 of 2 pixels"},

    {"header.bmp", "palette.bmp", 40, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP: 40 bytes"},
    {"data.bmp", "palette.bmp", 9000, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP: 9000 bytes"},
    {"thirteen.bmp", "palette.bmp", 0, 14, B("\xd"), AS_IS, VKCLIP_EUNSUPPORTED, "unknown header"},
    {"rle.bmp", "palette.bmp", 0, 30, B("\2"), AS_IS, VKCLIP_EUNSUPPORTED, "does not fit its bits"},
    {"png.bmp", "palette.bmp", 0, 30, B("\5"), AS_IS, VKCLIP_EUNSUPPORTED, "does not fit its bits"},
    {"mask.bmp", "sixths.bmp", 0, 54, B("\1\xf8"), AS_IS, VKCLIP_EUNSUPPORTED, "one run of bits"},
    {"runs.bmp", "rle8.bmp", 0, -8, B("\0\1"), AS_IS, VKCLIP_EFORMAT, "before its last row"},
    {"cut.bmp", "rle8.bmp", -5, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated BMP"},
    {"depth.bmp", "palette.bmp", 0, 28, B("\7"), AS_IS, VKCLIP_EFORMAT, "bits per pixel"},
    {"offset.bmp", "palette.bmp", 0, 10, B("\1\0\0\0"), AS_IS, VKCLIP_EFORMAT,
     "before its header ends"},
    {"offset2.bmp", "palette.bmp", 0, 10, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated BMP"},
    {"bomb.bmp", "palette.bmp", 0, 18, B("\xff\xff\xff\x7f\0\0\0\x80"), AS_IS, VKCLIP_EUNSUPPORTED,
     "2147483647 x 2147483648 pixels"},
    {"zero.bmp", "palette.bmp", 0, 22, B("\0\0\0\0"), AS_IS, VKCLIP_EFORMAT, "227 x 0 pixels"},
    {"tall.bmp", "palette.bmp", 0, 22, B("\0\1\0\0"), AS_IS, VKCLIP_EFORMAT, "truncated BMP"},
    {"index.bmp", "palette.bmp", 0, -4, B("\xf0"), AS_IS, VKCLIP_EFORMAT, "beyond the palette"},

    {"data.tga", "raw.tga", 25, 0, B(""), AS_IS, VKCLIP_EFORMAT,
     "truncated TGA: 25 bytes, expected at least 30"},
    {"packed.tga", "packed.tga", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},
    {"bomb.tga", "raw.tga", 0, 12, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EUNSUPPORTED,
     "65535 x 65535 pixels"},
    {"claim.tga", "raw.tga", 0, 12, B("\0\x20\0\x20"), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},
    {"zero.tga", "raw.tga", 0, 12, B("\0\0"), AS_IS, VKCLIP_EFORMAT, "0 x 2 pixels"},
    {"palette.tga", "palette.tga", 22, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated TGA"},

    {"header.psd", "raw.psd", 20, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD: 20 bytes"},
    {"data.psd", "raw.psd", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD"},
    {"packed.psd", "packed.psd", -1, 0, B(""), AS_IS, VKCLIP_EFORMAT, "truncated PSD"},
    {"section.psd", "raw.psd", 0, 26, B("\xff\xff\xff\xff"), AS_IS, VKCLIP_EFORMAT,
     "truncated PSD"},
    {"bomb.psd", "raw.psd", 0, 14, B("\xff\xff\xff\xff\xff\xff\xff\xff"), AS_IS,
     VKCLIP_EUNSUPPORTED, "4294967295 x 4294967295 pixels"},
    {"cmyk.psd", "raw.psd", 0, 24, B("\0\4"), AS_IS, VKCLIP_EUNSUPPORTED, "expected version 1"},
    {"channels.psd", "raw.psd", 0, 12, B("\0\2"), AS_IS, VKCLIP_EFORMAT,
     "fewer channels than its colours"},
    {"zip.psd", "raw.psd", 0, 41, B("\0\2"), AS_IS, VKCLIP_EUNSUPPORTED, "ZIP compression"},
    {"rows.psd", "packed.psd", 0, 49, B("\x83"), AS_IS, VKCLIP_EFORMAT, "PackBits"},

    {"header.pgm", NULL, 0, 0, B("P5 2 "), AS_IS, VKCLIP_EFORMAT, "truncated PNM"},
    {"data.pgm", NULL, 0, 0, B("P5 2 2 255\n\1\2\3"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNM: 14 bytes, expected at least 15"},
    {"words.pgm", NULL, 0, 0, B("P5 two 2 255\n"), AS_IS, VKCLIP_EFORMAT, "no width, height"},
    {"maximum.pgm", NULL, 0, 0, B("P5 1 1 65536\n\1\2"), AS_IS, VKCLIP_EFORMAT, "1 to 65535"},
    {"bomb.pgm", NULL, 0, 0, B("P5 99999 99999 255\n\1"), AS_IS, VKCLIP_EUNSUPPORTED,
     "99999 x 99999 pixels"},
    {"overflow.pgm", NULL, 0, 0, B("P5 99999999999999999999 1 255\n\1"), AS_IS,
     VKCLIP_EUNSUPPORTED, "999999999 x 999999999 pixels"},
    {"plain.pgm", NULL, 0, 0, B("P2 2 1 255\n7\n"), AS_IS, VKCLIP_EFORMAT,
     "truncated PNM: 1 of 2 samples"},
    {"large.pgm", NULL, 0, 0, B("P2 2 1 255\n7 256\n"), AS_IS, VKCLIP_EFORMAT, "no number up to"},
    {"letter.pbm", NULL, 0, 0, B("P1 2 1\n0x\n"), AS_IS, VKCLIP_EFORMAT, "no number up to"},
    {"pam.pam", NULL, 0, 0, B("P7\nWIDTH 1\n"), AS_IS, VKCLIP_EUNSUPPORTED, "PAM picture"},
};
/* clang-format on */

static void repair_checksums(struct bytes *file)
{
    for (size_t begin = 8; begin + 12 <= file->size;) {
        const uint8_t *p = file->data + begin;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 | (size_t)p[2] << 8 | p[3];
        if (length > file->size - begin - 12)
            break;
        put32(file->data + begin + 8 + length, (uint32_t)crc32(0, p + 4, (uInt)length + 4));
        begin += length + 12;
    }
}

static struct bytes make_broken(const struct broken *b)
{
    struct bytes file = {0};
    for (size_t i = 0; b->source && i < ARRAY_COUNT(samples); i++)
        if (!strcmp(b->source, samples[i].name)) {
            file = (struct bytes){malloc(samples[i].size), samples[i].size};
            memcpy(file.data, samples[i].data, file.size);
        }
    for (size_t i = 0; b->source && i < ARRAY_COUNT(goldens); i++)
        if (!strcmp(b->source, goldens[i])) {
            free(file.data); /* A golden file takes precedence over a sample of the same name. */
            file = read_golden(goldens[i]);
        }
    if (!b->source)
        file = (struct bytes){calloc(1, b->size + 1), b->size};
    assert_non_null(file.data);
    size_t begin = b->offset < 0 ? file.size - (size_t)-b->offset : (size_t)b->offset;
    assert_true(begin + b->size <= file.size);
    memcpy(file.data + begin, b->bytes, b->size);
    if (b->keep)
        file.size = b->keep < 0 ? file.size - (size_t)-b->keep : (size_t)b->keep;
    if (b->repair == REPAIR)
        repair_checksums(&file);
    return file;
}

static void test_messages(void **state)
{
    (void)state;
    struct vkclip_image image;
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct bytes file = make_broken(&broken[i]);
        scratch_write(folder, broken[i].name, file.data, file.size);
        char *path = scratch_path(folder, broken[i].name);
        assert_failed(vkclip_load_image(path, 0, &image), broken[i].error, broken[i].message);
        if (strncmp(vkclip_last_error(), path, strlen(path)) || image.pixels)
            fail_msg("\"%s\" does not begin with %s", vkclip_last_error(), path);
        free(path);
        free(file.data);
    }
    print_message("%zu broken files\n", ARRAY_COUNT(broken));
    assert_failed(vkclip_load_image(folder, 0, &image), VKCLIP_EIO, folder);
    char *absent = scratch_path(folder, "absent.png");
    assert_failed(vkclip_load_image(absent, 0, &image), VKCLIP_EIO, "absent.png");
    assert_failed(vkclip_load_image(NULL, 0, &image), VKCLIP_EINVALID, "no path");
    assert_failed(vkclip_load_image(absent, 0, NULL), VKCLIP_EINVALID, "no place");
    assert_failed(vkclip_decode_image(NULL, 5, NULL, 0, &image), VKCLIP_EINVALID, "no data");
    free(absent);
    scratch_remove(folder);
}

#ifndef _WIN32 /* Files take all of their blocks on the disk there. */
/* A long file is refused by its first bytes or its length, and never read as a whole. */
static void test_long_files(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const void *start;
        size_t size;
        const char *message;
    } files[] = {
        {"video.jpg", B("\0\0\0 ftypisom\0\0\0\0"), "video.jpg: video, expected PNG"},
        {"unknown.jpg", B("\1\2\3\4"), "unknown.jpg: unknown kind of file"},
        {"long.jpg", B("\xff\xd8\xff"),
         "long.jpg: JPEG of 42949672960 bytes, expected at most 67108880 for the 1 pixels that "
         "`max_pixels` allows"},
    };
    const struct vkclip_image_params params = {.size = sizeof(params), .max_pixels = 1};
    char *folder = scratch_folder();
    for (size_t i = 0; i < ARRAY_COUNT(files); i++) {
        struct vkclip_image image;
        char *path = scratch_path(folder, files[i].name);
        scratch_write(folder, files[i].name, files[i].start, files[i].size);
        scratch_cut(path, (uint64_t)40 << 30); /* The file has no blocks on the disk. */
        if (!vkclip_load_image(path, &params, &image) ||
            !strstr(vkclip_last_error(), files[i].message))
            fail_msg("%s: %s", files[i].name, vkclip_last_error());
        free(path);
    }
    scratch_remove(folder);
}
#endif

/* The caller's limit may be smaller or larger than the default. */
static void test_max_pixels(void **state)
{
    (void)state;
    struct vkclip_image image;
    struct bytes file = read_golden("bilevel.png"); /* 190 x 140 */
    struct vkclip_image_params params = {.size = sizeof(params), .max_pixels = 26599};
    assert_failed(vkclip_decode_image(file.data, file.size, "a.png", &params, &image),
                  VKCLIP_EUNSUPPORTED, "a.png: 190 x 140 pixels, expected at most 26599");
    params.max_pixels = 26600;
    assert_int_equal(vkclip_decode_image(file.data, file.size, "a.png", &params, &image), 0);
    vkclip_free_image(&image);
    put32(file.data + 16, 100000);
    put32(file.data + 20, 100000);
    repair_checksums(&file);
    params.max_pixels = UINT64_MAX;
    assert_failed(vkclip_decode_image(file.data, file.size, "a.png", &params, &image),
                  VKCLIP_EUNSUPPORTED, "at most 268435456 pixels, which is all");
    free(file.data);
}

/* Makes a PNG of one pixel whose data unpacks to 256 MiB. */
static struct bytes make_deflate_bomb(void)
{
    static uint8_t zeros[1 << 16], packed[1 << 19];
    struct bytes file = begin_png(1, 1, 8, 0);
    z_stream stream = {.next_out = packed, .avail_out = sizeof(packed)};
    assert_int_equal(deflateInit(&stream, 9), Z_OK);
    for (int i = 0; i < 1 << 12; i++) {
        stream.next_in = zeros;
        stream.avail_in = sizeof(zeros);
        deflate(&stream, i < (1 << 12) - 1 ? Z_NO_FLUSH : Z_FINISH);
    }
    assert_int_equal(stream.total_in, 1 << 28);
    add_chunk(&file, "IDAT", packed, stream.total_out);
    add_chunk(&file, "IEND", NULL, 0);
    deflateEnd(&stream);
    return file;
}

/* A small file makes the decoder allocate neither what its header claims nor what its data unpacks
 * to. */
static void test_bounded_memory(void **state)
{
    (void)state;
    struct vkclip_image image;
    struct bytes bomb = make_deflate_bomb();
    const uint64_t before = process_most_memory();
#ifdef VKCLIP_WITH_PNG
    /* What is unpacked beyond the last pixel is left alone, as Pillow does. */
    assert_int_equal(vkclip_decode_image(bomb.data, bomb.size, "bomb.png", 0, &image), 0);
    vkclip_free_image(&image);
#else
    assert_failed(vkclip_decode_image(bomb.data, bomb.size, "bomb.png", 0, &image), VKCLIP_EFORMAT,
                  "corrupt PNG: data that unpacks to more than its pixels");
#endif
    for (size_t i = 0; i < ARRAY_COUNT(broken); i++) {
        struct bytes file = make_broken(&broken[i]);
        assert_int_equal(vkclip_decode_image(file.data, file.size, "bomb", 0, &image),
                         broken[i].error);
        free(file.data);
    }
    assert_true(process_most_memory() - before < 16 << 20);
    free(bomb.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        /* It runs first, because it needs a low peak of memory. */
        cmocka_unit_test(test_bounded_memory),
        cmocka_unit_test(test_messages),
#ifndef _WIN32
        cmocka_unit_test(test_long_files),
#endif
        cmocka_unit_test(test_max_pixels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
