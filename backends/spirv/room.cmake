# SPDX-License-Identifier: Apache-2.0
find_path(TEGULA_SPIRV_INCLUDE spirv/unified1/spirv.h REQUIRED)
set(spirv_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_spirv STATIC
  ${spirv_room}/emit.c ${spirv_room}/flavour.c ${spirv_room}/module.c ${spirv_room}/control.c ${spirv_room}/loops.c
  ${spirv_room}/arith.c ${spirv_room}/convert.c ${spirv_room}/memory.c ${spirv_room}/trap.c ${spirv_room}/lanes.c
  ${spirv_room}/array.c ${spirv_room}/atomic.c ${spirv_room}/fma.c ${spirv_room}/matrix.c)
target_include_directories(tg_spirv SYSTEM PRIVATE ${TEGULA_SPIRV_INCLUDE})
target_link_libraries(tg_spirv PUBLIC tg_ir tg_machine)
