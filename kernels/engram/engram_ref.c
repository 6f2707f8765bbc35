/* SPDX-License-Identifier: Apache-2.0 */
/* References of the engram family. */
#include "kernels/reference.h"

const tgk_reference tgk_engram_references[] = {{.kernel = NULL}};
