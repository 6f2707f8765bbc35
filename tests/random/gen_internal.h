/* SPDX-License-Identifier: Apache-2.0 */
/* Private to the generator: the state and what its two files share. */
#ifndef TG_TEST_RANDOM_GEN_INTERNAL_H
#define TG_TEST_RANDOM_GEN_INTERNAL_H

#include "ir/build.h"
#include "tests/random/gen.h"

enum { GEN_MAX_POOL = 200, GEN_OUTPUTS = 4, GEN_MAX_ELEMENTS = 4096 };

typedef struct gen_value {
    tg_value *v;
    tg_value *axis_mask[TG_MAX_RANK]; /* bool[extent] or NULL */
    tg_value *joint;                  /* bool of v's shape or NULL */
    bool exact;                       /* floats: |v| <= bound, a multiple of 2^lsb */
    double bound;
    int lsb;
    bool used;
} gen_value;

typedef struct gen {
    gen_case *out;
    tg_module *m;
    tg_func *func;
    tg_builder b;
    uint64_t rng;
    gen_options options;
    bool specials;
    gen_value pool[GEN_MAX_POOL];
    int n_pool;
    int depth;
    int first_output;
    int state, counters; /* parameters that are read and written */
    tg_atomic_kind counting;
    int grid_sym[3];
    tg_value *block[3];
} gen;

int gen_below(gen *g, int n);
bool gen_chance(gen *g, int percent);
int64_t gen_size(gen *g);
tg_dtype gen_any_dtype(gen *g);
int64_t gen_count(const tg_type *t);
void gen_push(gen *g, gen_value v);
gen_value *gen_pick(gen *g);
gen_value *gen_pick_if(gen *g, bool (*want)(const gen_value *v));
gen_value gen_plain(tg_value *v);
gen_value gen_exact(tg_value *v, double bound, int lsb);
bool gen_fits(tg_dtype t, double bound, int lsb);
bool gen_is_float(const gen_value *v);
tg_value *gen_full_mask(gen *g, const gen_value *v);
gen_value gen_else(gen *g, const gen_value *v, double otherwise);
void gen_join_presence(gen *g, gen_value *r, const gen_value *x);
tg_value *gen_const(gen *g, const tg_type *t, double v);
gen_value gen_random_const(gen *g, const tg_type *t);
gen_value gen_partner(gen *g, const gen_value *x);
gen_value gen_arith(gen *g, const gen_value *x);
gen_value gen_condition(gen *g, const gen_value *x);

const tg_dim *gen_random_dim(gen *g);
void gen_add_param(gen *g, const char *name, const tg_type *t, unsigned flags, gen_param p);
gen_value gen_tame(gen *g, const gen_value *x, double limit);
bool gen_is_index_tile(const gen_value *v);

void gen_load(gen *g); /* one load into the pool */
void gen_for(gen *g);
void gen_if(gen *g);
void gen_while(gen *g);
/* Memory that the kernel reads and writes (gen_memory.c). */
void gen_add_records(gen *g);
void gen_add_state(gen *g);
void gen_store_state(gen *g);
void gen_load_state(gen *g);
void gen_atomic(gen *g);
void gen_step(gen *g); /* one random statement */

#endif
