/* SPDX-License-Identifier: MIT
 *
 * Holds the table of preferences and registers per class of devices.
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

size_t order_rank(enum gpu_class class, const char *shader, uint32_t rows, uint32_t columns)
{
    size_t rank = 0;
    for (; rank < ARRAY_COUNT(preferred); rank++)
        if (preferred[rank].class == class && !strcmp(preferred[rank].shader, shader) &&
            (!preferred[rank].rows || preferred[rank].rows == rows) &&
            (!preferred[rank].columns || preferred[rank].columns == columns))
            break;
    return rank;
}

uint32_t order_registers(enum gpu_class class)
{
    for (size_t i = 0; i < ARRAY_COUNT(registers); i++)
        if (registers[i].class == class)
            return registers[i].values;
    return UINT32_MAX;
}
