# SPDX-License-Identifier: Apache-2.0
add_library(tg_blob STATIC ${CMAKE_CURRENT_LIST_DIR}/blob.c ${CMAKE_CURRENT_LIST_DIR}/blob_reloc.c
  ${CMAKE_CURRENT_LIST_DIR}/hsaco.c)
target_link_libraries(tg_blob PUBLIC tg_ir)
