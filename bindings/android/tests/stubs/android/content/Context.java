// SPDX-License-Identifier: MIT
package android.content;

import java.io.File;

/** Stands in for Android's class in the tests. */
public class Context {
    private final File cacheDir;

    public Context(File cacheDir) {
        this.cacheDir = cacheDir;
    }

    public File getCacheDir() {
        return cacheDir;
    }
}
