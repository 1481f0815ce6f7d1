// SPDX-License-Identifier: MIT
package dev.vkclip;

/** Is told how much of a call's work is done, on the thread that made the call. */
public interface ProgressListener {
    /**
     * Is called now and then, also while the call waits for its turn on the device. An exception cancels the call,
     * which throws it then. A listener cannot make calls that use the same device.
     *
     * @param done how many items or bytes are done, which never falls
     * @param total how many there are; {@code done} ends with that number
     * @return true to go on, false to cancel: the call throws {@link VkclipException#ECANCELLED}, and may be made again
     */
    boolean onProgress(long done, long total);
}
