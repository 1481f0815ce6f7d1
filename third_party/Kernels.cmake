# Compiles every KERNEL(op, shader, x, w, needs) row of shaders/kernels.def: the types become -D, the
# result an array `spirv_SHADER_X_W`. kernels_spirv.h declares them all.
set(kernel_include_dir ${CMAKE_CURRENT_BINARY_DIR}/shaders)
file(MAKE_DIRECTORY ${kernel_include_dir})
file(GLOB shader_pieces CONFIGURE_DEPENDS shaders/*.glsl shaders/args.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS shaders/kernels.def)
file(STRINGS shaders/kernels.def kernel_rows REGEX "^KERNEL\\(")
set(kernel_sources)
set(kernel_header "/* Generated from shaders/kernels.def. */\n")
foreach(row IN LISTS kernel_rows)
  string(REGEX MATCH "^KERNEL\\( *[A-Z0-9_]+ *, *([a-z0-9_]+) *, *([a-z0-9_]+) *, *([a-z0-9_]+) *," _ "${row}")
  set(shader ${CMAKE_MATCH_1})
  set(x ${CMAKE_MATCH_2})
  set(w ${CMAKE_MATCH_3})
  set(symbol spirv_${shader}_${x}_${w})
  set(output ${kernel_include_dir}/${symbol}.h)
  if(output IN_LIST kernel_sources)
    continue()
  endif()
  add_custom_command(OUTPUT ${output}
    COMMAND ${GLSLANG} --quiet --target-env vulkan1.1 -g0 -DX_${x} -DW_${w}
            -I${CMAKE_CURRENT_SOURCE_DIR}/shaders --vn ${symbol} -o ${output}
            ${CMAKE_CURRENT_SOURCE_DIR}/shaders/${shader}.comp
    DEPENDS shaders/${shader}.comp ${shader_pieces}
    COMMENT "Shader ${shader} x=${x} w=${w}" VERBATIM)
  list(APPEND kernel_sources ${output})
  string(APPEND kernel_header "#include \"${symbol}.h\"\n")
endforeach()
file(CONFIGURE OUTPUT ${kernel_include_dir}/kernels_spirv.h CONTENT "${kernel_header}" @ONLY)
