# SPDX-License-Identifier: Apache-2.0
set(simt_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_lower_simt STATIC
  ${simt_room}/lower.c ${simt_room}/control.c ${simt_room}/pos.c ${simt_room}/nest.c
  ${simt_room}/eval.c ${simt_room}/tensor.c ${simt_room}/bulk.c ${simt_room}/buffer.c
  ${simt_room}/roles.c ${simt_room}/reduce.c ${simt_room}/shuffle.c ${simt_room}/dot.c ${simt_room}/matrix.c ${simt_room}/matrix_memory.c ${simt_room}/matrix_group.c ${simt_room}/late.c ${simt_room}/ring.c ${simt_room}/bounds.c ${simt_room}/swizzle.c ${simt_room}/team.c ${simt_room}/team_scan.c
  ${simt_room}/team_bins.c ${simt_room}/team_order.c)
target_link_libraries(tg_lower_simt PUBLIC tg_ir tg_machine tg_expand)
