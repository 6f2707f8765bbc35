/* SPDX-License-Identifier: Apache-2.0 */
/* References of the cache family. */
#include "kernels/reference.h"

const tgk_reference tgk_cache_references[] = {{.kernel = NULL}};
