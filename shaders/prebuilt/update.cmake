# Compiles the rows KERNEL_NAME(...) of shaders/kernels*.def and PEAK_NAME(...) of shaders/peaks.def, which need a GLSL
# extension that old compilers do not know, into the headers beside this file. The build copies them where its compiler is such an old one.
#     cmake [-DGLSLANG=PROGRAM] -P shaders/prebuilt/update.cmake
# compiles them again after a change of a shader. It needs glslang 14 or newer; the default is the one that
# third_party/drivers.sh fetches.
#     cmake [-DGLSLANG=PROGRAM] -DCHECK=ON -P shaders/prebuilt/update.cmake
# changes nothing, and fails if a header was made from other sources than those in the tree. If the compiler is the
# version that made a header, it also compiles the row and compares every word.
#     cmake -DHEADER=FILE -DOUTPUT=FILE -P shaders/prebuilt/update.cmake
# copies one header after comparing the hash of its sources; this is how the build takes it.
cmake_minimum_required(VERSION 3.22)
get_filename_component(shaders ${CMAKE_CURRENT_LIST_DIR}/.. ABSOLUTE)
get_filename_component(root ${shaders}/.. ABSOLUTE)
include(${root}/third_party/KernelRows.cmake)
set(advice "run `third_party/drivers.sh`, which fetches a new glslang, and `cmake -P shaders/prebuilt/update.cmake`")

# Fails unless a header exists and was made from the sources in the tree.
function(check_hash header)
  set(recorded nothing)
  if(EXISTS ${header})
    file(STRINGS ${header} recorded REGEX "^// sources " LIMIT_COUNT 1)
  endif()
  if(NOT recorded STREQUAL "// sources ${hash}")
    message(FATAL_ERROR "shaders/prebuilt/${symbol}.h: expected SPIR-V of sources ${hash}, found \"${recorded}\": "
                        "a shader of this row was changed since, so ${advice}")
  endif()
endfunction()

# Compiles the row into `file`, without tabs, and gives the version of the compiler.
function(compile_row file version)
  execute_process(COMMAND ${GLSLANG} ${kernel_options} -o ${file} ${source} COMMAND_ERROR_IS_FATAL ANY)
  file(READ ${file} spirv)
  string(REGEX MATCH "^[ \t]*// 11([0-9.]+)" _ "${spirv}") # 11 is glslang's number among compilers.
  set(found ${CMAKE_MATCH_1})
  set(${version} ${found} PARENT_SCOPE)
  string(REGEX REPLACE "^[^#]*#pragma once\n" "" spirv "${spirv}")
  string(REPLACE "\t" "" spirv "${spirv}")
  file(WRITE ${file} "// SPIR-V by glslang ${found}, see update.cmake\n// sources ${hash}\n${spirv}")
endfunction()

function(check_words header)
  compile_row(${temporary} version)
  file(STRINGS ${header} made REGEX "^// SPIR-V by glslang" LIMIT_COUNT 1)
  if(NOT made MATCHES " ${version},")
    message(STATUS "${symbol}: not compared, because glslang ${version} did not make it (${made})")
    return()
  endif()
  file(SHA256 ${header} expected)
  file(SHA256 ${temporary} found)
  if(NOT expected STREQUAL found)
    message(FATAL_ERROR "shaders/prebuilt/${symbol}.h: glslang ${version} makes other SPIR-V from the same sources: "
                        "${advice}")
  endif()
  message(STATUS "${symbol}: the same as glslang ${version} makes")
endfunction()

set(drivers ${root}/build/drivers)
if(NOT GLSLANG AND EXISTS ${drivers}/complete)
  set(GLSLANG ${drivers}/run ${drivers}/usr/bin/glslang)
endif()
if(NOT GLSLANG AND NOT CHECK AND NOT HEADER)
  message(FATAL_ERROR "No glslang: expected -DGLSLANG=PROGRAM, or that of third_party/drivers.sh")
endif()
set(rows)
foreach(table kernels kernels_training kernels_search)
  file(STRINGS ${shaders}/${table}.def table_rows REGEX "^KERNEL_[A-Z]+\\(")
  list(APPEND rows ${table_rows})
endforeach()
file(STRINGS ${shaders}/peaks.def peak_rows REGEX "^PEAK_[A-Z]+\\(")
list(APPEND rows ${peak_rows})
if(HEADER)
  get_filename_component(name ${HEADER} NAME_WE)
endif()
set(temporary ${root}/build/prebuilt.tmp.h)
set(wanted)
foreach(row IN LISTS rows)
  kernel_row("${row}")
  if(HEADER AND NOT symbol STREQUAL name)
    continue()
  endif()
  hash_kernel_row()
  list(APPEND wanted ${symbol}.h)
  set(header ${CMAKE_CURRENT_LIST_DIR}/${symbol}.h)
  if(CHECK)
    check_hash(${header})
    if(GLSLANG)
      check_words(${header})
    endif()
  elseif(HEADER)
    check_hash(${header})
    file(COPY_FILE ${header} ${OUTPUT})
    file(TOUCH ${OUTPUT}) # The build compares its age with that of the sources.
  else()
    compile_row(${header} version)
    message(STATUS "${symbol}: glslang ${version}")
  endif()
endforeach()
file(REMOVE ${temporary})

# A header without a row would be dead weight in the tree.
file(GLOB present RELATIVE ${CMAKE_CURRENT_LIST_DIR} ${CMAKE_CURRENT_LIST_DIR}/*.h)
list(REMOVE_ITEM present ${wanted})
if(present AND CHECK)
  message(FATAL_ERROR "shaders/prebuilt: no row of the tables has ${present}: remove it")
endif()
