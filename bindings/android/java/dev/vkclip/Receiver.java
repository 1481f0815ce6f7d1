// SPDX-License-Identifier: MIT
package dev.vkclip;

/** What natives hand their results and progress to, as a record of texts in UTF-8 and numbers. */
interface Receiver {
    /** Returns false to cancel the call. Some calls make this one on a thread of the library. */
    boolean receive(byte[][] texts, long[] numbers, double[] reals);
}
