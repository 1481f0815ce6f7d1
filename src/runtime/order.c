/* SPDX-License-Identifier: MIT
 *
 * Holds the table of preferences and limits per class of devices.
 */
#include "runtime/order.h"
#include "base/array.h"

#include <string.h>

static const struct {
    enum gpu_class class;
    const char *shader;
    uint32_t rows, columns; /* 0: any */
} preferred[] = {
#define PREFER(class, shader, rows, columns) {GPU_##class, #shader, rows, columns},
#define REGISTERS(class, values)
#include "shaders/orders.def"
#undef PREFER
#undef REGISTERS
};

static const struct {
    enum gpu_class class;
    uint32_t values;
} registers[] = {
#define PREFER(class, shader, rows, columns)
#define REGISTERS(class, values) {GPU_##class, values},
#include "shaders/orders.def"
#undef PREFER
#undef REGISTERS
};

/* A kernel whose subgroup hands values around is unrolled over rows, columns and lanes. Compilers
 * take minutes for more than this many products, and such code spills on every GPU tried. */
#define MOST_UNROLLED 4096

/* Returns the number of the first line that names the choice. */
static size_t find_rank(enum gpu_class class, const struct kernel_choice *choice)
{
    size_t rank = 0;
    for (; rank < ARRAY_COUNT(preferred); rank++)
        if (preferred[rank].class == class &&
            !strcmp(preferred[rank].shader, choice->kernel->shader) &&
            (!preferred[rank].rows || preferred[rank].rows == choice->listed_tile.rows) &&
            (!preferred[rank].columns || preferred[rank].columns == choice->listed_tile.columns))
            break;
    return rank;
}

void order_choices(enum gpu_class class, struct kernel_choice *choices, size_t count)
{
    for (size_t i = 1; i < count; i++) { /* insertion, which keeps the order of equals */
        const struct kernel_choice choice = choices[i];
        const size_t rank = find_rank(class, &choice);
        size_t place = i;
        for (; place && find_rank(class, &choices[place - 1]) > rank; place--)
            choices[place] = choices[place - 1];
        choices[place] = choice;
    }
}

uint32_t order_values(const struct kernel *kernel, const struct tile *tile)
{
    if (kernel->op == OP_OUTER)
        return 4 * tile->rows * tile->columns + 16 * tile->columns;
    return tile->rows * tile->columns + tile->rows + 4 * tile->columns;
}

bool order_accepts(enum gpu_class class, const struct kernel *kernel, const struct tile *tile,
                   uint32_t lanes)
{
    if (kernels_share_values(kernel) && tile->rows * tile->columns * lanes > MOST_UNROLLED)
        return false;
    if (kernel->needs & CAPS_COOPMAT) /* rows and columns count matrices, spread over the lanes */
        return true;
    for (size_t i = 0; i < ARRAY_COUNT(registers); i++)
        if (registers[i].class == class)
            return order_values(kernel, tile) <= registers[i].values;
    return true;
}
