# SPDX-License-Identifier: Apache-2.0
set(expand_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_expand STATIC
  ${expand_room}/expand.c ${expand_room}/expand_convert.c ${expand_room}/expand_math.c
  ${expand_room}/expand_trig.c ${expand_room}/expand_rem.c)
target_link_libraries(tg_expand PUBLIC tg_ir tg_machine)
