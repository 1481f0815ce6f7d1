/* SPDX-License-Identifier: MIT
 *
 * The database is written to in short transactions, so that other processes wait for milliseconds.
 * Until then an entry is in a list: open ones are being decoded or encoded, ended ones wait to be
 * written. A file whose content is in a list is added to that entry, so that copies are encoded
 * once. A content that another process encodes waits until everything else is done.
 */
#include "search/pass.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/file.h"
#include "base/folder.h"
#include "base/half.h"
#include "base/memory.h"
#include "base/string.h"
#include "base/thread.h"
#include "image/decode.h"
#include "search/file_hash.h"
#include "search/roots.h"
#include "search/walk.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum {
    MOST_ENDED = 256, /* entries that wait: more would be lost at a kill, and take more memory */
    WALK_PART = 1024  /* files between which the walk lets go of its view of the database */
};
/* Seconds between two transactions. Longer waits would lose more work at a kill; a transaction
 * takes about three milliseconds. */
#define FLUSH_INTERVAL 0.5

struct pass {
    struct vkclip_index *index;
    struct store *store;
    const struct pass_params *params;
    const struct roots *roots; /* what is searched */
    bool whole;                /* The caller named nothing: this is about all that is known. */
    int64_t model, now;        /* `now` names the pass: nanoseconds since 1970 */
    struct vkclip_update_result result;

    struct mutex lock; /* protects the store and everything below */
    struct entry *open, *ended;
    struct entry *waiting; /* Another process encodes their contents now. */
    struct entry *ready;   /* waited, and must be encoded after all */
    size_t ended_count;
    double flushed;
    int64_t work; /* number of the work that was taken last */
    struct vkclip_update_progress progress;
    int error; /* of the store, or of a stop by the caller: no more work is given */
    char message[ERROR_MESSAGE];
};

/* ---- Stopping -------------------------------------------------------------------------------- */

/* Ends the pass with this thread's last error. */
static void stop_pass(struct pass *pass, int error)
{
    if (!error || pass->error)
        return;
    pass->error = error;
    snprintf(pass->message, sizeof(pass->message), "%s", error_last());
}

static void report_progress(struct pass *pass)
{
    const struct vkclip_update_params *update = &pass->params->update;
    if (!pass->error && update->progress && update->progress(update->user, &pass->progress))
        stop_pass(pass, error_fail(VKCLIP_ECANCELLED, "stopped by the caller"));
}

static void report_failure(struct pass *pass, const char *path, int error, const char *message)
{
    const struct vkclip_update_params *update = &pass->params->update;
    if (!pass->error && update->failure && update->failure(update->user, path, error, message))
        stop_pass(pass, error_fail(VKCLIP_ECANCELLED, "stopped by the caller"));
}

/* ---- Writing --------------------------------------------------------------------------------- */

/* An error of the machine and not of the file or its content is not recorded, so that the file is
 * read again. A content that was read cannot be to blame for an error of reading. */
static bool is_recorded(const struct entry *entry)
{
    return entry->error == VKCLIP_EFORMAT || entry->error == VKCLIP_EUNSUPPORTED ||
           (entry->error == VKCLIP_EIO && !entry->hashed);
}

static int write_content(struct pass *pass, const struct entry *entry, int64_t *content)
{
    struct store *store = pass->store;
    const struct pass_entry *open = &entry->open;
    int error = store->write->put_content(store, &entry->hash, content);
    if (!error && entry->error)
        return store->write->fail_content(store, *content, entry->error, entry->message);
    if (!error && open->thumbnail)
        error = store->write->put_thumbnail(store, *content, open->thumbnail, open->thumbnail_size);
    if (error || !entry->vector)
        return error;
    error = store->write->put_facts(store, *content, &open->facts);
    if (!error)
        error = store->write->put_vector(store, *content, pass->model, entry->vector,
                                         pass->params->model.embed_dim);
    return error;
}

static int write_file(struct pass *pass, const struct entry *entry, const struct file_link *file,
                      int64_t content, struct vkclip_update_result *result)
{
    struct store *store = pass->store;
    const int failure = entry->hashed ? VKCLIP_OK : entry->error;
    int64_t before;
    bool moved = false;
    int error = store->write->put_file(store, file->path, &file->stamp, content, failure,
                                       failure ? entry->message : NULL, &before);
    if (error || entry->error)
        return error;
    if (before < 0)
        error = store->write->take_missing(store, content, &moved);
    result->moved += moved;
    result->added += before < 0 && !moved;
    result->changed += before >= 0 && before != content;
    return error;
}

static int write_entry(struct pass *pass, const struct entry *entry,
                       struct vkclip_update_result *result)
{
    int64_t content = 0;
    int error = VKCLIP_OK;
    if (entry->error && !is_recorded(entry)) {
        for (const struct file_link *file = entry->files; file && !error; file = file->next)
            error = pass->store->write->drop_work(pass->store, file->path, &entry->hash);
        return error;
    }
    if (entry->hashed)
        error = write_content(pass, entry, &content);
    for (const struct file_link *file = entry->files; file && !error; file = file->next)
        error = write_file(pass, entry, file, content, result);
    result->encoded += entry->vector != NULL;
    result->thumbnails += entry->open.thumbnail != NULL;
    return error;
}

/* Writes all entries that have ended, in one transaction. */
static void write_ended(struct pass *pass)
{
    struct store *store = pass->store;
    struct vkclip_update_result result = pass->result;
    pass->flushed = clock_seconds();
    if (!pass->ended || (pass->error && pass->error != VKCLIP_ECANCELLED))
        return;
    int error = store->write->begin(store);
    /* Another model may have taken the place of one that has no vectors yet. */
    if (!error)
        error = store->write->put_model(store, &pass->params->model, &pass->model);
    for (const struct entry *entry = pass->ended; entry && !error; entry = entry->next)
        error = write_entry(pass, entry, &result);
    error = store_end_writing(store, error);
    if (!error)
        pass->result = result;
    stop_pass(pass, error);
    for (const struct entry *entry = pass->ended; entry; entry = entry->next)
        for (const struct file_link *file = entry->files; file && entry->error; file = file->next)
            report_failure(pass, file->path, entry->error, entry->message ? entry->message : "");
    entry_free_all(&pass->ended);
    pass->ended_count = 0;
}

/* Adds an entry to those that wait to be written, and takes it over. */
static void end_entry(struct pass *pass, struct entry *entry)
{
    entry_push(&pass->ended, entry);
    pass->progress.done++;
    if (++pass->ended_count >= MOST_ENDED || clock_seconds() - pass->flushed >= FLUSH_INTERVAL)
        write_ended(pass);
    report_progress(pass);
}

int pass_flush(struct pass *pass)
{
    mutex_lock(&pass->lock);
    if (clock_seconds() - pass->flushed >= FLUSH_INTERVAL)
        write_ended(pass);
    report_progress(pass);
    const int error = pass->error;
    mutex_unlock(&pass->lock);
    return error;
}

/* ---- Work ------------------------------------------------------------------------------------ */

/* Takes the path of the next file under the lock; NULL: there is none. */
static char *take_work(struct pass *pass)
{
    struct store_work work = {0};
    if (!pass->error)
        stop_pass(pass, pass->store->write->next_work(pass->store, pass->work, &work));
    if (work.path)
        pass->work = work.number;
    return work.path;
}

/* Returns the entry of this pass that has the same content, or NULL. */
static struct entry *find_same(const struct pass *pass, const struct entry *entry)
{
    struct entry *const lists[] = {pass->open, pass->ended, pass->waiting, pass->ready};
    struct entry *same = NULL;
    for (size_t i = 0; i < ARRAY_COUNT(lists) && entry->hashed && !same; i++)
        same = entry_find(lists[i], &entry->hash);
    return same;
}

/* Tells whether a content that could not be decoded, for the reason in `message`, is to be tried
 * again. */
static bool is_tried_again(const struct pass *pass, const char *message)
{
    return pass->params->update.retry || image_has_library_now(message);
}

/* Tells whether nothing of a content is to be computed. */
static bool is_done(const struct pass *pass, const struct store_content *content)
{
    const struct vkclip_update_params *update = &pass->params->update;
    if (content->error && !is_tried_again(pass, content->message))
        return true;
    return content->encoded && (content->thumbnail || !update->thumbnails);
}

/* Finds what the index knows of a content, and claims it if it is not done. Another process may
 * have done it before the claim, which is seen by looking again. */
static int claim_content(const struct pass *pass, const struct store_hash *hash,
                         struct store_content *content, bool *claimed)
{
    struct store *store = pass->store;
    int error = store->read->find_content(store, hash, pass->model, content);
    *claimed = true;
    if (error || is_done(pass, content))
        return error;
    error = store->write->claim_content(store, hash, pass->model, claimed);
    if (error || !*claimed)
        return error;
    return store->read->find_content(store, hash, pass->model, content);
}

/* Decides under the lock what is to be done with a file that was read. Returns the entry if it must
 * be encoded, and takes it over otherwise. */
static struct entry *settle_entry(struct pass *pass, struct entry *entry)
{
    struct store_content content = {0};
    struct entry *same = find_same(pass, entry);
    bool claimed = true;
    if (same || !entry->files) {
        pass->progress.done++;
        if (same)
            entry_join(same, entry);
        else
            entry_free(entry);
        report_progress(pass);
        return NULL;
    }
    if (entry->hashed && !pass->error)
        stop_pass(pass, claim_content(pass, &entry->hash, &content, &claimed));
    if (pass->error) {
        entry_free(entry);
        return NULL;
    }
    if (content.error && !is_tried_again(pass, content.message))
        entry_fail(entry, content.error, content.message);
    entry->open.encoded = content.encoded;
    entry->open.wants_thumbnail = pass->params->update.thumbnails && !content.thumbnail;
    if (claimed && !entry->error && !is_done(pass, &content))
        return entry;
    pass_release_data(&entry->open);
    if (claimed)
        end_entry(pass, entry);
    else
        entry_push(&pass->waiting, entry);
    return NULL;
}

struct pass_entry *pass_next(struct pass *pass)
{
    mutex_lock(&pass->lock);
    struct entry *entry = entry_pop(&pass->ready);
    while (!entry) {
        char *path = take_work(pass);
        if (!path)
            break;
        mutex_unlock(&pass->lock);
        struct entry *read = entry_read(path);
        mutex_lock(&pass->lock);
        if (read)
            entry = settle_entry(pass, read);
        else
            stop_pass(pass, error_fail(VKCLIP_EMEMORY, "out of memory for the list of pictures"));
    }
    if (entry)
        entry_push(&pass->open, entry);
    mutex_unlock(&pass->lock);
    return entry ? &entry->open : NULL;
}

void pass_release_data(struct pass_entry *entry)
{
    memory_free(entry->data);
    entry->data = NULL;
}

/* A file that is read again must still have the content that its embedding is kept for. */
int pass_load_data(struct pass_entry *open)
{
    const struct entry *entry = (const struct entry *)open;
    struct store_stamp stamp;
    struct store_hash hash;
    if (open->data)
        return VKCLIP_OK;
    int error = file_hash_read(open->path, &stamp, &hash, &open->data, &open->size);
    if (!error && memcmp(&hash, &entry->hash, sizeof(hash)))
        error = error_fail(VKCLIP_EIO, "%s: was written to while it was read", open->path);
    return error;
}

static void close_entry(struct pass *pass, struct entry *entry)
{
    struct entry **place = &pass->open;
    while (*place != entry)
        place = &(*place)->next;
    *place = entry->next;
    pass_release_data(&entry->open);
    end_entry(pass, entry);
}

void pass_finish(struct pass *pass, struct pass_entry *open, const float *embedding)
{
    struct entry *entry = (struct entry *)open;
    const uint32_t dim = pass->params->model.embed_dim;
    if (embedding)
        entry->vector = memory_alloc(dim * sizeof(*entry->vector));
    for (uint32_t i = 0; i < dim && entry->vector; i++)
        entry->vector[i] = half_from_float(embedding[i]);
    if (embedding && !entry->vector)
        entry_fail(entry, VKCLIP_EMEMORY, "out of memory for an embedding");
    mutex_lock(&pass->lock);
    close_entry(pass, entry);
    mutex_unlock(&pass->lock);
}

void pass_fail(struct pass *pass, struct pass_entry *open, int error, const char *message)
{
    struct entry *entry = (struct entry *)open;
    if (!open->encoded)
        entry_fail(entry, error, message);
    mutex_lock(&pass->lock);
    if (open->encoded)
        report_failure(pass, open->path, error, message);
    close_entry(pass, entry);
    mutex_unlock(&pass->lock);
}

/* ---- Finding files --------------------------------------------------------------------------- */

static int see_picture(struct pass *pass, const char *path, const struct store_stamp *stamp)
{
    struct store_seen seen;
    pass->progress.found++;
    const int error = pass->store->write->see_file(pass->store, path, stamp, pass->model,
                                                   pass->params->update.thumbnails, &seen);
    if (error || pass->error || seen.state == STORE_INDEXED ||
        (seen.state == STORE_FAILED && !is_tried_again(pass, seen.message)))
        return error ? error : pass->error;
    pass->progress.total++;
    return pass->store->write->add_work(pass->store, path);
}

/* Lets the view of the database go now and then. */
static int see_file(void *user, const char *path, const struct store_stamp *stamp)
{
    struct pass *pass = user;
    struct store *store = pass->store;
    int error = see_picture(pass, path, stamp);
    if (error || pass->progress.found % WALK_PART)
        return error;
    error = store->read->end(store);
    if (!error)
        error = store->read->begin(store);
    report_progress(pass);
    return error;
}

static int see_broken(void *user, const char *path, int error)
{
    struct pass *pass = user;
    report_failure(pass, path, error, error_last());
    return pass->store->write->see_folder(pass->store, path);
}

/* A disk that is not mounted leaves an empty folder, or none. */
static int keep_files(const struct pass *pass, const char *path, const char *what)
{
    uint64_t files;
    int error = pass->store->write->count_below(pass->store, path, &files);
    if (!error && files)
        log_message(VKCLIP_LOG_WARNING,
                    "%s: %s, but the index has %llu files there: they stay in it; if the folder is "
                    "not just unmounted, remove it from the index",
                    path, what, (unsigned long long)files);
    return error ? error : pass->store->write->see_folder(pass->store, path);
}

/* Says which files of a folder are no pictures: loudly only the first time, because later passes
 * would repeat it. */
static void report_others(const struct root *root, struct left_out *others)
{
    char text[512];
    if (!others->total)
        return;
    left_out_describe(others, NULL, text, sizeof(text));
    log_message(root->known ? VKCLIP_LOG_INFO : VKCLIP_LOG_WARNING, "%s: %s", root->path, text);
}

static int search_root(struct pass *pass, const struct root *root)
{
    struct walk_receiver walk = {.file = see_file, .broken = see_broken, .user = pass};
    struct file_status status;
    if (!root->exists)
        return root->known ? keep_files(pass, root->path, "is not there") : VKCLIP_OK;
    if (!root->folder) {
        if (!file_status(root->path, &status))
            return VKCLIP_OK;
        const struct store_stamp stamp = walk_stamp(&status);
        return see_file(pass, root->path, &stamp);
    }
    int error = walk_folder(&walk, root->path);
    report_others(root, &walk.others);
    return error || walk.entries ? error : keep_files(pass, root->path, "has no files");
}

/* Tells whether a folder has files or folders that a search does not leave out. */
static bool has_entries(const char *path)
{
    char **names = NULL;
    size_t count = 0, left_out = 0;
    if (folder_list(path, &names, &count))
        return false;
    for (size_t i = 0; i < count; i++)
        left_out += walk_is_left_out(names[i]);
    folder_free_names(&names, count);
    return left_out < count;
}

/* Is a vkclip_folder_fn. A folder that the index was given once may lie below one of this pass. Its
 * files stay as they are if the pass does not come to it, because it is hidden, or if it is not
 * mounted. */
static int keep_known_root(void *user, const char *path)
{
    const struct pass *pass = user;
    bool is_below = false, is_found = false;
    for (size_t i = 0; i < pass->roots->count; i++) {
        const struct root *root = &pass->roots->items[i];
        const bool same = !strcmp(path, root->path);
        if (same && !root->covered)
            return VKCLIP_OK; /* It was searched on its own account. */
        is_below |= !same && walk_is_below(path, root->path);
        is_found |= !same && walk_finds(path, root->path);
    }
    if (!is_below)
        return VKCLIP_OK;
    if (!is_found)
        return pass->store->write->see_folder(pass->store, path);
    return has_entries(path) ? VKCLIP_OK : keep_files(pass, path, "has no files");
}

/* Tells whether a file that cannot be found is gone. A file outside of all folders of the index may
 * be on a disk that is not mounted. */
static bool is_gone(const char *path, bool outside)
{
    if (errno != ENOENT && errno != ENOTDIR)
        return false;
    char *folder = string_format("%.*s", (int)(file_name(path) - path), path);
    const bool gone = !outside || (folder && has_entries(folder));
    memory_free(folder);
    return gone;
}

/* Is a vkclip_folder_fn. A search does not come to a file that was named itself, if it lies outside
 * of all folders, something on the way to it is hidden, or its name is no picture's, and so this
 * looks whether it is there. */
static int see_named(void *user, const char *path)
{
    struct pass *pass = user;
    struct file_status status;
    bool outside = true;
    for (size_t i = 0; i < pass->roots->count; i++) {
        const char *root = pass->roots->items[i].path;
        if (walk_finds(path, root) && walk_is_picture(path))
            return VKCLIP_OK;
        outside &= !walk_is_below(path, root);
    }
    if (!file_status(path, &status))
        return is_gone(path, outside) ? VKCLIP_OK
                                      : pass->store->write->see_folder(pass->store, path);
    const struct store_stamp stamp = walk_stamp(&status);
    return status.kind == FILE_KIND_FILE ? see_picture(pass, path, &stamp) : VKCLIP_OK;
}

/* Calls a function for each path below which this pass knows of everything whether it is there. */
static int each_scope(struct pass *pass, int (*fn)(struct pass *, const char *path))
{
    int error = VKCLIP_OK;
    if (pass->whole)
        return fn(pass, "/");
    for (size_t i = 0; i < pass->roots->count && !error; i++)
        if (!pass->roots->items[i].below)
            error = fn(pass, pass->roots->items[i].path);
    return error;
}

static int see_all_named(struct pass *pass, const char *path)
{
    return pass->store->write->each_unseen(pass->store, path, see_named, pass);
}

/* The view of the database that the walk holds is let go between parts of the walk. */
static int search_roots(struct pass *pass, const struct roots *roots)
{
    struct store *store = pass->store;
    int error = store->write->start_pass(store);
    if (!error)
        error = store->read->begin(store);
    for (size_t i = 0; i < roots->count && !error; i++)
        if (!roots->items[i].covered)
            error = search_root(pass, &roots->items[i]);
    if (!error)
        error = store->read->each_root(store, keep_known_root, pass);
    if (!error)
        error = each_scope(pass, see_all_named);
    if (!error)
        return store->read->end(store);
    store->write->rollback(store);
    return error;
}

static int mark_missing(struct pass *pass, const char *path)
{
    return pass->store->write->mark_missing(pass->store, path, pass->now);
}

static int mark_files(struct pass *pass)
{
    struct store *store = pass->store;
    int error = store->write->begin(store);
    if (!error)
        error = each_scope(pass, mark_missing);
    return store_end_writing(store, error);
}

/* ---- The whole pass -------------------------------------------------------------------------- */

static int put_roots(struct pass *pass, const struct roots *roots)
{
    struct store *store = pass->store;
    int error = store->write->begin(store);
    if (!error)
        error = store->write->put_model(store, &pass->params->model, &pass->model);
    for (size_t i = 0; i < roots->count && !error; i++)
        if (roots->items[i].folder && !roots->items[i].covered)
            error = store->write->put_root(store, roots->items[i].path);
    return store_end_writing(store, error);
}

static int count_indexed(struct pass *pass, const char *path)
{
    uint64_t indexed, failed;
    int error =
        pass->store->write->count_indexed(pass->store, path, pass->model, &indexed, &failed);
    pass->result.indexed += error ? 0 : indexed;
    pass->result.failed += error ? 0 : failed;
    return error;
}

static int count_results(struct pass *pass)
{
    int error = pass->store->write->count_marked(pass->store, pass->now, &pass->result.removed);
    return error ? error : each_scope(pass, count_indexed);
}

/* Waits for other processes that encode contents of this one's files, and encodes those that they
 * have given up. They may wait in the same way, so that everything else is done and written first.
 */
static int settle_waiting(struct pass *pass)
{
    uint64_t count = 0;
    write_ended(pass);
    clock_sleep(0.1);
    struct entry *list = pass->waiting;
    pass->waiting = NULL;
    for (struct entry *entry; (entry = entry_pop(&list));) {
        entry = settle_entry(pass, entry);
        if (entry)
            entry_push(&pass->ready, entry);
        count += entry != NULL;
    }
    report_progress(pass);
    return count && !pass->error ? pass->params->encode(pass->params->user, pass, count)
                                 : VKCLIP_OK;
}

/* Encodes what was found. What is done when the encoder fails is written, too. */
static int encode_work(struct pass *pass)
{
    const struct pass_params *params = pass->params;
    int error = VKCLIP_OK;
    pass->flushed = clock_seconds();
    report_progress(pass);
    if (pass->progress.total && !pass->error)
        error = params->encode(params->user, pass, pass->progress.total);
    while (!error && !pass->error && pass->waiting)
        error = settle_waiting(pass);
    if (error && !pass->error) {
        char message[ERROR_MESSAGE];
        snprintf(message, sizeof(message), "%s", error_last());
        write_ended(pass);
        error_keep(message);
        return error;
    }
    write_ended(pass);
    if (pass->error)
        error_keep(pass->message);
    return pass->error;
}

int pass_run(struct vkclip_index *index, const struct pass_params *params, const char *const *paths,
             size_t count, struct vkclip_update_result *result)
{
    struct pass pass = {
        .index = index, .store = index->store, .params = params, .now = clock_date()};
    struct roots roots = {0};
    pass.roots = &roots;
    pass.whole = !count;
    mutex_init(&pass.lock);
    int error = index_check_writable(index);
    if (!error)
        error = roots_list(index, paths, count, &roots);
    if (!error)
        error = put_roots(&pass, &roots);
    if (!error)
        error = search_roots(&pass, &roots);
    if (!error)
        error = mark_files(&pass);
    if (!error)
        error = encode_work(&pass);
    if (!error)
        error = count_results(&pass);
    *result = pass.result;
    pass.store->write->end_pass(pass.store);
    entry_free_all(&pass.open);
    entry_free_all(&pass.ended);
    entry_free_all(&pass.waiting);
    entry_free_all(&pass.ready);
    roots_free(&roots);
    mutex_destroy(&pass.lock);
    return error;
}
