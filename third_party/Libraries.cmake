# vkclip_libraries(NAME MODULE[>=VERSION]...) looks for libraries by the names that pkg-config has for them. Where all
# are found, NAME_FOUND is true and the target Libraries::NAME links them; otherwise NAME_MISSING lists what was not
# found. A library that needs another stands before it. NAME_LIBRARIES has the names that a linker has for them, and the
# global properties vkclip_MODULE_target and vkclip_MODULE_version say what was found. Each library comes from pkg-config
# or from a CMake package, whichever is there. Packages of vcpkg are asked for first, because they also name what a static
# library needs. An installed static vkclip finds its libraries by this file too.

# Each row has pkg-config's name, the linker's, the CMake package, and the targets it may define.
set(vkclip_library_table
  "jansson      jansson    jansson           jansson::jansson"
  "libutf8proc  utf8proc   utf8proc          utf8proc::utf8proc"
  "gumbo        gumbo      unofficial-gumbo  unofficial::gumbo::gumbo"
  "libzip       zip        libzip            libzip::zip"
  "libarchive   archive    LibArchive        LibArchive::LibArchive"
  "sqlite3      sqlite3    SQLite3           SQLite::SQLite3"
  "libxxhash    xxhash     xxHash            xxHash::xxhash"
  "libpq        pq         PostgreSQL        PostgreSQL::PostgreSQL"
  "libjpeg      jpeg       JPEG              JPEG::JPEG"
  "spng         spng       SPNG              spng::spng spng::spng_static"
  "libexif      exif       unofficial-libexif  unofficial::libexif::libexif"
  "libwebp      webp       WebP              WebP::webp"
  "libwebpdemux webpdemux  WebP              WebP::webpdemux"
  "libtiff-4    tiff       TIFF              TIFF::TIFF"
  "libheif      heif       libheif           heif"
  "libavif      avif       libavif           avif"
  "libjxl       jxl        libjxl            libjxl::jxl"
  "libcurl      curl       CURL              CURL::libcurl"
  "libcrypto    crypto     OpenSSL           OpenSSL::Crypto"
  "libmicrohttpd  microhttpd  libmicrohttpd  libmicrohttpd::libmicrohttpd"
  "cmocka       cmocka     cmocka            cmocka::cmocka")

find_package(PkgConfig QUIET)
if(ANDROID AND NOT DEFINED ENV{PKG_CONFIG_LIBDIR})
  # The system's pkg-config knows the libraries of this machine. With a folder that does not exist in place of them, only
  # those of CMAKE_PREFIX_PATH count.
  set(ENV{PKG_CONFIG_LIBDIR} ${PROJECT_BINARY_DIR}/none)
endif()

# These two set `found` to the target of one library, `found_version`, and `source` to where it comes from.
macro(vkclip_find_by_pkgconfig)
  if(PkgConfig_FOUND)
    pkg_check_modules(vkclip_${module} QUIET IMPORTED_TARGET ${request})
    if(vkclip_${module}_FOUND)
      set(found PkgConfig::vkclip_${module})
      set(found_version ${vkclip_${module}_VERSION})
      set(source "by pkg-config")
    endif()
  endif()
endmacro()
macro(vkclip_find_by_package)
  find_package(${package} QUIET)
  # Find modules of CMake have the version under several names.
  set(found_version ${${package}_VERSION})
  if(NOT found_version)
    set(found_version ${${package}_VERSION_STRING})
  endif()
  if(${package}_FOUND AND NOT (version AND found_version AND found_version VERSION_LESS version))
    foreach(target IN LISTS package_targets)
      if(NOT found AND TARGET ${target})
        set(found ${target})
        set(source "by the CMake package ${package}")
      endif()
    endforeach()
  endif()
endmacro()

function(vkclip_libraries name)
  set(targets)
  set(linked)
  set(missing)
  foreach(request IN LISTS ARGN)
    string(REGEX MATCH "^([^>]+)(>=(.+))?$" _ ${request})
    set(module ${CMAKE_MATCH_1})
    set(version ${CMAKE_MATCH_3})
    set(row ${vkclip_library_table})
    list(FILTER row INCLUDE REGEX "^${module} ")
    separate_arguments(row UNIX_COMMAND "${row}")
    list(GET row 1 library)
    list(GET row 2 package)
    list(SUBLIST row 3 -1 package_targets)
    set(found)
    if(DEFINED VCPKG_TARGET_TRIPLET OR ANDROID)
      vkclip_find_by_package()
    endif()
    if(NOT found)
      vkclip_find_by_pkgconfig()
    endif()
    if(NOT found)
      vkclip_find_by_package()
    endif()
    if(found)
      message(STATUS "Found ${module} ${found_version}, ${source}")
      set_property(GLOBAL PROPERTY vkclip_${module}_target ${found})
      set_property(GLOBAL PROPERTY vkclip_${module}_version ${found_version})
      list(APPEND targets ${found})
      list(APPEND linked ${library})
    else()
      list(APPEND missing ${request})
    endif()
  endforeach()
  set(${name}_FOUND OFF PARENT_SCOPE)
  set(${name}_MISSING ${missing} PARENT_SCOPE)
  set(${name}_LIBRARIES ${linked} PARENT_SCOPE)
  if(NOT missing)
    set(${name}_FOUND ON PARENT_SCOPE)
    if(NOT TARGET Libraries::${name})
      add_library(Libraries::${name} INTERFACE IMPORTED)
      target_link_libraries(Libraries::${name} INTERFACE ${targets})
    endif()
  endif()
endfunction()
