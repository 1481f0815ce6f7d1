# Finds node and node_api.h: the target NodeApi::NodeApi and NODE_PROGRAM. The header is beside node, where it comes from
# Node's project or from Debian's nodejs with libnode-dev, or else in npm's package node-api-headers.
find_program(NODE_PROGRAM NAMES node nodejs)
set(node_folder)
if(NODE_PROGRAM)
  execute_process(COMMAND ${NODE_PROGRAM} -p "require('path').dirname(process.execPath)"
                  OUTPUT_VARIABLE node_folder OUTPUT_STRIP_TRAILING_WHITESPACE)
  execute_process(COMMAND ${NODE_PROGRAM} -p "process.platform + '-' + process.arch"
                  OUTPUT_VARIABLE NodeApi_PLATFORM OUTPUT_STRIP_TRAILING_WHITESPACE)
endif()
find_path(NODE_API_INCLUDE node_api.h HINTS ${node_folder}/../include/node ${node_folder}/include/node
          PATHS ${CMAKE_CURRENT_LIST_DIR}/node_modules/node-api-headers/include PATH_SUFFIXES node)
mark_as_advanced(NODE_PROGRAM NODE_API_INCLUDE)
include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(NodeApi REQUIRED_VARS NODE_PROGRAM NODE_API_INCLUDE)
if(NodeApi_FOUND AND NOT TARGET NodeApi::NodeApi)
  add_library(NodeApi::NodeApi INTERFACE IMPORTED)
  set_target_properties(NodeApi::NodeApi PROPERTIES INTERFACE_INCLUDE_DIRECTORIES ${NODE_API_INCLUDE})
endif()
