// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.io.File;

/** A picture that a search has found. Equal files at several places are one picture. */
public final class Hit {
    /** The number of the picture in the index. */
    public final long id;
    /** One of its files. */
    public final File file;
    /** Files with this content. */
    public final long copies;
    /** The cosine of the picture and the query. */
    public final float score;
    /**
     * How far the score is above the mean of all pictures of the index, in standard deviations of their scores. Unlike
     * scores, these can be compared between queries.
     */
    public final float z;
    /** Pixels, as the picture is shown. */
    public final int width;
    /** Pixels, as the picture is shown. */
    public final int height;
    /** Seconds since 1970 in local time: when it was taken, or else when its file was last modified. */
    public final long date;
    /** Whether the picture says when it was taken. */
    public final boolean taken;
    /** Degrees, or NaN if the picture does not say where it was taken. */
    public final double latitude;
    /** Degrees, or NaN if the picture does not say where it was taken. */
    public final double longitude;
    /** The name of the camera; "" if unknown. */
    public final String camera;
    /** The format, such as "JPEG". */
    public final String format;

    Hit(byte[][] texts, long[] numbers, double[] reals) {
        file = new File(Native.text(texts[0]));
        camera = Native.text(texts[1]);
        format = Native.text(texts[2]);
        id = numbers[1];
        copies = numbers[2];
        width = (int) numbers[3];
        height = (int) numbers[4];
        date = numbers[5];
        taken = numbers[6] != 0;
        score = (float) reals[0];
        z = (float) reals[1];
        latitude = reals[2];
        longitude = reals[3];
    }

    @Override
    public String toString() {
        return file + " " + score;
    }
}
