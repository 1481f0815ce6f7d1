/* SPDX-License-Identifier: MIT
 *
 * How fast a device is at most, measured by small shaders: what shares of the peak are shares of.
 */
#ifndef VKCLIP_RUNTIME_PEAK_H
#define VKCLIP_RUNTIME_PEAK_H

#include "vulkan/gpu.h"

int peak_measure(struct gpu *gpu, struct vkclip_peaks *peaks);

#endif
