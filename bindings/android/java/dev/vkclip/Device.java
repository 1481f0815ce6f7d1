// SPDX-License-Identifier: MIT
package dev.vkclip;

import android.content.Context;
import java.io.File;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Objects;
import java.util.Set;

/**
 * A Vulkan device, on which models are opened.
 *
 * <p>Drivers of phones compute wrong numbers more often than they fail. Each kernel is therefore compared with a
 * reference before a model first uses it, and a small model is computed when a device is first opened, in less than a
 * second. The answers are kept in the cache folder for the device, its driver and the version of the library: wrong
 * kernels are left out, and a model in a precision that is wrong is refused with {@link VkclipException#EDEVICE}.
 */
public final class Device implements AutoCloseable {
    /** How a device is opened. Every setter returns the options. */
    public static final class Options {
        private static final int BACKGROUND = 1;
        private static final int NO_CHECK = 2;
        private static final int NO_TUNING = 4;
        private static final int HARDWARE_BUFFERS = 8;

        private String name;
        private int threads;
        private int flags;

        /** Makes the defaults. */
        public Options() {}

        /**
         * Chooses a device.
         *
         * @param name an index or a part of a name; null: the best device
         * @return these options
         */
        public Options name(String name) {
            this.name = name;
            return this;
        }

        /**
         * Limits the threads that prepare pictures and read weights.
         *
         * @param threads their number, 1 to 64; 0: as many as there are processors
         * @return these options
         */
        public Options threads(int threads) {
            VkclipException.expectRange("threads", threads, 0, 64);
            this.threads = threads;
            return this;
        }

        /**
         * Lets others go first: the GPU and the library's threads have the lowest priority, as indexing wants it while
         * somebody uses the phone.
         *
         * @param background true for the lowest priority
         * @return these options
         */
        public Options background(boolean background) {
            return set(BACKGROUND, background);
        }

        /**
         * Leaves out the checks of the device's numbers.
         *
         * @param check false to leave them out; true is the default
         * @return these options
         */
        public Options check(boolean check) {
            return set(NO_CHECK, !check);
        }

        /**
         * Leaves out the measurements by which the fastest kernels are found, and takes a fixed choice instead.
         *
         * @param tune false to leave them out; true is the default
         * @return these options
         */
        public Options tune(boolean tune) {
            return set(NO_TUNING, !tune);
        }

        /**
         * Opens the device in such a way that it can import hardware buffers, if it can do so at all: see
         * {@link Device#canImportHardwareBuffers}. The first usable device is opened then, and is not opened again
         * after the driver has lost it.
         *
         * @param hardwareBuffers true to be able to import them; false is the default
         * @return these options
         */
        public Options hardwareBuffers(boolean hardwareBuffers) {
            return set(HARDWARE_BUFFERS, hardwareBuffers);
        }

        private Options set(int flag, boolean on) {
            flags = on ? flags | flag : flags & ~flag;
            return this;
        }
    }

    final Handle handle;
    private final List<DeviceInfo> infos = new ArrayList<>();
    private final boolean importing;
    private final Set<String> wrong; // precisions

    /**
     * Opens the best device, with the application's cache folder.
     *
     * @param context any context of the application
     */
    public Device(Context context) {
        this(context, new Options());
    }

    /**
     * Opens a device. Compiled kernels, measurements and checks are kept in the folder {@code vkclip} of the
     * application's cache folder.
     *
     * @param context any context of the application
     * @param options how the device is opened
     */
    public Device(Context context, Options options) {
        this(new File(context.getCacheDir(), "vkclip"), options);
    }

    /**
     * Opens a device, also where there is no Android.
     *
     * @param cacheFolder the folder for compiled kernels, measurements and checks, made if it does not exist; null:
     *     nothing is kept, so that all of this is done each time
     * @param options how the device is opened
     */
    public Device(File cacheFolder, Options options) {
        Objects.requireNonNull(options, "options");
        if (cacheFolder != null && !cacheFolder.isDirectory() && !cacheFolder.mkdirs()) {
            throw new VkclipException(VkclipException.EIO, cacheFolder + ": expected a folder for the "
                    + "cache, or a place where one can be made");
        }
        String folder = cacheFolder == null ? "" : cacheFolder.getPath();
        long pointer = Native.openDevice(Native.utf8(options.name), Native.utf8(folder), options.threads,
                options.flags);
        handle = new Handle("device", this, pointer, Native::closeDevice, null, null);
        boolean opened = false;
        try {
            Native.describeDevices(pointer, (texts, numbers, reals) -> infos.add(new DeviceInfo(texts, numbers)));
            importing = Native.importsHardwareBuffers(pointer);
            wrong = (options.flags & Options.NO_CHECK) != 0 ? Collections.emptySet()
                    : FirstCheck.findWrong(this, cacheFolder);
            opened = true;
        } finally {
            if (!opened) {
                handle.close();
            }
        }
    }

    /**
     * Lists the devices of this machine, also those that cannot be used.
     *
     * @return the devices in Vulkan's order
     */
    public static List<DeviceInfo> list() {
        List<DeviceInfo> list = new ArrayList<>();
        Native.describeDevices(0, (texts, numbers, reals) -> list.add(new DeviceInfo(texts, numbers)));
        return list;
    }

    /**
     * Returns the version of the library.
     *
     * @return "major.minor.patch"
     */
    public static String version() {
        return Native.text(Native.version());
    }

    /**
     * Describes the device, or the first one where the name of the options chose several.
     *
     * @return its description
     */
    public DeviceInfo info() {
        return infos.get(0);
    }

    /**
     * Tells whether {@link Model#encodeHardwareBuffer} works: the device was opened with
     * {@link Options#hardwareBuffers}, and its driver has VK_ANDROID_external_memory_android_hardware_buffer. This was
     * never run on a phone.
     *
     * @return whether hardware buffers can be imported
     */
    public boolean canImportHardwareBuffers() {
        return importing;
    }

    /**
     * Compares kernels with a reference on the processor, and leaves wrong ones out from then on. All of them take some
     * seconds to some minutes, most of them in the driver's compiler. The kernels of a model are checked anyway.
     *
     * @param op only this operation, such as "MATMUL", or "MODEL" for a model of two layers; null: all
     * @param listener is told each check; or null
     * @return how many checks are not right
     */
    public int check(String op, Check.Listener listener) {
        long pointer = handle.use();
        try {
            return Native.checkDevice(pointer, Native.utf8(op), listener == null ? null
                    : (texts, numbers, reals) -> listener.onCheck(new Check(texts, numbers, reals)));
        } finally {
            handle.release();
        }
    }

    /** Throws an exception if the device computes wrong numbers in a precision. */
    void expectRight(Precision precision) {
        String name = precision.name().toLowerCase(java.util.Locale.ROOT);
        if (wrong.contains(name)) {
            String advice = precision == Precision.F16 ? "open the model with Precision.F32" : "use another device";
            throw new VkclipException(VkclipException.EDEVICE, info() + " computes wrong numbers in the precision "
                    + name + ": " + advice);
        }
    }

    /** Closes the device as soon as its models are closed, too. */
    @Override
    public void close() {
        handle.close();
    }

    @Override
    public String toString() {
        return "Device " + infos;
    }
}
