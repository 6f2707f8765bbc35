/* SPDX-License-Identifier: Apache-2.0 */
/* References of the mhc family. */
#include "kernels/reference.h"

const tgk_reference tgk_mhc_references[] = {{.kernel = NULL}};
