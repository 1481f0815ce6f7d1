// SPDX-License-Identifier: MIT
package dev.vkclip;

/** How a device stores the matrices of a model, which are nearly all of its weights. */
public enum Weights {
    /** As the precision says. */
    AUTO,
    /** 16 bits, also in the precision F32. */
    F16,
    /** 8.5 bits per value: blocks of 32 values with a scale. */
    Q8,
    /** 4.5 bits per value. */
    Q4
}
