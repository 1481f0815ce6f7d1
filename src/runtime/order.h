/* SPDX-License-Identifier: MIT
 *
 * Looks up what a class of devices prefers, and how many registers it has (shaders/orders.def).
 */
#ifndef VKCLIP_RUNTIME_ORDER_H
#define VKCLIP_RUNTIME_ORDER_H

#include "vulkan/gpu.h"

/* Returns the rank of a shader with a tile among the preferences of a class. The least rank is
 * preferred most; all choices that the class does not prefer have the same, largest rank. */
size_t order_rank(enum gpu_class class, const char *shader, uint32_t rows, uint32_t columns);
/* Returns how many values an invocation may keep in registers on a class of devices, or UINT32_MAX
 * if there is no limit. */
uint32_t order_registers(enum gpu_class class);

#endif
