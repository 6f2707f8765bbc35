/* SPDX-License-Identifier: Apache-2.0 */
/* References of the block_sparse family. */
#include "kernels/reference.h"

const tgk_reference tgk_block_sparse_references[] = {{.kernel = NULL}};
