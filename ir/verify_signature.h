/* SPDX-License-Identifier: Apache-2.0 */
/* Rules of kernels' signatures and host ops; see verify_signature.c. */
#ifndef TG_VERIFY_SIGNATURE_H
#define TG_VERIFY_SIGNATURE_H

#include "ir/verify.h"

/* Greatest element count of a tile. */
#define TG_TILE_MAX_ELEMS ((int64_t)1 << 31)

bool tg_verify_tensor_type(tg_verifier *v, const tg_type *t);
/* Parameters, dimension names, requirements and the arguments of the regions. */
bool tg_verify_signature(tg_verifier *v);
/* What the function's regions yield; runs after their ops were found right. */
bool tg_verify_yields(tg_verifier *v);
bool tg_verify_hostop(tg_module *m, const tg_hostop *h, tg_sink *sink);

#endif
