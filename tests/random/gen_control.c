/* SPDX-License-Identifier: Apache-2.0 */
/* Loops and branches of the generator: see gen.c. */
#include "tests/random/gen_internal.h"

/* v with bounds given back: floats clamped to the carried value's, so that a loop keeps them. */
static tg_value *fit_carried(gen *g, const gen_value *v, const gen_value *like) {
    gen_value full = gen_else(g, v, 1);
    if (!gen_is_float(&full) || !like->exact) {
        return full.v;
    }
    gen_value t = gen_tame(g, &full, like->bound);
    return tg_build_cast(&g->b, t.v, like->v->type->dtype);
}

/* Two or three values of the pool, present everywhere; floats whole numbers or opaque. */
static int pick_carried(gen *g, gen_value *out) {
    int n = 1 + gen_below(g, 3);
    for (int i = 0; i < n; i++) {
        gen_value *v = gen_pick(g);
        out[i] = gen_else(g, v, 1);
        if (gen_is_float(&out[i]) && out[i].v->type->dtype != TG_DT_F8E8M0 &&
            out[i].v->type->dtype != TG_DT_F4E2M1) {
            gen_value t = gen_tame(g, &out[i], 32);
            t.v = tg_build_cast(&g->b, t.v, out[i].v->type->dtype);
            out[i] = t;
        } else {
            out[i].exact = false;
        }
    }
    return n;
}

/* The newest pool value of this type above `floor`, else the fallback. */
static const gen_value *newest_of(const gen *g, const tg_type *t, int floor,
                                  const gen_value *fallback) {
    for (int i = g->n_pool - 1; i >= floor; i--) {
        if (g->pool[i].v->type == t) {
            return &g->pool[i];
        }
    }
    return fallback;
}

static void body_steps(gen *g, int n) {
    g->depth++;
    for (int i = 0; i < n; i++) {
        gen_step(g);
    }
    g->depth--;
}

void gen_for(gen *g) {
    gen_value carried[3];
    tg_value *values[3], *iv;
    int n = pick_carried(g, carried);
    for (int i = 0; i < n; i++) {
        values[i] = carried[i].v;
    }
    tg_value *hi = gen_chance(g, 50) ? tg_build_index(&g->b, gen_below(g, 5))
                                     : tg_build_sym(&g->b, gen_below(g, g->func->n_syms));
    int64_t step = gen_chance(g, 50) ? 1 + gen_below(g, 3) : 8;
    tg_op *loop = tg_build_for(&g->b, tg_build_index(&g->b, gen_below(g, 2)), hi,
                               tg_build_index(&g->b, step), n, values, &iv);
    int mark = g->n_pool;
    for (int i = 0; i < n; i++) {
        gen_value c = carried[i];
        c.v = values[i];
        gen_push(g, c);
    }
    gen_push(g, gen_plain(iv));
    body_steps(g, 2 + gen_below(g, 4));
    for (int i = 0; i < n; i++) {
        const gen_value *from = newest_of(g, values[i]->type, mark, &carried[i]);
        values[i] = fit_carried(g, from, &carried[i]);
    }
    tg_build_end_for(&g->b, loop, n, values);
    g->n_pool = mark;
    for (int i = 0; i < n; i++) {
        gen_value c = carried[i];
        c.v = values[i];
        gen_push(g, c);
    }
}

void gen_if(gen *g) {
    gen_value like[3];
    const tg_type *types[3];
    tg_value *yields[3];
    int n = pick_carried(g, like);
    gen_value s = *gen_pick(g);
    tg_value *cond;
    if (s.v->type->rank == 0 && s.v->type->dtype != TG_DT_BOOL && s.joint == NULL) {
        cond = tg_build_cmp(&g->b, TG_CMP_GT, s.v, gen_const(g, s.v->type, 0));
    } else if (g->func->n_grid > 0) {
        cond = tg_build_cmp(&g->b, TG_CMP_EQ, g->block[0], tg_build_index(&g->b, gen_below(g, 2)));
    } else {
        cond = tg_build_cmp(&g->b, TG_CMP_GT, tg_build_sym(&g->b, 0), tg_build_index(&g->b, 7));
    }
    for (int i = 0; i < n; i++) {
        types[i] = like[i].v->type;
    }
    tg_op *op = tg_build_if(&g->b, cond, n, types);
    for (int side = 0; side < 2; side++) {
        int mark = g->n_pool;
        body_steps(g, 1 + gen_below(g, 3));
        for (int i = 0; i < n; i++) {
            yields[i] = fit_carried(g, newest_of(g, types[i], mark, &like[i]), &like[i]);
        }
        g->n_pool = mark;
        if (side == 0) {
            tg_build_else(&g->b, op, n, yields);
        } else {
            tg_build_end_if(&g->b, op, n, yields);
        }
    }
    for (int i = 0; i < n; i++) {
        gen_value r = like[i];
        r.v = &op->results[i];
        gen_push(g, r);
    }
}

/* while (n < limit & more) { n += 1; ... }: the second part depends on data now and then. */
static tg_value *while_condition(gen *g, tg_value *n, int64_t limit) {
    tg_value *more = tg_build_cmp(&g->b, TG_CMP_LT, n, tg_build_index(&g->b, limit));
    const gen_value *s = gen_pick(g);
    if (gen_chance(g, 40) && s->v->type->rank == 0 && s->joint == NULL &&
        s->v->type->dtype != TG_DT_BOOL) {
        tg_value *also =
            tg_build_cmp(&g->b, TG_CMP_GE, s->v, gen_const(g, s->v->type, gen_below(g, 3)));
        more = tg_build_binary(&g->b, TG_OP_AND, more, also);
    }
    return more;
}

/* Adds the region's arguments to the pool; returns the counter. */
static tg_value *enter_while(gen *g, tg_region *r, int n, const gen_value *like) {
    tg_value *counter = NULL;
    g->b = tg_builder_at_end(r);
    for (int i = 0; i < n; i++) {
        gen_value c = like[i];
        c.v = tg_region_add_arg(r, like[i].v->type, "c");
        counter = i == 0 ? c.v : counter;
        gen_push(g, c);
    }
    return counter;
}

void gen_while(gen *g) {
    gen_value like[4];
    tg_value *values[5];
    const tg_type *types[4];
    int n = 1 + pick_carried(g, like + 1), mark = g->n_pool;
    int64_t limit = gen_below(g, 6);
    like[0] = gen_plain(tg_build_index(&g->b, 0));
    for (int i = 0; i < n; i++) {
        values[i] = like[i].v;
        types[i] = like[i].v->type;
    }
    tg_op *op = tg_build_op(&g->b, TG_OP_WHILE, n, values, n, types, 2);
    tg_op_set_int(op, TG_ATTR_MAX, limit + gen_below(g, 3));
    tg_builder outer = g->b;
    tg_value *counter = enter_while(g, op->regions[0], n, like);
    values[0] = while_condition(g, counter, limit);
    for (int i = 0; i < n; i++) {
        values[i + 1] = op->regions[0]->args[i];
    }
    (void)tg_build_op(&g->b, TG_OP_YIELD, n + 1, values, 0, NULL, 0);
    g->n_pool = mark;
    counter = enter_while(g, op->regions[1], n, like);
    body_steps(g, 1 + gen_below(g, 4));
    values[0] = tg_build_binary(&g->b, TG_OP_ADD, counter, tg_build_index(&g->b, 1));
    for (int i = 1; i < n; i++) {
        gen_value self = like[i];
        self.v = op->regions[1]->args[i];
        values[i] = fit_carried(g, newest_of(g, types[i], mark, &self), &like[i]);
    }
    (void)tg_build_op(&g->b, TG_OP_YIELD, n, values, 0, NULL, 0);
    g->b = outer;
    g->n_pool = mark;
    for (int i = 0; i < n; i++) {
        gen_value c = like[i];
        c.v = &op->results[i];
        gen_push(g, c);
    }
}
