// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.List;

/**
 * The functions of libvkclip_jni. Handles are pointers, and 0 is refused; the caller sees to it that a handle is not
 * closed meanwhile. Texts are UTF-8.
 */
final class Native {
    static {
        System.loadLibrary("vkclip_jni");
    }

    private Native() {}

    static native byte[] version();

    /** Describes the devices of a handle, or with 0 those of the machine. */
    static native void describeDevices(long device, Receiver receiver);

    static native long openDevice(byte[] name, byte[] cacheFolder, int threads, int flags);

    /** Returns false if nothing was closed, because a listener of a call on the same device made this call. */
    static native boolean closeDevice(long device);

    static native boolean importsHardwareBuffers(long device);

    static native int checkDevice(long device, byte[] op, Receiver receiver);

    /** Opens a path, or direct memory, or a part of a descriptor. */
    static native long openModel(long device, byte[] path, ByteBuffer memory, int fd, long offset, long length,
            byte[] name, byte[] vocabulary, int[] options, Receiver receiver);

    static native boolean closeModel(long model);

    static native void describeModel(long model, Receiver receiver);

    static native void encodePictures(long model, Object[] sources, long[] layouts, Receiver receiver, float[] embeds);

    static native void encodeHardwareBuffer(long device, long model, Object buffer, int width, int height,
            float[] embeds);

    static native void encodeTexts(long model, byte[] texts, int[] lengths, Receiver receiver, float[] embeds);

    static native void encodeLabels(long model, byte[] labels, int[] labelLengths, byte[] templates,
            int[] templateLengths, Receiver receiver, float[] embeds);

    static native int[] tokenize(long model, byte[] text, int context);

    static native void similarity(long model, float[] images, int n, float[] texts, int m, float[] logits);

    static native long openIndex(byte[] path, boolean readOnly);

    static native boolean closeIndex(long index);

    static native void describeIndex(long index, Receiver receiver);

    static native void updateIndex(long index, long model, byte[] paths, int[] lengths, boolean retry,
            Receiver receiver);

    static native long removeIndexed(long index, byte[] paths, int[] lengths);

    static native long pruneIndex(long index);

    static native void searchIndex(long index, long model, byte[] texts, int[] lengths, long[] kinds, double[] weights,
            ByteBuffer[] buffers, long[] numbers, double[] limits, Receiver receiver);

    // ---- Texts ----

    static String text(byte[] utf8) {
        return new String(utf8, StandardCharsets.UTF_8);
    }

    /** Returns a text for a function of C, which ends a text at a NUL; null stays null. */
    static byte[] utf8(String text) {
        return text == null ? null : withoutNul(text).getBytes(StandardCharsets.UTF_8);
    }

    private static String withoutNul(String text) {
        if (text.indexOf('\0') >= 0) {
            throw new VkclipException(VkclipException.EINVALID, "\"" + text.replace("\0", "\\0")
                    + "\": expected a text without a NUL");
        }
        return text;
    }

    /** Texts one after the other, each with a NUL behind it, and their lengths without it. */
    static final class Texts {
        final byte[] bytes;
        final int[] lengths;

        /** Packs texts for functions of C that end a text at a NUL. */
        static Texts withoutNul(List<String> texts) {
            Texts packed = new Texts(texts);
            for (String text : texts) {
                Native.withoutNul(text);
            }
            return packed;
        }

        Texts(List<String> texts) {
            byte[][] all = new byte[texts.size()][];
            lengths = new int[all.length];
            int size = 0;
            for (int i = 0; i < all.length; i++) {
                String text = texts.get(i);
                if (text == null) {
                    throw new NullPointerException("text " + i + " of " + all.length + " is null");
                }
                all[i] = text.getBytes(StandardCharsets.UTF_8);
                lengths[i] = all[i].length;
                size = Math.addExact(size, lengths[i] + 1);
            }
            bytes = new byte[size];
            int position = 0;
            for (byte[] text : all) {
                System.arraycopy(text, 0, bytes, position, text.length);
                position += text.length + 1;
            }
        }
    }

    // ---- Listeners ----

    static Receiver progress(ProgressListener listener) {
        return listener == null ? null : (texts, numbers, reals) -> listener.onProgress(numbers[0], numbers[1]);
    }
}
