/* SPDX-License-Identifier: MIT */
#ifndef PICKER_WINDOW_H
#define PICKER_WINDOW_H

#include "engine.h"

#include <gtk/gtk.h>

/* What the command line says. */
struct options {
    char *model, *index, *query, *picture;
    gboolean print;  /* Picked pictures are printed, and not opened. */
    gboolean picked; /* is set when a picture was printed */
};

#define PICKER_TYPE_WINDOW (picker_window_get_type())
G_DECLARE_FINAL_TYPE(PickerWindow, picker_window, PICKER, WINDOW, GtkApplicationWindow)

PickerWindow *picker_window_new(GtkApplication *application, struct engine *engine,
                                struct options *options);
/* Shows the pictures of a folder, and brings the index up to date with it. */
void picker_window_open(PickerWindow *window, GFile *folder);

/* Lets GTK's own theme be dark where the desktop's settings prefer that. */
void follow_color_scheme(void);

#endif
