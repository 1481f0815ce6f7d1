// SPDX-License-Identifier: MIT
package dev.vkclip;

import android.graphics.Bitmap;
import java.io.File;
import java.nio.ByteBuffer;
import java.util.List;
import java.util.Objects;

/**
 * A picture in one of the forms that an application has. Nothing is copied when it is made, and its memory must stay as
 * it is until the call that encodes it has returned.
 *
 * <p>Picture files are turned upright as their EXIF data say. So is what ImageDecoder decodes; what BitmapFactory
 * decodes is not, and lies as the camera was held.
 */
public final class Picture {
    // What the source is, and the numbers of a layout, as pictures.c reads them.
    private static final int PIXELS = 0;
    private static final int BITMAP = 1;
    private static final int PREMULTIPLIED = 2;
    private static final int ENCODED = 3;
    private static final int FILE = 4;
    private static final int LAYOUT_COUNT = 5;

    private final Object source;
    private final long[] layout;

    private Picture(Object source, long... layout) {
        this.source = source;
        this.layout = layout;
    }

    /**
     * A bitmap. One of another configuration than ARGB_8888 is copied to that. Colours that were multiplied by alpha,
     * as Android does it, are divided by it again, so that the bitmap gives what a PNG file with its pixels gives.
     *
     * @param bitmap a bitmap in the memory of the processor
     * @return the picture
     * @throws VkclipException for a bitmap of the configuration HARDWARE, whose pixels cannot be read
     */
    public static Picture of(Bitmap bitmap) {
        Bitmap.Config config = bitmap.getConfig();
        if (config == Bitmap.Config.HARDWARE) {
            throw new VkclipException(VkclipException.EUNSUPPORTED, "a Bitmap of the configuration HARDWARE, whose "
                    + "pixels only the GPU can read: decode it as ARGB_8888 (ImageDecoder.ALLOCATOR_SOFTWARE), or use "
                    + "bitmap.copy(Bitmap.Config.ARGB_8888, false)");
        }
        if (config != Bitmap.Config.ARGB_8888) {
            bitmap = bitmap.copy(Bitmap.Config.ARGB_8888, false);
            if (bitmap == null) {
                throw new VkclipException(VkclipException.EUNSUPPORTED, "a Bitmap of the configuration " + config
                        + ", which Android does not copy to ARGB_8888");
            }
        }
        boolean premultiplied = bitmap.isPremultiplied() && bitmap.hasAlpha();
        return new Picture(bitmap, premultiplied ? PREMULTIPLIED : BITMAP, 0, 0, 0, 0);
    }

    /**
     * Pixels of 8 bits per channel, rows from the top.
     *
     * @param pixels a direct buffer; the first pixel is at its position
     * @param width pixels of a row
     * @param height rows
     * @param channels bytes per pixel: 1 grey, 2 grey and alpha, 3 RGB, 4 RGBA. Colours are not multiplied by alpha
     * @param rowStride bytes from one row to the next; 0: {@code width * channels}
     * @return the picture
     */
    public static Picture ofPixels(ByteBuffer pixels, int width, int height, int channels, int rowStride) {
        long row = (long) width * channels;
        long stride = rowStride == 0 ? row : rowStride;
        if (!pixels.isDirect() || width <= 0 || height <= 0 || channels < 1 || channels > 4 || stride < row
                || (height - 1) * stride + row > pixels.remaining()) {
            throw new VkclipException(VkclipException.EINVALID, width + " x " + height + " pixels of " + channels
                    + " channels with " + stride + " bytes per row in a buffer of " + pixels.remaining()
                    + " bytes: expected a direct buffer that has all of them");
        }
        return new Picture(pixels.slice(), PIXELS, width, height, channels, stride);
    }

    /**
     * The content of a picture file, such as a JPEG.
     *
     * @param file the bytes from the position to the limit; a buffer that is not direct is copied
     * @return the picture
     */
    public static Picture ofEncoded(ByteBuffer file) {
        return new Picture(direct(file), ENCODED, 0, 0, 0, 0);
    }

    /**
     * A picture file, which is read when it is encoded.
     *
     * @param file the path of the file
     * @return the picture
     */
    public static Picture ofFile(File file) {
        return new Picture(Native.utf8(file.getPath()), FILE, 0, 0, 0, 0);
    }

    static ByteBuffer direct(ByteBuffer buffer) {
        if (buffer.isDirect()) {
            return buffer.slice();
        }
        ByteBuffer copy = ByteBuffer.allocateDirect(buffer.remaining());
        copy.put(buffer.duplicate()).flip();
        return copy;
    }

    static Object[] sources(List<Picture> pictures) {
        Object[] sources = new Object[pictures.size()];
        for (int i = 0; i < sources.length; i++) {
            sources[i] = Objects.requireNonNull(pictures.get(i), "a picture").source;
        }
        return sources;
    }

    static long[] layouts(List<Picture> pictures) {
        long[] layouts = new long[pictures.size() * LAYOUT_COUNT];
        for (int i = 0; i < pictures.size(); i++) {
            System.arraycopy(pictures.get(i).layout, 0, layouts, i * LAYOUT_COUNT, LAYOUT_COUNT);
        }
        return layouts;
    }
}
