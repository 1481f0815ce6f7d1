# Adds the library `vkclip`, shared or static, which shows the names in src/api/vkclip.symbols and no others, also none
# of static libraries that are linked into it. A static library would show all names that its files share, and a
# program with a function of one of these names could not be linked, or would run the wrong one. Therefore its files
# are joined to one in which the other names are local. Compilers of Microsoft's form have no tool for that: their
# static library shows all names.
set(symbols_file ${PROJECT_SOURCE_DIR}/src/api/vkclip.symbols)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${symbols_file})
file(STRINGS ${symbols_file} symbols)
if(VKCLIP_SHARED_COMMAND)
  list(APPEND symbols vkclip_private_*)
endif()
set(apple_symbols ${PROJECT_BINARY_DIR}/vkclip.apple_symbols)
list(TRANSFORM symbols REPLACE "(.+)" "_\\1\n" OUTPUT_VARIABLE lines)
string(JOIN "" lines ${lines})
file(CONFIGURE OUTPUT ${apple_symbols} CONTENT "${lines}" @ONLY)
set(soversion ${PROJECT_VERSION_MAJOR})
if(soversion EQUAL 0)
  # As long as the major version is 0, each minor version may change the interface.
  set(soversion 0.${PROJECT_VERSION_MINOR})
endif()

if(BUILD_SHARED_LIBS OR MSVC OR (NOT APPLE AND NOT CMAKE_OBJCOPY))
  add_library(vkclip)
  target_link_libraries(vkclip PRIVATE $<BUILD_INTERFACE:vkclip_objects>)
  if(NOT BUILD_SHARED_LIBS)
    message(STATUS "The static library shows the names of its own functions: objcopy was not found")
  elseif(APPLE)
    target_link_options(vkclip PRIVATE -Wl,-exported_symbols_list,${apple_symbols})
  elseif(NOT WIN32)
    set(map ${PROJECT_BINARY_DIR}/vkclip.map)
    string(JOIN ";" names ${symbols})
    file(CONFIGURE OUTPUT ${map} CONTENT "{global: ${names}; local: *;};\n" @ONLY)
    target_link_options(vkclip PRIVATE -Wl,--version-script=${map})
  endif()
  return()
endif()

set(list ${PROJECT_BINARY_DIR}/vkclip_objects.list)
set(joined ${PROJECT_BINARY_DIR}/vkclip_joined.o)
file(GENERATE OUTPUT ${list} CONTENT "$<JOIN:$<TARGET_OBJECTS:vkclip_objects>,\n>\n")
separate_arguments(compiler_flags NATIVE_COMMAND "${CMAKE_C_FLAGS}")
if(CMAKE_C_COMPILER_TARGET)
  list(APPEND compiler_flags --target=${CMAKE_C_COMPILER_TARGET})
endif()
set(join ${CMAKE_C_COMPILER} ${compiler_flags} -r -nostdlib -o ${joined} @${list})
if(APPLE)
  add_custom_command(OUTPUT ${joined} COMMAND ${join} -Wl,-exported_symbols_list,${apple_symbols}
    DEPENDS vkclip_objects $<TARGET_OBJECTS:vkclip_objects> ${symbols_file} VERBATIM)
else()
  add_custom_command(OUTPUT ${joined} COMMAND ${join}
    COMMAND ${CMAKE_OBJCOPY} --keep-global-symbols=${symbols_file} ${joined}
    DEPENDS vkclip_objects $<TARGET_OBJECTS:vkclip_objects> ${symbols_file} VERBATIM)
endif()
add_library(vkclip STATIC ${joined})
set_target_properties(vkclip PROPERTIES LINKER_LANGUAGE C)
target_link_libraries(vkclip PRIVATE $<BUILD_INTERFACE:vkclip_dependencies>)
