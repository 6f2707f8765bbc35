# SPDX-License-Identifier: Apache-2.0
find_program(LLVM_CONFIG NAMES llvm-config-19 REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --includedir OUTPUT_VARIABLE LLVM_INCLUDE_DIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
execute_process(COMMAND ${LLVM_CONFIG} --libdir OUTPUT_VARIABLE LLVM_LIB_DIR
                OUTPUT_STRIP_TRAILING_WHITESPACE)
find_library(LLVM_LIBRARY NAMES LLVM-19 HINTS ${LLVM_LIB_DIR} REQUIRED)
find_package(Threads REQUIRED)
# LLVM's own archives, linked into the targets whose property TEGULA_LLVM_STATIC says so (the command and the shared
# library): loading and relocating libLLVM.so costs every process 25 ms. Tests link it, which takes less time to do.
# A sanitized build has one LLVM for everything.
set(LLVM_PARTS x86 aarch64 riscv nvptx amdgpu irreader passes)
execute_process(COMMAND ${LLVM_CONFIG} --link-static --libs ${LLVM_PARTS} RESULT_VARIABLE llvm_no_archives
                OUTPUT_VARIABLE llvm_archives OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
execute_process(COMMAND ${LLVM_CONFIG} --link-static --system-libs ${LLVM_PARTS}
                OUTPUT_VARIABLE llvm_system OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
if(NOT llvm_no_archives AND NOT TEGULA_SANITIZE)
  include(CheckCSourceCompiles)
  separate_arguments(llvm_archives)
  separate_arguments(llvm_system)
  set(llvm_linked -L${LLVM_LIB_DIR} ${llvm_archives} -Wl,--push-state,--as-needed ${llvm_system} -lstdc++ -Wl,--pop-state)
  set(CMAKE_REQUIRED_LIBRARIES ${llvm_linked})
  check_c_source_compiles("void LLVMShutdown(void); int main(void) { LLVMShutdown(); }" TEGULA_LLVM_ARCHIVES_LINK)
  unset(CMAKE_REQUIRED_LIBRARIES)
endif()
add_library(tg_llvm_archives INTERFACE)
if(TEGULA_LLVM_ARCHIVES_LINK)
  target_link_libraries(tg_llvm_archives INTERFACE ${llvm_linked})
endif()
add_library(tg_llvm_library INTERFACE)
target_link_libraries(tg_llvm_library INTERFACE ${LLVM_LIBRARY})
set(llvm_is_static $<BOOL:$<TARGET_PROPERTY:TEGULA_LLVM_STATIC>>)

set(llvm_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_llvm STATIC
  ${llvm_room}/emit.c ${llvm_room}/guard.c ${llvm_room}/control.c ${llvm_room}/share.c ${llvm_room}/arith.c ${llvm_room}/magnitude.c
  ${llvm_room}/instructions.c ${llvm_room}/memory.c ${llvm_room}/debug.c ${llvm_room}/simt.c ${llvm_room}/matrix.c ${llvm_room}/products.c ${llvm_room}/meet.c
  ${llvm_room}/bulk.c ${llvm_room}/amdgpu.c ${llvm_room}/amd_matrix.c)
target_include_directories(tg_llvm SYSTEM PRIVATE ${LLVM_INCLUDE_DIR})
target_link_libraries(tg_llvm PUBLIC tg_ir tg_machine Threads::Threads
                      $<IF:${llvm_is_static},tg_llvm_archives,tg_llvm_library>)
# The command and the shared library call this; without the archives it changes nothing.
function(tegula_link_llvm_archives target)
  get_target_property(archives tg_llvm_archives INTERFACE_LINK_LIBRARIES)
  if(archives)
    set_target_properties(${target} PROPERTIES TEGULA_LLVM_STATIC ON)
    get_target_property(type ${target} TYPE)
    # Code at fixed addresses needs no relocation: 4 ms instead of 10 from the start of the process to main.
    if(type STREQUAL EXECUTABLE)
      target_link_options(${target} PRIVATE -no-pie)
    endif()
  endif()
endfunction()
