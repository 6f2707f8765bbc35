/* SPDX-License-Identifier: Apache-2.0 */
/* References of the routing family. */
#include "kernels/reference.h"

const tgk_reference tgk_routing_references[] = {{.kernel = NULL}};
