# The toolchain file for Windows: MinGW-w64 of the system builds programs for Windows on another one. Libraries are those
# that third_party/mingw.sh has built.
set(CMAKE_SYSTEM_NAME Windows)
set(CMAKE_SYSTEM_PROCESSOR x86_64)
set(triple x86_64-w64-mingw32)
# With the threads of Windows, programs need none of MinGW's libraries.
find_program(CMAKE_C_COMPILER NAMES ${triple}-gcc-win32 ${triple}-gcc REQUIRED)
find_program(CMAKE_RC_COMPILER ${triple}-windres)
get_filename_component(prefix ${CMAKE_CURRENT_LIST_DIR}/../build/mingw ABSOLUTE)
if(NOT CMAKE_FIND_ROOT_PATH) # mingw.sh names the folder in which it collects the libraries.
  set(CMAKE_FIND_ROOT_PATH ${prefix} /usr/${triple})
endif()
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
set(ENV{PKG_CONFIG_LIBDIR} ${prefix}/lib/pkgconfig)
