# SPDX-License-Identifier: Apache-2.0
# Needs no header and no library of AMD's to build; the rest of it is drivers/cuda.
list(APPEND RUNTIME_SOURCES drivers/hip/library.c)
list(APPEND RUNTIME_DRIVERS TEGULA_HAVE_HIP=1)
