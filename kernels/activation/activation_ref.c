/* SPDX-License-Identifier: Apache-2.0 */
/* References of the activation family. */
#include "kernels/reference.h"

const tgk_reference tgk_activation_references[] = {{.kernel = NULL}};
