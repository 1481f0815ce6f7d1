// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.io.IOException;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.Paths;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** What the model emoji-clip answers, as tests/golden/emoji-clip has it: 60 pictures and their prompts. */
final class Golden {
    static final int COUNT = 60;
    private static final Path FOLDER = Paths.get("tests/golden/emoji-clip");

    final List<Path> files = new ArrayList<>();
    final List<String> names = new ArrayList<>();
    final List<String> prompts = new ArrayList<>();
    final float[][] logits = new float[COUNT][COUNT];
    final int[][] ids = new int[COUNT][32];

    Golden() throws IOException {
        List<String> lines = Files.readAllLines(FOLDER.resolve("labels.tsv"));
        for (String line : lines.subList(1, lines.size())) {
            String[] cells = line.split("\t");
            files.add(FOLDER.resolve(cells[0]));
            names.add(cells[1]);
            prompts.add(cells[2]);
        }
        ByteBuffer file = ByteBuffer.wrap(Files.readAllBytes(FOLDER.resolve("expected.safetensors")));
        file.order(ByteOrder.LITTLE_ENDIAN);
        int length = (int) file.getLong();
        String header = new String(file.array(), 8, length, StandardCharsets.UTF_8);
        find(file, header, length, "logits_per_image");
        for (float[] row : logits) {
            file.asFloatBuffer().get(row);
            file.position(file.position() + 4 * row.length);
        }
        find(file, header, length, "input_ids");
        for (int[] row : ids) {
            file.asIntBuffer().get(row);
            file.position(file.position() + 4 * row.length);
        }
    }

    private static void find(ByteBuffer file, String header, int length, String name) {
        String pattern = "\"" + name + "\":\\s*\\{[^}]*\"data_offsets\":\\s*\\[(\\d+)";
        Matcher matcher = Pattern.compile(pattern).matcher(header);
        if (!matcher.find()) {
            throw new AssertionError("no tensor " + name);
        }
        file.position(8 + length + Integer.parseInt(matcher.group(1)));
    }

    List<Picture> pictures() {
        List<Picture> pictures = new ArrayList<>();
        for (Path file : files) {
            pictures.add(Picture.ofFile(file.toFile()));
        }
        return pictures;
    }
}
