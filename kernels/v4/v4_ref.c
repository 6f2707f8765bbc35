/* SPDX-License-Identifier: Apache-2.0 */
/* References of the v4 family. */
#include "kernels/reference.h"

const tgk_reference tgk_v4_references[] = {{.kernel = NULL}};
