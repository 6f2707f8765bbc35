# SPDX-License-Identifier: Apache-2.0
add_library(tg_machine STATIC ${CMAKE_CURRENT_LIST_DIR}/machine.c ${CMAKE_CURRENT_LIST_DIR}/cost.c)
target_link_libraries(tg_machine PUBLIC tg_ir)
