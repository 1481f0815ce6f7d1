// SPDX-License-Identifier: MIT
package dev.vkclip;

/** The comparison of one kernel on a device with a reference on the processor. */
public final class Check {
    /** Is told each check, on the thread that made the call. */
    public interface Listener {
        /**
         * Receives a check.
         *
         * @param check the check
         * @return true to go on, false to cancel
         */
        boolean onCheck(Check check);
    }

    /** The name of the device. */
    public final String device;
    /** The operation, such as MATMUL, or MODEL for a model of two layers. */
    public final String op;
    /** The shader, with its tile. */
    public final String kernel;
    /** The type of activations: f32, f16. */
    public final String activations;
    /** The type of weights: f32, f16, q8, q4. */
    public final String weights;
    /** The sizes and options of what was computed. */
    public final String shape;
    /** The largest error as a share of its bound: above 1 is wrong. */
    public final double error;
    /** How often it was computed. */
    public final int runs;
    /** Whether the driver could build the kernel. */
    public final boolean built;
    /** Whether all runs gave the same bits. */
    public final boolean stable;
    /** Whether the kernel was built, is stable, and its error is at most 1. */
    public final boolean right;

    Check(byte[][] texts, long[] numbers, double[] reals) {
        device = Native.text(texts[0]);
        op = Native.text(texts[1]);
        kernel = Native.text(texts[2]);
        activations = Native.text(texts[3]);
        weights = Native.text(texts[4]);
        shape = Native.text(texts[5]);
        runs = (int) numbers[0];
        built = numbers[1] != 0;
        stable = numbers[2] != 0;
        right = numbers[3] != 0;
        error = reals[0];
    }
}
