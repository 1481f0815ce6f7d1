/* SPDX-License-Identifier: MIT
 *
 * Defines the loop of the variants of MATMUL and CONV for lavapipe of Mesa 26, which makes one load of values that lie
 * side by side if no bound is checked, as is the case where memory is read by its address. K, or the channels of CONV,
 * must be a multiple of BLOCK, and a panel must be a multiple of a subgroup's lanes, which are a workgroup.
 *
 * A vector of the processor, which is one value of each lane, has the quads of neighbouring columns of w as they
 * lie in memory. It is multiplied by a quad of x, repeated for each of these columns. So a lane adds up the products
 * of every fourth value along K, and the sums of four lanes are the result for one column.
 *
 * The including file includes addresses.glsl and defines
 *     uint turn_of(ROW row, uint turn)      the BLOCK values of x that a turn multiplies, as an index of x.quads
 *     bool is_inside(ROW row, uint turn)    whether x has them; otherwise they are zero
 */
#include "matmul/panels.glsl"
#define load_w(quad, scale) vec4(0.0) /* This file loads w itself, and uses the epilogue of tile.glsl. */
#define load_scale(quad) 1.0
#include "matmul/tile.glsl"

const uint VECTORS = 4 * COLS, VECTOR_COLUMNS = LANES / 4, STRIP = COLS * LANES;
#define lane gl_SubgroupInvocationID

uint panel, strip; /* the workgroup's panel of w, and its first column there */
float vector_sum[ROWS][VECTORS];
float vector_scale[VECTORS]; /* of w in blocks */

/* Selects the value of a quad that belongs to this lane. Branches would hide that neighbouring lanes take
 * neighbouring values. */
#define lane_value(quad)                                                                                            \
    mix(mix((quad).w, (quad).z, lane % 4 == 2), mix((quad).y, (quad).x, lane % 4 == 0), lane % 4 < 2)

/* Gives what is stored of w in step u of a turn for the column which is `next` columns after the strip's first one. */
#define strip_quad(turn, u, next) w_stored(turn, u)[strip / 8 + (next) / 8][(STRIP < 8 ? strip % 8 : 0) + (next) % 8]

/* Loads vector v of w, which has the quads of VECTOR_COLUMNS columns. */
float load_columns(uint turn, uint u, uint v)
{
    W_LOADED loaded = W_LOADED(strip_quad(turn, u, v * VECTOR_COLUMNS));
    [[unroll]] for (uint i = 1; i < VECTOR_COLUMNS; i++)
        loaded = mix(loaded, W_LOADED(strip_quad(turn, u, v * VECTOR_COLUMNS + i)), W_CHOICE(lane / 4 == i));
#ifdef W_BLOCKS
    return vector_scale[v] * decode_w(loaded, u);
#else
    return decode_w(loaded, u);
#endif
}

#ifdef W_BLOCKS
/* Loads the scales of a turn's blocks, of which each lane has those of its columns. */
void load_vector_scales(uint turn)
{
    [[unroll]] for (uint v = 0; v < VECTORS; v++)
        [[unroll]] for (uint i = 0; i < VECTOR_COLUMNS; i++) {
            uint column = strip + v * VECTOR_COLUMNS + i;
            vec2 scales = unpackHalf2x16(w.turns[turn].scales[column / 2]);
            vector_scale[v] = mix(vector_scale[v], scales[column % 2], lane / 4 == i);
        }
}
#endif

/* The workgroups of a panel's strips follow each other for the same rows, so that these and the panel are in caches
 * when they are used again. */
void begin_strip()
{
    const uint strips = PANEL / STRIP, group = gl_WorkGroupID.y * gl_NumWorkGroups.x + gl_WorkGroupID.x;
    const uint panel_groups = gl_NumWorkGroups.x * strips;
    panel = group / panel_groups;
    strip = group % strips * STRIP;
    first_row = args.first + group % panel_groups / strips * ROWS;
    first_column = args.first_column + panel * PANEL + strip + lane;
}

/* Adds up the sums of the four lanes from `first` on, which are those of one column of a vector. */
#define ADD_LANES(first)                                                                                            \
    if (first < LANES) {                                                                                            \
        float sums = (subgroupBroadcast(value, first) + subgroupBroadcast(value, first + 1)) +                      \
                     (subgroupBroadcast(value, first + 2) + subgroupBroadcast(value, first + 3));                   \
        total = mix(total, sums, lane == v * VECTOR_COLUMNS + first / 4);                                           \
    }

/* Returns the sum of row i and of number j of this lane's columns, which four vectors have for all lanes. */
float column_sum(uint i, uint j)
{
    float total = 0.0;
    [[unroll]] for (uint v = 0; v < 4; v++) {
        float value = vector_sum[i][4 * j + v];
        ADD_LANES(0u) ADD_LANES(4u) ADD_LANES(8u) ADD_LANES(12u)
        ADD_LANES(16u) ADD_LANES(20u) ADD_LANES(24u) ADD_LANES(28u)
    }
    return total;
}

void main()
{
    const uint turns = args.k / BLOCK;
    begin_strip();
    [[unroll]] for (uint i = 0; i < ROWS; i++) {
        row[i] = row_of(min(first_row + i, args.m - 1));
        [[unroll]] for (uint v = 0; v < VECTORS; v++)
            vector_sum[i][v] = 0.0;
    }
    /* What a loop changes has its values in the lanes. The first one's is handed out, because otherwise the driver
     * waits for the lanes that are still in the loop before it computes an address. The loop ends after its turn,
     * because the driver would read past the tensors in a last turn that no lane takes. */
    uint counter = lane;
    for (;;) {
        const uint turn = subgroupBroadcast(counter, 0u);
        const uint w_turn = panel * turns + turn;
        uint x_turn[ROWS];
        bool inside[ROWS];
        [[unroll]] for (uint i = 0; i < ROWS; i++) {
            x_turn[i] = turn_of(row[i], turn);
            inside[i] = is_inside(row[i], turn);
        }
#ifdef W_BLOCKS
        load_vector_scales(w_turn);
#endif
        [[unroll]] for (uint u = 0; u < TURN; u++) {
            float w_values[VECTORS];
            [[unroll]] for (uint v = 0; v < VECTORS; v++)
                w_values[v] = load_columns(w_turn, u, v);
            [[unroll]] for (uint i = 0; i < ROWS; i++) {
                float x_value = lane_value(x.quads[x_turn[i]][u]);
                x_value = inside[i] ? x_value : 0.0;
                [[unroll]] for (uint v = 0; v < VECTORS; v++)
                    vector_sum[i][v] = fma(x_value, w_values[v], vector_sum[i][v]);
            }
            /* A branch that is never taken keeps the compiler from computing sum after sum, for which it would have
             * to keep all that was loaded. */
            if (u == TURN / 2 - 1 && args.k == 0)
                y[0] = XTYPE(0.0);
        }
        counter++;
        [[dont_flatten]] if (counter - lane == turns) break;
    }
    [[unroll]] for (uint i = 0; i < ROWS; i++)
        [[unroll]] for (uint j = 0; j < COLS; j++)
            end_sum(i, j, column_sum(i, j));
}
