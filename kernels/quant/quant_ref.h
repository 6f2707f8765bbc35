/* SPDX-License-Identifier: Apache-2.0 */
/* The references of the quantising family that stand in files of their own. */
#ifndef TG_KERNELS_QUANT_REF_H
#define TG_KERNELS_QUANT_REF_H

#include "kernels/reference.h"

/* Values to quantise: see quant_ref.c. */
void tgq_fill(tgk_arg *x, tgk_random *r);

bool tgq_nvfp4(tgk_arg *a, int n);
bool tgq_nvfp4_tensor(tgk_arg *a, int n);
bool tgq_nvfp4_amax(tgk_arg *a, int n);
bool tgq_nvfp4_global(tgk_arg *a, int n);
bool tgq_back_nvfp4(tgk_arg *a, int n);
bool tgq_e5m6(tgk_arg *a, int n);
bool tgq_back_e5m6(tgk_arg *a, int n);
void tgq_inputs_tensor(tgk_arg *a, int n, tgk_random *r);
void tgq_inputs_back_nvfp4(tgk_arg *a, int n, tgk_random *r);
void tgq_inputs_back_e5m6(tgk_arg *a, int n, tgk_random *r);

bool tgq_pack_columns(tgk_arg *a, int n);
bool tgq_pack_words(tgk_arg *a, int n);
bool tgq_pack_utccp(tgk_arg *a, int n);
bool tgq_swizzle_128x4(tgk_arg *a, int n);
bool tgq_swizzle_8x4(tgk_arg *a, int n);
bool tgq_to_ggml(tgk_arg *a, int n);
bool tgq_from_ggml(tgk_arg *a, int n);
void tgq_inputs_pow2(tgk_arg *a, int n, tgk_random *r);
void tgq_inputs_to_ggml(tgk_arg *a, int n, tgk_random *r);
void tgq_inputs_from_ggml(tgk_arg *a, int n, tgk_random *r);

#endif
