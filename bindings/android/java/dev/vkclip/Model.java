// SPDX-License-Identifier: MIT
package dev.vkclip;

import android.content.res.AssetFileDescriptor;
import android.hardware.HardwareBuffer;
import android.os.ParcelFileDescriptor;
import java.io.File;
import java.nio.ByteBuffer;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.List;
import java.util.Objects;

/**
 * A CLIP model. For an asset, a descriptor and memory it is one file, for which GGUF is the format: configuration and
 * vocabulary are inside. {@code vkclip convert NAME model.gguf} writes it.
 */
public final class Model implements AutoCloseable {
    /** How a model is opened. Every setter returns the options. */
    public static final class Options {
        private Precision precision = Precision.F32;
        private Weights weights = Weights.AUTO;
        private Precision compute = Precision.F32;
        private int maxBatch;
        private int imageSize;
        private boolean stream;
        private String name;
        private String vocabulary;
        private ProgressListener listener;

        /** Makes the defaults. */
        public Options() {}

        /**
         * Sets the precision of weights and activations.
         *
         * @param precision F32 is the default
         * @return these options
         */
        public Options precision(Precision precision) {
            this.precision = Objects.requireNonNull(precision, "precision");
            return this;
        }

        /**
         * Sets how the device stores weights.
         *
         * @param weights AUTO is the default
         * @return these options
         */
        public Options weights(Weights weights) {
            this.weights = Objects.requireNonNull(weights, "weights");
            return this;
        }

        /**
         * Sets how matrices are multiplied in the precision F32.
         *
         * @param compute F16: with matrix units in 16 bits, where the device has such units; F32 is the default
         * @return these options
         */
        public Options compute(Precision compute) {
            this.compute = Objects.requireNonNull(compute, "compute");
            return this;
        }

        /**
         * Limits how many items are computed at once, and with it the memory.
         *
         * @param maxBatch items; 0: the device's limits decide, at most 32
         * @return these options
         */
        public Options maxBatch(int maxBatch) {
            VkclipException.expectRange("maxBatch", maxBatch, 0, Integer.MAX_VALUE);
            this.maxBatch = maxBatch;
            return this;
        }

        /**
         * Sets another size of pictures than the model's, for which positions are interpolated.
         *
         * @param imageSize pixels along each side; 0: the model's
         * @return these options
         */
        public Options imageSize(int imageSize) {
            VkclipException.expectRange("imageSize", imageSize, 0, Integer.MAX_VALUE);
            this.imageSize = imageSize;
            return this;
        }

        /**
         * Leaves the weights in the file and reads them in every batch, which needs little memory.
         *
         * @param stream false is the default
         * @return these options
         */
        public Options stream(boolean stream) {
            this.stream = stream;
            return this;
        }

        /**
         * Names what messages call a model that has no path.
         *
         * @param name such as the name of an asset; null: a description of where it is
         * @return these options
         */
        public Options name(String name) {
            this.name = name;
            return this;
        }

        /**
         * Names the file of the vocabulary, which GGUF has inside.
         *
         * @param vocabulary such as tokenizer.json; null: the one in the model's file or beside it
         * @return these options
         */
        public Options vocabulary(File vocabulary) {
            this.vocabulary = vocabulary == null ? null : vocabulary.getPath();
            return this;
        }

        /**
         * Sets who is told of the progress of opening.
         *
         * @param listener the listener; or null
         * @return these options
         */
        public Options listener(ProgressListener listener) {
            this.listener = listener;
            return this;
        }

        private int[] numbers() {
            return new int[] {precision.ordinal(), weights.ordinal(), compute.ordinal(), maxBatch, imageSize,
                stream ? 1 : 0};
        }
    }

    final Handle handle;
    private final Device device;
    private final ModelInfo info;

    /**
     * Opens a model from a file or a folder.
     *
     * @param device on which it computes; null: only the configuration and the tokenizer are read
     * @param path a .gguf, .safetensors or PyTorch file, or a folder of Hugging Face or OpenCLIP
     * @param options how it is opened
     */
    public Model(Device device, File path, Options options) {
        this(device, Native.utf8(path.getPath()), null, -1, 0, 0, options);
    }

    /**
     * Opens a model from an asset of the application, without copying it. The asset must be stored without
     * compression: {@code androidResources { noCompress += "gguf" }} in build.gradle.
     *
     * @param device on which it computes; or null
     * @param asset what AssetManager.openFd returns; the caller closes it, at any time after this
     * @param options how the model is opened
     */
    public Model(Device device, AssetFileDescriptor asset, Options options) {
        this(device, asset.getParcelFileDescriptor().getFd(), asset.getStartOffset(), Math.max(asset.getLength(), 0),
                options);
    }

    /**
     * Opens a model from a file that another application or the system handed over, such as
     * {@code ContentResolver.openFileDescriptor(uri, "r")}.
     *
     * @param device on which it computes; or null
     * @param file the open file; the caller closes it, at any time after this
     * @param options how the model is opened
     */
    public Model(Device device, ParcelFileDescriptor file, Options options) {
        this(device, file.getFd(), 0, 0, options);
    }

    /**
     * Opens a model from a part of an open file.
     *
     * @param device on which it computes; or null
     * @param fd the descriptor of the file; the caller closes it, at any time after this
     * @param offset bytes before the model
     * @param length bytes of the model; 0: all up to the file's end
     * @param options how the model is opened
     */
    public Model(Device device, int fd, long offset, long length, Options options) {
        this(device, null, null, fd, offset, length, options);
    }

    /**
     * Opens a model that is in memory.
     *
     * @param device on which it computes; or null
     * @param memory a direct buffer, such as FileChannel.map returns, which is not copied and must not be changed
     *     before the model is closed
     * @param options how the model is opened
     */
    public Model(Device device, ByteBuffer memory, Options options) {
        this(device, null, direct(memory), -1, 0, 0, options);
    }

    private Model(Device device, byte[] path, ByteBuffer memory, int fd, long offset, long length, Options options) {
        VkclipException.expectRange("offset", offset, 0, Long.MAX_VALUE);
        VkclipException.expectRange("length", length, 0, Long.MAX_VALUE);
        Objects.requireNonNull(options, "options");
        this.device = device;
        if (device != null) {
            device.expectRight(options.precision);
        }
        Handle parent = device == null ? null : device.handle;
        long parentPointer = parent == null ? 0 : parent.use();
        try {
            long pointer = Native.openModel(parentPointer, path, memory, fd, offset, length, Native.utf8(options.name),
                    Native.utf8(options.vocabulary), options.numbers(), Native.progress(options.listener));
            handle = new Handle("model", this, pointer, Native::closeModel, parent, memory);
            ModelInfo[] found = new ModelInfo[1];
            Native.describeModel(pointer, (texts, numbers, reals) -> {
                found[0] = new ModelInfo(texts, numbers, reals);
                return true;
            });
            info = found[0];
        } finally {
            if (parent != null) {
                parent.release();
            }
        }
    }

    private static ByteBuffer direct(ByteBuffer memory) {
        if (!memory.isDirect()) {
            throw new VkclipException(VkclipException.EINVALID, "a model in a buffer that is not direct: expected one "
                    + "of ByteBuffer.allocateDirect or FileChannel.map");
        }
        return memory.slice();
    }

    /**
     * Describes the model.
     *
     * @return its description
     */
    public ModelInfo info() {
        return info;
    }

    // ---- Embeddings ----

    /**
     * Encodes pictures. The library reads, decodes and resizes them on its threads while the device computes, so that
     * few pictures are decoded at once.
     *
     * @param pictures N pictures
     * @param listener is told how many are done; or null
     * @return embeddings [N][D]
     */
    public float[][] encodeImages(List<Picture> pictures, ProgressListener listener) {
        float[] embeds = new float[Math.multiplyExact(pictures.size(), info.embedDim)];
        long pointer = handle.use();
        try {
            Native.encodePictures(pointer, Picture.sources(pictures), Picture.layouts(pictures),
                    Native.progress(listener), embeds);
        } finally {
            handle.release();
        }
        return rows(embeds, pictures.size());
    }

    /**
     * Encodes one picture.
     *
     * @param picture the picture
     * @return its embedding [D]
     */
    public float[] encodeImage(Picture picture) {
        return encodeImages(Collections.singletonList(picture), null)[0];
    }

    /**
     * Encodes a hardware buffer without copying its pixels to the processor: see
     * {@link Device#canImportHardwareBuffers}. Alpha is ignored, and whoever wrote the buffer must have finished.
     *
     * @param buffer of the format RGBA_8888 or RGBX_8888 with the usage USAGE_GPU_SAMPLED_IMAGE
     * @return its embedding [D]
     */
    public float[] encodeHardwareBuffer(HardwareBuffer buffer) {
        if (device == null) {
            throw new VkclipException(VkclipException.ENODEVICE, "the model was opened without a device");
        }
        float[] embed = new float[info.embedDim];
        long pointer = handle.use(); // The model keeps its device open.
        try {
            Native.encodeHardwareBuffer(handle.parentPointer(), pointer, buffer, buffer.getWidth(), buffer.getHeight(),
                    embed);
        } finally {
            handle.release();
        }
        return embed;
    }

    /**
     * Encodes texts. A text that is longer than the context is cut, with a warning in the log.
     *
     * @param texts M texts
     * @param listener is told how many are done; or null
     * @return embeddings [M][D]
     */
    public float[][] encodeTexts(List<String> texts, ProgressListener listener) {
        Native.Texts packed = new Native.Texts(texts);
        float[] embeds = new float[Math.multiplyExact(texts.size(), info.textEmbedDim)];
        long pointer = handle.use();
        try {
            Native.encodeTexts(pointer, packed.bytes, packed.lengths, Native.progress(listener), embeds);
        } finally {
            handle.release();
        }
        return rows(embeds, texts.size());
    }

    /**
     * Encodes one text.
     *
     * @param text the text
     * @return its embedding [D]
     */
    public float[] encodeText(String text) {
        return encodeTexts(Collections.singletonList(text), null)[0];
    }

    /**
     * Encodes labels for {@link #classify}.
     *
     * @param labels L labels
     * @param templates sentences such as "a photo of a {}", in each of which a label takes the place of "{}"; the
     *     embeddings of a label's sentences are averaged. An empty list: labels are encoded as they are
     * @return the labels with their embeddings
     */
    public Labels encodeLabels(List<String> labels, List<String> templates) {
        Native.Texts names = Native.Texts.withoutNul(labels);
        Native.Texts frames = Native.Texts.withoutNul(templates);
        float[] embeds = new float[Math.multiplyExact(labels.size(), info.textEmbedDim)];
        long pointer = handle.use();
        try {
            Native.encodeLabels(pointer, names.bytes, names.lengths, frames.bytes, frames.lengths, null, embeds);
        } finally {
            handle.release();
        }
        return new Labels(labels, rows(embeds, labels.size()));
    }

    // ---- Zero-shot use ----

    /**
     * Compares pictures with labels.
     *
     * @param pictures N pictures
     * @param labels L labels of this model
     * @param listener is told how many pictures are done; or null
     * @return probabilities [N][L], which are a softmax over the labels, or each label's own where
     *     {@link ModelInfo#sigmoid} says so
     */
    public float[][] classify(List<Picture> pictures, Labels labels, ProgressListener listener) {
        return probabilities(encodeImages(pictures, listener), labels);
    }

    /**
     * Compares one picture with labels.
     *
     * @param picture the picture
     * @param labels L labels of this model
     * @return probabilities [L]
     */
    public float[] classify(Picture picture, Labels labels) {
        return classify(Collections.singletonList(picture), labels, null)[0];
    }

    /**
     * Compares embeddings of pictures with labels.
     *
     * @param images embeddings [N][D]
     * @param labels L labels of this model
     * @return probabilities [N][L]
     */
    public float[][] probabilities(float[][] images, Labels labels) {
        float[][] logits = similarity(images, labels.embeds);
        for (float[] row : logits) {
            double largest = Double.NEGATIVE_INFINITY;
            double sum = 0;
            for (float logit : row) {
                largest = Math.max(largest, logit);
            }
            for (float logit : row) {
                sum += Math.exp(logit - largest);
            }
            for (int i = 0; i < row.length; i++) {
                row[i] = (float) (info.sigmoid ? 1 / (1 + Math.exp(-row[i])) : Math.exp(row[i] - largest) / sum);
            }
        }
        return logits;
    }

    /**
     * Computes logits: cosines times {@link ModelInfo#logitScale}, plus {@link ModelInfo#logitBias}.
     *
     * @param images embeddings [N][D]
     * @param texts embeddings [M][D]
     * @return logits [N][M]
     */
    public float[][] similarity(float[][] images, float[][] texts) {
        float[] left = flat(images, info.embedDim);
        float[] right = flat(texts, info.embedDim);
        float[] logits = new float[Math.multiplyExact(images.length, texts.length)];
        long pointer = handle.use();
        try {
            Native.similarity(pointer, left, images.length, right, texts.length, logits);
        } finally {
            handle.release();
        }
        return rows(logits, images.length);
    }

    /**
     * Turns a text to token ids, with the start and the end of the text. It needs no device and waits for no turn.
     *
     * @param text the text
     * @return at most {@link ModelInfo#context} ids
     */
    public int[] tokenize(String text) {
        byte[] utf8 = text.getBytes(StandardCharsets.UTF_8);
        long pointer = handle.use();
        try {
            return Native.tokenize(pointer, utf8, info.context != 0 ? info.context : info.tokenizerContext);
        } finally {
            handle.release();
        }
    }

    /** Closes the model as soon as its calls have ended. */
    @Override
    public void close() {
        handle.close();
    }

    @Override
    public String toString() {
        return "Model " + info;
    }

    // ---- Arrays ----

    private static float[][] rows(float[] flat, int count) {
        float[][] rows = new float[count][count == 0 ? 0 : flat.length / count];
        for (int i = 0; i < count; i++) {
            System.arraycopy(flat, i * rows[i].length, rows[i], 0, rows[i].length);
        }
        return rows;
    }

    private static float[] flat(float[][] rows, int width) {
        float[] flat = new float[Math.multiplyExact(rows.length, width)];
        for (int i = 0; i < rows.length; i++) {
            if (rows[i].length != width) {
                throw new VkclipException(VkclipException.EINVALID, "embedding " + i + " has " + rows[i].length
                        + " numbers, expected " + width);
            }
            System.arraycopy(rows[i], 0, flat, i * width, width);
        }
        return flat;
    }
}
