# SPDX-License-Identifier: Apache-2.0
list(APPEND RUNTIME_SOURCES drivers/sim/sim.c)
list(APPEND RUNTIME_DRIVERS TEGULA_HAVE_SIM=1)
