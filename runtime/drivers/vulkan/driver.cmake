# SPDX-License-Identifier: Apache-2.0
find_path(TEGULA_VULKAN_INCLUDE vulkan/vulkan_core.h)
option(TEGULA_VULKAN "Build the Vulkan driver (needs the Vulkan headers)" ON)
if(TEGULA_VULKAN AND TEGULA_VULKAN_INCLUDE)
  list(APPEND RUNTIME_SOURCES
    drivers/vulkan/vulkan.c drivers/vulkan/loader.c drivers/vulkan/device.c
    drivers/vulkan/memory.c drivers/vulkan/module.c drivers/vulkan/program.c drivers/vulkan/entry.c
    drivers/vulkan/launch.c)
  list(APPEND RUNTIME_DRIVERS TEGULA_HAVE_VULKAN=1)
  list(APPEND RUNTIME_DRIVER_INCLUDES ${TEGULA_VULKAN_INCLUDE})
elseif(TEGULA_VULKAN)
  message(STATUS "Vulkan headers not found: no Vulkan driver")
endif()
