# SPDX-License-Identifier: Apache-2.0
# Needs no header and no library of NVIDIA's to build.
list(APPEND RUNTIME_SOURCES
  drivers/cuda/cuda.c drivers/cuda/library.c drivers/cuda/lane.c drivers/cuda/memory.c
  drivers/cuda/image.c drivers/cuda/graph.c drivers/cuda/launch.c drivers/cuda/tensor.c)
list(APPEND RUNTIME_DRIVERS TEGULA_HAVE_CUDA=1)
