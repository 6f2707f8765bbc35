# SPDX-License-Identifier: Apache-2.0
# What C++ lacks of OpenCL C, printed in front of the kernels: C++ files of their own.
foreach(dialect cuda hip)
  set(prelude ${CMAKE_CURRENT_LIST_DIR}/prelude/${dialect}.h)
  add_custom_command(
    OUTPUT ${CMAKE_CURRENT_BINARY_DIR}/prelude_${dialect}.c
    COMMAND ${CMAKE_COMMAND} -DOUT=${CMAKE_CURRENT_BINARY_DIR}/prelude_${dialect}.c -DFILES=${prelude} -DHEADER=backends/simt_c/emit.h
            "-DGIVES=const char *tg_c_${dialect}_prelude(void) { return text$<SEMICOLON> }" -P ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    DEPENDS ${prelude} ${PROJECT_SOURCE_DIR}/cmake/embed.cmake
    VERBATIM)
endforeach()
add_library(tg_simt_c STATIC
  simt_c/cast.c
  simt_c/control.c
  simt_c/cuda.c
  simt_c/dialect.c
  simt_c/emit.c
  simt_c/expr.c
  simt_c/hip.c
  simt_c/memory.c
  simt_c/range.c
  ${CMAKE_CURRENT_BINARY_DIR}/prelude_cuda.c
  ${CMAKE_CURRENT_BINARY_DIR}/prelude_hip.c)
target_link_libraries(tg_simt_c PUBLIC tg_machine tg_ir)
