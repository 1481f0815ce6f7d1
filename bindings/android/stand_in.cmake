# A toolchain that stands in for the NDK's, with this system's clang and lld, and Debian's C library in place of
# Android's: for x86_64 this system's, for arm64-v8a the one that third_party/arm64.sh fetches. CMake takes the branches
# for Android with it. What it builds runs here, for arm64 with QEMU, and not on Android. ANDROID_ABI names the
# processor, and VKCLIP_STAND_IN a folder with static libraries and with stubs of Android's own.
set(CMAKE_SYSTEM_NAME Android)
set(CMAKE_SYSTEM_VERSION 1) # With another version CMake would look for an NDK.
set(CMAKE_TRY_COMPILE_PLATFORM_VARIABLES ANDROID_ABI VKCLIP_STAND_IN)
set(CMAKE_C_COMPILER clang)
set(CMAKE_C_COMPILER_TARGET x86_64-linux-gnu)
list(APPEND CMAKE_FIND_ROOT_PATH ${VKCLIP_STAND_IN})
if(ANDROID_ABI STREQUAL arm64-v8a)
  set(CMAKE_C_COMPILER_TARGET aarch64-linux-gnu)
  get_filename_component(CMAKE_SYSROOT ${CMAKE_CURRENT_LIST_DIR}/../../build/arm64/root ABSOLUTE)
endif()
set(CMAKE_LIBRARY_ARCHITECTURE ${CMAKE_C_COMPILER_TARGET})
# Below API level 29 the NDK emulates thread-local variables, too.
set(CMAKE_C_FLAGS_INIT "-D__ANDROID__ -femulated-tls '-D__INTRODUCED_IN(level)='")
string(APPEND CMAKE_C_FLAGS_INIT " -isystem /usr/include/android -isystem /usr/include/android/nativehelper")
set(CMAKE_SHARED_LINKER_FLAGS_INIT "-fuse-ld=lld -s -static-libgcc -Wl,--no-undefined -L${VKCLIP_STAND_IN}/lib")
set(CMAKE_EXE_LINKER_FLAGS_INIT -fuse-ld=lld)
