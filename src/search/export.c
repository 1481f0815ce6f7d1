/* SPDX-License-Identifier: MIT
 *
 * Every file that is present has a row, copies too. Parquet's texts are UTF-8: a file with another
 * name is left out of both files with a warning, so that their rows stay in step.
 */
#include "search/export.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/string.h"
#include "format/parquet.h"

#include <string.h>
#include <utf8proc.h>

enum { HEADER = 128 }; /* bytes before the values of a .npy file */

enum column { PATH, WIDTH, HEIGHT, COLUMNS };

static const struct parquet_column columns[COLUMNS] = {
    [PATH] = {"image_path", PARQUET_TEXT},
    [WIDTH] = {"width", PARQUET_INT32},
    [HEIGHT] = {"height", PARQUET_INT32},
};

struct export
{
    struct store *store;
    int64_t model;
    uint32_t dim;
    uint16_t *row; /* [dim] */
    struct file_output vectors;
    struct parquet *metadata;
    uint64_t count, left_out;
    uint64_t done, total; /* files that were gone through, and how many there are */
};

static bool is_utf8(const char *text)
{
    utf8proc_int32_t code;
    while (*text) {
        const utf8proc_ssize_t size = utf8proc_iterate((const utf8proc_uint8_t *)text, -1, &code);
        if (size <= 0)
            return false;
        text += size;
    }
    return true;
}

static int export_picture(void *user, const struct store_picture *picture)
{
    struct export *export = user;
    bool found;
    int error = export->done < export->total ? progress_tell(export->done++, export->total)
                                             : progress_check();
    if (!error)
        error = export->store->read->read_vector(export->store, picture->id, export->model,
                                                 export->row, export->dim, &found);
    if (error || !found)
        return error;
    if (!is_utf8(picture->path)) {
        log_message(VKCLIP_LOG_WARNING, "%s: left out, because its name is not UTF-8",
                    picture->path);
        export->left_out++;
        return VKCLIP_OK;
    }
    error = file_output_write(&export->vectors, export->row, export->dim * sizeof(*export->row));
    parquet_put_text(export->metadata, PATH, picture->path, strlen(picture->path));
    parquet_put_integer(export->metadata, WIDTH, picture->facts.width);
    parquet_put_integer(export->metadata, HEIGHT, picture->facts.height);
    export->count++;
    return error ? error : parquet_end_row(export->metadata);
}

/* Writes the header of a .npy file of fp16 values, filled with spaces to its fixed length. */
static void make_header(uint64_t rows, uint32_t dim, char header[HEADER])
{
    memset(header, ' ', HEADER);
    memcpy(header, "\x93NUMPY\x01\x00", 8);
    header[8] = HEADER - 10;
    header[9] = 0;
    char text[HEADER];
    const int length = snprintf(text, sizeof(text),
                                "{'descr': '<f2', 'fortran_order': False, 'shape': (%llu, %u)}",
                                (unsigned long long)rows, dim);
    memcpy(header + 10, text, (size_t)length);
    header[HEADER - 1] = '\n';
}

/* The number of rows is known at the end, when the header is written again. */
static int rewrite_header(struct export *export)
{
    char header[HEADER];
    make_header(export->count, export->dim, header);
    if (fseek(export->vectors.file, 0, SEEK_SET) ||
        fwrite(header, HEADER, 1, export->vectors.file) != 1)
        return file_fail_writing(export->vectors.path);
    return VKCLIP_OK;
}

static int write_rows(struct export *export, const char *vectors, const char *metadata)
{
    char header[HEADER];
    make_header(0, export->dim, header);
    struct vkclip_index_info info;
    int error = export->store->read->count(export->store, &info);
    if (error)
        return error;
    export->total = info.files;
    error = parquet_open(metadata, columns, COLUMNS, &export->metadata);
    if (!error)
        error = file_output_open(vectors, &export->vectors);
    if (!error)
        error = file_output_write(&export->vectors, header, HEADER);
    if (!error)
        error = export->store->read->each_picture(export->store, export_picture, export);
    if (!error)
        error = rewrite_header(export);
    error = parquet_close(&export->metadata, error);
    return file_output_close(&export->vectors, error);
}

/* The folders and files of the layout. */
struct paths {
    const char *folder;
    char *vectors, *metadata, *vector_file, *metadata_file;
};

static int make_folders(const struct paths *paths)
{
    int error = folder_make_new(paths->folder);
    if (!error)
        error = folder_make(paths->vectors);
    return error ? error : folder_make(paths->metadata);
}

/* After an error the folder is as it was before. */
static int write_folders(struct export *export, const struct paths *paths)
{
    const bool is_new = !folder_exists(paths->folder);
    int error = make_folders(paths);
    if (error)
        return error;
    error = write_rows(export, paths->vector_file, paths->metadata_file);
    if (error) {
        folder_remove(paths->vectors);
        folder_remove(paths->metadata);
    }
    if (error && is_new)
        folder_remove(paths->folder);
    return error;
}

int export_clip_retrieval(struct vkclip_index *index, const char *identity, uint32_t dim,
                          const char *folder, uint64_t *exported)
{
    struct export export = {.store = index->store, .dim = dim};
    const struct paths paths = {.folder = folder,
                                .vectors = string_format("%s/img_emb", folder),
                                .metadata = string_format("%s/metadata", folder),
                                .vector_file = string_format("%s/img_emb/img_emb_0.npy", folder),
                                .metadata_file =
                                    string_format("%s/metadata/metadata_0.parquet", folder)};
    export.row = memory_alloc(dim * sizeof(*export.row));
    int error = export.store->read->find_model(export.store, identity, &export.model);
    if (!error && !(paths.vectors && paths.metadata && paths.vector_file && paths.metadata_file &&
                    export.row))
        error = error_fail(VKCLIP_EMEMORY, "%s: out of memory", folder);
    if (!error && !export.model)
        error = error_fail(VKCLIP_EINVALID, "%s: has no embeddings of this model", index->path);
    if (!error)
        error = export.store->read->begin(export.store);
    if (!error) {
        error = write_folders(&export, &paths);
        const int ended = export.store->read->end(export.store);
        error = error ? error : ended;
    }
    *exported = export.count;
    memory_free(paths.vectors);
    memory_free(paths.metadata);
    memory_free(paths.vector_file);
    memory_free(paths.metadata_file);
    memory_free(export.row);
    return error;
}
