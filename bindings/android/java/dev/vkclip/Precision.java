// SPDX-License-Identifier: MIT
package dev.vkclip;

/** How numbers are stored and computed. */
public enum Precision {
    /** 32 bits. */
    F32,
    /** 16 bits, which takes half the memory and needs a device with 16-bit storage. */
    F16
}
