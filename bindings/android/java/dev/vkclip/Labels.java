// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;

/** Labels with their embeddings, which are computed once and compared with many pictures. */
public final class Labels {
    /** A label with its probability. */
    public static final class Score {
        /** The label. */
        public final String label;
        /** Its probability, 0 to 1. */
        public final float probability;

        Score(String label, float probability) {
            this.label = label;
            this.probability = probability;
        }

        @Override
        public String toString() {
            return label + " " + probability;
        }
    }

    private final List<String> names;
    final float[][] embeds; // [L][D]

    Labels(List<String> names, float[][] embeds) {
        this.names = Collections.unmodifiableList(new ArrayList<>(names));
        this.embeds = embeds;
    }

    /**
     * Returns the labels.
     *
     * @return the L labels in their order, which cannot be changed
     */
    public List<String> names() {
        return names;
    }

    /**
     * Sorts labels by their probabilities.
     *
     * @param probabilities [L], as {@link Model#classify} gives them
     * @param count the most labels to return
     * @return the most probable labels, the best first
     */
    public List<Score> best(float[] probabilities, int count) {
        if (probabilities.length != names.size()) {
            throw new VkclipException(VkclipException.EINVALID, probabilities.length + " probabilities, expected "
                    + names.size() + ", one for each label");
        }
        VkclipException.expectRange("count", count, 0, Integer.MAX_VALUE);
        List<Score> scores = new ArrayList<>();
        for (int i = 0; i < probabilities.length; i++) {
            scores.add(new Score(names.get(i), probabilities[i]));
        }
        Collections.sort(scores, (a, b) -> Float.compare(b.probability, a.probability));
        return scores.subList(0, Math.min(count, scores.size()));
    }
}
