// SPDX-License-Identifier: MIT
package dev.vkclip;

/** What a call of the library failed with: a code and a message that says what, where, what was expected and found. */
public final class VkclipException extends RuntimeException {
    /** An argument is out of its range, or an object is closed. */
    public static final int EINVALID = -1;
    /** The process has no memory left. */
    public static final int EMEMORY = -2;
    /** A file cannot be read or written. */
    public static final int EIO = -3;
    /** A file is malformed. */
    public static final int EFORMAT = -4;
    /** A file is well-formed, but not supported; or this build lacks what was asked for. */
    public static final int EUNSUPPORTED = -5;
    /** There is no usable Vulkan device. */
    public static final int ENODEVICE = -6;
    /** The Vulkan device failed, or computes wrong numbers. */
    public static final int EDEVICE = -7;
    /** The device has no memory left. */
    public static final int EDEVICEMEMORY = -8;
    /** A text is longer than the model's context. */
    public static final int ETOOLONG = -9;
    /** The model does not have what was asked for, such as a tower or a vocabulary. */
    public static final int EABSENT = -10;
    /** Training came to a number that is not finite. */
    public static final int EDIVERGED = -11;
    /** The driver crashed or stopped the device. */
    public static final int ELOST = -12;
    /** A listener cancelled the call. */
    public static final int ECANCELLED = -13;

    private static final long serialVersionUID = 1;

    private final int code;

    VkclipException(int code, String message) {
        super(message);
        this.code = code;
    }

    /** The natives call this. */
    VkclipException(int code, byte[] message) {
        this(code, Native.text(message));
    }

    /** Throws EINVALID for a number of an argument that is out of its range. */
    static void expectRange(String what, long number, long least, long most) {
        if (number < least || number > most) {
            throw new VkclipException(EINVALID, what + " " + number + ": expected " + least + " to " + most);
        }
    }

    /**
     * Tells what kind of error it is.
     *
     * @return one of the constants of this class
     */
    public int code() {
        return code;
    }
}
