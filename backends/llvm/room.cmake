# SPDX-License-Identifier: Apache-2.0
find_program(LLVM_CONFIG NAMES llvm-config-19 REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --includedir OUTPUT_VARIABLE LLVM_INCLUDE_DIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LLVM_CONFIG} --libdir OUTPUT_VARIABLE LLVM_LIB_DIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
find_library(LLVM_LIBRARY NAMES LLVM-19 HINTS ${LLVM_LIB_DIR} REQUIRED)
find_package(Threads REQUIRED)
set(llvm_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_llvm STATIC
  ${llvm_room}/emit.c ${llvm_room}/guard.c ${llvm_room}/control.c ${llvm_room}/arith.c
  ${llvm_room}/memory.c ${llvm_room}/debug.c ${llvm_room}/simt.c)
target_include_directories(tg_llvm SYSTEM PRIVATE ${LLVM_INCLUDE_DIR})
target_link_libraries(tg_llvm PUBLIC tg_ir tg_machine ${LLVM_LIBRARY} Threads::Threads)
