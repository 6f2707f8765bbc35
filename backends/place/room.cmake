# SPDX-License-Identifier: Apache-2.0
set(place_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_place STATIC
  ${place_room}/place.c ${place_room}/clone.c ${place_room}/buffer.c ${place_room}/walk.c
  ${place_room}/branch.c ${place_room}/chunk.c ${place_room}/split.c ${place_room}/matrix.c ${place_room}/stage.c ${place_room}/stage_team.c ${place_room}/classes.c ${place_room}/rewrite.c ${place_room}/positions.c ${place_room}/registers.c ${place_room}/whole.c ${place_room}/banks.c ${place_room}/swizzle.c
  ${place_room}/roles.c ${place_room}/roles_gain.c ${place_room}/roles_rows.c ${place_room}/bulk.c ${place_room}/prefetch.c ${place_room}/capacity.c ${place_room}/sync.c)
target_link_libraries(tg_place PUBLIC tg_ir tg_machine)
