// SPDX-License-Identifier: MIT
package dev.vkclip.example;

import android.app.Activity;
import android.content.Intent;
import android.graphics.Bitmap;
import android.net.Uri;
import android.os.Build;
import android.os.Bundle;
import android.provider.MediaStore;
import android.widget.EditText;
import android.widget.ImageView;
import android.widget.TextView;
import dev.vkclip.Labels;
import dev.vkclip.Model;
import dev.vkclip.Picture;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Locale;

/** Pick a picture, type labels, see their probabilities. */
public final class ClassifyActivity extends Activity {
    private static final int PICK = 1;

    private Engine engine;
    private Bitmap bitmap;
    private ImageView picture;
    private EditText labels;
    private TextView result;

    @Override
    protected void onCreate(Bundle state) {
        super.onCreate(state);
        setContentView(R.layout.classify);
        engine = Engine.get(this);
        picture = findViewById(R.id.picture);
        labels = findViewById(R.id.labels);
        result = findViewById(R.id.result);
        findViewById(R.id.pick).setOnClickListener(view -> pick());
        findViewById(R.id.classify).setOnClickListener(view -> classify());
        findViewById(R.id.open_search).setOnClickListener(
                view -> startActivity(new Intent(this, SearchActivity.class)));
    }

    /** The photo picker shows the gallery without any permission. Before Android 13 a file picker stands in for it. */
    private void pick() {
        Intent intent = Build.VERSION.SDK_INT >= 33 ? new Intent(MediaStore.ACTION_PICK_IMAGES)
                : new Intent(Intent.ACTION_OPEN_DOCUMENT).addCategory(Intent.CATEGORY_OPENABLE);
        startActivityForResult(intent.setType("image/*"), PICK);
    }

    @Override
    protected void onActivityResult(int request, int code, Intent data) {
        super.onActivityResult(request, code, data);
        if (request != PICK || code != RESULT_OK || data == null || data.getData() == null) {
            return;
        }
        Uri uri = data.getData();
        engine.call(() -> Pictures.decode(getContentResolver(), uri), decoded -> {
            bitmap = decoded;
            picture.setImageBitmap(decoded);
            classify();
        }, result::setText);
    }

    private void classify() {
        if (bitmap == null) {
            result.setText(R.string.no_picture);
            return;
        }
        List<String> names = new ArrayList<>();
        for (String name : labels.getText().toString().split(",")) {
            if (!name.trim().isEmpty()) {
                names.add(name.trim());
            }
        }
        if (names.isEmpty()) {
            result.setText(R.string.no_labels);
            return;
        }
        Bitmap shown = bitmap;
        result.setText(R.string.working);
        engine.call(() -> {
            Model model = engine.model();
            Labels encoded = model.encodeLabels(names, Collections.singletonList("a photo of a {}"));
            return encoded.best(model.classify(Picture.of(shown), encoded), 5);
        }, this::show, result::setText);
    }

    private void show(List<Labels.Score> scores) {
        StringBuilder text = new StringBuilder();
        for (Labels.Score score : scores) {
            text.append(String.format(Locale.getDefault(), "%5.1f %%  %s\n", 100 * score.probability, score.label));
        }
        result.setText(text);
    }
}
