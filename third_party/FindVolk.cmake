# Defines the target Volk::Volk: the meta-loader of the Vulkan API (volk.h, volk.c) with the Vulkan headers that it
# needs. They are searched in the system's include folders and in a Vulkan SDK.
find_path(Volk_INCLUDE_DIR NAMES volk.h PATH_SUFFIXES volk Volk HINTS ENV VULKAN_SDK)
find_path(Vulkan_HEADERS_DIR NAMES vulkan/vulkan_core.h HINTS ENV VULKAN_SDK PATH_SUFFIXES include Include)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Volk REQUIRED_VARS Volk_INCLUDE_DIR Vulkan_HEADERS_DIR)
mark_as_advanced(Volk_INCLUDE_DIR Vulkan_HEADERS_DIR)
if(Volk_FOUND AND NOT TARGET Volk::Volk)
  add_library(Volk::Volk INTERFACE IMPORTED)
  target_include_directories(Volk::Volk SYSTEM INTERFACE ${Volk_INCLUDE_DIR} ${Vulkan_HEADERS_DIR})
endif()
