/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libtegula-kernels: the host side of the stock kernels, for engines. Work that is not a kernel by
 * nature (split schedules, expert placement, expert slots) is plain C here: no global state, memory
 * only from the caller, every function thread-safe on distinct objects. The kernels themselves are
 * packages that libtegula-rt loads.
 */
#ifndef TEGULA_KERNELS_H
#define TEGULA_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#if defined(_WIN32)
#define TGH_API
#else
#define TGH_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* MAJOR * 1000 + MINOR of this library's interface. */
#define TGH_VERSION 1
TGH_API uint32_t tgh_version(void);

#ifdef __cplusplus
}
#endif
#endif
