/* SPDX-License-Identifier: MIT
 *
 * The natives of dev.vkclip.Index.
 */
#include "bridge.h"

#include <assert.h>
#include <stdlib.h>
#include <vkclip.h>

#define COUNT(array) (sizeof(array) / sizeof(*(array)))

/* ---- Opening and closing --------------------------------------------------------------------- */

static jlong open_index(JNIEnv *env, jclass class, jbyteArray path, jboolean read_only)
{
    bool failed = false;
    struct vkclip_index *index = NULL;
    (void)class;
    char *text = bridge_copy_bytes(env, path, &failed);
    const struct vkclip_index_params params = {
        .size = sizeof(params), .path = text, .read_only = read_only};
    const int error = failed ? VKCLIP_OK : vkclip_open_index(&params, &index);
    if (error)
        bridge_throw(env, error);
    free(text);
    return (jlong)(intptr_t)index;
}

static jboolean close_index(JNIEnv *env, jclass class, jlong handle)
{
    struct vkclip_index *index = bridge_pointer(env, handle, "index");
    (void)class;
    vkclip_close_index(&index);
    return !index; /* Within a call on it an index is not closed. */
}

static void describe_index(JNIEnv *env, jclass class, jlong handle, jobject receiver)
{
    struct vkclip_index *index = bridge_pointer(env, handle, "index");
    struct vkclip_index_info info = {.size = sizeof(info)};
    struct callback callback;
    (void)class;
    if (!index || !callback_begin(env, receiver, &callback))
        return;
    const int error = vkclip_get_index_info(index, &info);
    const char *const texts[] = {info.path};
    const jlong numbers[] = {(jlong)info.files,  (jlong)info.pictures, (jlong)info.missing,
                             (jlong)info.failed, (jlong)info.folders,  (jlong)info.models,
                             (jlong)info.bytes};
    if (!error)
        callback_send(&callback,
                      &(struct record){texts, COUNT(texts), numbers, COUNT(numbers), NULL, 0});
    callback_end(env, &callback, error);
}

/* ---- Updates --------------------------------------------------------------------------------- */

/* The first number of a record says what it is. */
enum { PROGRESS, FAILURE, RESULT };

static int send_progress(void *user, const struct vkclip_update_progress *progress)
{
    const jlong numbers[] = {PROGRESS, (jlong)progress->found, (jlong)progress->done,
                             (jlong)progress->total};
    return callback_send(user,
                         &(struct record){.numbers = numbers, .number_count = COUNT(numbers)});
}

static int send_failure(void *user, const char *path, int error, const char *message)
{
    const char *const texts[] = {path, message};
    const jlong numbers[] = {FAILURE, error};
    return callback_send(user,
                         &(struct record){texts, COUNT(texts), numbers, COUNT(numbers), NULL, 0});
}

static void send_result(struct callback *callback, const struct vkclip_update_result *result)
{
    const jlong numbers[] = {RESULT,
                             (jlong)result->indexed,
                             (jlong)result->added,
                             (jlong)result->changed,
                             (jlong)result->moved,
                             (jlong)result->removed,
                             (jlong)result->failed,
                             (jlong)result->encoded};
    callback_send(callback, &(struct record){.numbers = numbers, .number_count = COUNT(numbers)});
}

static void update_index(JNIEnv *env, jclass class, jlong index_handle, jlong model_handle,
                         jbyteArray path_bytes, jintArray path_lengths, jboolean retry,
                         jobject receiver)
{
    struct vkclip_index *index = bridge_pointer(env, index_handle, "index");
    struct vkclip_model *model = index ? bridge_pointer(env, model_handle, "model") : NULL;
    struct texts paths;
    struct callback callback;
    const struct vkclip_update_params params = {.size = sizeof(params),
                                                .retry = retry,
                                                .progress = send_progress,
                                                .failure = send_failure,
                                                .user = &callback};
    struct vkclip_update_result result = {.size = sizeof(result)};
    (void)class;
    if (!model || !texts_take(env, path_bytes, path_lengths, &paths))
        return;
    if (callback_begin(env, receiver, &callback)) {
        const int error =
            vkclip_index_paths(index, model, paths.pointers, paths.count, &params, &result);
        if (!error)
            send_result(&callback, &result);
        callback_end(env, &callback, error);
    }
    texts_free(&paths);
}

static jlong remove_indexed(JNIEnv *env, jclass class, jlong handle, jbyteArray path_bytes,
                            jintArray path_lengths)
{
    struct vkclip_index *index = bridge_pointer(env, handle, "index");
    struct texts paths;
    uint64_t removed = 0;
    (void)class;
    if (!index || !texts_take(env, path_bytes, path_lengths, &paths))
        return 0;
    const int error = vkclip_remove_indexed(index, paths.pointers, paths.count, &removed);
    if (error)
        bridge_throw(env, error);
    texts_free(&paths);
    return (jlong)removed;
}

static jlong prune_index(JNIEnv *env, jclass class, jlong handle)
{
    struct vkclip_index *index = bridge_pointer(env, handle, "index");
    uint64_t removed = 0;
    (void)class;
    const int error = index ? vkclip_prune_index(index, &removed) : VKCLIP_OK;
    if (error)
        bridge_throw(env, error);
    return (jlong)removed;
}

/* ---- Searches -------------------------------------------------------------------------------- */

/* The numbers and limits of dev.vkclip.Query. */
enum { TOP, SORT, AFTER, BEFORE, MIN_WIDTH, MIN_HEIGHT, NUMBER_COUNT };
enum { MIN_SCORE, MIN_Z, RELATIVE, LATITUDE, LONGITUDE, KILOMETERS, LIMIT_COUNT };
/* The texts of a query: three filters, then the value of each part. */
enum { PATH_GLOB, CAMERA, TYPE, FILTER_COUNT };
static_assert(VKCLIP_QUERY_TEXT == 0 && VKCLIP_QUERY_IMAGE == 1 && VKCLIP_QUERY_ID == 2 &&
                  VKCLIP_QUERY_EMBED == 3 && VKCLIP_SORT_DATE == 1,
              "the kinds of parts and the orders in Query");

/* The first number of a record says what it is. */
enum { SEARCHED, HIT };

static int send_searched(void *user, uint64_t done, uint64_t total)
{
    const jlong numbers[] = {SEARCHED, (jlong)done, (jlong)total};
    return callback_send(user,
                         &(struct record){.numbers = numbers, .number_count = COUNT(numbers)});
}

static int send_hit(void *user, const struct vkclip_hit *hit)
{
    const char *const texts[] = {hit->path, hit->camera, hit->format};
    const jlong numbers[] = {HIT,         hit->id,   (jlong)hit->copies, hit->width,
                             hit->height, hit->date, hit->taken};
    const jdouble reals[] = {(jdouble)hit->score, (jdouble)hit->z, hit->latitude, hit->longitude};
    return callback_send(
        user, &(struct record){texts, COUNT(texts), numbers, COUNT(numbers), reals, COUNT(reals)});
}

/* NULL stands for an empty filter. */
static const char *find_filter(const struct texts *texts, size_t filter)
{
    return texts->lengths[filter] ? texts->pointers[filter] : NULL;
}

/* The parts of a query in Java: for each its text among `texts`, its kind and an id, its weight,
 * and a buffer with the bytes of a picture file, or null. */
struct parts {
    const struct texts *texts;
    jlongArray kinds;
    jdoubleArray weights;
    jobjectArray buffers;
};

static void read_part(JNIEnv *env, const struct parts *given, size_t i,
                      struct vkclip_query_part *part)
{
    jlong kind[2] = {0};
    (*env)->GetLongArrayRegion(env, given->kinds, (jsize)(2 * i), 2, kind);
    if (!(*env)->ExceptionCheck(env))
        (*env)->GetDoubleArrayRegion(env, given->weights, (jsize)i, 1, &part->weight);
    if ((*env)->ExceptionCheck(env))
        return;
    jobject buffer = (*env)->GetObjectArrayElement(env, given->buffers, (jsize)i);
    if ((*env)->ExceptionCheck(env))
        return;
    part->kind = (enum vkclip_query_kind)kind[0];
    part->id = kind[1];
    part->value = given->texts->pointers[FILTER_COUNT + i];
    if (buffer) {
        part->data = (*env)->GetDirectBufferAddress(env, buffer);
        part->size = (size_t)(*env)->GetDirectBufferCapacity(env, buffer);
    }
    (*env)->DeleteLocalRef(env, buffer);
}

/* Returns an array that the caller frees, or NULL with an exception pending. */
static struct vkclip_query_part *read_parts(JNIEnv *env, const struct parts *given, size_t count)
{
    struct vkclip_query_part *parts = calloc(count + 1, sizeof(*parts));
    if (!parts)
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for a query");
    for (size_t i = 0; parts && i < count && !(*env)->ExceptionCheck(env); i++)
        read_part(env, given, i, &parts[i]);
    if ((*env)->ExceptionCheck(env)) {
        free(parts);
        parts = NULL;
    }
    return parts;
}

static void run_search(JNIEnv *env, struct vkclip_index *index, struct vkclip_model *model,
                       const struct parts *given, const jlong *n, const jdouble *l,
                       jobject receiver)
{
    const size_t count = given->texts->count - FILTER_COUNT;
    struct callback callback;
    struct vkclip_query_part *parts = read_parts(env, given, count);
    const struct vkclip_search_params params = {.size = sizeof(params),
                                                .parts = parts,
                                                .part_count = count,
                                                .top = (size_t)n[TOP],
                                                .sort = (enum vkclip_sort)n[SORT],
                                                .min_score = l[MIN_SCORE],
                                                .min_z = l[MIN_Z],
                                                .relative = l[RELATIVE],
                                                .path_glob = find_filter(given->texts, PATH_GLOB),
                                                .after = n[AFTER],
                                                .before = n[BEFORE],
                                                .latitude = l[LATITUDE],
                                                .longitude = l[LONGITUDE],
                                                .kilometers = l[KILOMETERS],
                                                .camera = find_filter(given->texts, CAMERA),
                                                .type = find_filter(given->texts, TYPE),
                                                .min_width = (uint32_t)n[MIN_WIDTH],
                                                .min_height = (uint32_t)n[MIN_HEIGHT],
                                                .progress = send_searched};
    if (parts && callback_begin(env, receiver, &callback))
        callback_end(env, &callback, vkclip_search(index, model, &params, send_hit, &callback));
    free(parts);
}

static void search_index(JNIEnv *env, jclass class, jlong index_handle, jlong model_handle,
                         jbyteArray text_bytes, jintArray text_lengths, jlongArray kinds,
                         jdoubleArray weights, jobjectArray buffers, jlongArray numbers,
                         jdoubleArray limits, jobject receiver)
{
    struct vkclip_index *index = bridge_pointer(env, index_handle, "index");
    struct vkclip_model *model = index ? bridge_pointer(env, model_handle, "model") : NULL;
    jlong n[NUMBER_COUNT] = {0};
    jdouble l[LIMIT_COUNT] = {0};
    struct texts texts;
    (void)class;
    if (!model || !texts_take(env, text_bytes, text_lengths, &texts))
        return;
    (*env)->GetLongArrayRegion(env, numbers, 0, NUMBER_COUNT, n);
    if (!(*env)->ExceptionCheck(env))
        (*env)->GetDoubleArrayRegion(env, limits, 0, LIMIT_COUNT, l);
    if (!(*env)->ExceptionCheck(env))
        run_search(env, index, model, &(struct parts){&texts, kinds, weights, buffers}, n, l,
                   receiver);
    texts_free(&texts);
}

static const JNINativeMethod methods[] = {
    {"openIndex", "([BZ)J", (void *)open_index},
    {"closeIndex", "(J)Z", (void *)close_index},
    {"describeIndex", "(JLdev/vkclip/Receiver;)V", (void *)describe_index},
    {"updateIndex", "(JJ[B[IZLdev/vkclip/Receiver;)V", (void *)update_index},
    {"removeIndexed", "(J[B[I)J", (void *)remove_indexed},
    {"pruneIndex", "(J)J", (void *)prune_index},
    {"searchIndex", "(JJ[B[I[J[D[Ljava/nio/ByteBuffer;[J[DLdev/vkclip/Receiver;)V",
     (void *)search_index},
};
const struct natives index_natives = {methods, sizeof(methods) / sizeof(*methods)};
