/* SPDX-License-Identifier: Apache-2.0 */
/* The version of the host library: see tegula/kernels.h. */
#include <tegula/kernels.h>

uint32_t tgh_version(void) { return TGH_VERSION; }
