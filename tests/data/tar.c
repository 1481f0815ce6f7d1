/* SPDX-License-Identifier: MIT
 *
 * Reads tar shards, also compressed ones, with every way to store long names and large sizes.
 * Broken files are refused with messages that say what is wrong.
 */
#define _GNU_SOURCE
#include "base/array.h"
#include "base/file.h"
#include "base/rng.h"
#include "support/open_dataset.h"

#include <zlib.h>

#ifdef VKCLIP_WITH_LIBARCHIVE
/* ---- Making shards --------------------------------------------------------------------------- */

struct tar {
    char data[1 << 18];
    size_t size;
};

enum { BLOCK = 512 };

/* Writes a ustar header with the given bytes as its size field. */
static void put_header(struct tar *tar, const char *name, char type, const char *size_field,
                       size_t field_length)
{
    char *header = tar->data + tar->size;
    unsigned sum = 0;
    memset(header, 0, BLOCK);
    memcpy(header, name, strnlen(name, 100));
    strcpy(header + 100, "0000644");
    strcpy(header + 108, "0000000");
    strcpy(header + 116, "0000000");
    memcpy(header + 124, size_field, field_length);
    strcpy(header + 136, "00000000000");
    memset(header + 148, ' ', 8);
    header[156] = type;
    memcpy(header + 257, "ustar\00000", 8);
    for (int i = 0; i < BLOCK; i++)
        sum += (unsigned char)header[i];
    snprintf(header + 148, 8, "%06o", sum & 0777777);
    tar->size += BLOCK;
}

static void put_data(struct tar *tar, const void *data, size_t size)
{
    assert_true(tar->size + size + 3 * BLOCK < sizeof(tar->data));
    memset(tar->data + tar->size, 0, size + BLOCK);
    memcpy(tar->data + tar->size, data, size);
    tar->size += (size + BLOCK - 1) / BLOCK * BLOCK;
}

static void put_entry(struct tar *tar, const char *name, char type, const void *data, size_t size)
{
    char field[24];
    snprintf(field, sizeof(field), "%011zo", size);
    put_header(tar, name, type, field, 11);
    put_data(tar, data, size);
}

static void put_text(struct tar *tar, const char *name, const char *text)
{
    put_entry(tar, name, '0', text, strlen(text));
}

static void put_file(struct tar *tar, const char *name, const char *path)
{
    char *data;
    size_t size;
    assert_int_equal(file_read(path, 1 << 16, &data, &size), 0);
    put_entry(tar, name, '0', data, size);
    free(data);
}

/* Writes a pax record: its length, which includes its own digits, a space, key=value, line end. */
static void put_pax(struct tar *tar, const char *key, const char *value)
{
    size_t rest = strlen(key) + strlen(value) + 3, size = rest + 1;
    while (true) {
        char *record = string_format("%zu %s=%s\n", size, key, value);
        if (strlen(record) == size) {
            put_entry(tar, "PaxHeaders/x", 'x', record, size);
            free(record);
            return;
        }
        free(record);
        size++;
    }
}

static void write_tar(struct tar *tar, const char *folder, const char *name)
{
    memset(tar->data + tar->size, 0, 2 * BLOCK);
    scratch_write(folder, name, tar->data, tar->size + 2 * BLOCK);
    tar->size = 0;
}

static const char picture[] = "P6 1 1 255\nabc";
#define put_picture(tar, name) put_entry(tar, name, '0', picture, sizeof(picture) - 1)

/* ---- Reading them ---------------------------------------------------------------------------- */

static void reads_shards(void **state)
{
    (void)state;
    static struct tar tar;
    char *folder = scratch_folder(), *shard = string_format("%s/s-09.tar: ", folder);
    const struct dataset_params labels = {.label_key = "name"};
    struct dataset *dataset;
    struct vkclip_image image;
    put_entry(&tar, "./", '5', "", 0);
    put_text(&tar, "./._k.ppm", "attributes of macOS, which come before every file");
    put_picture(&tar, "k.ppm");
    put_text(&tar, "._k.txt", "attributes");
    put_pax(&tar, "LIBARCHIVE.xattr.com.apple.provenance", "AQID");
    put_text(&tar, "k.txt", "a caption\n");
    put_text(&tar, "k.json",
             "{\"caption\": \"not this\", \"name\": \"n\", \"x\": \"NaN\", \"y\": NaN, "
             "\"z\": [-Infinity, \"\\\"Infinity\"]}");
    put_text(&tar, "k.cls", "7");
    put_text(&tar, "__MACOSX/._k.ppm", "attributes");
    put_text(&tar, "__MACOSX/._k.txt", "attributes");
    put_text(&tar, "lonely.txt", "no picture");
    put_file(&tar, "dir.x/000.png", "tests/fuzz/corpus/image/checker_97.png");
    put_text(&tar, "dir.x/000.json", "{\"name\": 12, \"text\": [\"one\", \"\", \"two\"]}");
    put_text(&tar, "README", "no key");
    write_tar(&tar, folder, "s-09.tar");
    put_text(&tar, "000.json",
             "{\"name\": \"n\", \"caption\": \"c \\ud83d\\ude00 \\ud83d\\\\ud83d\"}");
    put_file(&tar, "000.JPG", "tests/fuzz/corpus/image/jpeg_420_restart.jpg");
    put_picture(&tar, "bare.ppm");
    put_picture(&tar, "unlabelled.ppm");
    put_text(&tar, "unlabelled.json", "{\"caption\": \"c\"}");
    put_picture(&tar, "broken.ppm");
    put_text(&tar, "broken.json", "{\"caption\": ");
    write_tar(&tar, folder, "s-10.tar");
    assert_int_equal(open_file(folder, "s-{09..10}.tar", &labels, &dataset), 0);
    assert_int_equal(dataset->file_count, 2);
    assert_int_equal(dataset->count, 3);
    assert_int_equal(dataset->labels, 2);
    assert_int_equal(dataset->incomplete, 4);
    assert_non_null(strstr(last_warning, "s-09.tar: lonely: no picture"));
    assert_captions(dataset, 0, "a caption\n", NULL);
    assert_captions(dataset, 1, "one", "two");
    assert_captions(dataset, 2, "c \xf0\x9f\x98\x80 \xef\xbf\xbd\\ud83d", NULL);
    assert_int_equal(dataset->samples[2].label, dataset->samples[0].label);
    assert_name(dataset, 1, shard, "dir.x/000.png");
    assert_int_equal(dataset_load(dataset, 0, NULL, &image), 0);
    assert_memory_equal(image.pixels, "abc", 3);
    vkclip_free_image(&image);
    assert_int_equal(dataset_load(dataset, 1, NULL, &image), 0);
    assert_int_equal(image.width, 97);
    vkclip_free_image(&image);
    assert_int_equal(dataset_load(dataset, 2, NULL, &image), 0);
    vkclip_free_image(&image);
    dataset_close(&dataset);
    free(shard);
    scratch_remove(folder);
}

/* ---- Compressed shards ----------------------------------------------------------------------- */

/* Appends a member of gzip to a file. */
static void append_gzip(const char *path, const void *data, size_t size)
{
    z_stream stream = {.next_in = (void *)data, .avail_in = (unsigned)size};
    assert_int_equal(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
    stream.avail_out = (unsigned)deflateBound(&stream, size);
    uint8_t *packed = malloc(stream.avail_out);
    stream.next_out = packed;
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    FILE *file = fopen(path, "ab");
    assert_non_null(file);
    assert_int_equal(fwrite(packed, 1, stream.total_out, file), stream.total_out);
    assert_int_equal(fclose(file), 0);
    deflateEnd(&stream);
    free(packed);
}

/* Two members, in the second of which the end of the first picture is, and then padding. */
static void reads_compressed_shards(void **state)
{
    (void)state;
    static struct tar tar;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.tgz");
    struct dataset *dataset;
    struct vkclip_image image;
    put_file(&tar, "a.png", "tests/fuzz/corpus/image/checker_97.png");
    put_text(&tar, "a.txt", "one");
    put_picture(&tar, "b.ppm");
    put_text(&tar, "b.txt", "two");
    memset(tar.data + tar.size, 0, 2 * BLOCK);
    append_gzip(path, tar.data, 600);
    append_gzip(path, tar.data + 600, tar.size + 2 * BLOCK - 600);
    FILE *file = fopen(path, "ab");
    fwrite("\0\0\0", 1, 3, file);
    fclose(file);
    assert_int_equal(open_file(folder, "a.tgz", NULL, &dataset), 0);
    assert_int_equal(dataset->count, 2);
    assert_captions(dataset, 1, "two", NULL);
    for (size_t i = 0; i < 4; i++) { /* forwards, and then back */
        assert_int_equal(dataset_load(dataset, i % 2, NULL, &image), 0);
        assert_int_equal(image.width, i % 2 ? 1 : 97);
        vkclip_free_image(&image);
    }
    dataset_close(&dataset);
    assert_int_equal(truncate(path, file_stamp(path).size - 40), 0);
    assert_failed(open_file(folder, "a.tgz", NULL, &dataset), VKCLIP_EFORMAT,
                  "a.tgz: gzip: ends after");
    tar.size = 0;
    free(path);
    scratch_remove(folder);
}

/* A text of 11 MB in two members, half of which cannot be made shorter, is the same from the start
 * to the end and at places in any order. */
static void reads_gzip_at_any_place(void **state)
{
    (void)state;
    enum { SIZE = 11 << 20, FIRST = 6 << 20, LENGTH = 5000 };
    static uint8_t text[SIZE], copy[SIZE], part[LENGTH];
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.gz");
    struct file_map map;
    struct gzip *gzip;
    struct gzip_places *places;
    size_t count, done = 0;
    for (uint64_t i = 0; i < SIZE; i++)
        text[i] = i / 1000 % 2 ? (uint8_t)(rng_word(7, i)) : (uint8_t)(i / 10000);
    append_gzip(path, text, FIRST);
    append_gzip(path, text + FIRST, SIZE - FIRST);
    assert_int_equal(file_open(path, &map), 0);
    assert_int_equal(gzip_open_first(&map, &gzip, &places), 0);
    do {
        const size_t left = SIZE - done;
        assert_int_equal(gzip_read_next(gzip, left < 70000 ? left : 70000, copy + done, &count), 0);
        done += count;
    } while (count);
    assert_int_equal(done, SIZE);
    assert_memory_equal(copy, text, SIZE);
    assert_int_equal(gzip_read_next(gzip, 1, part, &count), 0);
    assert_int_equal(count, 0);
    gzip_close(&gzip);
    static const size_t offsets[] = {SIZE - LENGTH, 0, 5 << 20, FIRST - 100, 10 << 20, 100};
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < ARRAY_COUNT(offsets); i++) {
            if (!again || !i) /* with a reader of its own, and with one for all */
                assert_int_equal(gzip_open(&map, places, &gzip), 0);
            assert_int_equal(gzip_read(gzip, offsets[i], LENGTH, part), 0);
            assert_memory_equal(part, text + offsets[i], LENGTH);
            if (!again)
                gzip_close(&gzip);
        }
        if (again)
            assert_failed(gzip_read(gzip, SIZE - 1, 2, part), VKCLIP_EFORMAT, "truncated");
    }
    gzip_close(&gzip);
    gzip_free_places(&places);
    file_map_close(&map);
    free(path);
    scratch_remove(folder);
}

static void expands_braces(void **state)
{
    (void)state;
    static struct tar tar;
    static const struct {
        const char *path, *files[5];
    } cases[] = {
        {"{8..10}.tar", {"8.tar", "9.tar", "10.tar"}},
        {"{008..010}.tar", {"008.tar", "009.tar", "010.tar"}},
        {"{a,bb}-{0..1}.tar", {"a-0.tar", "a-1.tar", "bb-0.tar", "bb-1.tar"}},
        {"x{}.tar", {"x.tar"}},
    };
    char *folder = scratch_folder();
    struct dataset *dataset;
    for (size_t i = 0; i < ARRAY_COUNT(cases); i++) {
        size_t count = 0;
        for (; count < 5 && cases[i].files[count]; count++) {
            put_picture(&tar, "k.ppm");
            put_text(&tar, "k.txt", cases[i].files[count]);
            write_tar(&tar, folder, cases[i].files[count]);
        }
        assert_int_equal(open_file(folder, cases[i].path, NULL, &dataset), 0);
        assert_int_equal(dataset->count, count);
        for (size_t k = 0; k < count; k++)
            assert_captions(dataset, k, cases[i].files[k], NULL);
        dataset_close(&dataset);
    }
    assert_failed(open_file(folder, "{9..8}.tar", NULL, &dataset), VKCLIP_EINVALID,
                  "shards 9 to 8, expected the lower number first");
    assert_failed(open_file(folder, "{0..1}{0..999999999}.tar", NULL, &dataset), VKCLIP_EINVALID,
                  "more than 1048576 shards");
    assert_failed(open_file(folder, "{8..11}.tar", NULL, &dataset), VKCLIP_EIO, "11.tar");
    scratch_remove(folder);
}

static void reads_long_names(void **state)
{
    (void)state;
    static struct tar tar;
    char *folder = scratch_folder(), *long_name, *path;
    char key[301] = "";
    struct dataset *dataset;
    memset(key, 'k', sizeof(key) - 1);
    for (int gnu = 0; gnu < 2; gnu++) {
        static const char *const ends[] = {"ppm", "txt"};
        for (int i = 0; i < 2; i++) {
            long_name = string_format("deep/%s.%s", key, ends[i]);
            if (gnu)
                put_entry(&tar, "././@LongLink", 'L', long_name, strlen(long_name) + 1);
            else
                put_pax(&tar, "path", long_name);
            if (i)
                put_text(&tar, "cut", "caption");
            else
                put_picture(&tar, "cut");
            free(long_name);
        }
        write_tar(&tar, folder, "long.tar");
        assert_int_equal(open_file(folder, "long.tar", NULL, &dataset), 0);
        assert_int_equal(dataset->count, 1);
        path = string_format("deep/%s.ppm", key);
        assert_string_equal(dataset->samples[0].name, path);
        free(path);
        dataset_close(&dataset);
    }
    scratch_remove(folder);
}

static void bears_hostile_names(void **state)
{
    (void)state;
    static struct tar tar;
    static const char *const names[] = {"../../etc/passwd.ppm",
                                        "/absolute.ppm",
                                        "new\nline.ppm",
                                        "\xff\xfe.ppm",
                                        "%s%n.ppm",
                                        "{0,9}.ppm",
                                        ".ppm",
                                        "a/.ppm"};
    char *folder = scratch_folder();
    struct dataset *dataset;
    struct vkclip_image image;
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        char *text = string_format("%.*s.txt", (int)strlen(names[i]) - 4, names[i]);
        put_picture(&tar, names[i]);
        put_text(&tar, text, "caption");
        free(text);
    }
    put_entry(&tar, "link.ppm", '1', "", 0); /* A link is not a file. */
    put_text(&tar, "link.txt", "caption");
    put_entry(&tar, "empty.ppm", '0', "", 0);
    put_text(&tar, "empty.txt", "caption");
    write_tar(&tar, folder, "hostile.tar");
    assert_int_equal(open_file(folder, "hostile.tar", NULL, &dataset), 0);
    assert_int_equal(dataset->count, ARRAY_COUNT(names) + 1);
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        assert_string_equal(dataset->samples[i].name, names[i]);
        /* The picture is read from the shard, not from a file in the folder. */
        assert_int_equal(dataset_load(dataset, i, NULL, &image), 0);
        vkclip_free_image(&image);
    }
    assert_failed(dataset_load(dataset, ARRAY_COUNT(names), NULL, &image), VKCLIP_EFORMAT,
                  "hostile.tar: empty.ppm");
    dataset_close(&dataset);
    scratch_remove(folder);
}

/* Without captions each picture is a sample, whatever else its key has. */
static void lists_pictures_alone(void **state)
{
    (void)state;
    static struct tar tar;
    static const struct dataset_params alone = {.pictures_only = true};
    static const char *const names[] = {"0.ppm", "0.seg.ppm", "a.b/photo.2024.PPM", "z{0,9}.ppm"};
    char *folder = scratch_folder();
    struct dataset *dataset;
    struct vkclip_image image;
    put_text(&tar, "0.json", "{}");
    for (size_t i = 0; i < ARRAY_COUNT(names); i++) {
        put_picture(&tar, names[i]);
        put_text(&tar, "._0.ppm", "of a Mac");
        put_text(&tar, "notes", "no extension");
    }
    write_tar(&tar, folder, "{0..9}.tar");
    assert_int_equal(open_file(folder, "{0..9}.tar", &alone, &dataset), 0);
    assert_int_equal(dataset->count, ARRAY_COUNT(names));
    for (size_t i = 0; i < dataset->count; i++) {
        assert_string_equal(dataset->samples[i].name, names[i]);
        assert_int_equal(dataset_load(dataset, i, NULL, &image), 0);
        vkclip_free_image(&image);
    }
    dataset_close(&dataset);
    put_text(&tar, "0.txt", "caption");
    write_tar(&tar, folder, "none.tar");
    assert_failed(open_file(folder, "none.tar", &alone, &dataset), VKCLIP_EFORMAT,
                  "none.tar: contains no pictures");
    scratch_remove(folder);
}

/* Pictures are read from shards that still have the content that was listed. */
static void refuses_changed_shards(void **state)
{
    (void)state;
    static struct tar tar;
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.tar");
    struct dataset *dataset;
    struct vkclip_image image;
    put_picture(&tar, "k.ppm");
    put_text(&tar, "k.txt", "caption");
    write_tar(&tar, folder, "a.tar");
    assert_int_equal(open_file(folder, "a.tar", NULL, &dataset), 0);
    assert_int_equal(truncate(path, 3), 0);
    assert_failed(dataset_load(dataset, 0, NULL, &image), VKCLIP_EIO,
                  "a.tar: was written to after its samples were listed");
    assert_null(image.pixels);
    assert_int_equal(remove(path), 0);
    assert_failed(dataset_load(dataset, 0, NULL, &image), VKCLIP_EIO, "a.tar: ");
    dataset_close(&dataset);
    free(path);
    scratch_remove(folder);
}

/* A file that is too long for its limit of pixels is not read, as outside a shard. */
static void refuses_long_pictures(void **state)
{
    (void)state;
    static struct tar tar;
    static const struct image_options options = {.max_pixels = 1};
    char *folder = scratch_folder(), *path = scratch_path(folder, "a.tar");
    struct dataset *dataset;
    struct vkclip_image image;
    put_text(&tar, "k.txt", "caption");
    put_header(&tar, "k.ppm", '0', "00600000000", 11); /* 96 MiB */
    put_data(&tar, picture, sizeof(picture) - 1);
    write_tar(&tar, folder, "a.tar");
    assert_int_equal(truncate(path, 97 << 20), 0);
    assert_int_equal(open_file(folder, "a.tar", NULL, &dataset), 0);
    assert_failed(dataset_load(dataset, 0, &options, &image), VKCLIP_EUNSUPPORTED,
                  "k.ppm: PNM of 100663296 bytes, expected at most 67108880");
    dataset_close(&dataset);
    free(path);
    scratch_remove(folder);
}

static void refuses_shards(void **state)
{
    (void)state;
    static struct tar tar;
    char *folder = scratch_folder();
    struct dataset *dataset;

    /* The size claims more bytes than there are, in octal, in base 256 and in a pax record. */
    put_header(&tar, "k.ppm", '0', "77777777777", 11);
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT,
                  "k.ppm: 8589934591 bytes, more than the shard has (truncated?)");
    put_header(&tar, "k.ppm", '0', "\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12);
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "a.tar");
    put_header(&tar, "k.ppm", '0', "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12);
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "a.tar");
    put_pax(&tar, "size", "9223372036854775807");
    put_picture(&tar, "k.ppm");
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "a.tar");

    /* The shard is cut off inside a file, then inside a header, and then a header has a wrong
     * checksum. */
    put_entry(&tar, "k.txt", '0', "caption", 7);
    put_entry(&tar, "k.ppm", '0', picture, sizeof(picture) - 1);
    for (size_t size = 2 * BLOCK + 1; size < 3 * BLOCK + sizeof(picture) - 1; size += 100) {
        scratch_write(folder, "a.tar", tar.data, size);
        assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "truncated");
    }
    tar.data[2 * BLOCK + 10] = 'x';
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "a.tar: tar archive");

    scratch_text(folder, "a.tar", "no tar, but a text that is long enough to be looked at");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT, "a.tar");
    scratch_text(folder, "a.tar", "");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT,
                  "contains no samples");
    scratch_text(folder, "a.tar.gz", "\x1f\x8b\x08");
    assert_failed(open_file(folder, "a.tar.gz", NULL, &dataset), VKCLIP_EFORMAT,
                  "a.tar.gz: gzip: ends after 0 bytes of its content (truncated?)");
    scratch_text(folder, "a.tar.gz", "\x1f\x8b\x09 is no method of compression");
    assert_failed(open_file(folder, "a.tar.gz", NULL, &dataset), VKCLIP_EFORMAT,
                  "a.tar.gz: gzip: unknown compression method");
    scratch_text(folder, "a.tar.zst", "\x28\xb5\x2f\xfd");
    assert_failed(open_file(folder, "a.tar.zst", NULL, &dataset), VKCLIP_EUNSUPPORTED,
                  "compressed by zstd");
    put_picture(&tar, "k.ppm");
    put_text(&tar, "k.json", "{\"caption\": \"a\",\n \"text\": \"\xff\"}");
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT,
                  "a.tar: k: .json: line 2: unable to decode byte 0xff");
    put_picture(&tar, "k.ppm");
    write_tar(&tar, folder, "a.tar");
    assert_failed(open_file(folder, "a.tar", NULL, &dataset), VKCLIP_EFORMAT,
                  "none of 1 samples has a picture and a caption");
    scratch_remove(folder);
}
#else
static void refuses_all_shards(void **state)
{
    (void)state;
    struct dataset *dataset;
    assert_failed(dataset_open(&(const char *){"a.tar"}, 1, NULL, &dataset), VKCLIP_EUNSUPPORTED,
                  "no libarchive");
    assert_null(dataset);
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef VKCLIP_WITH_LIBARCHIVE
        cmocka_unit_test(reads_shards),
        cmocka_unit_test(reads_compressed_shards),
        cmocka_unit_test(reads_gzip_at_any_place),
        cmocka_unit_test(expands_braces),
        cmocka_unit_test(reads_long_names),
        cmocka_unit_test(bears_hostile_names),
        cmocka_unit_test(refuses_shards),
        cmocka_unit_test(lists_pictures_alone),
        cmocka_unit_test(refuses_changed_shards),
        cmocka_unit_test(refuses_long_pictures),
#else
        cmocka_unit_test(refuses_all_shards),
#endif
    };
    vkclip_set_log(keep_warning, NULL);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    free(last_warning);
    return failed;
}
