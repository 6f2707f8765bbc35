/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels built directly as tile IR, as the front end would: spans over the grid, prefix masks kept
 * beside values. For tests against the interpreter and for timing.
 */
#ifndef TG_TEST_CPU_KERNELS_H
#define TG_TEST_CPU_KERNELS_H

#include "ir/build.h"

/* z = x + y; [N]; by n */
tg_func *kernel_add(tg_module *m, int64_t bn);
/* y[M, N] = silu(g) * u; blocks bm x bn */
tg_func *kernel_silu_mul(tg_module *m, int64_t bm, int64_t bn);
/* res += x; y = norm(res) * w; rows of d (static), by bm rows; dtype t */
tg_func *kernel_rmsnorm(tg_module *m, tg_dtype t, int64_t bm, int64_t d);
/* y = softmax(x) along rows of d */
tg_func *kernel_softmax(tg_module *m, int64_t bm, int64_t d);
/* y = x * sum(x) * w along rows of any length, in two passes of bd columns */
tg_func *kernel_two_pass(tg_module *m, tg_dtype t, int64_t bd);
/* c[M, N] = a[M, K] b[K, N], or b[N, K] transposed; turned: computed as (b^T a^T)^T */
tg_func *kernel_matmul(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t bk,
                       bool transposed);
tg_func *kernel_matmul_turned(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t bk,
                              bool transposed);
/* o[H, S, D] = causal attention of q, k, v [H, S, D] */
tg_func *kernel_attention(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t d, bool causal);
/* y[N, M] = x[M, N] */
tg_func *kernel_transpose(tg_module *m, tg_dtype t, int64_t bm, int64_t bn);
/* x[T, H, D] rotated by cos/sin [T, D/2] */
tg_func *kernel_rope(tg_module *m, int64_t bt, int64_t h, int64_t d);
/* y[j, :] = table[index[j], :] */
tg_func *kernel_gather(tg_module *m, tg_dtype t, int64_t bj, int64_t d);

#endif
