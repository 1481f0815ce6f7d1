// SPDX-License-Identifier: MIT
package android.content.res;

import android.os.ParcelFileDescriptor;

/** Stands in for Android's class in the tests. */
public class AssetFileDescriptor {
    private final ParcelFileDescriptor file;
    private final long offset;
    private final long length;

    public AssetFileDescriptor(ParcelFileDescriptor file, long offset, long length) {
        this.file = file;
        this.offset = offset;
        this.length = length;
    }

    public ParcelFileDescriptor getParcelFileDescriptor() {
        return file;
    }

    public long getStartOffset() {
        return offset;
    }

    public long getLength() {
        return length;
    }
}
