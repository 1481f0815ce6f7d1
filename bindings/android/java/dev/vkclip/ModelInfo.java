// SPDX-License-Identifier: MIT
package dev.vkclip;

/** Describes a model. */
public final class ModelInfo {
    /** Whether the model encodes pictures. */
    public final boolean hasImageTower;
    /** Whether the model encodes texts. */
    public final boolean hasTextTower;
    /** Pixels along each side of the pictures that the model sees. */
    public final int imageSize;
    /** The most tokens of a text; 0: any number. */
    public final int context;
    /** Rows of the table of tokens. */
    public final int vocabulary;
    /** D of pictures. */
    public final int embedDim;
    /** D of texts. */
    public final int textEmbedDim;
    /** The factor of cosines in logits. */
    public final float logitScale;
    /** Whether each pair has a probability of its own, as in SigLIP, instead of a softmax over the labels. */
    public final boolean sigmoid;
    /** What is added to logits; 0 without {@link #sigmoid}. */
    public final float logitBias;
    /** The number of parameters. */
    public final long parameters;
    /** Bytes on the device that the weights take. */
    public final long weightsBytes;
    /** The least bytes on the device: the weights and what one item needs. */
    public final long memoryBytes;
    /** In which precision the model was opened. */
    public final Precision precision;
    /** How the device stores the weights. */
    public final Weights weights;
    /** Whether a vocabulary was found, without which texts cannot be encoded. */
    public final boolean tokenizer;
    /** The tokens of a text that models with such a vocabulary take; 0: any number. */
    final int tokenizerContext;
    /** The file of the weights, or the name that the model was opened with. */
    public final String weightsPath;
    /** The type of most weights in the file: F32, F16, BF16. */
    public final String weightsType;
    /** The file of the vocabulary. */
    public final String tokenizerPath;

    ModelInfo(byte[][] texts, long[] numbers, double[] reals) {
        weightsPath = Native.text(texts[0]);
        weightsType = Native.text(texts[1]);
        tokenizerPath = Native.text(texts[2]);
        hasImageTower = numbers[0] != 0;
        hasTextTower = numbers[1] != 0;
        imageSize = (int) numbers[2];
        context = (int) numbers[3];
        vocabulary = (int) numbers[4];
        embedDim = (int) numbers[5];
        textEmbedDim = (int) numbers[6];
        sigmoid = numbers[7] != 0;
        parameters = numbers[8];
        weightsBytes = numbers[9];
        memoryBytes = numbers[10];
        precision = Precision.values()[(int) numbers[11]];
        weights = Weights.values()[(int) numbers[12]];
        tokenizer = numbers[13] != 0;
        tokenizerContext = (int) numbers[14];
        logitScale = (float) reals[0];
        logitBias = (float) reals[1];
    }

    @Override
    public String toString() {
        return weightsPath + " (" + parameters + " parameters, " + precision + ", weights " + weights + ")";
    }
}
