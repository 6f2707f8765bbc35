/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the references of the matrix products share: a product is a sum over k of two elements, each
 * said by a function that dequantises as the format's description says. The terms' magnitudes are
 * summed beside them and bound what the kernel's own f32 arithmetic may move a result.
 */
#ifndef TG_KERNELS_GEMM_REF_H
#define TG_KERNELS_GEMM_REF_H

#include "kernels/reference.h"

/* A number and the sum of the magnitudes it was made from. */
typedef struct tgk_term {
    double value, size;
} tgk_term;

/* Element (row, k) of an operand; of its group, where it has groups. */
typedef tgk_term tgk_element(const tgk_arg *args, int64_t group, int64_t row, int64_t k);
/* What becomes of the sum for element (row, col). */
typedef tgk_term tgk_finish(const tgk_arg *args, tgk_term sum, int64_t row, int64_t col);

typedef struct tgk_product {
    tgk_element *a, *b;
    int64_t a_group, b_group;
    int64_t first, last; /* of k */
    int64_t cols;
    tgk_finish *finish; /* NULL: as it is */
} tgk_product;

/* Gives `out` its slack, all 0. */
bool tgk_product_open(tgk_arg *out);
/* Row `row` of a against all rows of b, into row `to` of out. */
void tgk_product_row(const tgk_arg *args, const tgk_product *p, int64_t row, tgk_arg *out,
                     int64_t to);
/* All rows of a plain product whose last argument is the output. */
bool tgk_product_all(tgk_arg *args, int n, int64_t rows, const tgk_product *p);

/* Element (row, k) of a matrix, or of matrix `group` of a stack; 1 / block of it for scales. */
double tgk_at(const tgk_arg *m, int64_t group, int64_t row, int64_t k);
tgk_term tgk_exact(double value);
/* Elements of arguments 0 and 1: activations [M, K]. */
tgk_element tgk_plain_a, tgk_plain_b;

/* Operands of blocks_ref.c by the names of their scales; arguments (a, sa, b, sb, ...). */
tgk_element tgk_fp8_a, tgk_fp8_b, tgk_mx_b;

/*
 * Inputs by an argument's name and type: codes over their whole range, scales (named s..) and
 * global scales (g..) with magnitudes 2^U(-6,6), so that a neighbour's scale shows (moe.md section
 * 14.3); small exact numbers for the exact mode.
 */
void tgk_gemm_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_default_inputs(tgk_arg *args, int n, tgk_random *r); /* as the tool filled them */
void tgk_quantise_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_ggml_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_contiguous_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_psum_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_masked_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_terms_inputs(tgk_arg *args, int n, tgk_random *r);
void tgk_slots_inputs(tgk_arg *args, int n, tgk_random *r);

bool tgk_ref_quantise_q8_0(tgk_arg *args, int n); /* judged by steps of a code */

#define TGK_ROW(kernel, inputs, out, bound) bool tgk_ref_##kernel(tgk_arg *args, int n);
#include "kernels/gemm/gemm_rows.def"
#undef TGK_ROW
#endif
