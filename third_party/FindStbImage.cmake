# Defines the target StbImage::StbImage for stb_image.h in the system's include folders or in their folder stb/.
find_path(StbImage_INCLUDE_DIR NAMES stb_image.h PATH_SUFFIXES stb)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(StbImage REQUIRED_VARS StbImage_INCLUDE_DIR)
mark_as_advanced(StbImage_INCLUDE_DIR)
if(StbImage_FOUND AND NOT TARGET StbImage::StbImage)
  add_library(StbImage::StbImage INTERFACE IMPORTED)
  target_include_directories(StbImage::StbImage SYSTEM INTERFACE ${StbImage_INCLUDE_DIR})
endif()
