# SPDX-License-Identifier: Apache-2.0
set(quirks_room ${CMAKE_CURRENT_LIST_DIR})
add_library(tg_quirks STATIC ${quirks_room}/quirks.c ${quirks_room}/soft32.c ${quirks_room}/convert32.c ${quirks_room}/narrow.c)
target_link_libraries(tg_quirks PUBLIC tg_ir tg_machine tg_expand)
