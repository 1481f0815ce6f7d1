// SPDX-License-Identifier: MIT
/**
 * CLIP models on Vulkan, for Android 8 (API level 26) and later.
 *
 * <pre>{@code
 * try (Device device = new Device(context);
 *         AssetFileDescriptor asset = context.getAssets().openFd("model.gguf");
 *         Model model = new Model(device, asset, new Model.Options())) {
 *     Labels labels = model.encodeLabels(Arrays.asList("dog", "cat"), Arrays.asList("a photo of a {}"));
 *     float[] probabilities = model.classify(Picture.of(bitmap), labels);
 * }
 * }</pre>
 *
 * <p><b>Threads.</b> Any thread may use any object, and calls on one device take turns in the order in which they came,
 * so that no lock is needed. A call blocks its thread: make it on another one than the main thread. Tokenizing and
 * infos wait for no turn.
 *
 * <p><b>Closing.</b> Devices, models and indexes own memory of the system and of the GPU, and are closed with
 * {@code close}, any number of times and in any order. A device stays open until its models are closed, and a call that
 * is under way ends normally before its object is closed. What was forgotten is closed when the garbage collector finds
 * it, with a warning in the log; Java's finalizers play no part in that.
 *
 * <p><b>Errors.</b> What fails throws a {@link dev.vkclip.VkclipException} with the library's error code and message.
 * Only null, where it is not said to be allowed, throws a {@link NullPointerException}.
 *
 * <p><b>Arrays.</b> N is a number of pictures, M of texts, L of labels, D the width of embeddings
 * ({@link dev.vkclip.ModelInfo#embedDim}). Embeddings have the length 1, so that the product of two is their cosine.
 */
package dev.vkclip;
