// SPDX-License-Identifier: MIT
package android.graphics;

import java.nio.ByteBuffer;

/** Stands in for Android's class in the tests: pixels in a direct buffer, which doubles.c locks. */
public class Bitmap {
    public enum Config { ALPHA_8, RGB_565, ARGB_4444, ARGB_8888, RGBA_F16, HARDWARE }

    // doubles.c reads these.
    final ByteBuffer pixels;
    final int width;
    final int height;
    final int stride;
    int format;
    int locks;
    private final Config config;
    private final boolean alpha;
    private final boolean premultiplied;

    public Bitmap(ByteBuffer pixels, int width, int height, int stride, Config config, boolean alpha,
            boolean premultiplied) {
        this.pixels = pixels;
        this.width = width;
        this.height = height;
        this.stride = stride;
        this.config = config;
        this.alpha = alpha;
        this.premultiplied = premultiplied;
        format = config == Config.ARGB_8888 ? 1 : config == Config.RGB_565 ? 4 : 9;
    }

    public Config getConfig() {
        return config;
    }

    public boolean hasAlpha() {
        return alpha;
    }

    public boolean isPremultiplied() {
        return premultiplied;
    }

    public void recycle() {
        format = 0;
    }

    public int lockCount() {
        return locks;
    }

    /** Copies RGB_565, of which the tests make pictures, to ARGB_8888. */
    public Bitmap copy(Config target, boolean mutable) {
        if (config != Config.RGB_565 || target != Config.ARGB_8888) {
            return null;
        }
        ByteBuffer copy = ByteBuffer.allocateDirect(width * height * 4);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < width; x++) {
                int low = pixels.get(y * stride + 2 * x) & 255;
                int pixel = low | (pixels.get(y * stride + 2 * x + 1) & 255) << 8;
                copy.put((byte) ((pixel >> 11) * 255 / 31)).put((byte) ((pixel >> 5 & 63) * 255 / 63));
                copy.put((byte) ((pixel & 31) * 255 / 31)).put((byte) 255);
            }
        }
        return new Bitmap(copy, width, height, 4 * width, target, false, true);
    }
}
