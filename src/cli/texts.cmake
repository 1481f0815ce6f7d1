# cmake -DCOMMAND=vkclip -DMANUAL=vkclip.1.in -DOUTPUT=folder -P texts.cmake: what the command says about
# itself, as files for the shells and for man. Fails if the command does.
cmake_minimum_required(VERSION 3.22)
foreach(shell bash zsh fish)
  execute_process(COMMAND ${COMMAND} completion ${shell} OUTPUT_FILE ${OUTPUT}/completion.${shell}
                  COMMAND_ERROR_IS_FATAL ANY)
endforeach()
execute_process(COMMAND ${COMMAND} help --man-synopsis OUTPUT_VARIABLE SYNOPSIS COMMAND_ERROR_IS_FATAL ANY)
execute_process(COMMAND ${COMMAND} help --man-options OUTPUT_VARIABLE OPTIONS COMMAND_ERROR_IS_FATAL ANY)
configure_file(${MANUAL} ${OUTPUT}/vkclip.1 @ONLY)
# Objects of JSON are words without a space. They may be broken after a comma, where the page is narrower.
file(READ ${OUTPUT}/vkclip.1 page)
string(REGEX REPLACE ",([\"{])" ",\\\\:\\1" page "${page}")
file(WRITE ${OUTPUT}/vkclip.1 "${page}")
