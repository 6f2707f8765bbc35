/* SPDX-License-Identifier: Apache-2.0 */
/* References of the parallel family. */
#include "kernels/reference.h"

const tgk_reference tgk_parallel_references[] = {{.kernel = NULL}};
