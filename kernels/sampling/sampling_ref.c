/* SPDX-License-Identifier: Apache-2.0 */
/* References of the sampling family. */
#include "kernels/reference.h"

const tgk_reference tgk_sampling_references[] = {{.kernel = NULL}};
