/* SPDX-License-Identifier: MIT
 *
 * How fast a device is at most, measured by small shaders: the peak that benchmarks give a kernel's
 * share of. Refuses nothing: it fails only where the device does.
 */
#ifndef VKCLIP_RUNTIME_PEAK_H
#define VKCLIP_RUNTIME_PEAK_H

#include "vulkan/gpu.h"

/* Takes a few seconds. */
int peak_measure(struct gpu *gpu, struct vkclip_peaks *peaks);

#endif
