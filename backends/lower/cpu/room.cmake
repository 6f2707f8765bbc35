# SPDX-License-Identifier: Apache-2.0
set(cpu_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_lower_cpu STATIC
  ${cpu_room}/lower.c ${cpu_room}/plan.c ${cpu_room}/bounds.c ${cpu_room}/proofs.c ${cpu_room}/elem.c ${cpu_room}/addr.c
  ${cpu_room}/ahead.c
  ${cpu_room}/nest.c ${cpu_room}/nest_join.c ${cpu_room}/nest_reduce.c ${cpu_room}/nest_turn.c
  ${cpu_room}/layout.c ${cpu_room}/dot_call.c ${cpu_room}/dot_loop.c ${cpu_room}/select.c ${cpu_room}/sort.c ${cpu_room}/count.c
  ${cpu_room}/dot.c ${cpu_room}/dot_parts.c ${cpu_room}/dot_packed.c ${cpu_room}/dot_skinny.c
  ${cpu_room}/dot_quads.c ${cpu_room}/dot_codes.c ${cpu_room}/dot_bf16.c ${cpu_room}/dot_bytes.c ${cpu_room}/dot_codes_call.c ${cpu_room}/int_range.c ${cpu_room}/code_table.c)
target_link_libraries(tg_lower_cpu PUBLIC tg_ir tg_machine tg_expand)
