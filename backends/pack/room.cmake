# SPDX-License-Identifier: Apache-2.0
find_path(TEGULA_XXHASH_INCLUDE xxhash.h REQUIRED)
find_path(TEGULA_ZSTD_INCLUDE zstd.h REQUIRED)
find_library(TEGULA_ZSTD_STATIC NAMES libzstd.a zstd REQUIRED)
add_library(tg_pack STATIC ${CMAKE_CURRENT_LIST_DIR}/package_sig.c ${CMAKE_CURRENT_LIST_DIR}/package_write.c
  ${CMAKE_CURRENT_LIST_DIR}/simt_grid.c ${CMAKE_CURRENT_LIST_DIR}/simt_image.c)
target_include_directories(tg_pack PRIVATE ${TEGULA_XXHASH_INCLUDE} ${TEGULA_ZSTD_INCLUDE})
target_link_libraries(tg_pack PUBLIC tg_blob tg_machine tg_ir PRIVATE ${TEGULA_ZSTD_STATIC})
