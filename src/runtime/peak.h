/* SPDX-License-Identifier: MIT
 *
 * Measures the highest speed of a device with small shaders. Benchmarks report a kernel's share of
 * this peak. Refuses nothing: it fails only if the device does.
 */
#ifndef VKCLIP_RUNTIME_PEAK_H
#define VKCLIP_RUNTIME_PEAK_H

#include "vulkan/gpu.h"

/* Measures the peaks, which takes a few seconds. */
int peak_measure(struct gpu *gpu, struct vkclip_peaks *peaks);

#endif
