/* SPDX-License-Identifier: MIT
 *
 * The picker's engine: it keeps an index of folders up to date and finds pictures in it. Only it
 * knows vkclip. Its requests return at once; their callbacks run on the main thread.
 */
#ifndef PICKER_ENGINE_H
#define PICKER_ENGINE_H

#include <gdk/gdk.h>

/* A picture that was found. */
#define PICKER_TYPE_PICTURE (picker_picture_get_type())
G_DECLARE_FINAL_TYPE(PickerPicture, picker_picture, PICKER, PICTURE, GObject)
struct _PickerPicture {
    GObject parent;
    gint64 id;
    char *path;
    float score, z;      /* as in struct vkclip_hit */
    gboolean stands_out; /* Among as many unrelated pictures, the best is expected below it. */
};

/* What is searched for: the sum of what is not NULL. Without any, all pictures are listed. */
struct query {
    char *text;
    char *path;    /* of a picture file */
    GBytes *bytes; /* of a picture file, instead of its path */
};
gboolean query_is_empty(const struct query *query);
void query_clear(struct query *query);

struct engine;

/* The model is a path, or a name in the hub's cache. Without an index (NULL) it is the user's own,
 * which the command vkclip uses too. Nothing is opened before the first request. */
struct engine *engine_new(const char *model, const char *index);
/* Cancels all requests, waits until they have ended, and closes everything. */
void engine_free(struct engine *engine);

/* Brings the index up to date with a folder. The result is a text about files that failed, "" if
 * there are none. */
void engine_update(struct engine *engine, const char *folder, GCancellable *cancellable,
                   GAsyncReadyCallback callback, gpointer user);
/* Tells in words how far an update is, and sets *share, to a negative number while it is unknown.
 */
char *engine_describe_update(struct engine *engine, double *share);

/* Finds the pictures of a folder that fit a query, the best first. The result is a GPtrArray. */
void engine_find(struct engine *engine, const char *folder, const struct query *query,
                 GCancellable *cancellable, GAsyncReadyCallback callback, gpointer user);

/* Reads the thumbnail of a picture. The result is a GdkTexture. */
void engine_draw(struct engine *engine, gint64 id, GCancellable *cancellable,
                 GAsyncReadyCallback callback, gpointer user);

/* Returns the result of a request, which becomes the caller's, or NULL and the error. */
gpointer engine_finish(GAsyncResult *result, GError **error);

#endif
