/* SPDX-License-Identifier: MIT
 *
 * Orders the choices of a node by the preferences of a class of devices (shaders/orders.def), and
 * rejects tiles that a class has too few registers for before they are compiled, because compiling
 * them takes longest: a tile that spills thousands of registers takes up to 20 s.
 */
#ifndef VKCLIP_RUNTIME_ORDER_H
#define VKCLIP_RUNTIME_ORDER_H

#include "runtime/kernels.h"

/* Moves the choices that the class prefers to the front. Those of equal preference keep their
 * order. */
void order_choices(enum gpu_class class, struct kernel_choice *choices, size_t count);
/* Estimates how many values an invocation keeps in registers: sums, x and w, or the gradient and x
 * of OUTER, whose tiles count columns in quads. */
uint32_t order_values(const struct kernel *kernel, const struct tile *tile);
/* Tells whether a tile may be compiled for `lanes` invocations along its columns. */
bool order_accepts(enum gpu_class class, const struct kernel *kernel, const struct tile *tile,
                   uint32_t lanes);

#endif
