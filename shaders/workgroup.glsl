/* SPDX-License-Identifier: MIT
 *
 * Defines the width of a workgroup as the specialization constant that sets it. Lengths of arrays use it and not
 * gl_WorkGroupSize, because MoltenVK before 1.4 cannot compile an array whose length derives from that.
 */
#ifndef WORKGROUP_GLSL
#define WORKGROUP_GLSL
layout(constant_id = 0) const uint LANES = 8;
#endif
