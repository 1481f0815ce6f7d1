// SPDX-License-Identifier: MIT
package android.hardware;

import java.nio.ByteBuffer;

/** Stands in for Android's class in the tests: RGBA pixels without padding, which doubles.c imports. */
public class HardwareBuffer {
    final ByteBuffer pixels;
    private final int width;
    private final int height;

    public HardwareBuffer(ByteBuffer pixels, int width, int height) {
        this.pixels = pixels;
        this.width = width;
        this.height = height;
    }

    public int getWidth() {
        return width;
    }

    public int getHeight() {
        return height;
    }
}
