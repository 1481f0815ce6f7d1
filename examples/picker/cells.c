/* SPDX-License-Identifier: MIT
 *
 * Only cells in sight exist, and each takes its thumbnail from another thread when it comes into
 * sight. A request that has not begun when the cell leaves again is cancelled.
 */
#include "cells.h"

#define THUMBNAIL_SIZE 128 /* pixels */
#define MOST_TEXTURES 400  /* that are kept, of 0.2 MB each at most */

struct cells {
    struct engine *engine;
    GHashTable *textures; /* from ids */
    gboolean lacking;
};

/* Lets a picture be dragged into another program, or into the window to search by it. */
static GdkContentProvider *prepare_drag(GtkDragSource *source, double x, double y,
                                        GtkListItem *item)
{
    const PickerPicture *picture = gtk_list_item_get_item(item);
    g_autoptr(GFile) file = g_file_new_for_path(picture->path);
    (void)source, (void)x, (void)y;
    return gdk_content_provider_new_typed(G_TYPE_FILE, file);
}

static GtkWidget *add_label(GtkWidget *box)
{
    GtkWidget *label = gtk_label_new(NULL);
    gtk_label_set_ellipsize(GTK_LABEL(label), PANGO_ELLIPSIZE_MIDDLE);
    gtk_label_set_max_width_chars(GTK_LABEL(label), 1); /* The column decides. */
    gtk_box_append(GTK_BOX(box), label);
    return label;
}

static void set_up(struct cells *cells, GtkListItem *item)
{
    GtkWidget *box = gtk_box_new(GTK_ORIENTATION_VERTICAL, 3), *picture = gtk_picture_new();
    GtkDragSource *drag = gtk_drag_source_new();
    (void)cells;
    gtk_widget_set_size_request(picture, THUMBNAIL_SIZE, THUMBNAIL_SIZE);
    gtk_box_append(GTK_BOX(box), picture);
    g_object_set_data(G_OBJECT(item), "picture", picture);
    g_object_set_data(G_OBJECT(item), "name", add_label(box));
    g_object_set_data(G_OBJECT(item), "score", add_label(box));
    gtk_widget_add_css_class(g_object_get_data(G_OBJECT(item), "score"), "dim-label");
    g_signal_connect(drag, "prepare", G_CALLBACK(prepare_drag), item);
    gtk_widget_add_controller(box, GTK_EVENT_CONTROLLER(drag));
    gtk_list_item_set_child(item, box);
}

/* A cell that waits for its thumbnail. */
struct waiting {
    struct cells *cells;
    GtkListItem *item;
};

static void on_drawn(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autofree struct waiting *waiting = user;
    g_autoptr(GtkListItem) item = waiting->item;
    g_autoptr(GError) error = NULL;
    g_autoptr(GdkTexture) texture = engine_finish(result, &error);
    (void)source;
    if (g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        return; /* The cell shows another picture by now. */
    const PickerPicture *picture = gtk_list_item_get_item(item);
    struct cells *cells = waiting->cells;
    cells->lacking |= !texture;
    gtk_picture_set_paintable(g_object_get_data(G_OBJECT(item), "picture"), GDK_PAINTABLE(texture));
    if (g_hash_table_size(cells->textures) >= MOST_TEXTURES)
        g_hash_table_remove_all(cells->textures);
    if (texture)
        g_hash_table_replace(cells->textures, g_memdup2(&picture->id, sizeof(picture->id)),
                             g_steal_pointer(&texture));
}

static void bind(struct cells *cells, GtkListItem *item)
{
    const PickerPicture *picture = gtk_list_item_get_item(item);
    GtkWidget *box = gtk_list_item_get_child(item);
    GtkPicture *widget = g_object_get_data(G_OBJECT(item), "picture");
    GtkLabel *score = g_object_get_data(G_OBJECT(item), "score");
    GdkTexture *texture = g_hash_table_lookup(cells->textures, &picture->id);
    g_autofree char *name = g_filename_display_basename(picture->path);
    g_autofree char *path = g_filename_display_name(picture->path);
    g_autofree char *text =
        g_strdup_printf("%.3f · z %.1f", (double)picture->score, (double)picture->z);
    gtk_label_set_text(g_object_get_data(G_OBJECT(item), "name"), name);
    gtk_label_set_text(score, text);
    gtk_widget_set_visible(GTK_WIDGET(score), picture->score != 0);
    gtk_widget_set_tooltip_text(box, path);
    gtk_picture_set_alternative_text(widget, name);
    gtk_accessible_update_property(GTK_ACCESSIBLE(gtk_widget_get_parent(box)),
                                   GTK_ACCESSIBLE_PROPERTY_LABEL, name, -1);
    gtk_picture_set_paintable(widget, GDK_PAINTABLE(texture));
    if (picture->stands_out)
        gtk_widget_remove_css_class(box, "unremarkable");
    else
        gtk_widget_add_css_class(box, "unremarkable");
    GCancellable *drawing = g_cancellable_new();
    g_object_set_data_full(G_OBJECT(item), "drawing", drawing, g_object_unref);
    if (texture)
        return;
    struct waiting *waiting = g_new(struct waiting, 1);
    *waiting = (struct waiting){cells, g_object_ref(item)};
    engine_draw(cells->engine, picture->id, drawing, on_drawn, waiting);
}

static void unbind(struct cells *cells, GtkListItem *item)
{
    (void)cells;
    g_cancellable_cancel(g_object_get_data(G_OBJECT(item), "drawing"));
}

struct cells *cells_new(struct engine *engine, GtkListItemFactory *factory)
{
    struct cells *cells = g_new0(struct cells, 1);
    cells->engine = engine;
    cells->textures = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, g_object_unref);
    g_signal_connect_swapped(factory, "setup", G_CALLBACK(set_up), cells);
    g_signal_connect_swapped(factory, "bind", G_CALLBACK(bind), cells);
    g_signal_connect_swapped(factory, "unbind", G_CALLBACK(unbind), cells);
    return cells;
}

void cells_free(struct cells *cells)
{
    g_hash_table_unref(cells->textures);
    g_free(cells);
}

gboolean cells_lack_thumbnails(struct cells *cells)
{
    const gboolean lacking = cells->lacking;
    cells->lacking = FALSE;
    return lacking;
}
