// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.FileOutputStream;
import java.io.IOException;
import java.io.InputStreamReader;
import java.io.OutputStreamWriter;
import java.io.Writer;
import java.nio.charset.StandardCharsets;
import java.util.HashSet;
import java.util.Set;

/**
 * Computes a small model when a device is first opened, and keeps the answer in a file of the cache folder: a line with
 * the library and the device, and a line with each precision that was wrong.
 */
final class FirstCheck {
    private FirstCheck() {}

    /** Returns the precisions, "f32" and "f16", in which the device computes wrong numbers. */
    static Set<String> findWrong(Device device, File cacheFolder) {
        DeviceInfo info = device.info();
        String key = Device.version() + " " + info.uuid + " " + info;
        String name = "first-check-" + Integer.toHexString(key.hashCode());
        File file = cacheFolder == null ? null : new File(cacheFolder, name);
        Set<String> wrong = read(file, key);
        if (wrong == null) {
            Set<String> found = new HashSet<>();
            device.check("MODEL", check -> check.right || found.add(check.activations));
            write(file, key, found);
            wrong = found;
        }
        return wrong;
    }

    private static Set<String> read(File file, String key) {
        if (file == null || !file.exists()) {
            return null;
        }
        try (BufferedReader reader = new BufferedReader(
                new InputStreamReader(new FileInputStream(file), StandardCharsets.UTF_8))) {
            if (!key.equals(reader.readLine())) {
                return null;
            }
            Set<String> wrong = new HashSet<>();
            for (String line = reader.readLine(); line != null; line = reader.readLine()) {
                wrong.add(line);
            }
            return wrong;
        } catch (IOException e) {
            return null; // The check is made again.
        }
    }

    private static void write(File file, String key, Set<String> wrong) {
        if (file == null) {
            return;
        }
        File beside = new File(file.getPath() + ".new");
        try (Writer writer = new OutputStreamWriter(new FileOutputStream(beside), StandardCharsets.UTF_8)) {
            writer.write(key + "\n");
            for (String precision : wrong) {
                writer.write(precision + "\n");
            }
        } catch (IOException e) {
            return; // The check will be made again.
        }
        if (!beside.renameTo(file)) {
            beside.delete();
        }
    }
}
