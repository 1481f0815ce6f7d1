# What the build and shaders/prebuilt/update.cmake both know of a row of the tables in shaders/: its parts, the command
# that compiles it, and the hash of what it is compiled from. `shaders` must be the path of the folder shaders/.

# Takes apart a row NAME(op, shader, x, w, needs) or PEAK(shader, x, w, needs): sets macro, shader, x, w, symbol and source.
macro(kernel_row row)
  string(REGEX MATCH "^[A-Z_]+" macro "${row}")
  string(REGEX MATCH "([a-z0-9_]+) *, *([a-z0-9_]+) *, *([a-z0-9_]+) *[,)]" _ "${row}")
  set(shader ${CMAKE_MATCH_1})
  set(x ${CMAKE_MATCH_2})
  set(w ${CMAKE_MATCH_3})
  set(symbol spirv_${shader}_${x}_${w})
  file(GLOB source ${shaders}/*/${shader}.comp)
  list(LENGTH source found)
  if(NOT found EQUAL 1)
    message(FATAL_ERROR "The tables in shaders/ name ${shader}: expected one ${shader}.comp in the folders of "
                        "shaders/, found ${found}")
  endif()
  # The shader is compiled by: glslang ${kernel_options} -o OUTPUT ${source}
  set(kernel_options --quiet --target-env vulkan1.1 -g0 -DX_${x} -DW_${w} -I${shaders} --vn ${symbol})
endmacro()

# Appends the text of a shader, and of all files that it includes, to `text` without comments and white space, so that
# only changes of code change it.
function(append_shader_text path)
  file(READ ${path} content)
  string(REGEX REPLACE "/\\*([^*]|\\*+[^*/])*\\*+/" "" content "${content}")
  string(REGEX REPLACE "//[^\n]*" "" content "${content}")
  string(REGEX MATCHALL "#include \"[^\"]+\"" includes "${content}")
  string(REGEX REPLACE "[ \t\r\n]+" " " content "${content}")
  string(APPEND text "${content}")
  foreach(include IN LISTS includes)
    string(REGEX REPLACE "#include \"(.*)\"" "\\1" include ${include})
    if(NOT include IN_LIST included)
      list(APPEND included ${include})
      append_shader_text(${shaders}/${include})
    endif()
  endforeach()
  set(text "${text}" PARENT_SCOPE)
  set(included ${included} PARENT_SCOPE)
endfunction()

# Sets `hash` to the hash of everything that determines the SPIR-V of the row that kernel_row took apart, except the
# compiler's version.
macro(hash_kernel_row)
  string(REPLACE "-I${shaders}" "" text "${kernel_options}")
  set(included)
  append_shader_text(${source})
  string(SHA256 hash "${text}")
endmacro()
