// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.util.UUID;

/** Describes a Vulkan device. */
public final class DeviceInfo {
    /** The kinds of devices. */
    public enum Type {
        /** Of no kind that Vulkan names. */
        OTHER,
        /** Vulkan computed by the processor. */
        CPU,
        /** A GPU of a virtual machine. */
        VIRTUAL,
        /** A GPU that shares the memory of the processor, as in phones. */
        INTEGRATED,
        /** A GPU with memory of its own. */
        DISCRETE
    }

    /** The position in Vulkan's enumeration. */
    public final int index;
    /** The kind of device. */
    public final Type type;
    /** Vulkan's deviceName. */
    public final String name;
    /** Name and version of the driver, as the driver gives them. */
    public final String driver;
    /** The version of Vulkan: "1.1.128". */
    public final String apiVersion;
    /** Bytes of the largest heap on the device. */
    public final long memory;
    /** The optional features that were found and are usable, separated by spaces. */
    public final String caps;
    /** Whether the library can use the device. */
    public final boolean usable;
    /** What the device lacks, if it is not usable. */
    public final String why;
    /** Vulkan's deviceUUID. */
    public final UUID uuid;

    DeviceInfo(byte[][] texts, long[] numbers) {
        name = Native.text(texts[0]);
        driver = Native.text(texts[1]);
        caps = Native.text(texts[2]);
        why = Native.text(texts[3]);
        index = (int) numbers[0];
        type = Type.values()[(int) numbers[1]];
        apiVersion = numbers[2] + "." + numbers[3] + "." + numbers[4];
        memory = numbers[5];
        usable = numbers[6] != 0;
        uuid = new UUID(numbers[7], numbers[8]);
    }

    @Override
    public String toString() {
        return name + " (" + driver + ")";
    }
}
