// SPDX-License-Identifier: MIT
package dev.vkclip;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.graphics.Bitmap;
import android.hardware.HardwareBuffer;
import android.os.ParcelFileDescriptor;
import java.io.File;
import java.io.IOException;
import java.lang.reflect.Modifier;
import java.nio.ByteBuffer;
import java.nio.channels.FileChannel;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.nio.file.StandardOpenOption;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;

/**
 * Tests the classes on a desktop, in the root of the project: {@code Tests FOLDER CODES}. The folder has model.gguf,
 * and the codes are those of the header: "EINVALID=-1 ...".
 */
public final class Tests {
    private static final Path SAMPLES = Paths.get("models/emoji-clip/samples");
    private static final int ODD = 7; // bytes before the model within a larger file

    private final Path folder;
    private final File gguf;
    private final Golden golden = new Golden();
    private final Device device;
    private final Model model;

    private Tests(Path folder) throws IOException {
        this.folder = folder;
        gguf = folder.resolve("model.gguf").toFile();
        device = new Device(new Context(folder.resolve("cache").toFile()), options());
        model = new Model(device, gguf, new Model.Options());
    }

    /** Kernels that are chosen by measurement could differ from run to run. */
    private static Device.Options options() {
        return new Device.Options().tune(false);
    }

    public static void main(String[] arguments) throws Exception {
        Tests tests = new Tests(Paths.get(arguments[0]));
        tests.codes(arguments[1].trim().split(" "));
        tests.goldens();
        tests.sources();
        tests.arguments();
        tests.bitmaps();
        tests.pixels();
        tests.pictureErrors();
        tests.texts();
        tests.listeners();
        tests.closing();
        tests.nullHandles();
        tests.threads();
        tests.firstCheck();
        tests.hardwareBuffers();
        tests.index();
        tests.forgotten();
        tests.growth();
        tests.model.close();
        tests.device.close();
        System.out.println("all tests have passed");
    }

    // ---- Expectations ----

    private interface Call {
        void run() throws Exception;
    }

    private static void expect(boolean condition, String what) {
        if (!condition) {
            throw new AssertionError(what);
        }
    }

    private static void expectError(int code, String part, Call call) throws Exception {
        try {
            call.run();
        } catch (VkclipException e) {
            expect(e.code() == code && e.getMessage().contains(part), "expected " + code + " with \"" + part
                    + "\", found " + e.code() + ": " + e.getMessage());
            return;
        }
        throw new AssertionError("expected the error " + code + " with \"" + part + "\"");
    }

    private static void expectClose(float[] expected, float[] found, double tolerance, String what) {
        expect(expected.length == found.length, what + ": other lengths");
        for (int i = 0; i < expected.length; i++) {
            expect(Math.abs(expected[i] - found[i]) <= tolerance, what + ": " + found[i] + " at " + i + ", expected "
                    + expected[i]);
        }
    }

    private static void expectEqual(float[] expected, float[] found, String what) {
        expect(Arrays.equals(expected, found), what + ": other numbers");
    }

    // ---- The tests ----

    private void codes(String[] codes) throws ReflectiveOperationException {
        int count = 0;
        for (java.lang.reflect.Field field : VkclipException.class.getFields()) {
            count += Modifier.isStatic(field.getModifiers()) ? 1 : 0;
        }
        expect(count == codes.length, count + " codes, expected " + codes.length);
        for (String code : codes) {
            String[] sides = code.split("=");
            expect(VkclipException.class.getField(sides[0]).getInt(null) == Integer.parseInt(sides[1]), code);
        }
        expect(Device.version().matches("\\d+\\.\\d+\\.\\d+"), "version " + Device.version());
        expect(!Device.list().isEmpty() && device.info().usable && !device.info().name.isEmpty(), "devices");
    }

    /** The model is an asset behind an odd number of bytes, and its logits are the reference's. */
    private void goldens() throws IOException {
        try (Model asset = openAsset(new Model.Options())) {
            expect(asset.info().embedDim == 128 && asset.info().imageSize == 64 && asset.info().context == 32
                    && asset.info().parameters == 4984705 && asset.info().tokenizer && !asset.info().sigmoid
                    && asset.info().hasImageTower && asset.info().precision == Precision.F32, "the infos of the model");
            long[] seen = new long[2];
            float[][] images = asset.encodeImages(golden.pictures(), (done, total) -> {
                expect(done >= seen[0] && total == Golden.COUNT, "progress " + done + " of " + total);
                seen[0] = done;
                seen[1]++;
                return true;
            });
            expect(seen[0] == Golden.COUNT && seen[1] > 1, "progress ended at " + seen[0]);
            float[][] logits = asset.similarity(images, asset.encodeTexts(golden.prompts, null));
            for (int i = 0; i < Golden.COUNT; i++) {
                expectClose(golden.logits[i], logits[i], 2e-3, "logits of picture " + i);
            }
            Labels labels = asset.encodeLabels(golden.names, Collections.singletonList("a picture of {}"));
            float[][] probabilities = asset.probabilities(images, labels);
            int right = 0;
            for (int i = 0; i < Golden.COUNT; i++) {
                double sum = 0;
                for (float probability : probabilities[i]) {
                    sum += probability;
                }
                expect(Math.abs(sum - 1) < 1e-5, "probabilities with the sum " + sum);
                right += labels.best(probabilities[i], 1).get(0).label.equals(golden.names.get(i)) ? 1 : 0;
            }
            expect(right == 47, right + " of 60 pictures are right, expected 47");
            expectEqual(probabilities[3], asset.classify(golden.pictures().get(3), labels), "classify");
            for (int i = 0; i < Golden.COUNT; i++) {
                int[] ids = asset.tokenize(golden.prompts.get(i));
                expect(Arrays.equals(ids, Arrays.copyOf(golden.ids[i], ids.length)), "the ids of prompt " + i);
            }
        }
    }

    private Model openAsset(Model.Options options) throws IOException {
        Path apk = folder.resolve("assets.apk");
        if (!Files.exists(apk)) {
            Files.write(apk, new byte[ODD]);
            Files.write(apk, Files.readAllBytes(gguf.toPath()), StandardOpenOption.APPEND);
            Files.write(apk, new byte[100], StandardOpenOption.APPEND);
        }
        try (ParcelFileDescriptor file = ParcelFileDescriptor.open(apk.toFile(), ParcelFileDescriptor.MODE_READ_ONLY)) {
            return new Model(device, new AssetFileDescriptor(file, ODD, gguf.length()), options);
        }
    }

    /** A model is the same from wherever it comes, and errors name it. */
    private void sources() throws Exception {
        float[] expected = model.encodeText("owl");
        try (ParcelFileDescriptor file = ParcelFileDescriptor.open(gguf, ParcelFileDescriptor.MODE_READ_ONLY);
                Model opened = new Model(device, file, new Model.Options())) {
            expectEqual(expected, opened.encodeText("owl"), "a descriptor");
        }
        try (FileChannel channel = FileChannel.open(gguf.toPath())) {
            ByteBuffer map = channel.map(FileChannel.MapMode.READ_ONLY, 0, channel.size());
            try (Model opened = new Model(device, map, new Model.Options())) {
                expectEqual(expected, opened.encodeText("owl"), "memory");
            }
        }
        try (Model opened = new Model(null, new File("models/emoji-clip"), new Model.Options())) {
            expect(Arrays.equals(opened.tokenize("owl"), model.tokenize("owl")), "a model without a device");
            expectError(VkclipException.ENODEVICE, "device", () -> opened.encodeText("owl"));
            expectError(VkclipException.ENODEVICE, "device", () -> opened.encodeHardwareBuffer(null));
        }
        try (Model opened = new Model(device, gguf, new Model.Options().precision(Precision.F16).weights(Weights.Q8))) {
            expect(opened.info().precision == Precision.F16 && opened.info().weights == Weights.Q8, "options");
            expectClose(expected, opened.encodeText("owl"), 0.05, "other weights");
        }
        expectError(VkclipException.EIO, "absent.gguf",
                () -> new Model(device, new File(folder.toFile(), "absent.gguf"), new Model.Options()));
        expectError(VkclipException.EFORMAT, "my model", () -> {
            ByteBuffer nothing = ByteBuffer.allocateDirect(100);
            new Model(device, nothing, new Model.Options().name("my model"));
        });
        expectError(VkclipException.EINVALID, "direct",
                () -> new Model(device, ByteBuffer.allocate(100), new Model.Options()));
        expectError(VkclipException.ECANCELLED, "",
                () -> openAsset(new Model.Options().listener((done, total) -> false)));
    }

    /** Wrong arguments are refused, and nothing of them is cut off or taken for another number. */
    private void arguments() throws Exception {
        File cut = new File(gguf.getPath() + "\0.gguf");
        Model.Options defaults = new Model.Options();
        for (Call call : new Call[] {() -> new Model(device, cut, defaults), () -> new Index(cut),
            () -> new Device(folder.resolve("cache").toFile(), options().name("0\0")),
            () -> model.encodeImage(Picture.ofFile(cut)), () -> new Model(device, gguf, defaults.name("a\0b"))}) {
            expectError(VkclipException.EINVALID, "without a NUL", call);
        }
        for (Call call : new Call[] {() -> new Device.Options().threads(-1), () -> new Device.Options().threads(65),
            () -> new Model.Options().maxBatch(-1), () -> new Model.Options().imageSize(-1),
            () -> new Model(device, 0, -1, 0, new Model.Options()), () -> new Query("owl").top(0),
            () -> new Query("owl").minSize(0, -1),
            () -> new Labels(Collections.emptyList(), new float[0][]).best(new float[0], -1)}) {
            expectError(VkclipException.EINVALID, ": expected ", call);
        }
        for (Call call : new Call[] {() -> model.tokenize(null), () -> model.encodeTexts(Arrays.asList("a", null), null),
            () -> new Model(device, gguf, null), () -> new Model.Options().precision(null),
            () -> new Query((String) null)}) {
            try {
                call.run();
                throw new AssertionError("null is taken");
            } catch (NullPointerException e) {
                expect(e.getMessage() != null, "null is refused without a message");
            }
        }
    }

    /** Makes RGBA pixels with padding between rows, in which every value of alpha occurs. */
    private static ByteBuffer makePixels(int width, int height, int stride, boolean premultiply) {
        Random random = new Random(5);
        ByteBuffer pixels = ByteBuffer.allocateDirect(stride * height);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < stride / 4; x++) {
                int alpha = (x * 7 + y) & 255;
                for (int i = 0; i < 3; i++) {
                    int color = alpha == 0 ? 0 : random.nextInt(alpha + 1);
                    // The divided colour is what the premultiplied one stands for.
                    int straight = alpha == 0 ? 0 : Math.min(255, (color * 255 + alpha / 2) / alpha);
                    pixels.put(y * stride + 4 * x + i, (byte) (premultiply ? color : straight));
                }
                pixels.put(y * stride + 4 * x + 3, (byte) alpha);
            }
        }
        return pixels;
    }

    private void bitmaps() throws Exception {
        int width = 97;
        int height = 81;
        int stride = 4 * 100;
        ByteBuffer straight = makePixels(width, height, stride, false);
        float[] expected = model.encodeImage(Picture.ofPixels(straight, width, height, 4, stride));
        Bitmap plain = new Bitmap(straight, width, height, stride, Bitmap.Config.ARGB_8888, true, false);
        Bitmap multiplied = new Bitmap(makePixels(width, height, stride, true), width, height, stride,
                Bitmap.Config.ARGB_8888, true, true);
        Bitmap opaque = new Bitmap(straight, width, height, stride, Bitmap.Config.ARGB_8888, false, true);
        expectEqual(expected, model.encodeImage(Picture.of(plain)), "a bitmap");
        expectEqual(expected, model.encodeImage(Picture.of(multiplied)), "a premultiplied bitmap");
        expectEqual(expected, model.encodeImage(Picture.of(opaque)), "a bitmap without alpha");
        expect(plain.lockCount() == 0 && multiplied.lockCount() == 0, "bitmaps stay locked");

        ByteBuffer small = ByteBuffer.allocateDirect(80 * 2 * 64);
        new Random(7).ints(small.capacity()).forEach(value -> small.put((byte) value));
        Bitmap packed = new Bitmap(small, 80, 64, 160, Bitmap.Config.RGB_565, false, true);
        Bitmap copy = packed.copy(Bitmap.Config.ARGB_8888, false);
        expectEqual(model.encodeImage(Picture.of(copy)), model.encodeImage(Picture.of(packed)), "RGB_565");
        expectError(VkclipException.EUNSUPPORTED, "HARDWARE",
                () -> Picture.of(new Bitmap(small, 80, 64, 160, Bitmap.Config.HARDWARE, false, true)));
        expectError(VkclipException.EUNSUPPORTED, "ALPHA_8",
                () -> Picture.of(new Bitmap(small, 80, 64, 160, Bitmap.Config.ALPHA_8, true, true)));
        // The first bitmap is locked when the second one fails.
        List<Picture> pictures = Arrays.asList(Picture.of(plain), Picture.of(copy));
        copy.recycle();
        expectError(VkclipException.EINVALID, "picture 1", () -> model.encodeImages(pictures, null));
        expect(plain.lockCount() == 0, "a bitmap stays locked after an error");
    }

    private void pixels() throws Exception {
        int width = 70;
        int height = 66;
        ByteBuffer dense = ByteBuffer.allocateDirect(width * height * 3);
        ByteBuffer padded = ByteBuffer.allocateDirect(5 + 256 * height);
        Random random = new Random(3);
        for (int y = 0; y < height; y++) {
            for (int x = 0; x < 3 * width; x++) {
                byte value = (byte) random.nextInt();
                dense.put(value);
                padded.put(5 + 256 * y + x, value);
            }
        }
        dense.flip();
        padded.position(5).limit(5 + 256 * (height - 1) + 3 * width);
        float[] expected = model.encodeImage(Picture.ofPixels(dense, width, height, 3, 0));
        expectEqual(expected, model.encodeImage(Picture.ofPixels(padded, width, height, 3, 256)), "a stride");
        for (Call call : new Call[] {() -> Picture.ofPixels(padded, width, height + 1, 3, 256),
            () -> Picture.ofPixels(dense, width, height, 4, 0), () -> Picture.ofPixels(dense, width, height, 3, 209),
            () -> Picture.ofPixels(dense, width, height, 5, 0), () -> Picture.ofPixels(dense, 0, height, 3, 0),
            () -> Picture.ofPixels(ByteBuffer.allocate(100000), width, height, 3, 0)}) {
            expectError(VkclipException.EINVALID, "bytes", call);
        }
        Path file = SAMPLES.resolve("owl.png");
        byte[] bytes = Files.readAllBytes(file);
        expected = model.encodeImage(Picture.ofFile(file.toFile()));
        expectEqual(expected, model.encodeImage(Picture.ofEncoded(ByteBuffer.wrap(bytes))), "the bytes of a file");
        ByteBuffer direct = ByteBuffer.allocateDirect(bytes.length + 3);
        direct.position(3);
        direct.put(bytes).position(3);
        expectEqual(expected, model.encodeImage(Picture.ofEncoded(direct)), "a direct buffer");
    }

    private void pictureErrors() throws Exception {
        Picture owl = Picture.ofFile(SAMPLES.resolve("owl.png").toFile());
        Picture broken = Picture.ofEncoded(ByteBuffer.wrap(new byte[20]));
        expectError(VkclipException.EIO, "absent.png",
                () -> model.encodeImage(Picture.ofFile(new File("absent.png"))));
        expectError(VkclipException.EFORMAT, "picture 2",
                () -> model.encodeImages(Arrays.asList(owl, owl, broken, owl), null));
        expect(model.encodeImages(Collections.emptyList(), null).length == 0, "no picture");
        try {
            model.encodeImages(Arrays.asList(owl, null), null);
            throw new AssertionError("null is a picture");
        } catch (NullPointerException e) {
            expect(e.getMessage().contains("picture"), e.getMessage());
        }
    }

    /** Texts reach the library as UTF-8, also characters of two Java chars and a NUL. */
    private void texts() throws Exception {
        String owl = new String(Character.toChars(0x1f989));
        int[] ids = model.tokenize(owl);
        expect(ids.length == 6 && !Arrays.equals(ids, model.tokenize("\ud83e")), "an emoji has " + ids.length + " ids");
        expect(!Arrays.equals(model.encodeText("owl\0robot"), model.encodeText("owl")), "a text ends at a NUL");
        String longText = new String(new char[100]).replace("\0", "owl ");
        expect(model.tokenize(longText).length == 32 && model.encodeText(longText).length == 128, "a long text");
        expect(model.encodeTexts(Collections.emptyList(), null).length == 0, "no text");
        expectError(VkclipException.EINVALID, "NUL",
                () -> model.encodeLabels(Arrays.asList("owl\0"), Collections.emptyList()));
        expectError(VkclipException.EINVALID, "{}",
                () -> model.encodeLabels(Arrays.asList("owl"), Arrays.asList("no place")));
        expectError(VkclipException.EINVALID, "expected 128",
                () -> model.similarity(new float[1][127], new float[1][128]));
        Labels labels = model.encodeLabels(Arrays.asList("owl", "robot"), Collections.emptyList());
        expectEqual(model.encodeText("robot"), labels.embeds[1], "labels without templates");
        expect(labels.best(new float[] {0.25f, 0.75f}, 5).toString().equals("[robot 0.75, owl 0.25]"), "best");
        expectError(VkclipException.EINVALID, "expected 2", () -> labels.best(new float[3], 1));
    }

    /** What a listener throws comes out of the call as it is, and the model can be used afterwards. */
    private void listeners() throws Exception {
        float[] expected = model.encodeText("owl");
        expectError(VkclipException.ECANCELLED, "", () -> model.encodeTexts(golden.prompts, (done, total) -> false));
        expectError(VkclipException.ECANCELLED, "", () -> model.encodeImages(golden.pictures(), (d, t) -> false));
        RuntimeException mine = new IllegalStateException("mine");
        AtomicInteger calls = new AtomicInteger();
        try {
            model.encodeImages(golden.pictures(), (done, total) -> {
                calls.incrementAndGet();
                throw mine;
            });
            throw new AssertionError("the exception of a listener is lost");
        } catch (IllegalStateException e) {
            expect(e == mine && calls.get() == 1, "the exception of a listener after " + calls + " calls: " + e);
        }
        // A listener may tokenize, but not encode on the same device.
        expectError(VkclipException.EINVALID, "", () -> model.encodeTexts(golden.prompts, (done, total) -> {
            expect(model.tokenize("owl").length > 2, "tokenize in a listener");
            return model.encodeText("owl").length == 0;
        }));
        expectEqual(expected, model.encodeText("owl"), "after listeners");
        expectError(VkclipException.ECANCELLED, "", () -> device.check("MODEL", check -> false));
        expect(device.check("MODEL", null) == 0, "a check without a listener");
    }

    private void closing() throws Exception {
        Device other = new Device(folder.resolve("cache").toFile(), options());
        Model opened = new Model(other, gguf, new Model.Options());
        other.close();
        other.close();
        Model.Options defaults = new Model.Options();
        expectError(VkclipException.EINVALID, "the device is closed", () -> new Model(other, gguf, defaults));
        expectError(VkclipException.EINVALID, "the device is closed", () -> other.check("MODEL", null));
        // The model keeps its device open, and a call ends although its model is closed meanwhile.
        expect(opened.encodeTexts(golden.prompts, (done, total) -> {
            opened.close();
            return true;
        }).length == Golden.COUNT, "closing in a listener");
        Labels labels = new Labels(Collections.emptyList(), new float[0][]);
        for (Call call : new Call[] {() -> opened.encodeText("owl"), () -> opened.encodeImages(golden.pictures(), null),
            () -> opened.encodeLabels(golden.names, golden.prompts), () -> opened.tokenize("owl"),
            () -> opened.similarity(new float[0][], new float[0][]),
            () -> opened.probabilities(new float[0][], labels)}) {
            expectError(VkclipException.EINVALID, "the model is closed", call);
        }
        opened.close();
        // A listener of one model closes another one on the same device, which another thread then does.
        Model second = new Model(device, gguf, new Model.Options());
        List<Thread> closing = new ArrayList<>();
        model.encodeTexts(golden.prompts, (done, total) -> {
            second.close();
            for (Thread thread : Thread.getAllStackTraces().keySet()) {
                if (thread.getName().equals("vkclip closing") && closing.isEmpty()) {
                    closing.add(thread);
                }
            }
            return true;
        });
        closing.get(0).join(10000);
        expect(!closing.get(0).isAlive(), "a model stays open that a listener has closed");
        expectError(VkclipException.EINVALID, "the model is closed", () -> second.encodeText("owl"));
    }

    private void nullHandles() throws Exception {
        Receiver receiver = (texts, numbers, reals) -> true;
        byte[] text = new byte[1];
        int[] lengths = new int[0];
        for (Call call : new Call[] {() -> Native.closeDevice(0), () -> Native.importsHardwareBuffers(0),
            () -> Native.checkDevice(0, null, null), () -> Native.closeModel(0),
            () -> Native.describeModel(0, receiver), () -> Native.tokenize(0, text, 5),
            () -> Native.encodePictures(0, new Object[0], new long[0], null, new float[0]),
            () -> Native.encodeHardwareBuffer(0, 0, null, 1, 1, new float[0]),
            () -> Native.encodeTexts(0, text, lengths, null, new float[0]),
            () -> Native.encodeLabels(0, text, lengths, text, lengths, null, new float[0]),
            () -> Native.similarity(0, new float[0], 0, new float[0], 0, new float[0]),
            () -> Native.closeIndex(0), () -> Native.describeIndex(0, receiver), () -> Native.pruneIndex(0),
            () -> Native.updateIndex(0, 0, text, lengths, false, null), () -> Native.removeIndexed(0, text, lengths),
            () -> Native.searchIndex(0, 0, text, lengths, null, null, null, null, null, null)}) {
            expectError(VkclipException.EINVALID, "is closed", call);
        }
    }

    private void threads() throws Exception {
        float[] expected = model.encodeText("owl");
        List<Throwable> failures = Collections.synchronizedList(new ArrayList<>());
        List<Thread> threads = new ArrayList<>();
        for (int i = 0; i < 4; i++) {
            Thread thread = new Thread(() -> {
                for (int j = 0; j < 10; j++) {
                    expectEqual(expected, model.encodeText("owl"), "several threads");
                }
            });
            thread.setUncaughtExceptionHandler((failed, failure) -> failures.add(failure));
            thread.start();
            threads.add(thread);
        }
        for (Thread thread : threads) {
            thread.join();
        }
        expect(failures.isEmpty(), "threads: " + failures);
    }

    /** The answer of the first check is kept, and a model in a wrong precision is refused. */
    private void firstCheck() throws Exception {
        File cache = folder.resolve("cache/vkclip").toFile();
        File[] kept = cache.listFiles((parent, name) -> name.startsWith("first-check-"));
        expect(kept.length == 1, kept.length + " kept answers");
        List<String> lines = Files.readAllLines(kept[0].toPath());
        expect(lines.size() == 1 && lines.get(0).contains(device.info().name), "the kept answer: " + lines);
        Files.write(kept[0].toPath(), Arrays.asList(lines.get(0), "f16"));
        Context context = new Context(folder.resolve("cache").toFile());
        try (Device wrong = new Device(context, options())) {
            expectError(VkclipException.EDEVICE, "Precision.F32",
                    () -> new Model(wrong, gguf, new Model.Options().precision(Precision.F16)));
            new Model(wrong, gguf, new Model.Options()).close();
        }
        Files.write(kept[0].toPath(), Arrays.asList("another driver", "f16", "f32"));
        try (Device again = new Device(context, options())) {
            new Model(again, gguf, new Model.Options()).close();
        }
        expect(Files.readAllLines(kept[0].toPath()).equals(lines), "the answer was not renewed");
    }

    private void hardwareBuffers() throws Exception {
        int width = 90;
        int height = 75;
        ByteBuffer pixels = makePixels(width, height, 4 * width, false);
        HardwareBuffer buffer = new HardwareBuffer(pixels, width, height);
        expect(!device.canImportHardwareBuffers(), "the library's own device imports hardware buffers");
        expectError(VkclipException.EUNSUPPORTED, "hardware buffers", () -> model.encodeHardwareBuffer(buffer));
        try (Device own = new Device(folder.resolve("cache").toFile(), options().hardwareBuffers(true));
                Model opened = new Model(own, gguf, new Model.Options())) {
            expect(own.canImportHardwareBuffers(), "the double of a hardware buffer");
            ByteBuffer colors = ByteBuffer.allocateDirect(width * height * 3);
            for (int i = 0; i < pixels.capacity(); i++) {
                if (i % 4 != 3) {
                    colors.put(pixels.get(i));
                }
            }
            colors.flip();
            float[] expected = opened.encodeImage(Picture.ofPixels(colors, width, height, 3, 0));
            expectEqual(expected, opened.encodeHardwareBuffer(buffer), "a hardware buffer");
            expectEqual(model.encodeText("owl"), opened.encodeText("owl"), "a device of our own");
        }
    }

    private void index() throws Exception {
        Path pictures = Files.createDirectories(folder.resolve("pictures"));
        for (String name : new String[] {"owl", "pizza", "robot", "rocket"}) {
            Files.copy(SAMPLES.resolve(name + ".png"), pictures.resolve(name + ".png"));
        }
        Files.write(pictures.resolve("broken.png"), new byte[] {(byte) 0x89, 'P', 'N', 'G', 13, 10, 26, 10, 0});
        File file = folder.resolve("index.db").toFile();
        List<File> paths = Collections.singletonList(pictures.toFile());
        try (Index index = new Index(file)) {
            RuntimeException mine = new IllegalStateException("mine");
            try {
                index.update(model, paths, false, (found, done, total) -> {
                    throw mine;
                });
                throw new AssertionError("the exception of a listener is lost");
            } catch (IllegalStateException e) {
                expect(e == mine, "the exception of a listener: " + e);
            }
            expectError(VkclipException.ECANCELLED, "", () -> index.update(model, paths, false, (f, d, t) -> false));
            List<String> failures = new ArrayList<>();
            Index.Update update = index.update(model, paths, true, new Index.Listener() {
                @Override
                public boolean onProgress(long found, long done, long total) {
                    return true;
                }

                @Override
                public boolean onFailure(File failed, VkclipException error) {
                    return failures.add(failed.getName() + " " + error.code());
                }
            });
            expect(failures.equals(Arrays.asList("broken.png -4")), "failures: " + failures);
            expect(update.indexed == 4 && update.failed == 1, "indexed " + update.indexed);
            expect(index.update(model, paths, false, null).encoded == 0, "an update without changes");
            Index.Info info = index.info();
            expect(info.files == 5 && info.failed == 1 && info.folders == 1 && info.models == 1
                    && info.path.endsWith("index.db"), info.files + " files, " + info.failed + " failed, " + info.path);
            search(index, pictures);
            expect(index.remove(Arrays.asList(pictures.resolve("owl.png").toFile())) == 1, "remove");
            Files.delete(pictures.resolve("pizza.png"));
            expect(index.update(model, paths, false, null).removed == 1, "an update after a file was removed");
            index.prune();
            index.close();
            expectError(VkclipException.EINVALID, "the index is closed",
                    () -> index.search(model, new Query("owl"), null));
        }
        try (Index index = new Index(file, true)) {
            expectError(VkclipException.EINVALID, "", () -> index.update(model, paths, false, null));
        }
        expectError(VkclipException.EIO, "absent", () -> new Index(new File(folder.toFile(), "absent/index.db")));
    }

    private void search(Index index, Path pictures) throws Exception {
        List<Hit> hits = index.search(model, new Query("a picture of pizza").top(3), (done, total) -> true);
        Hit best = hits.get(0);
        expect(hits.size() == 3 && best.file.getName().equals("pizza.png") && best.score > hits.get(1).score
                && best.width == 72 && best.format.equals("PNG") && Double.isNaN(best.latitude) && best.copies == 1,
                "a search for a text: " + best.file + " " + best.score + " " + best.width + " " + best.format + " "
                + best.latitude + " " + best.copies + " of " + hits.size());
        float[] pizza = model.encodeImage(Picture.ofFile(best.file));
        float[] text = model.encodeText("a picture of pizza");
        double cosine = 0;
        for (int i = 0; i < pizza.length; i++) {
            cosine += pizza[i] * text[i];
        }
        expect(Math.abs(cosine - best.score) < 1e-3, "the score " + best.score + ", expected " + cosine);
        String owl = pictures.resolve("owl.png").toString();
        Query sum = new Query().file(new File(owl), 1).text("a picture of rocket", 2).id(best.id, -0.5);
        hits = index.search(model, sum, null);
        expect(hits.size() == 2 && hits.get(0).file.getName().equals("rocket.png"), "a query of several parts");
        ByteBuffer bytes = ByteBuffer.wrap(Files.readAllBytes(SAMPLES.resolve("robot.png")));
        hits = index.search(model, new Query().encoded(bytes, 1), null);
        expect(hits.get(0).file.getName().equals("robot.png") || hits.size() == 3, "a query of a picture's bytes");
        hits = index.search(model, new Query().embedding(pizza, 1), null);
        expect(hits.get(0).id == best.id && hits.get(0).score > 0.99, "a query of an embedding");
        Query narrow = new Query().embedding(new float[5], 1);
        expectError(VkclipException.EINVALID, "", () -> index.search(model, narrow, null));
        expect(index.search(model, new Query("owl").path("r*.png"), null).size() == 2, "a filter of paths");
        expect(index.search(model, new Query("owl").type("jpeg"), null).isEmpty(), "a filter of formats");
        expect(index.search(model, new Query("owl").minSize(73, 73), null).isEmpty(), "a filter of sizes");
        expect(index.search(model, new Query("owl").limits(0.999, 0, 0), null).isEmpty(), "a limit of scores");
        expect(index.search(model, new Query("owl").newestFirst(true), null).size() == 4, "newest first");
        expectError(VkclipException.EINVALID, "", () -> index.search(model, new Query(), null));
        expectError(VkclipException.EINVALID, "weight", () -> new Query().text("owl", 0));
    }

    /** A model that nobody closes is closed when the garbage collector has found it, with a warning. */
    private void forgotten() throws InterruptedException {
        CountDownLatch warned = new CountDownLatch(1);
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord record) {
                if (record.getMessage().contains("model was not closed")) {
                    warned.countDown();
                }
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
        Logger logger = Logger.getLogger("dev.vkclip");
        logger.addHandler(handler);
        logger.setUseParentHandlers(false);
        new Model(null, gguf, new Model.Options());
        for (int i = 0; i < 600 && warned.getCount() > 0; i++) {
            System.gc();
            warned.await(100, TimeUnit.MILLISECONDS);
        }
        logger.removeHandler(handler);
        expect(warned.getCount() == 0, "a forgotten model was not closed");
    }

    /** Models and calls leave no memory behind, neither the library's nor references of Java. */
    private void growth() throws Exception {
        long before = 0;
        for (int i = 0; i < 60; i++) {
            if (i == 20) {
                before = residentKilobytes();
            }
            try (Model opened = new Model(device, gguf, new Model.Options())) {
                opened.encodeText("owl");
                opened.encodeImage(Picture.ofFile(SAMPLES.resolve("owl.png").toFile()));
                for (int j = 0; j < 200; j++) {
                    opened.tokenize("a picture of owl");
                }
                expectError(VkclipException.ECANCELLED, "", () -> opened.encodeTexts(golden.names, (d, t) -> false));
            }
        }
        System.gc();
        long grown = residentKilobytes() - before;
        System.out.println("40 models later the process has " + grown + " KiB more");
        expect(grown < 20000, "the process has grown by " + grown + " KiB, expected less than one model of them");
    }

    private static long residentKilobytes() throws IOException {
        for (String line : Files.readAllLines(Paths.get("/proc/self/status"))) {
            if (line.startsWith("VmRSS:")) {
                return Long.parseLong(line.replaceAll("\\D", ""));
            }
        }
        throw new AssertionError("/proc/self/status has no VmRSS");
    }
}
