/* SPDX-License-Identifier: Apache-2.0 */
/* References of the nsa family. */
#include "kernels/reference.h"

const tgk_reference tgk_nsa_references[] = {{.kernel = NULL}};
