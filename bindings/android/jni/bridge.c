/* SPDX-License-Identifier: MIT
 *
 * Loads the natives, and does what all of them need.
 */
#include "bridge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <vkclip.h>

#ifdef __ANDROID__
#include <android/log.h>
#endif

/* What stays the same while the library is loaded. */
static struct {
    JavaVM *vm;
    jclass exception, bytes; /* dev.vkclip.VkclipException, byte[] */
    jmethodID make_exception, receive;
} java;

/* ---- Loading --------------------------------------------------------------------------------- */

/* Errors also become exceptions, which say the same, so that they are for those who debug. */
static void write_log(void *user, enum vkclip_log_level level, const char *message)
{
    (void)user;
#ifdef __ANDROID__
    static const int priorities[] = {ANDROID_LOG_DEBUG, ANDROID_LOG_WARN, ANDROID_LOG_INFO,
                                     ANDROID_LOG_DEBUG};
    __android_log_write(priorities[level], "vkclip", message);
#else
    if (level == VKCLIP_LOG_WARNING)
        fprintf(stderr, "vkclip: %s\n", message);
#endif
}

static jclass find_class(JNIEnv *env, const char *name)
{
    jclass found = (*env)->FindClass(env, name);
    jclass global = found ? (*env)->NewGlobalRef(env, found) : NULL;
    (*env)->DeleteLocalRef(env, found);
    return global;
}

static bool find_java(JNIEnv *env)
{
    jclass receiver = (*env)->FindClass(env, "dev/vkclip/Receiver");
    if (!receiver)
        return false;
    java.receive = (*env)->GetMethodID(env, receiver, "receive", "([[B[J[D)Z");
    (*env)->DeleteLocalRef(env, receiver);
    if (!java.receive || !(java.bytes = find_class(env, "[B")) ||
        !(java.exception = find_class(env, "dev/vkclip/VkclipException")))
        return false;
    java.make_exception = (*env)->GetMethodID(env, java.exception, "<init>", "(I[B)V");
    return java.make_exception;
}

static bool register_natives(JNIEnv *env)
{
    const struct natives *const all[] = {&device_natives, &model_natives, &encode_natives,
                                         &index_natives};
    jclass native = (*env)->FindClass(env, "dev/vkclip/Native");
    bool registered = native;
    for (size_t i = 0; registered && i < sizeof(all) / sizeof(*all); i++)
        registered = !(*env)->RegisterNatives(env, native, all[i]->methods, (jint)all[i]->count);
    (*env)->DeleteLocalRef(env, native);
    return registered;
}

JNIEXPORT jint JNICALL JNI_OnLoad(JavaVM *vm, void *reserved)
{
    void *env = NULL;
    (void)reserved;
    java.vm = vm;
    if ((*vm)->GetEnv(vm, &env, JNI_VERSION_1_6) != JNI_OK || !find_java(env) ||
        !register_natives(env))
        return JNI_ERR;
    vkclip_set_log(write_log, NULL);
    return JNI_VERSION_1_6;
}

/* ---- Exceptions ------------------------------------------------------------------------------ */

static void throw_text(JNIEnv *env, int error, const char *text)
{
    if ((*env)->ExceptionCheck(env))
        return;
    jbyteArray message = bridge_make_bytes(env, text);
    if (!message)
        return;
    jobject exception =
        (*env)->NewObject(env, java.exception, java.make_exception, (jint)error, message);
    if (exception)
        (*env)->Throw(env, exception);
    (*env)->DeleteLocalRef(env, exception);
    (*env)->DeleteLocalRef(env, message);
}

void bridge_throw(JNIEnv *env, int error)
{
    const char *message = vkclip_last_error();
    throw_text(env, error, *message ? message : vkclip_error_text(error));
}

void bridge_throw_message(JNIEnv *env, int error, const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    throw_text(env, error, text);
}

void *bridge_pointer(JNIEnv *env, jlong handle, const char *what)
{
    if (!handle)
        bridge_throw_message(env, VKCLIP_EINVALID, "the %s is closed", what);
    return (void *)(intptr_t)handle;
}

/* ---- Bytes ----------------------------------------------------------------------------------- */

jbyteArray bridge_make_bytes(JNIEnv *env, const char *text)
{
    const jsize length = (jsize)strlen(text);
    jbyteArray array = (*env)->NewByteArray(env, length);
    if (array)
        (*env)->SetByteArrayRegion(env, array, 0, length, (const jbyte *)text);
    return array;
}

char *bridge_copy_bytes(JNIEnv *env, jbyteArray array, bool *failed)
{
    if (!array)
        return NULL;
    const jsize length = (*env)->GetArrayLength(env, array);
    char *copy = malloc((size_t)length + 1);
    if (!copy) {
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for %ld bytes of text",
                             (long)length);
        *failed = true;
        return NULL;
    }
    (*env)->GetByteArrayRegion(env, array, 0, length, (jbyte *)copy);
    copy[length] = '\0';
    return copy;
}

bool texts_take(JNIEnv *env, jbyteArray bytes, jintArray lengths, struct texts *texts)
{
    bool failed = false;
    memset(texts, 0, sizeof(*texts));
    texts->count = (size_t)(*env)->GetArrayLength(env, lengths);
    texts->bytes = bridge_copy_bytes(env, bytes, &failed);
    texts->pointers = calloc(texts->count + 1, sizeof(*texts->pointers));
    texts->lengths = calloc(texts->count + 1, sizeof(*texts->lengths));
    jint *numbers = (*env)->GetIntArrayElements(env, lengths, NULL);
    if (failed || !texts->pointers || !texts->lengths || !numbers) {
        if (numbers)
            (*env)->ReleaseIntArrayElements(env, lengths, numbers, JNI_ABORT);
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for %zu texts", texts->count);
        texts_free(texts);
        return false;
    }
    const char *text = texts->bytes;
    for (size_t i = 0; i < texts->count; i++) {
        texts->pointers[i] = text;
        texts->lengths[i] = (size_t)numbers[i];
        text += texts->lengths[i] + 1;
    }
    (*env)->ReleaseIntArrayElements(env, lengths, numbers, JNI_ABORT);
    return true;
}

void texts_free(struct texts *texts)
{
    free(texts->bytes);
    free(texts->pointers);
    free(texts->lengths);
    memset(texts, 0, sizeof(*texts));
}

/* ---- Listeners ------------------------------------------------------------------------------- */

bool callback_begin(JNIEnv *env, jobject receiver, struct callback *callback)
{
    callback->kept = NULL;
    callback->receiver = receiver ? (*env)->NewGlobalRef(env, receiver) : NULL;
    if (receiver && !callback->receiver)
        bridge_throw_message(env, VKCLIP_EMEMORY, "out of memory for a listener");
    return !receiver || callback->receiver;
}

/* Calls the listener in a frame of local references, so that none are left. */
static bool call_receiver(JNIEnv *env, jobject receiver, const struct record *record)
{
    jobjectArray texts = (*env)->NewObjectArray(env, (jsize)record->text_count, java.bytes, NULL);
    for (size_t i = 0; texts && i < record->text_count; i++) {
        jbyteArray text = bridge_make_bytes(env, record->texts[i] ? record->texts[i] : "");
        if (!text)
            return false;
        (*env)->SetObjectArrayElement(env, texts, (jsize)i, text);
        (*env)->DeleteLocalRef(env, text);
    }
    if (!texts)
        return false;
    jlongArray numbers = (*env)->NewLongArray(env, (jsize)record->number_count);
    if (!numbers)
        return false;
    (*env)->SetLongArrayRegion(env, numbers, 0, (jsize)record->number_count, record->numbers);
    jdoubleArray reals = (*env)->NewDoubleArray(env, (jsize)record->real_count);
    if (!reals)
        return false;
    (*env)->SetDoubleArrayRegion(env, reals, 0, (jsize)record->real_count, record->reals);
    return (*env)->CallBooleanMethod(env, receiver, java.receive, texts, numbers, reals);
}

static bool send_record(JNIEnv *env, struct callback *callback, const struct record *record)
{
    const bool framed = !(*env)->PushLocalFrame(env, 8);
    bool wanted = framed && call_receiver(env, callback->receiver, record);
    jthrowable thrown = (*env)->ExceptionOccurred(env);
    if (thrown) {
        (*env)->ExceptionClear(env);
        callback->kept = (*env)->NewGlobalRef(env, thrown);
        wanted = false;
    }
    if (framed)
        (*env)->PopLocalFrame(env, NULL);
    return wanted;
}

int callback_send(struct callback *callback, const struct record *record)
{
    void *env = NULL;
    if (callback->kept)
        return 1;
    if (!callback->receiver)
        return 0;
    const bool attached = (*java.vm)->GetEnv(java.vm, &env, JNI_VERSION_1_6) == JNI_OK;
    /* The function takes a JNIEnv ** on Android, and a void ** elsewhere. */
    if (!attached && (*java.vm)->AttachCurrentThreadAsDaemon(java.vm, (void *)&env, NULL) != JNI_OK)
        return 1;
    const bool wanted = send_record(env, callback, record);
    if (!attached)
        (*java.vm)->DetachCurrentThread(java.vm);
    return !wanted;
}

int callback_progress(void *user, uint64_t done, uint64_t total)
{
    const jlong numbers[] = {(jlong)done, (jlong)total};
    return callback_send(user, &(struct record){.numbers = numbers, .number_count = 2});
}

bool callback_end(JNIEnv *env, struct callback *callback, int error)
{
    if (callback->kept)
        (*env)->Throw(env, callback->kept);
    else if (error)
        bridge_throw(env, error);
    if (callback->kept)
        (*env)->DeleteGlobalRef(env, callback->kept);
    if (callback->receiver)
        (*env)->DeleteGlobalRef(env, callback->receiver);
    memset(callback, 0, sizeof(*callback));
    return !(*env)->ExceptionCheck(env);
}
