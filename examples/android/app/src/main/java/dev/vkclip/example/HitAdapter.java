// SPDX-License-Identifier: MIT
package dev.vkclip.example;

import android.content.Context;
import android.view.View;
import android.view.ViewGroup;
import android.widget.AbsListView;
import android.widget.BaseAdapter;
import android.widget.ImageView;
import dev.vkclip.Hit;
import java.io.File;
import java.util.List;

/** Shows the pictures that a search has found. */
final class HitAdapter extends BaseAdapter {
    private static final int SIDE = 320; // pixels

    private final Context context;
    private final Engine engine;
    private final List<Hit> hits;

    HitAdapter(Context context, Engine engine, List<Hit> hits) {
        this.context = context;
        this.engine = engine;
        this.hits = hits;
    }

    @Override
    public int getCount() {
        return hits.size();
    }

    @Override
    public Object getItem(int position) {
        return hits.get(position);
    }

    @Override
    public long getItemId(int position) {
        return hits.get(position).id;
    }

    @Override
    public View getView(int position, View old, ViewGroup parent) {
        ImageView view = old instanceof ImageView ? (ImageView) old : new ImageView(context);
        view.setLayoutParams(new AbsListView.LayoutParams(AbsListView.LayoutParams.MATCH_PARENT, SIDE));
        view.setScaleType(ImageView.ScaleType.CENTER_CROP);
        view.setImageBitmap(null);
        File file = hits.get(position).file;
        view.setTag(file);
        engine.call(() -> Pictures.decodeThumbnail(file, SIDE), bitmap -> {
            // The view may show another picture by now.
            if (file.equals(view.getTag())) {
                view.setImageBitmap(bitmap);
            }
        }, message -> { });
        return view;
    }
}
