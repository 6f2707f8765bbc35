# SPDX-License-Identifier: Apache-2.0
# Adds the OpenCL driver to RUNTIME_SOURCES where the headers are found; libOpenCL is opened at run
# time.
find_path(TEGULA_OPENCL_INCLUDE CL/cl.h)
if(TEGULA_OPENCL_INCLUDE)
  list(APPEND RUNTIME_SOURCES
    drivers/opencl/image.c
    drivers/opencl/library.c
    drivers/opencl/memory.c
    drivers/opencl/opencl.c
    drivers/opencl/run.c)
  list(APPEND RUNTIME_DRIVERS TEGULA_HAVE_OPENCL=1)
  list(APPEND RUNTIME_DRIVER_INCLUDES ${TEGULA_OPENCL_INCLUDE})
endif()
