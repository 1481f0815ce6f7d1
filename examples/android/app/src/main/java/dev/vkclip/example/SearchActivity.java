// SPDX-License-Identifier: MIT
package dev.vkclip.example;

import android.Manifest;
import android.app.Activity;
import android.content.pm.PackageManager;
import android.os.Build;
import android.os.Bundle;
import android.view.View;
import android.widget.Button;
import android.widget.EditText;
import android.widget.GridView;
import android.widget.ProgressBar;
import android.widget.TextView;
import dev.vkclip.Hit;
import dev.vkclip.Index;
import dev.vkclip.Model;
import dev.vkclip.Query;
import java.io.File;
import java.util.Collections;
import java.util.List;

/** Indexes the gallery in the background, and searches it meanwhile. */
public final class SearchActivity extends Activity {
    private static final int PERMISSION = 1;
    /** A search waits for one update at most. */
    private static final int FILES_PER_UPDATE = 32;

    private Engine engine;
    private Button indexButton;
    private ProgressBar progress;
    private EditText query;
    private TextView status;
    private GridView hits;
    private boolean indexing;
    private volatile boolean cancelled;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.search);
        engine = Engine.get(this);
        indexButton = findViewById(R.id.index);
        progress = findViewById(R.id.progress);
        query = findViewById(R.id.query);
        status = findViewById(R.id.status);
        hits = findViewById(R.id.hits);
        indexButton.setOnClickListener(view -> startOrCancel());
        findViewById(R.id.search).setOnClickListener(view -> search());
    }

    /** The index stays with what is done, and the next start does the rest. */
    @Override
    protected void onDestroy() {
        cancelled = true;
        super.onDestroy();
    }

    // ---- Permissions ----

    private static String[] permissions() {
        if (Build.VERSION.SDK_INT >= 34) {
            return new String[] {Manifest.permission.READ_MEDIA_IMAGES,
                Manifest.permission.READ_MEDIA_VISUAL_USER_SELECTED};
        }
        return new String[] {Build.VERSION.SDK_INT >= 33 ? Manifest.permission.READ_MEDIA_IMAGES
                : Manifest.permission.READ_EXTERNAL_STORAGE};
    }

    /** Somebody who allows only some pictures finds only these. */
    private boolean mayRead() {
        for (String permission : permissions()) {
            if (checkSelfPermission(permission) == PackageManager.PERMISSION_GRANTED) {
                return true;
            }
        }
        return false;
    }

    @Override
    public void onRequestPermissionsResult(int request, String[] permissions, int[] results) {
        super.onRequestPermissionsResult(request, permissions, results);
        if (mayRead()) {
            startIndexing();
        } else {
            status.setText(R.string.no_permission);
        }
    }

    // ---- Indexing ----

    private void startOrCancel() {
        if (indexing) {
            cancelled = true;
        } else if (mayRead()) {
            startIndexing();
        } else {
            requestPermissions(permissions(), PERMISSION);
        }
    }

    private void startIndexing() {
        setIndexing(true);
        status.setText(R.string.opening);
        engine.callInBackground(this::updateIndex, info -> {
            setIndexing(false);
            status.setText(getString(R.string.index_done, info.files - info.failed, info.failed));
        }, message -> {
            setIndexing(false);
            status.setText(message);
        });
    }

    private void setIndexing(boolean on) {
        indexing = on;
        cancelled = false;
        indexButton.setText(on ? R.string.cancel : R.string.index);
        progress.setVisibility(on ? View.VISIBLE : View.GONE);
    }

    /** Runs on the thread in the background. */
    private Index.Info updateIndex() throws Exception {
        Model model = engine.model();
        Index index = engine.index();
        List<File> files = Pictures.list(getContentResolver());
        for (int first = 0; first < files.size(); first += FILES_PER_UPDATE) {
            List<File> some = files.subList(first, Math.min(first + FILES_PER_UPDATE, files.size()));
            index.update(model, some, false, (found, done, total) -> !cancelled);
            int shown = first + some.size();
            engine.onMain(() -> showProgress(shown, files.size()));
        }
        if (!files.isEmpty()) {
            // Files that are gone since the last time are taken out.
            index.update(model, Collections.emptyList(), false, (found, done, total) -> !cancelled);
        }
        return index.info();
    }

    private void showProgress(int done, int total) {
        progress.setMax(total);
        progress.setProgress(done);
        status.setText(getString(R.string.indexed, done, total));
    }

    // ---- Searching ----

    private void search() {
        String text = query.getText().toString().trim();
        if (text.isEmpty()) {
            return;
        }
        if (!indexing) {
            status.setText(R.string.working);
        }
        engine.call(() -> engine.index().search(engine.model(), new Query("a photo of " + text).top(60), null),
                this::show, status::setText);
    }

    private void show(List<Hit> found) {
        hits.setAdapter(new HitAdapter(this, engine, found));
        if (!indexing) {
            status.setText(getString(R.string.found, found.size()));
        }
    }
}
