#!/bin/sh
# package.sh PREFIX NAME TARGET LIBRARY [VERSION] makes a CMake package in a prefix, or gives it another target. LIBRARY
# is a name that find_library takes.
set -eu
folder=$1/share/$2
mkdir -p "$folder"
cat >>"$folder/$2-config.cmake" <<CONFIG
find_library(PACKAGE_$4 NAMES $4 REQUIRED)
if(NOT TARGET $3)
  add_library($3 UNKNOWN IMPORTED)
  set_target_properties($3 PROPERTIES IMPORTED_LOCATION \${PACKAGE_$4})
endif()
CONFIG
cat >"$folder/$2-config-version.cmake" <<CONFIG
set(PACKAGE_VERSION ${5-9.9})
set(PACKAGE_VERSION_COMPATIBLE ON)
CONFIG
