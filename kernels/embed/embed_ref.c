/* SPDX-License-Identifier: Apache-2.0 */
/* References of the embed family. */
#include "kernels/reference.h"

const tgk_reference tgk_embed_references[] = {{.kernel = NULL}};
