// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.io.File;
import java.util.ArrayList;
import java.util.List;

/**
 * An index of pictures in a file: where they lie, what is known about each, and its embedding by one or several models.
 * A picture is known by its content, so that a file that was moved, renamed or copied is never encoded again. Calls on
 * one index take turns; several indexes may be open on one file at the same time, of several processes, too.
 */
public final class Index implements AutoCloseable {
    /** Is told what an update does. Its methods are called on threads of the library, never at the same time. */
    public interface Listener {
        /**
         * Is called now and then. An exception cancels the update, which throws it then.
         *
         * @param found pictures found so far in the folders
         * @param done files that are done
         * @param total files that must be read; 0 while folders are still searched
         * @return true to go on, false to cancel: what is done stays done
         */
        boolean onProgress(long found, long done, long total);

        /**
         * Is called for each file that cannot be read or decoded.
         *
         * @param file the file
         * @param error what failed
         * @return true to go on, false to cancel
         */
        default boolean onFailure(File file, VkclipException error) {
            return true;
        }
    }

    /** Numbers of files of an update. */
    public static final class Update {
        /** Files in the given folders that are in the index now. */
        public final long indexed;
        /** Files that were not known. */
        public final long added;
        /** Known files with another content than before. */
        public final long changed;
        /** Known pictures in another place. */
        public final long moved;
        /** Files that are gone. */
        public final long removed;
        /** Files that cannot be read or decoded, now or when they were last read. */
        public final long failed;
        /** Pictures that the model computed. */
        public final long encoded;

        Update(long[] numbers) {
            indexed = numbers[1];
            added = numbers[2];
            changed = numbers[3];
            moved = numbers[4];
            removed = numbers[5];
            failed = numbers[6];
            encoded = numbers[7];
        }

        @Override
        public String toString() {
            return indexed + " indexed, " + added + " added, " + changed + " changed, " + moved + " moved, " + removed
                    + " removed, " + failed + " failed, " + encoded + " encoded";
        }
    }

    /** Describes an index. */
    public static final class Info {
        /** The path of the index. */
        public final String path;
        /** Indexed files, with those that failed. */
        public final long files;
        /** Different contents among them. */
        public final long pictures;
        /** Files that were there once. */
        public final long missing;
        /** Files that could not be read or decoded. */
        public final long failed;
        /** Folders that updates were given. */
        public final long folders;
        /** Models that have embeddings here. */
        public final long models;
        /** Bytes of the database. */
        public final long bytes;

        Info(byte[][] texts, long[] numbers) {
            path = Native.text(texts[0]);
            files = numbers[0];
            pictures = numbers[1];
            missing = numbers[2];
            failed = numbers[3];
            folders = numbers[4];
            models = numbers[5];
            bytes = numbers[6];
        }

        @Override
        public String toString() {
            return path + ": " + files + " files, " + pictures + " pictures, " + models + " models";
        }
    }

    // What the first number of a record says, as index.c writes it.
    private static final int FAILURE = 1;
    private static final int RESULT = 2;
    private static final int HIT = 1;

    private final Handle handle;

    /**
     * Opens an index to read and write it.
     *
     * @param file the file, made if it does not exist, such as {@code new File(context.getFilesDir(), "index.db")}
     */
    public Index(File file) {
        this(file, false);
    }

    /**
     * Opens an index.
     *
     * @param file the file
     * @param readOnly true: the file must exist, and nothing is written to it; false: it is made if it does not exist
     */
    public Index(File file, boolean readOnly) {
        handle = new Handle("index", this, Native.openIndex(Native.utf8(file.getPath()), readOnly), Native::closeIndex,
                null, null);
    }

    /**
     * Describes the index.
     *
     * @return its description, as it is now
     */
    public Info info() {
        Info[] info = new Info[1];
        long pointer = handle.use();
        try {
            Native.describeIndex(pointer, (texts, numbers, reals) -> {
                info[0] = new Info(texts, numbers);
                return true;
            });
        } finally {
            handle.release();
        }
        return info[0];
    }

    /**
     * Brings the index up to date with files and folders: reads those that are new or changed, and encodes contents
     * that have no embedding by this model yet. It may be cancelled, and the process may end at any time: the next
     * call does what is left. EXIF orientation is applied.
     *
     * @param model the model, whose device may be opened with {@link Device.Options#background}
     * @param paths files, and folders with everything below them; none: all that the index was given before
     * @param retry true to read files again that failed before
     * @param listener is told of progress and failures; or null
     * @return what was done
     */
    public Update update(Model model, List<File> paths, boolean retry, Listener listener) {
        Native.Texts packed = pack(paths);
        Update[] update = new Update[1];
        long pointer = handle.use();
        try {
            long modelPointer = model.handle.use();
            try {
                Native.updateIndex(pointer, modelPointer, packed.bytes, packed.lengths, retry,
                        (texts, numbers, reals) -> {
                            if (numbers[0] == RESULT) {
                                update[0] = new Update(numbers);
                                return true;
                            }
                            return listener == null || tell(listener, texts, numbers);
                        });
            } finally {
                model.handle.release();
            }
        } finally {
            handle.release();
        }
        return update[0];
    }

    private static boolean tell(Listener listener, byte[][] texts, long[] numbers) {
        return numbers[0] == FAILURE
                ? listener.onFailure(new File(Native.text(texts[0])), new VkclipException((int) numbers[1], texts[1]))
                : listener.onProgress(numbers[1], numbers[2], numbers[3]);
    }

    /**
     * Searches for the pictures that are nearest to a query.
     *
     * @param model the model that has encoded the pictures
     * @param query what is searched for
     * @param listener is told of the progress; or null
     * @return the pictures in the order of the query
     */
    public List<Hit> search(Model model, Query query, ProgressListener listener) {
        List<Hit> hits = new ArrayList<>();
        Native.Texts texts = Native.Texts.withoutNul(query.texts());
        long pointer = handle.use();
        try {
            long modelPointer = model.handle.use();
            try {
                Native.searchIndex(pointer, modelPointer, texts.bytes, texts.lengths, query.kinds(), query.weights(),
                        query.buffers(), query.numbers(), query.limits(), (strings, numbers, reals) ->
                        numbers[0] == HIT ? hits.add(new Hit(strings, numbers, reals))
                                : listener == null || listener.onProgress(numbers[1], numbers[2]));
            } finally {
                model.handle.release();
            }
        } finally {
            handle.release();
        }
        return hits;
    }

    /**
     * Takes files out of the index, and with folders all below them. The files themselves stay.
     *
     * @param paths files and folders
     * @return how many files were taken out
     */
    public long remove(List<File> paths) {
        Native.Texts packed = pack(paths);
        long pointer = handle.use();
        try {
            return Native.removeIndexed(pointer, packed.bytes, packed.lengths);
        } finally {
            handle.release();
        }
    }

    /**
     * Forgets files that are gone, with their embeddings, and makes the file of the index smaller.
     *
     * @return how many files were forgotten
     */
    public long prune() {
        long pointer = handle.use();
        try {
            return Native.pruneIndex(pointer);
        } finally {
            handle.release();
        }
    }

    private static Native.Texts pack(List<File> paths) {
        List<String> names = new ArrayList<>();
        for (File path : paths) {
            names.add(path.getPath());
        }
        return Native.Texts.withoutNul(names);
    }

    /** Closes the index as soon as its calls have ended. */
    @Override
    public void close() {
        handle.close();
    }
}
