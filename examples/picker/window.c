/* SPDX-License-Identifier: MIT
 *
 * The picker's window: a search entry, a grid of thumbnails, and one line each for what fails and
 * for what is going on. picker.ui has its widgets.
 */
#include "window.h"
#include "cells.h"

#include <stdio.h>

#define SECOND G_TIME_SPAN_SECOND

struct _PickerWindow {
    GtkApplicationWindow parent;
    struct engine *engine;
    struct options *options;
    char *folder; /* NULL: none is open yet */
    struct query query;
    char *shown; /* the text of the query whose results are shown */
    GListStore *pictures;
    GtkSelectionModel *selection;
    struct cells *cells;
    GCancellable *finding, *updating; /* of the request that runs; NULL: none does */
    guint timer;                      /* runs during an update */
    gint64 next_find, pause;          /* microseconds */
    gboolean failed;                  /* The last search failed. */
    char *failures;                   /* tells of files that the last update could not read */

    GtkSearchEntry *entry;
    GtkWidget *example;
    GtkLabel *example_label;
    GtkRevealer *error;
    GtkLabel *error_label;
    GtkStack *stack;
    GtkLabel *empty_label;
    GtkGridView *grid;
    GtkLabel *status;
    GtkWidget *updating_box;
    GtkProgressBar *progress;
};

G_DEFINE_FINAL_TYPE(PickerWindow, picker_window, GTK_TYPE_APPLICATION_WINDOW)

/* ---- What the window says -------------------------------------------------------------------- */

static void show_error(PickerWindow *self, const char *message)
{
    gtk_label_set_text(self->error_label, message);
    gtk_widget_set_tooltip_text(GTK_WIDGET(self->error_label), message);
    gtk_revealer_set_reveal_child(self->error, TRUE);
}

static void hide_error(PickerWindow *self)
{
    gtk_revealer_set_reveal_child(self->error, FALSE);
}

static char *describe_results(const PickerWindow *self)
{
    const guint count = g_list_model_get_n_items(G_LIST_MODEL(self->pictures));
    guint outstanding = 0;
    for (guint i = 0; i < count; i++) {
        g_autoptr(PickerPicture) picture = g_list_model_get_item(G_LIST_MODEL(self->pictures), i);
        outstanding += picture->stands_out;
    }
    if (query_is_empty(&self->query))
        return g_strdup_printf("%u pictures%s%s", count, *self->failures ? "; not readable: " : "",
                               self->failures);
    if (!outstanding)
        return g_strdup("Nothing stands out; these are the nearest pictures");
    return g_strdup_printf(outstanding == 1 ? "%u picture stands out" : "%u pictures stand out",
                           outstanding);
}

static void show_state(PickerWindow *self)
{
    const gboolean found = g_list_model_get_n_items(G_LIST_MODEL(self->pictures)) > 0;
    g_autofree char *name = self->folder ? g_filename_display_basename(self->folder) : NULL;
    g_autofree char *empty = NULL, *status = NULL, *title = NULL;
    double share = -1;
    if (self->updating)
        status = engine_describe_update(self->engine, &share);
    else if (found && !self->failed)
        status = describe_results(self);
    if (!self->folder)
        empty = g_strdup("Open a folder of pictures, and search it by words or by a picture.");
    else if (self->failed)
        empty = g_strdup_printf("%s cannot be searched.", name);
    else if (self->updating || self->finding)
        empty = g_strdup_printf("Looking for pictures in %s…", name);
    else
        empty = g_strdup_printf("There are no pictures in %s.", name);
    if (name)
        title =
            g_strdup_printf("%s%s%s%s", self->shown ? self->shown : "", self->shown ? " in " : "",
                            name, self->updating ? " (indexing)" : "");
    gtk_window_set_title(GTK_WINDOW(self), title ? title : "Pictures");
    gtk_label_set_text(self->empty_label, empty);
    gtk_label_set_text(self->status, status ? status : "");
    gtk_widget_set_visible(self->updating_box, self->updating != NULL);
    if (share >= 0)
        gtk_progress_bar_set_fraction(self->progress, share);
    else
        gtk_progress_bar_pulse(self->progress);
    gtk_stack_set_visible_child_name(self->stack, found ? "grid" : "empty");
}

/* ---- Searching ------------------------------------------------------------------------------- */

/* Replaces what follows the beginning that both lists have, so that pictures which an update adds
 * move neither the others nor the scroll bar. */
static void show_pictures(PickerWindow *self, GPtrArray *found)
{
    const guint count = g_list_model_get_n_items(G_LIST_MODEL(self->pictures));
    guint same = 0;
    for (; same < count && same < found->len; same++) {
        g_autoptr(PickerPicture) old = g_list_model_get_item(G_LIST_MODEL(self->pictures), same);
        const PickerPicture *new = found->pdata[same];
        if (old->id != new->id || old->score != new->score || old->stands_out != new->stands_out ||
            strcmp(old->path, new->path))
            break;
    }
    if (same == count && same == found->len)
        return;
    g_list_store_splice(self->pictures, same, count - same, found->pdata + same, found->len - same);
    if (same)
        return;
    gtk_adjustment_set_value(gtk_scrollable_get_vadjustment(GTK_SCROLLABLE(self->grid)), 0);
    if (!query_is_empty(&self->query)) /* Enter picks the best. */
        gtk_selection_model_select_item(self->selection, 0, TRUE);
}

static void on_found(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(PickerWindow) self = user;
    g_autoptr(GError) error = NULL;
    g_autoptr(GPtrArray) found = engine_finish(result, &error);
    (void)source;
    if (g_task_get_cancellable(G_TASK(result)) != self->finding)
        return; /* A newer search supersedes this one. */
    g_clear_object(&self->finding);
    if (!found)
        show_error(self, error->message);
    else if (self->failed)
        hide_error(self);
    if (found)
        show_pictures(self, found);
    self->failed = !found;
    g_free(self->shown);
    self->shown = g_strdup(self->query.text);
    show_state(self);
}

/* Searches for what the entry says, also after an update. */
static void start_find(PickerWindow *self)
{
    g_free(self->query.text);
    self->query.text = g_strstrip(g_strdup(gtk_editable_get_text(GTK_EDITABLE(self->entry))));
    if (!*self->query.text)
        g_clear_pointer(&self->query.text, g_free);
    if (!self->folder)
        return;
    g_cancellable_cancel(self->finding);
    g_clear_object(&self->finding);
    self->finding = g_cancellable_new();
    engine_find(self->engine, self->folder, &self->query, self->finding, on_found,
                g_object_ref(self));
}

/* ---- Indexing -------------------------------------------------------------------------------- */

/* Shows what an update has found so far. The pauses grow, so that listing takes a share of the time
 * that stays small with any number of pictures. */
static gboolean on_timer(gpointer user)
{
    PickerWindow *self = user;
    show_state(self);
    if (!self->finding && !self->failed && g_get_monotonic_time() > self->next_find) {
        start_find(self);
        self->pause *= 2;
        self->next_find = g_get_monotonic_time() + self->pause;
    }
    return G_SOURCE_CONTINUE;
}

static void enable_action(PickerWindow *self, const char *name, gboolean enabled)
{
    GAction *action = g_action_map_lookup_action(G_ACTION_MAP(self), name);
    g_simple_action_set_enabled(G_SIMPLE_ACTION(action), enabled);
}

static void stop_update(PickerWindow *self)
{
    g_cancellable_cancel(self->updating);
    g_clear_object(&self->updating);
    g_clear_handle_id(&self->timer, g_source_remove);
    enable_action(self, "stop", FALSE);
}

static void on_updated(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(PickerWindow) self = user;
    g_autoptr(GError) error = NULL;
    g_autofree char *failures = engine_finish(result, &error);
    (void)source;
    if (g_task_get_cancellable(G_TASK(result)) != self->updating)
        return; /* The window is closed, or a newer update has begun. */
    stop_update(self);
    if (!failures && !g_error_matches(error, G_IO_ERROR, G_IO_ERROR_CANCELLED))
        show_error(self, error->message);
    g_free(self->failures);
    self->failures = failures ? g_steal_pointer(&failures) : g_strdup("");
    if (cells_lack_thumbnails(self->cells))
        g_list_store_remove_all(self->pictures); /* The update has made them. */
    start_find(self);
    show_state(self);
}

static void start_update(PickerWindow *self)
{
    if (!self->folder)
        return;
    stop_update(self);
    hide_error(self);
    self->failed = FALSE;
    self->pause = SECOND / 2;
    self->next_find = g_get_monotonic_time() + self->pause;
    self->updating = g_cancellable_new();
    self->timer = g_timeout_add(100, on_timer, self);
    enable_action(self, "stop", TRUE);
    engine_update(self->engine, self->folder, self->updating, on_updated, g_object_ref(self));
    start_find(self);
    show_state(self);
}

void picker_window_open(PickerWindow *self, GFile *folder)
{
    char *path = g_file_get_path(folder);
    if (!path) {
        show_error(self, "Only folders of this computer can be opened.");
        return;
    }
    g_free(self->folder);
    self->folder = path;
    g_free(self->failures);
    self->failures = g_strdup("");
    g_list_store_remove_all(self->pictures);
    start_update(self);
}

/* ---- Searching by a picture ------------------------------------------------------------------ */

static void set_example(PickerWindow *self, char *path, GBytes *bytes)
{
    g_autofree char *name = path ? g_filename_display_basename(path) : g_strdup("picture");
    g_free(self->query.path);
    g_clear_pointer(&self->query.bytes, g_bytes_unref);
    self->query.path = path;
    self->query.bytes = bytes;
    gtk_label_set_text(self->example_label, name);
    gtk_widget_set_visible(self->example, path || bytes);
    start_find(self);
}

static gboolean take_file(PickerWindow *self, GFile *file)
{
    char *path = g_file_get_path(file);
    if (!path)
        show_error(self, "Only pictures of this computer can be searched for.");
    else if (g_file_query_file_type(file, G_FILE_QUERY_INFO_NONE, NULL) == G_FILE_TYPE_DIRECTORY)
        picker_window_open(self, file);
    else
        set_example(self, g_steal_pointer(&path), NULL);
    g_free(path);
    return TRUE;
}

/* Takes what was dropped or pasted. */
static gboolean take_value(PickerWindow *self, const GValue *value)
{
    if (G_VALUE_HOLDS(value, GDK_TYPE_TEXTURE))
        set_example(self, NULL, gdk_texture_save_to_png_bytes(g_value_get_object(value)));
    else if (G_VALUE_HOLDS(value, G_TYPE_FILE))
        take_file(self, g_value_get_object(value));
    else if (G_VALUE_HOLDS(value, GDK_TYPE_FILE_LIST) && g_value_get_boxed(value))
        take_file(self, ((GSList *)g_value_get_boxed(value))->data);
    return TRUE;
}

static gboolean on_drop(GtkDropTarget *target, const GValue *value, double x, double y,
                        PickerWindow *self)
{
    (void)target;
    (void)x;
    (void)y;
    return take_value(self, value);
}

static void on_pasted(GObject *source, GAsyncResult *result, gpointer user)
{
    g_autoptr(PickerWindow) self = user;
    g_autoptr(GError) error = NULL;
    const GValue *value = gdk_clipboard_read_value_finish(GDK_CLIPBOARD(source), result, &error);
    if (value)
        take_value(self, value);
    else
        show_error(self, error->message);
}

/* File managers put a file's path beside it as a text, and editors a picture beside their text. */
static void paste(PickerWindow *self)
{
    GdkClipboard *clipboard = gtk_widget_get_clipboard(GTK_WIDGET(self));
    g_autoptr(GdkContentFormats) formats = gdk_content_formats_union_deserialize_gtypes(
        gdk_content_formats_ref(gdk_clipboard_get_formats(clipboard)));
    const GType types[] = {GDK_TYPE_FILE_LIST, G_TYPE_STRING, GDK_TYPE_TEXTURE};
    GtkWidget *focus = gtk_window_get_focus(GTK_WINDOW(self));
    for (gsize i = 0; i < G_N_ELEMENTS(types); i++) {
        if (!gdk_content_formats_contain_gtype(formats, types[i]))
            continue;
        if (types[i] != G_TYPE_STRING)
            gdk_clipboard_read_value_async(clipboard, types[i], G_PRIORITY_DEFAULT, NULL, on_pasted,
                                           g_object_ref(self));
        else if (focus)
            gtk_widget_activate_action(focus, "clipboard.paste", NULL);
        return;
    }
}

/* ---- Picking --------------------------------------------------------------------------------- */

/* Picks all selected pictures, if the one at this position is among them, or only that one. */
static void pick(PickerWindow *self, guint position)
{
    g_autoptr(GtkBitset) chosen = gtk_selection_model_get_selection(self->selection);
    const gboolean together = gtk_bitset_contains(chosen, position);
    const guint count = together ? (guint)gtk_bitset_get_size(chosen) : 1;
    for (guint i = 0; i < count; i++) {
        g_autoptr(PickerPicture) picture = g_list_model_get_item(
            G_LIST_MODEL(self->pictures), together ? gtk_bitset_get_nth(chosen, i) : position);
        g_autofree char *uri = g_filename_to_uri(picture->path, NULL, NULL);
        if (self->options->print)
            puts(picture->path);
        else
            gtk_show_uri(GTK_WINDOW(self), uri, GDK_CURRENT_TIME);
    }
    self->options->picked = TRUE;
    if (self->options->print)
        gtk_window_close(GTK_WINDOW(self));
}

static void pick_selected(PickerWindow *self)
{
    g_autoptr(GtkBitset) chosen = gtk_selection_model_get_selection(self->selection);
    if (!gtk_bitset_is_empty(chosen))
        pick(self, gtk_bitset_get_minimum(chosen));
}

/* ---- Actions --------------------------------------------------------------------------------- */

static void on_folder_chosen(GtkNativeDialog *dialog, int response, PickerWindow *self)
{
    g_autoptr(GFile) folder = gtk_file_chooser_get_file(GTK_FILE_CHOOSER(dialog));
    if (response == GTK_RESPONSE_ACCEPT && folder)
        picker_window_open(self, folder);
    g_object_unref(dialog);
}

static void act(GSimpleAction *action, GVariant *parameter, gpointer user)
{
    PickerWindow *self = user;
    const char *name = g_action_get_name(G_ACTION(action));
    (void)parameter;
    if (!strcmp(name, "open")) {
        GtkFileChooserNative *dialog =
            gtk_file_chooser_native_new("Open a folder of pictures", GTK_WINDOW(self),
                                        GTK_FILE_CHOOSER_ACTION_SELECT_FOLDER, NULL, NULL);
        gtk_native_dialog_set_modal(GTK_NATIVE_DIALOG(dialog), TRUE);
        g_signal_connect(dialog, "response", G_CALLBACK(on_folder_chosen), self);
        gtk_native_dialog_show(GTK_NATIVE_DIALOG(dialog));
    } else if (!strcmp(name, "update")) {
        start_update(self);
    } else if (!strcmp(name, "stop")) {
        g_cancellable_cancel(self->updating);
    } else if (!strcmp(name, "search")) {
        gtk_widget_grab_focus(GTK_WIDGET(self->entry));
    } else if (!strcmp(name, "results")) {
        gtk_widget_grab_focus(GTK_WIDGET(self->grid));
    } else if (!strcmp(name, "paste")) {
        paste(self);
    } else if (!strcmp(name, "forget")) {
        set_example(self, NULL, NULL);
    } else if (!query_is_empty(&self->query)) { /* leave */
        gtk_editable_set_text(GTK_EDITABLE(self->entry), "");
        set_example(self, NULL, NULL);
    } else {
        gtk_window_close(GTK_WINDOW(self));
    }
}

static const struct {
    const char *name, *key;
} actions[] = {{"open", "<Control>o"},   {"update", "F5"},   {"stop", NULL},
               {"search", "<Control>f"}, {"results", NULL},  {"paste", "<Control>v"},
               {"forget", NULL},         {"leave", "Escape"}};

/* ---- The window ------------------------------------------------------------------------------ */

/* Requests hold the window until they have ended, so that it is not disposed of before. */
static gboolean close_window(GtkWindow *window)
{
    PickerWindow *self = PICKER_WINDOW(window);
    stop_update(self);
    g_cancellable_cancel(self->finding);
    g_clear_object(&self->finding);
    return GTK_WINDOW_CLASS(picker_window_parent_class)->close_request(window);
}

static void dispose_window(GObject *object)
{
    gtk_widget_dispose_template(GTK_WIDGET(object), PICKER_TYPE_WINDOW);
    G_OBJECT_CLASS(picker_window_parent_class)->dispose(object);
}

static void finalize_window(GObject *object)
{
    PickerWindow *self = PICKER_WINDOW(object);
    g_clear_object(&self->selection);
    cells_free(self->cells);
    query_clear(&self->query);
    g_free(self->shown);
    g_free(self->folder);
    g_free(self->failures);
    G_OBJECT_CLASS(picker_window_parent_class)->finalize(object);
}

static void picker_window_class_init(PickerWindowClass *class)
{
    GtkWidgetClass *widget = GTK_WIDGET_CLASS(class);
    GTK_WINDOW_CLASS(class)->close_request = close_window;
    G_OBJECT_CLASS(class)->dispose = dispose_window;
    G_OBJECT_CLASS(class)->finalize = finalize_window;
    gtk_widget_class_set_template_from_resource(widget, "/vkclip/picker/picker.ui");
    gtk_widget_class_bind_template_child(widget, PickerWindow, entry);
    gtk_widget_class_bind_template_child(widget, PickerWindow, example);
    gtk_widget_class_bind_template_child(widget, PickerWindow, example_label);
    gtk_widget_class_bind_template_child(widget, PickerWindow, error);
    gtk_widget_class_bind_template_child(widget, PickerWindow, error_label);
    gtk_widget_class_bind_template_child(widget, PickerWindow, stack);
    gtk_widget_class_bind_template_child(widget, PickerWindow, empty_label);
    gtk_widget_class_bind_template_child(widget, PickerWindow, grid);
    gtk_widget_class_bind_template_child(widget, PickerWindow, status);
    gtk_widget_class_bind_template_child(widget, PickerWindow, updating_box);
    gtk_widget_class_bind_template_child(widget, PickerWindow, progress);
    gtk_widget_class_bind_template_callback(widget, start_find);
    gtk_widget_class_bind_template_callback(widget, hide_error);
    gtk_widget_class_bind_template_callback(widget, pick);
    gtk_widget_class_bind_template_callback(widget, pick_selected);
}

static void picker_window_init(PickerWindow *self)
{
    GType dropped[] = {GDK_TYPE_FILE_LIST, G_TYPE_FILE, GDK_TYPE_TEXTURE};
    GtkDropTarget *drop = gtk_drop_target_new(G_TYPE_INVALID, GDK_ACTION_COPY);
    gtk_widget_init_template(GTK_WIDGET(self));
    self->failures = g_strdup("");
    self->pictures = g_list_store_new(PICKER_TYPE_PICTURE);
    self->selection = GTK_SELECTION_MODEL(gtk_multi_selection_new(G_LIST_MODEL(self->pictures)));
    gtk_grid_view_set_model(self->grid, self->selection);
    gtk_drop_target_set_gtypes(drop, dropped, G_N_ELEMENTS(dropped));
    /* Otherwise the entry would take a file as the text of its path. */
    gtk_event_controller_set_propagation_phase(GTK_EVENT_CONTROLLER(drop), GTK_PHASE_CAPTURE);
    g_signal_connect(drop, "drop", G_CALLBACK(on_drop), self);
    gtk_widget_add_controller(GTK_WIDGET(self), GTK_EVENT_CONTROLLER(drop));
    gtk_search_entry_set_key_capture_widget(self->entry, GTK_WIDGET(self));
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        const GActionEntry entry = {.name = actions[i].name, .activate = act};
        g_action_map_add_action_entries(G_ACTION_MAP(self), &entry, 1, self);
    }
    enable_action(self, "stop", FALSE);
    show_state(self);
}

PickerWindow *picker_window_new(GtkApplication *application, struct engine *engine,
                                struct options *options)
{
    PickerWindow *self = g_object_new(PICKER_TYPE_WINDOW, "application", application, NULL);
    g_autoptr(GtkListItemFactory) factory = gtk_signal_list_item_factory_new();
    self->engine = engine;
    self->options = options;
    self->cells = cells_new(engine, factory);
    gtk_grid_view_set_factory(self->grid, factory);
    for (gsize i = 0; i < G_N_ELEMENTS(actions); i++) {
        const char *keys[] = {actions[i].key, NULL};
        g_autofree char *name = g_strconcat("win.", actions[i].name, NULL);
        gtk_application_set_accels_for_action(application, name, keys);
    }
    if (options->query)
        gtk_editable_set_text(GTK_EDITABLE(self->entry), options->query);
    if (options->picture)
        set_example(self, g_strdup(options->picture), NULL);
    gtk_widget_grab_focus(GTK_WIDGET(self->entry));
    return self;
}
