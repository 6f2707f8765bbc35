# SPDX-License-Identifier: Apache-2.0
set(expand_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_expand STATIC
  ${expand_room}/apply.c ${expand_room}/below.c ${expand_room}/convert.c ${expand_room}/legalise.c
  ${expand_room}/math.c ${expand_room}/rem.c ${expand_room}/trig.c)
target_link_libraries(tg_expand PUBLIC tg_ir tg_machine)
