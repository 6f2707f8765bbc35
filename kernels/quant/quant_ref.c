/* SPDX-License-Identifier: Apache-2.0 */
/* References of the quant family. */
#include "kernels/reference.h"

const tgk_reference tgk_quant_references[] = {{.kernel = NULL}};
