/* SPDX-License-Identifier: MIT
 *
 * Pictures of Java as the library takes them.
 */
#ifndef VKCLIP_JNI_PICTURES_H
#define VKCLIP_JNI_PICTURES_H

#include <jni.h>
#include <stdbool.h>
#include <vkclip.h>

struct picture {
    struct vkclip_image image; /* the pixels; NULL: they are decoded */
    bool premultiplied;        /* The pixels are RGBA whose colours were multiplied by alpha. */
    bool locked;               /* a Bitmap whose pixels stay where they are until it is unlocked */
    char *path;                /* of a file that is decoded; or NULL */
    const void *data;          /* the bytes of a file that is decoded, if there is no path */
    size_t size;
};

struct pictures {
    const struct vkclip_model *model;
    struct picture *list;
    size_t count;
    jobjectArray sources;
};

/* Takes the pictures that dev.vkclip.Picture describes: a Bitmap, a direct ByteBuffer or the bytes
 * of a path each, with the numbers of its layout. Returns false with an exception pending. No
 * pixel is copied or decoded. */
bool pictures_begin(JNIEnv *env, const struct vkclip_model *model, jobjectArray sources,
                    jlongArray layouts, struct pictures *pictures);
void pictures_end(JNIEnv *env, struct pictures *pictures);

/* Prepares one picture on any thread, as a vkclip_source_fn does. */
int pictures_prepare(const struct pictures *pictures, size_t index, float *pixel_values);

#endif
