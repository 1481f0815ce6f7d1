// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.io.File;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Objects;

/**
 * What is searched for, how many pictures are wanted, and which are considered. A query is a sum of texts and pictures,
 * each with a weight; negative weights stand for what pictures should not show. Every method returns the query.
 */
public final class Query {
    // The kinds of parts, as enum vkclip_query_kind has them.
    private static final int TEXT = 0;
    private static final int IMAGE = 1;
    private static final int ID = 2;
    private static final int EMBEDDING = 3;

    private final List<String> values = new ArrayList<>();
    private final List<long[]> kinds = new ArrayList<>();
    private final List<Double> weights = new ArrayList<>();
    private final List<ByteBuffer> buffers = new ArrayList<>();
    private int top = 10;
    private boolean newest;
    private long after;
    private long before;
    private int minWidth;
    private int minHeight;
    private double minScore;
    private double minZ;
    private double relative;
    private double latitude;
    private double longitude;
    private double kilometers;
    private String pathGlob = "";
    private String camera = "";
    private String type = "";

    /** Makes a query without any part. */
    public Query() {}

    /**
     * Makes a query of one text.
     *
     * @param text the text
     */
    public Query(String text) {
        text(text, 1);
    }

    /**
     * Adds a text.
     *
     * @param text the text
     * @param weight its weight; not 0
     * @return this query
     */
    public Query text(String text, double weight) {
        return add(text, TEXT, 0, weight, null);
    }

    /**
     * Adds a picture file. One that is in the index is not encoded again.
     *
     * @param file the file
     * @param weight its weight; not 0
     * @return this query
     */
    public Query file(File file, double weight) {
        return add(file.getPath(), IMAGE, 0, weight, null);
    }

    /**
     * Adds the content of a picture file.
     *
     * @param file the bytes from the position to the limit
     * @param weight its weight; not 0
     * @return this query
     */
    public Query encoded(ByteBuffer file, double weight) {
        return add("picture", IMAGE, 0, weight, Picture.direct(file));
    }

    /**
     * Adds a picture of the index.
     *
     * @param id its number: see {@link Hit#id}
     * @param weight its weight; not 0
     * @return this query
     */
    public Query id(long id, double weight) {
        return add("", ID, id, weight, null);
    }

    /**
     * Adds an embedding, such as that of a bitmap.
     *
     * @param embedding D numbers, as the methods of {@link Model} give them
     * @param weight its weight; not 0
     * @return this query
     */
    public Query embedding(float[] embedding, double weight) {
        ByteBuffer bytes = ByteBuffer.allocateDirect(Math.multiplyExact(embedding.length, 4));
        bytes.order(ByteOrder.nativeOrder()).asFloatBuffer().put(embedding);
        return add("embedding", EMBEDDING, 0, weight, bytes);
    }

    private Query add(String value, int kind, long id, double weight, ByteBuffer buffer) {
        if (weight == 0) {
            throw new VkclipException(VkclipException.EINVALID, "a part of a query has the weight 0");
        }
        values.add(Objects.requireNonNull(value, "text"));
        kinds.add(new long[] {kind, id});
        weights.add(weight);
        buffers.add(buffer);
        return this;
    }

    /**
     * Limits the number of pictures.
     *
     * @param top the most pictures to find; 10 is the default
     * @return this query
     */
    public Query top(int top) {
        VkclipException.expectRange("top", top, 1, Integer.MAX_VALUE);
        this.top = top;
        return this;
    }

    /**
     * Sorts the pictures that were found.
     *
     * @param newest true: the newest first; false: the best first
     * @return this query
     */
    public Query newestFirst(boolean newest) {
        this.newest = newest;
        return this;
    }

    /**
     * Sets limits that every picture reaches; 0 is none.
     *
     * @param minScore the least score
     * @param minZ the least z: see {@link Hit#z}
     * @param relative the least score as a share of the best picture's, 0 to 1
     * @return this query
     */
    public Query limits(double minScore, double minZ, double relative) {
        this.minScore = minScore;
        this.minZ = minZ;
        this.relative = relative;
        return this;
    }

    /**
     * Considers only some paths.
     *
     * @param pathGlob * stands for any bytes, ? for one character; without a slash it is compared with the file's name
     * @return this query
     */
    public Query path(String pathGlob) {
        this.pathGlob = Objects.requireNonNull(pathGlob, "pathGlob");
        return this;
    }

    /**
     * Considers only pictures of some time.
     *
     * @param after the first second since 1970, in local time; 0: any
     * @param before the first second after that time; 0: any
     * @return this query
     */
    public Query dates(long after, long before) {
        this.after = after;
        this.before = before;
        return this;
    }

    /**
     * Considers only pictures that were taken near a place.
     *
     * @param latitude degrees
     * @param longitude degrees
     * @param kilometers the largest distance; 0: any
     * @return this query
     */
    public Query near(double latitude, double longitude, double kilometers) {
        this.latitude = latitude;
        this.longitude = longitude;
        this.kilometers = kilometers;
        return this;
    }

    /**
     * Considers only pictures of a camera.
     *
     * @param camera a part of its name, in any case
     * @return this query
     */
    public Query camera(String camera) {
        this.camera = Objects.requireNonNull(camera, "camera");
        return this;
    }

    /**
     * Considers only pictures of a format.
     *
     * @param type its name in any case, such as "JPEG"
     * @return this query
     */
    public Query type(String type) {
        this.type = Objects.requireNonNull(type, "type");
        return this;
    }

    /**
     * Considers only pictures of a size.
     *
     * @param width the least pixels, as the picture is shown
     * @param height the least pixels, as the picture is shown
     * @return this query
     */
    public Query minSize(int width, int height) {
        VkclipException.expectRange("width", width, 0, Integer.MAX_VALUE);
        VkclipException.expectRange("height", height, 0, Integer.MAX_VALUE);
        minWidth = width;
        minHeight = height;
        return this;
    }

    // ---- What index.c reads ----

    List<String> texts() {
        List<String> texts = new ArrayList<>(Arrays.asList(pathGlob, camera, type));
        texts.addAll(values);
        return texts;
    }

    long[] kinds() {
        long[] flat = new long[2 * kinds.size()];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = kinds.get(i / 2)[i % 2];
        }
        return flat;
    }

    double[] weights() {
        double[] flat = new double[weights.size()];
        for (int i = 0; i < flat.length; i++) {
            flat[i] = weights.get(i);
        }
        return flat;
    }

    ByteBuffer[] buffers() {
        return buffers.toArray(new ByteBuffer[0]);
    }

    long[] numbers() {
        return new long[] {top, newest ? 1 : 0, after, before, minWidth, minHeight};
    }

    double[] limits() {
        return new double[] {minScore, minZ, relative, latitude, longitude, kilometers};
    }
}
