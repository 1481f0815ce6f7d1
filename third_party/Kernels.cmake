# Compiles every KERNEL(op, shader, x, w, needs) row of shaders/kernels.def and every PEAK(shader, x, w) row of
# shaders/peaks.def. The types become -D options, and the result is an array `spirv_SHADER_X_W`; kernels_spirv.h and
# peaks_spirv.h include all of them. A row written KERNEL_NAME(...) needs a GLSL extension that some compilers do not
# know. With such a compiler the row is not compiled, and kernels_spirv.h defines KERNEL_NAME as nothing.
set(optional_kernels DOT=GL_EXT_integer_dot_product COOPMAT=GL_KHR_cooperative_matrix)
set(row_macros "KERNEL|PEAK")
set(optional_macros)
foreach(optional IN LISTS optional_kernels)
  string(REGEX MATCH "^(.*)=(.*)$" _ ${optional})
  set(macro KERNEL_${CMAKE_MATCH_1})
  set(extension ${CMAKE_MATCH_2})
  set(probe ${CMAKE_CURRENT_BINARY_DIR}/CMakeFiles/${extension}.comp)
  file(WRITE ${probe} "#version 450\n#extension ${extension} : require\nvoid main() {}\n")
  execute_process(COMMAND ${GLSLANG} --quiet --target-env vulkan1.1 -o ${probe}.spv ${probe}
                  RESULT_VARIABLE failed OUTPUT_QUIET ERROR_QUIET)
  if(failed)
    message(STATUS "Kernels with ${extension} are left out: ${GLSLANG} does not know it")
    string(APPEND optional_macros "#define ${macro}(...)\n")
  else()
    string(APPEND row_macros "|${macro}")
    string(APPEND optional_macros "#define ${macro} KERNEL\n")
  endif()
endforeach()
set(kernel_include_dir ${CMAKE_CURRENT_BINARY_DIR}/shaders)
file(MAKE_DIRECTORY ${kernel_include_dir})
file(GLOB_RECURSE shader_pieces CONFIGURE_DEPENDS shaders/*.glsl shaders/args.h)
set(kernel_sources)
foreach(table kernels peaks)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS shaders/${table}.def)
  file(STRINGS shaders/${table}.def rows REGEX "^(${row_macros})\\(")
  set(header "/* Generated from shaders/${table}.def. */\n${optional_macros}")
  foreach(row IN LISTS rows)
    string(REGEX MATCH "([a-z0-9_]+) *, *([a-z0-9_]+) *, *([a-z0-9_]+) *[,)]" _ "${row}")
    set(shader ${CMAKE_MATCH_1})
    set(x ${CMAKE_MATCH_2})
    set(w ${CMAKE_MATCH_3})
    set(symbol spirv_${shader}_${x}_${w})
    set(output ${kernel_include_dir}/${symbol}.h)
    if(output IN_LIST kernel_sources)
      continue()
    endif()
    file(GLOB source CONFIGURE_DEPENDS shaders/*/${shader}.comp)
    list(LENGTH source found)
    if(NOT found EQUAL 1)
      message(FATAL_ERROR "shaders/${table}.def names ${shader}: expected one ${shader}.comp in the "
                          "folders of shaders/, found ${found}")
    endif()
    add_custom_command(OUTPUT ${output}
      COMMAND ${GLSLANG} --quiet --target-env vulkan1.1 -g0 -DX_${x} -DW_${w}
              -I${CMAKE_CURRENT_SOURCE_DIR}/shaders --vn ${symbol} -o ${output}
              ${source}
      DEPENDS ${source} ${shader_pieces}
      COMMENT "Shader ${shader} x=${x} w=${w}" VERBATIM)
    list(APPEND kernel_sources ${output})
    string(APPEND header "#include \"${symbol}.h\"\n")
  endforeach()
  file(CONFIGURE OUTPUT ${kernel_include_dir}/${table}_spirv.h CONTENT "${header}" @ONLY)
endforeach()
