/* SPDX-License-Identifier: MIT
 *
 * Defines where the values of a matrix [N,K] lie in panels, as runtime/layout.h does for the host and
 * docs/layout.md draws it. A quad is the four values of one column n that follow each other along K from 4 * k4 on. A
 * panel is [quads][PANEL] of them, where `quads` is the number of quads that a column has.
 */

/* Gives the first quad of a column. The column's next quad lies PANEL quads further. */
#define panel_column(n, quads) ((n) / PANEL * (quads) * PANEL + (n) % PANEL)

/* Gives quad k4 of a column, which is panel_column(n, quads) + k4 * PANEL. */
#define panel_quad(n, k4, quads) (((n) / PANEL * (quads) + (k4)) * PANEL + (n) % PANEL)

/* Give the column of a quad and its k4. */
#define panel_quad_column(quad, quads) ((quad) / PANEL / (quads) * PANEL + (quad) % PANEL)
#define panel_quad_k4(quad, quads) ((quad) / PANEL % (quads))
