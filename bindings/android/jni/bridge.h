/* SPDX-License-Identifier: MIT
 *
 * What all natives need of Java: exceptions, records that are handed to Java, and listeners that
 * the library calls. Java hands texts over as UTF-8 in byte arrays, because JNI's own functions for
 * strings write characters beyond U+FFFF in a form that is no UTF-8.
 */
#ifndef VKCLIP_JNI_BRIDGE_H
#define VKCLIP_JNI_BRIDGE_H

#include <jni.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Functions for Android's bitmaps and hardware buffers exist there, and in the tests. */
#if defined(__ANDROID__) || defined(VKCLIP_ANDROID_DOUBLES)
#define HAS_ANDROID 1
#else
#define HAS_ANDROID 0
#endif

/* The natives of dev.vkclip.Native in each file. */
struct natives {
    const JNINativeMethod *methods;
    size_t count;
};
extern const struct natives device_natives, model_natives, encode_natives, index_natives;

/* ---- Exceptions ------------------------------------------------------------------------------ */

/* Throws a dev.vkclip.VkclipException with an error code and the message of this thread's last
 * error. An exception that is already pending stays. */
void bridge_throw(JNIEnv *env, int error);
void bridge_throw_message(JNIEnv *env, int error, const char *format, ...)
#ifdef __GNUC__
    __attribute__((format(printf, 3, 4)))
#endif
    ;

/* Returns the pointer that a handle of Java is, or throws and returns NULL if it is 0. */
void *bridge_pointer(JNIEnv *env, jlong handle, const char *what);

/* ---- Bytes ----------------------------------------------------------------------------------- */

/* Returns a byte array of a text, or NULL with an exception pending. */
jbyteArray bridge_make_bytes(JNIEnv *env, const char *text);
/* Copies a byte array of Java, with a NUL behind it, to memory that the caller frees. NULL stays
 * NULL. If there is no memory, *failed becomes true and an exception is pending. */
char *bridge_copy_bytes(JNIEnv *env, jbyteArray array, bool *failed);

/* A list of texts: `pointers` into `bytes`, which has a NUL behind each text. */
struct texts {
    char *bytes;
    const char **pointers;
    size_t *lengths;
    size_t count;
};
/* Takes over texts that stand one after the other in a byte array, each with a NUL behind it, where
 * `lengths` has the bytes of each without the NUL. Returns false with an exception pending. */
bool texts_take(JNIEnv *env, jbyteArray bytes, jintArray lengths, struct texts *texts);
void texts_free(struct texts *texts);

/* ---- Listeners ------------------------------------------------------------------------------- */

/* What a listener is told: dev.vkclip.Receiver.receive(byte[][], long[], double[]). */
struct record {
    const char *const *texts;
    size_t text_count;
    const jlong *numbers;
    size_t number_count;
    const jdouble *reals;
    size_t real_count;
};

/* A listener of Java during a call of the library. An exception cannot pass through the library:
 * where the listener throws one, it is kept, the call is cancelled, and the exception is thrown
 * when the call has returned. */
struct callback {
    jobject receiver; /* a global reference, because threads of the library may call; or NULL */
    jthrowable kept;  /* a global reference */
};
/* Returns false with an exception pending. */
bool callback_begin(JNIEnv *env, jobject receiver, struct callback *callback);
/* Calls the listener on any thread. Returns nonzero, which cancels the call of the library, if it
 * returns false or throws. */
int callback_send(struct callback *callback, const struct record *record);
/* A vkclip_progress_fn whose `user` is, or begins with, a struct callback. */
int callback_progress(void *user, uint64_t done, uint64_t total);
/* Throws what was kept, or else the error, and returns whether no exception is pending. */
bool callback_end(JNIEnv *env, struct callback *callback, int error);

#endif
