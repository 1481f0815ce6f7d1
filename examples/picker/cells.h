/* SPDX-License-Identifier: MIT
 *
 * The cells of the grid: a thumbnail with the picture's name and score below it.
 */
#ifndef PICKER_CELLS_H
#define PICKER_CELLS_H

#include "engine.h"

#include <gtk/gtk.h>

struct cells;

/* Lets a factory make cells for items of the type PickerPicture. */
struct cells *cells_new(struct engine *engine, GtkListItemFactory *factory);
void cells_free(struct cells *cells);
/* Tells whether a picture that was shown since the last call had no thumbnail. */
gboolean cells_lack_thumbnails(struct cells *cells);

#endif
