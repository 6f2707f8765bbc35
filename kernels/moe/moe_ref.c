/* SPDX-License-Identifier: Apache-2.0 */
/* References of the moe family. */
#include "kernels/reference.h"

const tgk_reference tgk_moe_references[] = {{.kernel = NULL}};
