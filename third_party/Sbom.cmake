# Bills of materials (SPDX 2.3, JSON): which file a library or program is, and what it links, contains and was made with,
# with versions and licences. The build writes NAME.spdx.json for each, and installing writes it anew for the installed
# file, which may have been stripped. Documents are equal where SOURCE_DATE_EPOCH, the file and all versions are.
# third_party/libraries.txt has the licences.
set(sbom_table ${PROJECT_SOURCE_DIR}/third_party/libraries.txt)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${sbom_table})
set(sbom_writer ${PROJECT_SOURCE_DIR}/third_party/SbomWrite.cmake)

# sbom_row(VARIABLE NAME RELATION VERSION FILE) appends one package: its name, how it stands to the library or program in
# SPDX's words, its version and the file that is linked, either of which may be "".
macro(sbom_row variable name relation version file)
  file(STRINGS ${sbom_table} sbom_licence REGEX "^${name} ")
  string(REGEX REPLACE "^([^ ]+ +)([^ ]+ +)([^ ]+ +)([^ ]+ +)([^ ]+ +)([^ ]+ +)([^ ]+ +)([^ ]+ +)" "" sbom_licence
         "${sbom_licence}")
  list(APPEND ${variable} "${name}|${relation}|${version}|${file}|${sbom_licence}")
endmacro()

# What every library and program contains or is made with. The Vulkan loader is opened while the program runs.
set(sbom_common)
file(STRINGS ${StbImage_INCLUDE_DIR}/stb_image.h version REGEX "stb_image - v" LIMIT_COUNT 1)
string(REGEX REPLACE ".*stb_image - v([0-9.]+).*" "\\1" version "${version}")
sbom_row(sbom_common stb CONTAINS "${version}" "")
set(header ${VulkanHeaders_INCLUDE_DIR}/vulkan/vulkan_core.h)
file(STRINGS ${header} version REGEX "define VK_HEADER_VERSION(_COMPLETE)? ")
string(REGEX REPLACE ".*VERSION ([0-9]+).*, ([0-9]+), ([0-9]+), VK_HEADER_VERSION.*" "\\2.\\3.\\1" version "${version}")
sbom_row(sbom_common vulkan-headers BUILD_DEPENDENCY_OF "${version}" "")
execute_process(COMMAND ${GLSLANG} --version OUTPUT_VARIABLE version ERROR_QUIET)
string(REGEX REPLACE "^Glslang Version: [0-9]*:?([0-9.]+).*" "\\1" version "${version}")
sbom_row(sbom_common glslang BUILD_TOOL_OF "${version}" "")
list(APPEND sbom_common "${CMAKE_C_COMPILER_ID} C compiler|BUILD_TOOL_OF|${CMAKE_C_COMPILER_VERSION}||NOASSERTION"
     "Vulkan loader|RUNTIME_DEPENDENCY_OF|||Apache-2.0")
# The macros of glibc tell its version, also of another machine's.
file(WRITE ${PROJECT_BINARY_DIR}/sbom/libc.h "#include <limits.h>\nversion __GLIBC__.__GLIBC_MINOR__\n")
execute_process(COMMAND ${CMAKE_C_COMPILER} -E ${PROJECT_BINARY_DIR}/sbom/libc.h OUTPUT_VARIABLE version ERROR_QUIET)
if(version MATCHES "version ([0-9]+) *\\. *([0-9]+)")
  list(APPEND sbom_common "glibc|DYNAMIC_LINK|${CMAKE_MATCH_1}.${CMAKE_MATCH_2}|libc.so|LGPL-2.1-or-later")
endif()

# vkclip_sbom(NAME TARGET FOLDER COMPONENT MODULE...) describes a target that is installed in FOLDER as a part of
# COMPONENT and that links the modules of pkg-config, which third_party/Libraries.cmake found.
function(vkclip_sbom name target folder component)
  set(packages ${sbom_common})
  get_filename_component(file ${ZLIB_LIBRARIES} NAME)
  sbom_row(packages zlib DYNAMIC_LINK "${ZLIB_VERSION_STRING}" ${file})
  foreach(module IN LISTS ARGN)
    if(module STREQUAL libvkclip)
      list(APPEND packages "libvkclip|DYNAMIC_LINK|${PROJECT_VERSION}|$<TARGET_FILE_NAME:vkclip>|MIT")
      continue()
    endif()
    get_property(version GLOBAL PROPERTY vkclip_${module}_version)
    get_property(found GLOBAL PROPERTY vkclip_${module}_target)
    set(property LOCATION)
    get_target_property(type ${found} TYPE)
    if(type STREQUAL INTERFACE_LIBRARY)
      set(property INTERFACE_LINK_LIBRARIES)
    endif()
    get_target_property(file ${found} ${property})
    list(TRANSFORM file REPLACE ".*/" "")
    string(REGEX REPLACE "^lib|-[0-9]+$" "" short ${module})
    list(FILTER file INCLUDE REGEX "^(lib)?${short}\\.")
    set(relation DYNAMIC_LINK)
    if(file MATCHES "${CMAKE_STATIC_LIBRARY_SUFFIX}$")
      set(relation STATIC_LINK)
    endif()
    sbom_row(packages ${module} ${relation} "${version}" "${file}")
  endforeach()
  set(description ${PROJECT_BINARY_DIR}/sbom/${name}.cmake)
  set(output ${PROJECT_BINARY_DIR}/${name}.spdx.json)
  set(installed ${PROJECT_BINARY_DIR}/sbom/${name}.spdx.json)
  file(GENERATE OUTPUT ${description} CONTENT
       "set(name ${name})\nset(version ${PROJECT_VERSION})\nset(packages [==[${packages}]==])\n")
  add_custom_command(OUTPUT ${output} COMMAND ${CMAKE_COMMAND} -DDESCRIPTION=${description} -DFILE=$<TARGET_FILE:${target}>
                     -DOUTPUT=${output} -P ${sbom_writer} DEPENDS ${target} ${description} ${sbom_writer} VERBATIM)
  add_custom_target(${target}_sbom ALL DEPENDS ${output})
  if(NOT IS_ABSOLUTE ${folder})
    string(PREPEND folder "\${CMAKE_INSTALL_PREFIX}/")
  endif()
  set(documents ${CMAKE_INSTALL_DOCDIR})
  if(NOT IS_ABSOLUTE ${documents})
    string(PREPEND documents "\${CMAKE_INSTALL_PREFIX}/")
  endif()
  install(CODE "
    execute_process(COMMAND \"${CMAKE_COMMAND}\" \"-DDESCRIPTION=${description}\" \"-DOUTPUT=${installed}\"
                    \"-DFILE=\$ENV{DESTDIR}${folder}/$<TARGET_FILE_NAME:${target}>\" -P \"${sbom_writer}\"
                    COMMAND_ERROR_IS_FATAL ANY)
    file(INSTALL DESTINATION \"${documents}\" TYPE FILE FILES \"${installed}\")" COMPONENT ${component})
endfunction()
