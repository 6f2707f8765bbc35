/* SPDX-License-Identifier: Apache-2.0 */
/* See kernels.h. */
#include "tests/cpu/kernels.h"

#include <math.h>
#include <string.h>

typedef struct making {
    tg_module *m;
    tg_func *f;
    tg_builder b;
    int n_syms;
    tg_value *span[4];
    tg_value *zero;
} making;

#define SHAPE(...) ((const int64_t[]){__VA_ARGS__})

static making start(tg_module *m, const char *name, int n_syms, const char *const *syms) {
    making k = {.m = m, .n_syms = n_syms};
    k.f = tg_func_make(m, name, TG_LEVEL_TILE);
    k.f->syms = TG_NEW_ARRAY(m->arena, tg_sym, n_syms + 1);
    k.f->n_syms = n_syms;
    for (int i = 0; i < n_syms; i++) {
        k.f->syms[i].name = tg_intern(&m->strings, syms[i], strlen(syms[i]));
    }
    k.f->params = TG_NEW_ARRAY(m->arena, tg_param, 12);
    return k;
}

static const tg_dim *sym(const making *k, int i) { return tg_dim_sym(k->m, i); }
static const tg_dim *num(const making *k, int64_t v) { return tg_dim_const(k->m, v); }

static void param(making *k, const char *name, tg_dtype t, unsigned flags, int rank,
                  const tg_dim *a, const tg_dim *b, const tg_dim *c) {
    const tg_dim *dims[3] = {a, b, c};
    tg_param *p = &k->f->params[k->f->n_params++];
    p->name = tg_intern(&k->m->strings, name, strlen(name));
    p->flags = flags | TG_PARAM_TENSOR;
    p->type = tg_type_tensor(k->m, t, 0, rank, dims, false);
}

/* Regions with their arguments; the grid yields the given symbols. */
static void open_body(making *k, int n_grid, const tg_dim *const *extent, const int64_t *by) {
    tg_func *f = k->f;
    f->n_grid = n_grid;
    f->grid_by = TG_NEW_ARRAY(k->m->arena, int64_t, n_grid + 1);
    f->grid_names = TG_NEW_ARRAY(k->m->arena, const char *, n_grid + 1);
    f->grid = tg_region_make(f, NULL);
    f->body = tg_region_make(f, NULL);
    for (int i = 0; i < f->n_params; i++) {
        tg_region_add_arg(f->grid, f->params[i].type, f->params[i].name);
        tg_region_add_arg(f->body, f->params[i].type, f->params[i].name);
    }
    tg_builder g = tg_builder_at_end(f->grid);
    tg_value *extents[4];
    static const char *const names[] = {"i", "j", "l", "n"};
    for (int i = 0; i < n_grid; i++) {
        extents[i] = tg_build_dim_expr(&g, extent[i]);
        f->grid_by[i] = by[i];
        f->grid_names[i] = tg_intern(&k->m->strings, names[i], 1);
        tg_region_add_arg(f->body, tg_type_scalar(k->m, TG_DT_I64), names[i]);
    }
    tg_build_op(&g, TG_OP_YIELD, n_grid, extents, 0, NULL, 0);
    k->b = tg_builder_at_end(f->body);
    k->zero = tg_build_index(&k->b, 0);
    for (int i = 0; i < n_grid; i++) {
        tg_value *id = f->body->args[f->n_params + i];
        tg_value *lo =
            by[i] == 1 ? id : tg_build_binary(&k->b, TG_OP_MUL, id, tg_build_index(&k->b, by[i]));
        k->span[i] =
            by[i] == 1 ? lo : tg_build_span(&k->b, lo, tg_build_dim_expr(&k->b, extent[i]), by[i]);
    }
}

static tg_func *finish(making *k) {
    tg_build_op(&k->b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    return k->f;
}

static tg_value *arg(const making *k, int i) { return k->f->body->args[i]; }

static tg_value *all(making *k, int64_t n) {
    return tg_build_span(&k->b, k->zero, tg_build_index(&k->b, n), n);
}

static tg_value *f32c(making *k, double v) {
    return tg_build_float(&k->b, tg_type_scalar(k->m, TG_DT_F32), v);
}

static tg_value *splat(making *k, tg_value *s, const tg_type *like) {
    return tg_build_splat_tile(&k->b, s, like->rank, like->shape);
}

static tg_value *bin(making *k, tg_opcode c, tg_value *x, tg_value *y) {
    return tg_build_binary(&k->b, c, x, y);
}

/* [n] as a column or a row of [r, c] */
static tg_value *column(making *k, tg_value *x, int64_t r, int64_t c) {
    return tg_build_broadcast(&k->b, x, 2, SHAPE(r, c), SHAPE(0));
}
static tg_value *row(making *k, tg_value *x, int64_t r, int64_t c) {
    return tg_build_broadcast(&k->b, x, 2, SHAPE(r, c), SHAPE(1));
}

static tg_value *load2(making *k, tg_value *t, tg_value *i, tg_value *j, int64_t r, int64_t c) {
    tg_value *ix[2] = {i, j};
    return tg_build_load(&k->b, t, 2, ix, 2, SHAPE(r, c), 2, SHAPE(0, 1), NULL);
}

static void store2(making *k, tg_value *t, tg_value *v, tg_value *i, tg_value *j) {
    tg_value *ix[2] = {i, j};
    tg_build_store(&k->b, t, v, 2, ix, 2, SHAPE(0, 1), NULL);
}

tg_func *kernel_add(tg_module *m, int64_t bn) {
    static const char *const s[] = {"N"};
    making k = start(m, "add", 1, s);
    for (int i = 0; i < 3; i++) {
        param(&k,
              i == 0   ? "x"
              : i == 1 ? "y"
                       : "z",
              TG_DT_F32, i == 2 ? TG_PARAM_OUT : 0, 1, sym(&k, 0), NULL, NULL);
    }
    const tg_dim *e[] = {sym(&k, 0)};
    open_body(&k, 1, e, SHAPE(bn));
    tg_value *x = tg_build_load(&k.b, arg(&k, 0), 1, &k.span[0], 1, SHAPE(bn), 1, SHAPE(0), NULL);
    tg_value *y = tg_build_load(&k.b, arg(&k, 1), 1, &k.span[0], 1, SHAPE(bn), 1, SHAPE(0), NULL);
    tg_build_store(&k.b, arg(&k, 2), bin(&k, TG_OP_ADD, x, y), 1, &k.span[0], 1, SHAPE(0), NULL);
    return finish(&k);
}

tg_func *kernel_silu_mul(tg_module *m, int64_t bm, int64_t bn) {
    static const char *const s[] = {"M", "N"};
    making k = start(m, "silu_mul", 2, s);
    for (int i = 0; i < 3; i++) {
        param(&k,
              i == 0   ? "g"
              : i == 1 ? "u"
                       : "y",
              TG_DT_F32, i == 2 ? TG_PARAM_OUT : 0, 2, sym(&k, 0), sym(&k, 1), NULL);
    }
    const tg_dim *e[] = {sym(&k, 0), sym(&k, 1)};
    open_body(&k, 2, e, SHAPE(bm, bn));
    tg_value *g = load2(&k, arg(&k, 0), k.span[0], k.span[1], bm, bn);
    tg_value *u = load2(&k, arg(&k, 1), k.span[0], k.span[1], bm, bn);
    tg_value *y =
        bin(&k, TG_OP_MUL, bin(&k, TG_OP_MUL, g, tg_build_math(&k.b, TG_MATH_SIGMOID, g)), u);
    store2(&k, arg(&k, 2), y, k.span[0], k.span[1]);
    return finish(&k);
}

static tg_value *to_f32(making *k, tg_value *v) { return tg_build_cast(&k->b, v, TG_DT_F32); }

tg_func *kernel_rmsnorm(tg_module *m, tg_dtype t, int64_t bm, int64_t d) {
    static const char *const s[] = {"M"};
    making k = start(m, "rmsnorm", 1, s);
    param(&k, "x", t, 0, 2, sym(&k, 0), num(&k, d), NULL);
    param(&k, "res", t, TG_PARAM_INOUT, 2, sym(&k, 0), num(&k, d), NULL);
    param(&k, "w", t, 0, 1, num(&k, d), NULL, NULL);
    param(&k, "y", t, TG_PARAM_OUT, 2, sym(&k, 0), num(&k, d), NULL);
    const tg_dim *e[] = {sym(&k, 0)};
    open_body(&k, 1, e, SHAPE(bm));
    tg_value *i = bm == 1 ? tg_build_span(&k.b, k.span[0], tg_build_dim_expr(&k.b, sym(&k, 0)), 1)
                          : k.span[0];
    tg_value *dd = all(&k, d);
    tg_value *r = bin(&k, TG_OP_ADD, to_f32(&k, load2(&k, arg(&k, 0), i, dd, bm, d)),
                      to_f32(&k, load2(&k, arg(&k, 1), i, dd, bm, d)));
    store2(&k, arg(&k, 1), tg_build_cast(&k.b, r, t), i, dd);
    tg_value *ss = tg_build_reduce(&k.b, TG_RED_SUM, bin(&k, TG_OP_MUL, r, r), 1, NULL);
    tg_value *mean = bin(&k, TG_OP_DIV, ss, splat(&k, f32c(&k, (double)d), ss->type));
    tg_value *inv = tg_build_math(&k.b, TG_MATH_RSQRT,
                                  bin(&k, TG_OP_ADD, mean, splat(&k, f32c(&k, 1e-6), ss->type)));
    tg_value *w =
        to_f32(&k, tg_build_load(&k.b, arg(&k, 2), 1, &dd, 1, SHAPE(d), 1, SHAPE(0), NULL));
    tg_value *y =
        bin(&k, TG_OP_MUL, bin(&k, TG_OP_MUL, r, column(&k, inv, bm, d)), row(&k, w, bm, d));
    store2(&k, arg(&k, 3), tg_build_cast(&k.b, y, t), i, dd);
    return finish(&k);
}

tg_func *kernel_softmax(tg_module *m, int64_t bm, int64_t d) {
    static const char *const s[] = {"M", "N"};
    making k = start(m, "softmax", 2, s);
    param(&k, "x", TG_DT_F32, 0, 2, sym(&k, 0), sym(&k, 1), NULL);
    param(&k, "y", TG_DT_F32, TG_PARAM_OUT, 2, sym(&k, 0), sym(&k, 1), NULL);
    const tg_dim *e[] = {sym(&k, 0)};
    open_body(&k, 1, e, SHAPE(bm));
    tg_value *j = tg_build_span(&k.b, k.zero, tg_build_dim_expr(&k.b, sym(&k, 1)), d);
    tg_value *mask = tg_build_span_mask(&k.b, j);
    tg_value *x = load2(&k, arg(&k, 0), k.span[0], j, bm, d);
    tg_value *top = tg_build_reduce(&k.b, TG_RED_MAX, x, 1, mask);
    tg_value *p = tg_build_math(&k.b, TG_MATH_EXP, bin(&k, TG_OP_SUB, x, column(&k, top, bm, d)));
    tg_value *sum = tg_build_reduce(&k.b, TG_RED_SUM, p, 1, mask);
    store2(&k, arg(&k, 1), bin(&k, TG_OP_DIV, p, column(&k, sum, bm, d)), k.span[0], j);
    return finish(&k);
}

tg_func *kernel_two_pass(tg_module *m, tg_dtype t, int64_t bd) {
    static const char *const s[] = {"M", "D"};
    making k = start(m, "two_pass", 2, s);
    param(&k, "x", t, 0, 2, sym(&k, 0), sym(&k, 1), NULL);
    param(&k, "w", t, 0, 1, sym(&k, 1), NULL, NULL);
    param(&k, "y", t, TG_PARAM_OUT, 2, sym(&k, 0), sym(&k, 1), NULL);
    const tg_dim *e[] = {sym(&k, 0)};
    open_body(&k, 1, e, SHAPE(1));
    tg_value *i = tg_build_span(&k.b, k.span[0], tg_build_dim_expr(&k.b, sym(&k, 0)), 1);
    tg_value *extent = tg_build_dim_expr(&k.b, sym(&k, 1)), *iv;
    tg_value *sum = splat(&k, f32c(&k, 0), tg_type_tile(m, TG_DT_F32, 1, SHAPE(1)));
    tg_op *first = tg_build_for(&k.b, k.zero, extent, tg_build_index(&k.b, bd), 1, &sum, &iv);
    tg_value *d = tg_build_span(&k.b, iv, extent, bd), *mask = tg_build_span_mask(&k.b, d);
    tg_value *x = to_f32(&k, load2(&k, arg(&k, 0), i, d, 1, bd));
    sum = bin(&k, TG_OP_ADD, sum, tg_build_reduce(&k.b, TG_RED_SUM, x, 1, mask));
    tg_build_end_for(&k.b, first, 1, &sum);
    tg_op *second = tg_build_for(&k.b, k.zero, extent, tg_build_index(&k.b, bd), 0, NULL, &iv);
    d = tg_build_span(&k.b, iv, extent, bd);
    x = bin(&k, TG_OP_MUL, to_f32(&k, load2(&k, arg(&k, 0), i, d, 1, bd)), column(&k, sum, 1, bd));
    tg_value *w = tg_build_load(&k.b, arg(&k, 1), 1, &d, 1, SHAPE(bd), 1, SHAPE(0), NULL);
    x = bin(&k, TG_OP_MUL, x, to_f32(&k, tg_build_reshape(&k.b, w, 2, SHAPE(1, bd))));
    store2(&k, arg(&k, 2), tg_build_cast(&k.b, x, t), i, d);
    tg_build_end_for(&k.b, second, 0, NULL);
    return finish(&k);
}

static tg_func *matmul(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t bk,
                       bool transposed, bool turned) {
    static const char *const s[] = {"M", "N", "K"};
    making k = start(m, "matmul", 3, s);
    param(&k, "a", t, 0, 2, sym(&k, 0), sym(&k, 2), NULL);
    param(&k, "b", t, 0, 2, sym(&k, transposed ? 1 : 2), sym(&k, transposed ? 2 : 1), NULL);
    param(&k, "c", t, TG_PARAM_OUT, 2, sym(&k, 0), sym(&k, 1), NULL);
    const tg_dim *e[] = {sym(&k, 0), sym(&k, 1)};
    open_body(&k, 2, e, SHAPE(bm, bn));
    const tg_type *acc_type = tg_type_tile(m, TG_DT_F32, 2, turned ? SHAPE(bn, bm) : SHAPE(bm, bn));
    tg_value *acc = splat(&k, f32c(&k, 0), acc_type), *iv;
    tg_value *extent = tg_build_dim_expr(&k.b, sym(&k, 2));
    tg_op *loop = tg_build_for(&k.b, k.zero, extent, tg_build_index(&k.b, bk), 1, &acc, &iv);
    tg_value *ks = tg_build_span(&k.b, iv, extent, bk), *mask = tg_build_span_mask(&k.b, ks);
    tg_value *a = load2(&k, arg(&k, 0), k.span[0], ks, bm, bk), *b;
    if (transposed) {
        b = tg_build_permute(&k.b, load2(&k, arg(&k, 1), k.span[1], ks, bn, bk), SHAPE(1, 0));
    } else {
        b = load2(&k, arg(&k, 1), ks, k.span[1], bk, bn);
    }
    if (turned) {
        tg_value *left = tg_build_permute(&k.b, b, SHAPE(1, 0));
        b = tg_build_permute(&k.b, a, SHAPE(1, 0));
        a = left;
    }
    acc = tg_build_dot(&k.b, a, b, acc, 0, TG_DOT_EXACT, mask);
    tg_build_end_for(&k.b, loop, 1, &acc);
    if (turned) {
        acc = tg_build_permute(&k.b, acc, SHAPE(1, 0));
    }
    store2(&k, arg(&k, 2), tg_build_cast(&k.b, acc, t), k.span[0], k.span[1]);
    return finish(&k);
}

tg_func *kernel_matmul(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t bk,
                       bool transposed) {
    return matmul(m, t, bm, bn, bk, transposed, false);
}

tg_func *kernel_matmul_turned(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t bk,
                              bool transposed) {
    return matmul(m, t, bm, bn, bk, transposed, true);
}

static tg_value *load3(making *k, tg_value *t, tg_value *h, tg_value *i, tg_value *j, int64_t r,
                       int64_t c) {
    tg_value *ix[3] = {h, i, j};
    return tg_build_load(&k->b, t, 3, ix, 2, SHAPE(r, c), 2, SHAPE(0, 1), NULL);
}

tg_func *kernel_attention(tg_module *m, tg_dtype t, int64_t bm, int64_t bn, int64_t d,
                          bool causal) {
    static const char *const s[] = {"H", "S"};
    making k = start(m, "attention", 2, s);
    for (int i = 0; i < 4; i++) {
        static const char *const names[] = {"q", "k", "v", "o"};
        param(&k, names[i], t, i == 3 ? TG_PARAM_OUT : 0, 3, sym(&k, 0), sym(&k, 1), num(&k, d));
    }
    const tg_dim *e[] = {sym(&k, 0), sym(&k, 1)};
    open_body(&k, 2, e, SHAPE(1, bm));
    tg_builder *b = &k.b;
    tg_value *h = k.span[0], *i = k.span[1], *dd = all(&k, d), *iv;
    tg_value *extent = tg_build_dim_expr(b, sym(&k, 1));
    tg_value *q = load3(&k, arg(&k, 0), h, i, dd, bm, d);
    const tg_type *tm = tg_type_tile(m, TG_DT_F32, 1, SHAPE(bm));
    tg_value *c[3] = {splat(&k, f32c(&k, -INFINITY), tm), splat(&k, f32c(&k, 0), tm),
                      splat(&k, f32c(&k, 0), tg_type_tile(m, TG_DT_F32, 2, SHAPE(bm, d)))};
    tg_value *start_i = tg_operand(i->def, 0);
    tg_value *end = extent;
    if (causal) {
        end = bin(&k, TG_OP_MIN, bin(&k, TG_OP_ADD, start_i, tg_build_index(b, bm)), extent);
    }
    tg_op *loop = tg_build_for(b, k.zero, end, tg_build_index(b, bn), 3, c, &iv);
    tg_value *j = tg_build_span(b, iv, end, bn), *mask = tg_build_span_mask(b, j);
    tg_value *kt = tg_build_permute(b, load3(&k, arg(&k, 1), h, j, dd, bn, d), SHAPE(1, 0));
    tg_value *vt = load3(&k, arg(&k, 2), h, j, dd, bn, d);
    const tg_type *tx = tg_type_tile(m, TG_DT_F32, 2, SHAPE(bm, bn));
    tg_value *x = tg_build_dot(b, q, kt, splat(&k, f32c(&k, 0), tx), 0, TG_DOT_EXACT, NULL);
    x = bin(&k, TG_OP_MUL, x, splat(&k, f32c(&k, 1.4426950408889634 / sqrt((double)d)), tx));
    if (causal) {
        const tg_type *ti = tg_type_scalar(m, TG_DT_I64);
        (void)ti;
        tg_value *ri = bin(&k, TG_OP_ADD, tg_build_iota(b, TG_DT_I64, bm),
                           splat(&k, start_i, tg_type_tile(m, TG_DT_I64, 1, SHAPE(bm))));
        tg_value *ci = bin(&k, TG_OP_ADD, tg_build_iota(b, TG_DT_I64, bn),
                           splat(&k, iv, tg_type_tile(m, TG_DT_I64, 1, SHAPE(bn))));
        tg_value *keep = tg_build_cmp(b, TG_CMP_LE, row(&k, ci, bm, bn), column(&k, ri, bm, bn));
        x = tg_build_select(b, keep, x, splat(&k, f32c(&k, -INFINITY), tx));
    }
    tg_value *top = bin(&k, TG_OP_MAX, c[0], tg_build_reduce(b, TG_RED_MAX, x, 1, mask));
    tg_value *alpha = tg_build_math(b, TG_MATH_EXP2, bin(&k, TG_OP_SUB, c[0], top));
    tg_value *p = tg_build_math(b, TG_MATH_EXP2, bin(&k, TG_OP_SUB, x, column(&k, top, bm, bn)));
    c[1] = bin(&k, TG_OP_ADD, bin(&k, TG_OP_MUL, c[1], alpha),
               tg_build_reduce(b, TG_RED_SUM, p, 1, mask));
    tg_value *acc = bin(&k, TG_OP_MUL, c[2], column(&k, alpha, bm, d));
    tg_value *pt = t == TG_DT_F32 ? p : tg_build_cast(b, p, t);
    c[2] = tg_build_dot(b, pt, vt, acc, 0, TG_DOT_EXACT, mask);
    c[0] = top;
    tg_build_end_for(b, loop, 3, c);
    tg_value *o = bin(&k, TG_OP_DIV, c[2], column(&k, c[1], bm, d));
    tg_value *ix[3] = {h, i, dd};
    tg_build_store(b, arg(&k, 3), tg_build_cast(b, o, t), 3, ix, 2, SHAPE(0, 1), NULL);
    return finish(&k);
}

tg_func *kernel_transpose(tg_module *m, tg_dtype t, int64_t bm, int64_t bn) {
    static const char *const s[] = {"M", "N"};
    making k = start(m, "transpose", 2, s);
    param(&k, "x", t, 0, 2, sym(&k, 0), sym(&k, 1), NULL);
    param(&k, "y", t, TG_PARAM_OUT, 2, sym(&k, 1), sym(&k, 0), NULL);
    const tg_dim *e[] = {sym(&k, 0), sym(&k, 1)};
    open_body(&k, 2, e, SHAPE(bm, bn));
    tg_value *x = load2(&k, arg(&k, 0), k.span[0], k.span[1], bm, bn);
    store2(&k, arg(&k, 1), tg_build_permute(&k.b, x, SHAPE(1, 0)), k.span[1], k.span[0]);
    return finish(&k);
}

tg_func *kernel_rope(tg_module *m, int64_t bt, int64_t h, int64_t d) {
    static const char *const s[] = {"T"};
    making k = start(m, "rope", 1, s);
    param(&k, "x", TG_DT_F32, 0, 3, sym(&k, 0), num(&k, h), num(&k, d));
    param(&k, "cos", TG_DT_F32, 0, 2, sym(&k, 0), num(&k, d / 2), NULL);
    param(&k, "sin", TG_DT_F32, 0, 2, sym(&k, 0), num(&k, d / 2), NULL);
    param(&k, "y", TG_DT_F32, TG_PARAM_OUT, 3, sym(&k, 0), num(&k, h), num(&k, d));
    const tg_dim *e[] = {sym(&k, 0)};
    open_body(&k, 1, e, SHAPE(bt));
    tg_builder *b = &k.b;
    tg_value *hh = all(&k, h), *half = all(&k, d / 2), *full = all(&k, d);
    tg_value *ix[3] = {k.span[0], hh, full};
    tg_value *x = tg_build_load(b, arg(&k, 0), 3, ix, 3, SHAPE(bt, h, d), 3, SHAPE(0, 1, 2), NULL);
    tg_value *x0 = tg_build_slice(b, x, SHAPE(0, 0, 0), SHAPE(bt, h, d / 2));
    tg_value *x1 = tg_build_slice(b, x, SHAPE(0, 0, d / 2), SHAPE(bt, h, d / 2));
    tg_value *c = tg_build_broadcast(b, load2(&k, arg(&k, 1), k.span[0], half, bt, d / 2), 3,
                                     SHAPE(bt, h, d / 2), SHAPE(0, 2));
    tg_value *sn = tg_build_broadcast(b, load2(&k, arg(&k, 2), k.span[0], half, bt, d / 2), 3,
                                      SHAPE(bt, h, d / 2), SHAPE(0, 2));
    tg_value *parts[2] = {
        bin(&k, TG_OP_SUB, bin(&k, TG_OP_MUL, x0, c), bin(&k, TG_OP_MUL, x1, sn)),
        bin(&k, TG_OP_ADD, bin(&k, TG_OP_MUL, x1, c), bin(&k, TG_OP_MUL, x0, sn))};
    tg_build_store(b, arg(&k, 3), tg_build_concat(b, 2, parts, 2), 3, ix, 3, SHAPE(0, 1, 2), NULL);
    return finish(&k);
}

tg_func *kernel_gather(tg_module *m, tg_dtype t, int64_t bj, int64_t d) {
    static const char *const s[] = {"N", "J"};
    making k = start(m, "gather", 2, s);
    param(&k, "table", t, 0, 2, sym(&k, 0), num(&k, d), NULL);
    param(&k, "index", TG_DT_I32, 0, 1, sym(&k, 1), NULL, NULL);
    param(&k, "y", t, TG_PARAM_OUT, 2, sym(&k, 1), num(&k, d), NULL);
    const tg_dim *e[] = {sym(&k, 1)};
    open_body(&k, 1, e, SHAPE(bj));
    tg_value *i = tg_build_load(&k.b, arg(&k, 1), 1, &k.span[0], 1, SHAPE(bj), 1, SHAPE(0), NULL);
    tg_value *dd = all(&k, d);
    store2(&k, arg(&k, 2), load2(&k, arg(&k, 0), i, dd, bj, d), k.span[0], dd);
    return finish(&k);
}
