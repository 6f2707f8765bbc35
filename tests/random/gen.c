/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The generator: see gen.h. Values of the pool carry what the front end would know about them:
 * which elements are present (one mask per axis and at most one over all axes) and, for floats, a
 * bound and the lowest bit, by which a sum is known to be exact in any order. A float without these
 * ("opaque") only meets operations that IEEE defines to the bit.
 */
#include "tests/random/gen.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/random/gen_internal.h"

/* ---- randomness -------------------------------------------------------------------------------
 */

uint64_t gen_random(uint64_t *state) {
    uint64_t z = (*state += 0x9E3779B97F4A7C15u);
    z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9u;
    z = (z ^ z >> 27) * 0x94D049BB133111EBu;
    return z ^ z >> 31;
}

int gen_below(gen *g, int n) { return (int)(gen_random(&g->rng) % (uint64_t)n); }
bool gen_chance(gen *g, int percent) { return gen_below(g, 100) < percent; }

int64_t gen_size(gen *g) {
    static const int64_t sizes[] = {1, 2, 3, 4, 5, 7, 8, 9, 13, 16, 17, 32};
    static const int64_t blocks[] = {16, 16, 16, 32, 32, 64, 48, 8, 24};
    if (g->options.matrix && gen_chance(g, 85)) {
        return blocks[gen_below(g, (int)TG_COUNT_OF(blocks))];
    }
    return sizes[gen_below(g, (int)TG_COUNT_OF(sizes))];
}

static tg_dtype random_dtype(gen *g) {
    static const tg_dtype common[] = {TG_DT_F32, TG_DT_F32, TG_DT_I32, TG_DT_BF16, TG_DT_F16};
    static const tg_dtype rare[] = {TG_DT_I8,     TG_DT_U8,         TG_DT_I16, TG_DT_U16,
                                    TG_DT_U32,    TG_DT_I64,        TG_DT_U64, TG_DT_F64,
                                    TG_DT_F8E4M3, TG_DT_F8E5M2,     TG_DT_I4,  TG_DT_F4E2M1,
                                    TG_DT_F8E8M0, TG_DT_F8E4M3FNUZ, TG_DT_U4,  TG_DT_BOOL};
    static const tg_dtype multiplied[] = {TG_DT_F16, TG_DT_BF16, TG_DT_I8, TG_DT_U8, TG_DT_F8E4M3};
    if (g->options.matrix && gen_chance(g, 60)) {
        return multiplied[gen_below(g, (int)TG_COUNT_OF(multiplied))];
    }
    if (g->options.plain_types) {
        return gen_chance(g, 60) ? TG_DT_F32 : TG_DT_I32;
    }
    return gen_chance(g, 60) ? common[gen_below(g, (int)TG_COUNT_OF(common))]
                             : rare[gen_below(g, (int)TG_COUNT_OF(rare))];
}

tg_dtype gen_any_dtype(gen *g) { return random_dtype(g); }

/* ---- pool -------------------------------------------------------------------------------------
 */

int64_t gen_count(const tg_type *t) { return tg_type_count(t); }

void gen_push(gen *g, gen_value v) {
    if (gen_count(v.v->type) <= GEN_MAX_ELEMENTS && g->n_pool < GEN_MAX_POOL) {
        g->pool[g->n_pool++] = v;
    }
}

/* Newer values are likelier. */
gen_value *gen_pick(gen *g) {
    int back =
        gen_chance(g, 60) ? gen_below(g, g->n_pool < 6 ? g->n_pool : 6) : gen_below(g, g->n_pool);
    return &g->pool[g->n_pool - 1 - back];
}

gen_value *gen_pick_if(gen *g, bool (*want)(const gen_value *v)) {
    for (int tries = 0; tries < 12; tries++) {
        gen_value *v = gen_pick(g);
        if (want(v)) {
            return v;
        }
    }
    for (int i = g->n_pool - 1; i >= 0; i--) {
        if (want(&g->pool[i])) {
            return &g->pool[i];
        }
    }
    return NULL;
}

gen_value gen_plain(tg_value *v) { return (gen_value){.v = v}; }

gen_value gen_exact(tg_value *v, double bound, int lsb) {
    return (gen_value){.v = v, .exact = true, .bound = bound, .lsb = lsb};
}

/* Sums of this magnitude on this grid are exact. */
bool gen_fits(tg_dtype t, double bound, int lsb) {
    return bound <= ldexp(1.0, lsb + (t == TG_DT_F64 ? 53 : 24));
}

bool gen_is_float(const gen_value *v) { return tg_dtype_is_float(v->v->type->dtype); }

/* ---- presence ---------------------------------------------------------------------------------
 */

static tg_value *both(gen *g, tg_value *a, tg_value *b) {
    return a == NULL ? b : b == NULL || a == b ? a : tg_build_binary(&g->b, TG_OP_AND, a, b);
}

/* One bool tile of v's shape, or NULL when everything is present. */
tg_value *gen_full_mask(gen *g, const gen_value *v) {
    tg_value *m = v->joint;
    const tg_type *t = v->v->type;
    for (int64_t a = 0; a < t->rank; a++) {
        if (v->axis_mask[a] != NULL) {
            m = both(g, m, tg_build_broadcast(&g->b, v->axis_mask[a], t->rank, t->shape, &a));
        }
    }
    return m;
}

/* `v else constant`: present everywhere. */
gen_value gen_else(gen *g, const gen_value *v, double otherwise) {
    tg_value *m = gen_full_mask(g, v);
    gen_value r = *v;
    memset(r.axis_mask, 0, sizeof r.axis_mask);
    r.joint = NULL;
    if (m != NULL) {
        r.v = tg_build_select(&g->b, m, v->v, gen_const(g, v->v->type, otherwise));
        r.bound = fmax(r.bound, fabs(otherwise));
    }
    return r;
}

void gen_join_presence(gen *g, gen_value *r, const gen_value *x) {
    for (int a = 0; a < r->v->type->rank; a++) {
        r->axis_mask[a] = both(g, r->axis_mask[a], x->axis_mask[a]);
    }
    r->joint = both(g, r->joint, x->joint);
}

/* ---- constants and operands ---------------------------------------------------------------------
 */

tg_value *gen_const(gen *g, const tg_type *t, double v) {
    if (tg_dtype_is_float(t->dtype)) {
        uint64_t bits = tg_float_encode(t->dtype, v, TG_ROUND_RNE, true);
        return tg_build_float(&g->b, t, tg_float_decode(t->dtype, bits));
    }
    return tg_build_int(&g->b, t, t->dtype == TG_DT_BOOL ? v != 0 : (int64_t)v);
}

gen_value gen_random_const(gen *g, const tg_type *t) {
    double v = gen_below(g, 9) - 4;
    if (t->dtype == TG_DT_F8E8M0) {
        v = ldexp(1.0, gen_below(g, 7) - 3);
        return gen_exact(gen_const(g, t, v), 8, -3);
    }
    if (!tg_dtype_is_signed(t->dtype) && !tg_dtype_is_float(t->dtype)) {
        v = fabs(v);
    }
    return gen_exact(gen_const(g, t, v), 4, 0);
}

/* Another value of x's type: from the pool, or a constant. */
gen_value gen_partner(gen *g, const gen_value *x) {
    for (int tries = 0; tries < 10; tries++) {
        gen_value *y = gen_pick(g);
        if (y->v->type == x->v->type) {
            return *y;
        }
    }
    return gen_random_const(g, x->v->type);
}

/* x in a type that has arithmetic. */
gen_value gen_arith(gen *g, const gen_value *x) {
    gen_value r = *x;
    tg_dtype t = tg_dtype_arith(x->v->type->dtype);
    if (x->v->type->dtype == TG_DT_BOOL) {
        t = TG_DT_I32;
    }
    r.v = tg_build_cast(&g->b, x->v, t);
    return r;
}

/* A bool tile of x's shape, without regard to presence: what it says of absent elements is unused.
 */
gen_value gen_condition(gen *g, const gen_value *x) {
    const tg_type *want = tg_type_with_dtype(g->m, x->v->type, TG_DT_BOOL);
    for (int tries = 0; tries < 6; tries++) {
        gen_value *y = gen_pick(g);
        if (y->v->type == want) {
            return *y;
        }
    }
    gen_value c = gen_random_const(g, x->v->type);
    tg_cmp_pred p = (tg_cmp_pred)gen_below(g, 6);
    gen_value r = gen_plain(tg_build_cmp(&g->b, p, x->v, c.v));
    gen_join_presence(g, &r, x);
    return r;
}

/* ---- signature --------------------------------------------------------------------------------
 */

const tg_dim *gen_random_dim(gen *g) {
    return gen_chance(g, 80) ? tg_dim_sym(g->m, gen_below(g, g->func->n_syms))
                             : tg_dim_const(g->m, 1 + gen_below(g, 20));
}

void gen_add_param(gen *g, const char *name, const tg_type *t, unsigned flags, gen_param p) {
    tg_func *f = g->func;
    unsigned kind = t->kind == TG_TY_TENSOR ? TG_PARAM_TENSOR : 0;
    f->params[f->n_params] = (tg_param){
        .name = tg_intern(&g->m->strings, name, strlen(name)), .type = t, .flags = flags | kind};
    g->out->params[f->n_params++] = p;
}

static void add_inputs(gen *g) {
    int n = 2 + gen_below(g, 3);
    for (int i = 0; i < n; i++) {
        const tg_dim *dims[3];
        char name[16] = {'x', (char)('0' + i), 0};
        int rank = 1 + gen_below(g, 3);
        for (int d = 0; d < rank; d++) {
            dims[d] = gen_random_dim(g);
        }
        bool strided = gen_chance(g, 8);
        tg_dtype t = random_dtype(g);
        strided = strided && tg_dtype_bits(t) >= 8;
        gen_add_param(g, name, tg_type_tensor(g->m, t, 0, rank, dims, strided),
                      strided ? TG_PARAM_STRIDED : 0,
                      (gen_param){.specials = g->specials,
                                  .subnormals = gen_chance(g, 6),
                                  .padded = gen_chance(g, 30)});
    }
    if (gen_chance(g, 25)) {
        gen_add_records(g);
    }
    const tg_dim *dim = gen_random_dim(g);
    gen_add_param(
        g, "index",
        tg_type_tensor(g->m, gen_chance(g, 70) ? TG_DT_I32 : TG_DT_I64, 0, 1, &dim, false), 0,
        (gen_param){.data = GEN_DATA_INDEX, .index_limit = 1 + gen_below(g, 30)});
    gen_add_param(g, "s", tg_type_scalar(g->m, gen_chance(g, 50) ? TG_DT_I32 : TG_DT_F32), 0,
                  (gen_param){0});
}

/* The outputs' types are set when their values are known. */
static void add_outputs(gen *g) {
    g->first_output = g->func->n_params;
    for (int i = 0; i < GEN_OUTPUTS; i++) {
        const tg_dim *dim = tg_dim_const(g->m, 1);
        char name[16] = {'y', (char)('0' + i), 0};
        gen_add_param(g, name, tg_type_tensor(g->m, TG_DT_I32, 0, 1, &dim, false), TG_PARAM_OUT,
                      (gen_param){.data = GEN_DATA_OUTPUT, .padded = gen_chance(g, 30)});
    }
}

static void add_syms(gen *g) {
    static const char *const names[] = {"M", "N", "K", "L"};
    static const int extents[] = {1, 2, 3, 5, 8, 11, 16, 17, 20, 31, 33, 40};
    tg_func *f = g->func;
    f->n_syms = 2 + gen_below(g, 3);
    f->syms = TG_NEW_ARRAY(g->m->arena, tg_sym, f->n_syms);
    for (int i = 0; i < f->n_syms; i++) {
        f->syms[i].name = tg_intern(&g->m->strings, names[i], 1);
        g->out->syms[i] = gen_chance(g, 5) ? 0 : extents[gen_below(g, (int)TG_COUNT_OF(extents))];
    }
    for (int i = 0; i < f->n_syms; i += 2) { /* every name is a whole axis somewhere: solvable */
        const tg_dim *dims[2] = {tg_dim_sym(g->m, i), tg_dim_sym(g->m, (i + 1) % f->n_syms)};
        char name[16] = {'d', (char)('0' + i / 2), 0};
        gen_add_param(g, name, tg_type_tensor(g->m, random_dtype(g), 0, 2, dims, false), 0,
                      (gen_param){.specials = g->specials, .padded = gen_chance(g, 30)});
    }
}

static void add_grid(gen *g) {
    tg_func *f = g->func;
    f->n_grid = gen_chance(g, 8) ? 3 : gen_below(g, 3);
    f->grid_names = TG_NEW_ARRAY(g->m->arena, const char *, 3);
    f->grid_by = TG_NEW_ARRAY(g->m->arena, int64_t, 3);
    static const char *const names[] = {"i", "j", "k"};
    for (int a = 0; a < f->n_grid; a++) {
        f->grid_names[a] = tg_intern(&g->m->strings, names[a], 1);
        f->grid_by[a] = gen_size(g);
        g->grid_sym[a] = gen_below(g, f->n_syms);
    }
}

static void make_regions(gen *g) {
    tg_func *f = g->func;
    f->grid = tg_region_make(f, NULL);
    f->body = tg_region_make(f, NULL);
    for (int p = 0; p < f->n_params; p++) {
        (void)tg_region_add_arg(f->grid, f->params[p].type, f->params[p].name);
        (void)tg_region_add_arg(f->body, f->params[p].type, f->params[p].name);
    }
    for (int a = 0; a < f->n_grid; a++) {
        (void)tg_region_add_arg(f->body, tg_type_scalar(g->m, TG_DT_I64), f->grid_names[a]);
    }
    tg_builder b = tg_builder_at_end(f->grid);
    tg_value *extents[3] = {0};
    for (int a = 0; a < f->n_grid; a++) {
        extents[a] = tg_build_sym(&b, g->grid_sym[a]);
    }
    (void)tg_build_op(&b, TG_OP_YIELD, f->n_grid, extents, 0, NULL, 0);
    g->b = tg_builder_at_end(f->body);
    for (int a = 0; a < f->n_grid; a++) {
        g->block[a] = f->body->args[f->n_params + a];
    }
}

/* ---- results ------------------------------------------------------------------------------------
 */

/* y[block..., all of the tile] = v where present. */
static void store_result(gen *g, int output, const gen_value *v) {
    tg_func *f = g->func;
    const tg_type *t = v->v->type;
    const tg_dim *dims[TG_MAX_RANK];
    tg_value *index[TG_MAX_RANK];
    int64_t axes[TG_MAX_RANK];
    int rank = 0;
    for (int a = 0; a < f->n_grid; a++) {
        dims[rank] = tg_dim_binary(g->m, TG_DIM_CDIV, tg_dim_sym(g->m, g->grid_sym[a]),
                                   tg_dim_const(g->m, f->grid_by[a]));
        index[rank++] = g->block[a];
    }
    tg_value *zero = tg_build_index(&g->b, 0);
    for (int a = 0; a < t->rank; a++) {
        dims[rank] = tg_dim_const(g->m, t->shape[a]);
        axes[a] = a;
        index[rank++] = tg_build_span(&g->b, zero, tg_build_index(&g->b, t->shape[a]), t->shape[a]);
    }
    if (rank == 0) { /* one program, one element */
        dims[0] = tg_dim_const(g->m, 1);
        index[rank++] = zero;
    }
    int p = g->first_output + output;
    const tg_type *tensor = tg_type_tensor(g->m, t->dtype, 0, rank, dims, false);
    f->params[p].type = tensor;
    f->grid->args[p]->type = tensor;
    f->body->args[p]->type = tensor;
    (void)tg_build_store(&g->b, f->body->args[p], v->v, rank, index, t->rank, axes,
                         gen_full_mask(g, v));
}

static void store_results(gen *g) {
    for (int i = 0; i < GEN_OUTPUTS; i++) {
        gen_value *v = gen_pick(g);
        for (int tries = 0; tries < 24 && (v->used || tg_value_is_used(v->v)); tries++) {
            v = gen_pick(g); /* rather one that nothing else shows */
        }
        v->used = true;
        store_result(g, i, v);
    }
}

void gen_make(gen_case *out, uint64_t seed, const gen_options *options, tg_arena *a) {
    gen *g = TG_NEW(a, gen);
    *out = (gen_case){.seed = seed, .module = tg_module_make(a)};
    *g = (gen){
        .out = out, .m = out->module, .rng = seed * 0x2545F4914F6CDD1Du + 1, .options = *options};
    g->specials = gen_chance(g, 20);
    out->func = g->func = tg_func_make(g->m, "random", TG_LEVEL_TILE);
    g->func->params = TG_NEW_ARRAY(a, tg_param, GEN_MAX_PARAMS);
    add_syms(g);
    add_grid(g);
    add_inputs(g);
    add_outputs(g);
    gen_add_state(g);
    make_regions(g);
    gen_push(g, gen_random_const(g, tg_type_scalar(g->m, TG_DT_I32)));
    tg_value *s = g->func->body->args[g->first_output - 1];
    gen_push(g, tg_dtype_is_float(s->type->dtype) ? gen_exact(s, 8, -1) : gen_plain(s));
    gen_load(g);
    gen_load(g);
    int steps = 3 + gen_below(g, options->max_steps > 3 ? options->max_steps - 2 : 1);
    for (int i = 0; i < steps; i++) {
        int before = g->n_pool;
        for (int tries = 0; tries < 6 && g->n_pool == before; tries++) {
            gen_step(g);
        }
    }
    store_results(g);
    (void)tg_build_op(&g->b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
}

/* ---- from text ----------------------------------------------------------------------------------
 */

bool gen_replace(gen_case *c, const char *text, tg_arena *a) {
    tg_source *src = TG_NEW(a, tg_source);
    tg_sink sink;
    tg_sink_init(&sink, a);
    *src = (tg_source){.name = "text", .text = text, .len = strlen(text)};
    if (tg_module_parse(src, a, &sink, &c->module) != TG_OK || c->module->first_func == NULL) {
        return false;
    }
    c->func = c->module->first_func;
    c->edited = true;
    return c->func->n_params <= GEN_MAX_PARAMS && c->func->n_syms <= GEN_MAX_SYMS;
}

/* The number behind "NAME = " in the first line, or 1. */
static int64_t value_in_header(const char *line, const char *name) {
    size_t n = strlen(name), end = strcspn(line, "\n");
    for (size_t i = 0; i + n + 3 < end; i++) {
        if (line[i] == ' ' && memcmp(line + i + 1, name, n) == 0 &&
            memcmp(line + i + 1 + n, " = ", 3) == 0) {
            return strtoll(line + i + n + 4, NULL, 10);
        }
    }
    return 1;
}

bool gen_from_text(gen_case *c, const char *text, tg_arena *a) {
    *c = (gen_case){.seed = 1};
    const char *body = text;
    while (body[0] == '/' && body[1] == '/') {
        body += strcspn(body, "\n");
        body += *body == '\n';
    }
    if (!gen_replace(c, body, a)) {
        return false;
    }
    for (int i = 0; i < c->func->n_syms; i++) {
        c->syms[i] = value_in_header(text, c->func->syms[i].name);
    }
    for (int p = 0; p < c->func->n_params; p++) {
        const tg_param *q = &c->func->params[p];
        bool out = (q->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0;
        c->params[p].data = out                                 ? GEN_DATA_OUTPUT
                            : strncmp(q->name, "index", 5) == 0 ? GEN_DATA_INDEX
                                                                : GEN_DATA_ANY;
        c->params[p].index_limit = 20;
    }
    gen_find_fields(c);
    return true;
}
