# Defines the target Vulkan::Headers: the headers of the Vulkan API. They are searched in the system's include folders
# and in a Vulkan SDK.
find_path(VulkanHeaders_INCLUDE_DIR NAMES vulkan/vulkan_core.h HINTS ENV VULKAN_SDK PATH_SUFFIXES include Include)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(VulkanHeaders REQUIRED_VARS VulkanHeaders_INCLUDE_DIR)
mark_as_advanced(VulkanHeaders_INCLUDE_DIR)
if(VulkanHeaders_FOUND AND NOT TARGET Vulkan::Headers)
  add_library(Vulkan::Headers INTERFACE IMPORTED)
  target_include_directories(Vulkan::Headers SYSTEM INTERFACE ${VulkanHeaders_INCLUDE_DIR})
endif()
