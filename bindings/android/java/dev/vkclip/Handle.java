// SPDX-License-Identifier: MIT
package dev.vkclip;

import java.lang.ref.PhantomReference;
import java.lang.ref.ReferenceQueue;
import java.util.HashSet;
import java.util.Set;
import java.util.logging.Logger;

/**
 * A pointer of the library with those that use it: calls that are under way, and the handles that were opened on it. It
 * is closed when {@link #close} was called and nobody uses it any more, so that no call can meet memory that was freed.
 */
final class Handle {
    /** Closes a pointer, or returns false, as {@link Native#closeDevice} does. */
    interface Closer {
        boolean close(long pointer);
    }

    private final String what;
    private final Closer closer;
    private final Handle parent;
    private Object kept;
    private final long pointer;
    private int users = 1; // the owner
    private boolean closed;
    private Net net;

    /**
     * Takes over a pointer.
     *
     * @param owner the object whose end, found by the garbage collector, closes the pointer at the latest
     * @param parent what must stay open until then, which the caller uses at this moment; or null
     * @param kept what the library reads until then; or null
     */
    Handle(String what, Object owner, long pointer, Closer closer, Handle parent, Object kept) {
        this.what = what;
        this.pointer = pointer;
        this.closer = closer;
        this.parent = parent;
        this.kept = kept;
        if (parent != null) {
            synchronized (parent) {
                parent.users++;
            }
        }
        net = new Net(owner, this);
    }

    /** Returns the pointer, which stays open until {@link #release}. */
    synchronized long use() {
        if (closed) {
            throw new VkclipException(VkclipException.EINVALID, "the " + what + " is closed");
        }
        users++;
        return pointer;
    }

    /** Returns the pointer of what this was opened on, which stays open as long as this does. */
    long parentPointer() {
        return parent.pointer;
    }

    void release() {
        synchronized (this) {
            if (--users > 0) {
                return;
            }
        }
        if (closer.close(pointer)) {
            finish();
        } else {
            // A listener of a call on the same device closes the last use. Another thread waits for that call to end.
            new Thread(() -> {
                closer.close(pointer);
                finish();
            }, "vkclip closing").start();
        }
    }

    private void finish() {
        kept = null;
        if (parent != null) {
            parent.release();
        }
    }

    void close() {
        synchronized (this) {
            if (closed) {
                return;
            }
            closed = true;
        }
        net.remove();
        release();
    }

    // ---- What was forgotten ----

    /** Is found by the garbage collector after the owner of a handle. */
    private static final class Net extends PhantomReference<Object> {
        private static final ReferenceQueue<Object> QUEUE = new ReferenceQueue<>();
        private static final Set<Net> ALL = new HashSet<>();

        static {
            Thread thread = new Thread(Net::closeForgotten, "vkclip forgotten");
            thread.setDaemon(true);
            thread.start();
        }

        private final Handle handle;

        Net(Object owner, Handle handle) {
            super(owner, QUEUE);
            this.handle = handle;
            synchronized (ALL) {
                ALL.add(this);
            }
        }

        void remove() {
            synchronized (ALL) {
                ALL.remove(this);
            }
            clear();
        }

        private static void closeForgotten() {
            while (true) {
                try {
                    Handle forgotten = ((Net) QUEUE.remove()).handle;
                    Logger.getLogger("dev.vkclip").warning("a " + forgotten.what + " was not closed: call close()");
                    forgotten.close();
                } catch (InterruptedException e) {
                    // Nobody may end this thread.
                }
            }
        }
    }
}
