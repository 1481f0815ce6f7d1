/* SPDX-License-Identifier: MIT
 *
 * Looks up what a class of devices prefers, and which tiles are too large for it
 * (shaders/orders.def).
 */
#ifndef VKCLIP_RUNTIME_ORDER_H
#define VKCLIP_RUNTIME_ORDER_H

#include "vulkan/gpu.h"

/* Returns the rank of a shader with a tile among the preferences of a class. The least rank is
 * preferred most; all choices that the class does not prefer have the same, largest rank. */
size_t order_rank(enum gpu_class class, const char *shader, uint32_t rows, uint32_t columns);
#define ORDER_RANKS 1000 /* exceeds every rank */
/* Bounds the tiles that are compiled for a class of devices. */
struct order_limits {
    uint32_t values;   /* values that an invocation keeps in registers */
    uint32_t products; /* rows times columns times lanes, where a subgroup hands values around */
};
struct order_limits order_limits(enum gpu_class class);

#endif
