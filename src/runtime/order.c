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
#define LIMITS(class, values, products)
#include "shaders/orders.def"
#undef PREFER
#undef LIMITS
};

static const struct {
    enum gpu_class class;
    struct order_limits limits;
} class_limits[] = {
#define PREFER(class, shader, rows, columns)
#define LIMITS(class, values, products) {GPU_##class, {values, products}},
#include "shaders/orders.def"
#undef PREFER
#undef LIMITS
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

struct order_limits order_limits(enum gpu_class class)
{
    for (size_t i = 0; i < ARRAY_COUNT(class_limits); i++)
        if (class_limits[i].class == class)
            return class_limits[i].limits;
    return (struct order_limits){UINT32_MAX, UINT32_MAX};
}
