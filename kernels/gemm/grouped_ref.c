/* SPDX-License-Identifier: Apache-2.0 */
/*
 * References: grouped products (moe.md section 3), contiguous, psum, masked and k-grouped, in the
 * element types of gemm_ref.h, and products with the slots of an expert bank. Their inputs: groups
 * of 0 to 40 rows with an empty one, none at all when the rows fit one alignment, NaN in padding
 * rows and in the weights of groups without rows.
 */
#include "kernels/gemm/gemm_ref.h"

#include <math.h>

static int64_t alignment(const tgk_arg *args) { return tgk_constant_of(args, "ALIGN", 128); }
static int64_t round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/* A kernel's operands: how many arguments stand before its rows' layout, and where b is. */
typedef struct operands {
    tgk_element *a, *b;
    int b_at, layout_at;
} operands;

static const operands plain = {tgk_plain_a, tgk_plain_b, 1, 2}, fp8 = {tgk_fp8_a, tgk_fp8_b, 2, 4},
                      fp8_fp4 = {tgk_fp8_a, tgk_mx_b, 2, 4};

static tgk_product product_of(const tgk_arg *args, const operands *o) {
    return (tgk_product){.a = o->a,
                         .b = o->b,
                         .last = args[0].extent[args[0].rank - 1],
                         .cols = args[o->b_at].extent[1]};
}

static void zero_row(tgk_arg *out, int64_t row) {
    int64_t cols = out->extent[out->rank - 1];
    for (int64_t j = 0; j < cols; j++) {
        out->f[row * cols + j] = 0;
    }
}

/* layout: i32[M], the group of each row, -1 on padding, whose rows of d are 0 */
static bool contiguous(tgk_arg *args, int n, const operands *o) {
    tgk_product p = product_of(args, o);
    tgk_arg *out = &args[n - 1];
    if (n != o->layout_at + 2 || !tgk_product_open(out)) {
        return false;
    }
    for (int64_t i = 0; i < out->extent[0]; i++) {
        p.b_group = args[o->layout_at].i[i];
        if (p.b_group < 0) {
            zero_row(out, i);
        } else {
            tgk_product_row(args, &p, i, out, i);
        }
    }
    return true;
}

/* last: i32[G], the ends of the groups; each starts at the aligned end of the one before */
static bool psum(tgk_arg *args, int n, const operands *o) {
    tgk_product p = product_of(args, o);
    tgk_arg *out = &args[n - 1], *last = &args[o->layout_at];
    if (n != o->layout_at + 2 || !tgk_product_open(out)) {
        return false;
    }
    for (int64_t i = 0; i < out->extent[0]; i++) {
        zero_row(out, i);
    }
    for (int64_t g = 0, start = 0; g < last->count; g++) {
        p.b_group = g;
        for (int64_t i = start; i < last->i[g]; i++) {
            tgk_product_row(args, &p, i, out, i);
        }
        start = round_up(last->i[g], alignment(args));
    }
    return true;
}

/* rows: i32[G], how many rows of a[g] are there; the others of d stay */
static bool masked(tgk_arg *args, int n, const operands *o) {
    tgk_product p = product_of(args, o);
    tgk_arg *out = &args[n - 1];
    if (n != o->layout_at + 2 || !tgk_product_open(out)) {
        return false;
    }
    for (int64_t g = 0; g < out->extent[0]; g++) {
        p.a_group = p.b_group = g;
        for (int64_t i = 0; i < args[o->layout_at].i[g]; i++) {
            tgk_product_row(args, &p, i, out, g * out->extent[1] + i);
        }
    }
    return true;
}

bool tgk_ref_grouped_linear(tgk_arg *args, int n) { return contiguous(args, n, &plain); }
bool tgk_ref_grouped_linear_psum(tgk_arg *args, int n) { return psum(args, n, &plain); }
bool tgk_ref_grouped_linear_masked(tgk_arg *args, int n) { return masked(args, n, &plain); }
bool tgk_ref_grouped_fp8(tgk_arg *args, int n) { return contiguous(args, n, &fp8); }
bool tgk_ref_grouped_fp8_psum(tgk_arg *args, int n) { return psum(args, n, &fp8); }
bool tgk_ref_grouped_fp8_masked(tgk_arg *args, int n) { return masked(args, n, &fp8); }
bool tgk_ref_grouped_fp8_fp4(tgk_arg *args, int n) { return contiguous(args, n, &fp8_fp4); }
bool tgk_ref_grouped_fp8_fp4_psum(tgk_arg *args, int n) { return psum(args, n, &fp8_fp4); }
bool tgk_ref_grouped_fp8_fp4_masked(tgk_arg *args, int n) { return masked(args, n, &fp8_fp4); }

/* ---- k-grouped --------------------------------------------------------------------------------
 */

/* Terms are rows here: element (row, k) of the transposed operand. */
static tgk_term columns_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[0], group, k, row));
}
static tgk_term columns_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[1], group, k, row));
}
static tgk_term scaled_columns(const tgk_arg *x, const tgk_arg *s, int64_t row, int64_t k,
                               int64_t each) {
    return tgk_exact(tgk_at(x, 0, k, row) * tgk_at(s, 0, k / each, row));
}
static tgk_term columns_fp8_a(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return scaled_columns(&args[0], &args[1], row, k, tgk_constant_of(args, "B", 128));
}
static tgk_term columns_fp8_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    (void)group;
    return scaled_columns(&args[2], &args[3], row, k, tgk_constant_of(args, "B", 128));
}

/* d[g] += a_g^T b_g; the addition to what d holds is one more rounding of both. */
static bool terms(tgk_arg *args, int n, tgk_element *a, tgk_element *b, int b_at) {
    tgk_arg *out = &args[n - 1], *ks = &args[n - 2];
    int64_t rows = out->extent[1], cols = out->extent[2];
    tgk_product p = {.a = a, .b = b, .cols = args[b_at].extent[1]};
    if (!tgk_product_open(out)) {
        return false;
    }
    for (int64_t g = 0; g < ks->count; g++) {
        p.last = p.first + ks->i[g];
        for (int64_t i = 0; i < rows; i++) {
            double held[512];
            double *d = out->f + (g * rows + i) * cols;
            for (int64_t j = 0; j < cols && j < 512; j++) {
                held[j] = d[j];
            }
            tgk_product_row(args, &p, i, out, g * rows + i);
            for (int64_t j = 0; j < cols && j < 512; j++) {
                d[j] += held[j];
                out->slack[(g * rows + i) * cols + j] +=
                    (double)(ks->i[g] + 8) * 0x1p-24 * fabs(held[j]);
            }
        }
        p.first = p.last;
    }
    return cols <= 512;
}

bool tgk_ref_kgrouped(tgk_arg *args, int n) {
    return n == 4 && terms(args, n, columns_a, columns_b, 1);
}
bool tgk_ref_kgrouped_fp8(tgk_arg *args, int n) {
    return n == 6 && terms(args, n, columns_fp8_a, columns_fp8_b, 2);
}

/* ---- slots ------------------------------------------------------------------------------------
 */

/* slot_linear_mxfp4(x: [R, K], slot: i32[R], w: e2m1 [S, N, K], s: e8m0 [S, N, K/32], out y) */
static tgk_term slot_b(const tgk_arg *args, int64_t group, int64_t row, int64_t k) {
    return tgk_exact(tgk_at(&args[2], group, row, k) * tgk_at(&args[3], group, row, k / 32));
}

bool tgk_ref_slot_linear_mxfp4(tgk_arg *args, int n) {
    tgk_arg *out = &args[n - 1];
    tgk_product p = {
        .a = tgk_plain_a, .b = slot_b, .last = args[0].extent[1], .cols = args[2].extent[1]};
    if (n != 5 || !tgk_product_open(out)) {
        return false;
    }
    for (int64_t i = 0; i < out->extent[0]; i++) {
        p.b_group = args[1].i[i];
        if (p.b_group < 0 || p.b_group >= args[2].extent[0]) {
            zero_row(out, i);
        } else {
            tgk_product_row(args, &p, i, out, i);
        }
    }
    return true;
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

/* NaN in what no result may depend on: rows [first, last) of a stack's matrix. */
static void poison(tgk_arg *m, int64_t group, int64_t first, int64_t last, const tgk_random *r) {
    int64_t rows = m->extent[m->rank - 2], cols = m->extent[m->rank - 1];
    for (int64_t i = first * cols; i < last * cols && i < rows * cols && !r->exact; i++) {
        m->f[(m->rank == 3 ? group * rows * cols : 0) + i] = NAN;
    }
}

/* Rows of a group: 0 to 40, the second empty. */
static int64_t rows_of(int64_t g, int64_t room, tgk_random *r) {
    int64_t m = g == 1 ? 0 : tgk_random_below(r, 41);
    return m < room ? m : room;
}

static void poison_group(tgk_arg *args, int layout_at, int64_t g, const tgk_random *r) {
    for (int b = layout_at / 2; b < layout_at; b++) {
        poison(&args[b], g, 0, args[b].extent[1], r);
    }
}

/* A row of padding with rows of its group on both sides. */
static void pad_inside(tgk_arg *args, int layout_at, int64_t i, const tgk_random *r) {
    args[layout_at].i[i] = -1;
    for (int a = 0; a < layout_at / 2; a++) {
        poison(&args[a], 0, i, i + 1, r);
    }
}

/* Walks the groups: how many rows each has, and where it starts. */
static void inputs_rows(tgk_arg *args, int n, tgk_random *r, bool ends) {
    tgk_gemm_inputs(args, n, r);
    int at = n - 2;
    int64_t align = alignment(args), rows = args[0].extent[0], groups = args[at / 2].extent[0];
    tgk_arg *layout = &args[at];
    int64_t start = 0;
    for (int64_t i = 0; i < layout->count; i++) {
        layout->i[i] = ends ? 0 : -1;
    }
    for (int64_t g = 0; g < groups; g++) {
        int64_t share = rows / groups / align * align;
        int64_t m = r->full ? share : rows <= align ? 0 : rows_of(g, rows - start, r);
        for (int64_t i = start; i < start + m && !ends; i++) {
            layout->i[i] = g;
        }
        if (ends) {
            layout->i[g] = start + m;
        } else if (m >= 3 && !r->full) {
            pad_inside(args, at, start + m / 2, r);
        }
        int64_t next = round_up(start + m, align);
        for (int a = 0; a < at / 2; a++) {
            poison(&args[a], 0, start + m, next, r);
        }
        if (m == 0) {
            poison_group(args, at, g, r);
        }
        start = next < rows ? next : rows;
    }
    for (int a = 0; a < at / 2; a++) {
        poison(&args[a], 0, start, rows, r);
    }
}

void tgk_contiguous_inputs(tgk_arg *args, int n, tgk_random *r) { inputs_rows(args, n, r, false); }
void tgk_psum_inputs(tgk_arg *args, int n, tgk_random *r) { inputs_rows(args, n, r, true); }

/* One group full, the second empty; of two groups both. */
void tgk_masked_inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_gemm_inputs(args, n, r);
    int at = n - 2;
    int64_t room = args[0].extent[1], groups = args[0].extent[0];
    for (int64_t g = 0; g < groups; g++) {
        int64_t m = g == 1 || groups == 2 ? 0 : g == 0 ? room : tgk_random_below(r, room + 1);
        m = r->full ? room : m;
        args[at].i[g] = m;
        for (int a = 0; a < at / 2; a++) {
            poison(&args[a], g, m, room, r);
        }
        if (m == 0) {
            poison_group(args, at, g, r);
        }
    }
}

/* Groups of whole blocks: the first empty, the others at random, one block behind the last unused
 * (NaN). */
void tgk_terms_inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_gemm_inputs(args, n, r);
    int64_t each = n == 6 ? tgk_constant_of(args, "B", 128) : 1;
    int64_t all = args[0].extent[0], left = all / each;
    tgk_arg *ks = &args[n - 2];
    left -= left > 2 && !r->full ? 1 : 0;
    int64_t used = left * each;
    for (int64_t g = 0; g < ks->count; g++) {
        int64_t take = g == ks->count - 1   ? left
                       : g == 0 && !r->full ? 0
                       : r->full            ? left / (ks->count - g)
                                            : tgk_random_below(r, left + 1);
        ks->i[g] = take * each;
        left -= take;
    }
    for (int a = 0; a < n - 2; a++) {
        int64_t unit = args[a].name[0] == 's' ? each : 1;
        poison(&args[a], 0, used / unit, args[a].extent[0], r);
    }
}

/* Slots 7 and 3 of two rows (moe.md section 14.6); of three 7, 7, 3; else any, with some outside.
 */
void tgk_slots_inputs(tgk_arg *args, int n, tgk_random *r) {
    tgk_gemm_inputs(args, n, r);
    tgk_arg *slot = &args[1];
    int64_t slots = args[2].extent[0];
    for (int64_t i = 0; i < slot->count; i++) {
        slot->i[i] = slot->count > 3       ? tgk_random_below(r, slots + 2) - 1
                     : i < slot->count - 1 ? 7
                                           : 3;
    }
}
