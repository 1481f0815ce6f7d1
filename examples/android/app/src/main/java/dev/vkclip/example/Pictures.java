// SPDX-License-Identifier: MIT
package dev.vkclip.example;

import android.content.ContentResolver;
import android.database.Cursor;
import android.graphics.Bitmap;
import android.graphics.BitmapFactory;
import android.graphics.ImageDecoder;
import android.net.Uri;
import android.os.Build;
import android.provider.MediaStore;
import java.io.File;
import java.io.IOException;
import java.io.InputStream;
import java.util.ArrayList;
import java.util.List;

/** Reads pictures of the gallery. */
final class Pictures {
    private static final int LARGEST_SIDE = 2048; // More is not visible on a screen, and no model sees as much.

    private Pictures() {}

    /** Decodes a picture to a bitmap whose pixels the processor can read. */
    static Bitmap decode(ContentResolver resolver, Uri uri) throws IOException {
        if (Build.VERSION.SDK_INT >= 28) {
            return ImageDecoder.decodeBitmap(ImageDecoder.createSource(resolver, uri), (decoder, info, source) -> {
                decoder.setAllocator(ImageDecoder.ALLOCATOR_SOFTWARE);
                int side = Math.max(info.getSize().getWidth(), info.getSize().getHeight());
                decoder.setTargetSampleSize(Math.max(1, side / LARGEST_SIDE));
            });
        }
        try (InputStream stream = resolver.openInputStream(uri)) {
            Bitmap bitmap = BitmapFactory.decodeStream(stream);
            if (bitmap == null) {
                throw new IOException("Android cannot decode " + uri);
            }
            return bitmap;
        }
    }

    /** Decodes a small picture of a file; null: Android cannot decode it. */
    static Bitmap decodeThumbnail(File file, int side) {
        BitmapFactory.Options options = new BitmapFactory.Options();
        options.inJustDecodeBounds = true;
        BitmapFactory.decodeFile(file.getPath(), options);
        options.inSampleSize = Math.max(1, Math.min(options.outWidth, options.outHeight) / side);
        options.inJustDecodeBounds = false;
        return BitmapFactory.decodeFile(file.getPath(), options);
    }

    /** Lists the pictures that the application may read, the newest first. */
    static List<File> list(ContentResolver resolver) {
        List<File> files = new ArrayList<>();
        String[] columns = {MediaStore.MediaColumns.DATA};
        try (Cursor cursor = resolver.query(MediaStore.Images.Media.EXTERNAL_CONTENT_URI, columns, null, null,
                MediaStore.MediaColumns.DATE_MODIFIED + " DESC")) {
            while (cursor != null && cursor.moveToNext()) {
                String path = cursor.getString(0);
                if (path != null && new File(path).exists()) {
                    files.add(new File(path));
                }
            }
        }
        return files;
    }
}
