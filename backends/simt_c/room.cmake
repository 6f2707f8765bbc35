# SPDX-License-Identifier: Apache-2.0
add_library(tg_simt_c STATIC
  simt_c/cast.c
  simt_c/control.c
  simt_c/dialect.c
  simt_c/emit.c
  simt_c/expr.c
  simt_c/hip.c
  simt_c/memory.c
  simt_c/range.c)
target_link_libraries(tg_simt_c PUBLIC tg_machine tg_ir)
