#!/bin/sh
# run.sh JAVA JAVAC JNI-FOLDER COMMAND compiles the Java classes as Android's tools do, for Java 8, and runs their
# tests on a desktop with stubs of Android's classes. JNI-FOLDER has a libvkclip_jni with the doubles of doubles.c. The
# virtual machine checks every call of JNI, and the test fails if it warns.
set -eu
export LC_ALL=C.UTF-8 # With POSIX's locale Java opens no file whose path is not ASCII.
java=$1
javac=$2
jni=$3
command=$4
android=bindings/android
work=$(cd "$(mktemp -d)" && pwd -P) # An index has paths without links.
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2046
"$javac" -d "$work/stubs" $(find $android/tests/stubs -name '*.java')
"$javac" --release 8 -Xlint:all,-options -Xdoclint:all/protected -Werror -d "$work/classes" -cp "$work/stubs" \
    $android/java/dev/vkclip/*.java
"$javac" -d "$work/tests" -cp "$work/classes:$work/stubs" $android/tests/java/dev/vkclip/*.java
"$command" convert -q --no-check models/emoji-clip "$work/model.gguf"

# A test watches the memory of the process, in which the heap is touched as a whole from the beginning.
codes=$(sed -nE 's/^ *X\((E[A-Z]+), (-[0-9]+),.*/\1=\2/p' include/vkclip.h | tr '\n' ' ')
status=0
"$java" -Xcheck:jni -ea -Xms256m -Xmx256m -XX:+AlwaysPreTouch -Djava.library.path="$jni" --add-opens java.base/java.io=ALL-UNNAMED \
    -cp "$work/classes:$work/stubs:$work/tests" dev.vkclip.Tests "$work" "$codes" >"$work/log" 2>&1 || status=$?
cat "$work/log"
if grep -qE '^WARNING|FATAL ERROR in native|^Warning:' "$work/log"; then
    echo "FAILED: the checks of JNI, see above"
    exit 1
fi
exit $status
