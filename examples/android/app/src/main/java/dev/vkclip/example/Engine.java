// SPDX-License-Identifier: MIT
package dev.vkclip.example;

import android.content.Context;
import android.content.res.AssetFileDescriptor;
import android.os.Handler;
import android.os.Looper;
import android.os.Process;
import dev.vkclip.Device;
import dev.vkclip.Index;
import dev.vkclip.Model;
import dev.vkclip.VkclipException;
import java.io.File;
import java.io.FileNotFoundException;
import java.io.IOException;
import java.util.concurrent.Callable;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;

/**
 * The device, the model and the index of the process, which outlive its screens. They are opened when they are first
 * needed, on a thread of their own. Indexing has a second thread with a low priority: both use the same model, and the
 * library lets them take turns.
 */
final class Engine {
    private static final String MODEL = "model.gguf";
    private static Engine instance;

    /** What a screen does with a result, on the main thread. */
    interface Result<T> {
        void onResult(T result);
    }

    /** What a screen does with an error, on the main thread. */
    interface Failure {
        void onFailure(String message);
    }

    private final Context context;
    private final Handler main = new Handler(Looper.getMainLooper());
    private final ExecutorService calls = Executors.newSingleThreadExecutor();
    private final ExecutorService indexing = Executors.newSingleThreadExecutor(task -> new Thread(() -> {
        Process.setThreadPriority(Process.THREAD_PRIORITY_BACKGROUND);
        task.run();
    }));
    private Model model;
    private Index index;

    static synchronized Engine get(Context context) {
        if (instance == null) {
            instance = new Engine(context.getApplicationContext());
        }
        return instance;
    }

    private Engine(Context context) {
        this.context = context;
    }

    /** Makes a call that somebody waits for. */
    <T> void call(Callable<T> call, Result<T> result, Failure failure) {
        calls.execute(() -> run(call, result, failure));
    }

    /** Makes a call in the background. */
    <T> void callInBackground(Callable<T> call, Result<T> result, Failure failure) {
        indexing.execute(() -> run(call, result, failure));
    }

    void onMain(Runnable runnable) {
        main.post(runnable);
    }

    private <T> void run(Callable<T> call, Result<T> result, Failure failure) {
        try {
            T found = call.call();
            main.post(() -> result.onResult(found));
        } catch (Exception e) {
            String message = describe(e);
            main.post(() -> failure.onFailure(message));
        }
    }

    private String describe(Exception e) {
        boolean cancelled = e instanceof VkclipException && ((VkclipException) e).code() == VkclipException.ECANCELLED;
        return cancelled ? context.getString(R.string.index_cancelled) : String.valueOf(e.getMessage());
    }

    /**
     * Returns the model. The device has the lowest priority, so that the screen is drawn first. It is closed with the
     * process, which Android ends when it needs the memory.
     */
    synchronized Model model() throws IOException {
        if (model == null) {
            Device device = new Device(context, new Device.Options().background(true));
            try (AssetFileDescriptor asset = context.getAssets().openFd(MODEL)) {
                model = new Model(device, asset, new Model.Options().name(MODEL));
            } catch (FileNotFoundException e) {
                throw new IOException(context.getString(R.string.no_model), e);
            } finally {
                device.close(); // The model keeps it open.
            }
        }
        return model;
    }

    synchronized Index index() {
        if (index == null) {
            index = new Index(new File(context.getFilesDir(), "index.db"));
        }
        return index;
    }
}
