/* SPDX-License-Identifier: Apache-2.0 */
/* References of the sparse family. */
#include "kernels/reference.h"

const tgk_reference tgk_sparse_references[] = {{.kernel = NULL}};
