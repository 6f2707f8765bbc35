/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loops that a module holds more than once. A loop over keys is peeled for its last block, a kernel
 * has a variant for a few rows, two sets of keys are attended one after the other: each time the
 * products and their packing inside are the same code on other addresses. Code generation is most
 * of the compile time and grows with the code, so such a loop becomes a function: emitted once,
 * called with the values that it takes from around it.
 *
 *   for %0, %n, %1 { .. %base .. }          call part0(%n, %base)
 *   ...                                ──▶  ...
 *   for %0, %m, %1 { .. %other .. }         call part0(%m, %other)
 *
 * Loops are equal when their operations are, one by one: code, attributes, types and operands,
 * where a value of the loop stands for its number and a value from outside for its first use.
 * Constants (and vectors of one) from outside belong to the loop. A loop or `if` qualifies that
 * takes and gives scalars alone, cannot end the program (trap) and has a loop in a loop, so that a
 * call is little beside it. Of nested candidates the outermost that repeats is taken.
 *
 * Upper bounds of loops, pitches and offsets into scratch may differ: those become parameters too.
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/build.h"

enum {
    MIN_OPS = 48,
    MAX_INPUTS = 32,
    MAX_RESULTS = 3,
    FOLD_DEPTH = 8,
    MAX_FREE = 12,
    BUCKETS = 256
};

/* A constant that may differ between equal loops: a CONST_INT's, or the bytes of a GEP. */
typedef struct site {
    tg_op *op;
    int64_t value;
} site;

typedef struct part {
    tg_op *first;
    uint64_t hash;
    int count;
    TG_LIST(int64_t *) members; /* of each its sites' values */
    int n_sites;
    int *free_of, n_free;  /* by site: its parameter behind the inputs, or -1: all have one value */
    LLVMValueRef *strides; /* by site: the parameter, while the body is emitted */
    LLVMValueRef function; /* NULL until the first call */
    LLVMTypeRef type;
    struct part *next;
} part;

/* What makes a loop the one it is. */
typedef struct key {
    TG_LIST(int64_t) words;
    TG_LIST(tg_value *) inputs;
    TG_LIST(tg_op *) copied; /* from outside, made again inside */
    TG_LIST(site) sites;
    int n_ops, depth; /* operations; loops within loops */
} key;

struct tg_emit_shares {
    part *buckets[BUCKETS];
    uint32_t *seen, *number; /* by tg_value.id: key in which it was numbered, and its number */
    uint32_t n_keys, n_numbers;
    int n_parts;
    int in_place; /* the body being emitted has parameters for constants: nothing in it is shared */
    key key, other;
};

/* ---- keys -------------------------------------------------------------------------------------
 */

typedef struct writer {
    tg_emitter *e;
    struct tg_emit_shares *s;
    key *k;
} writer;

static void put(writer *w, int64_t word) { TG_LIST_PUSH(w->e->arena, &w->k->words, word); }

static void put_pointer(writer *w, const void *p) { put(w, (int64_t)(intptr_t)p); }

static void number(writer *w, const tg_value *v) {
    w->s->seen[v->id] = w->s->n_keys;
    w->s->number[v->id] = w->s->n_numbers++;
}

/* Trips of a loop with constant bounds, 2 for more; -1: not known. */
static int trips(const tg_op *loop) {
    int64_t lo, hi, step;
    if (loop->code != TG_OP_FOR || !tg_value_const_int(tg_operand(loop, 0), &lo) ||
        !tg_value_const_int(tg_operand(loop, 1), &hi) ||
        !tg_value_const_int(tg_operand(loop, 2), &step)) {
        return -1;
    }
    return lo >= hi ? 0 : step >= hi - lo ? 1 : 2;
}

/*
 * Will LLVM see a constant? The index of a loop of one trip is one, and what follows from it: code
 * that depends on it is much smaller in place.
 */
static bool folds(const tg_value *v, int depth) {
    if (depth == FOLD_DEPTH) {
        return false;
    }
    if (!v->def) {
        const tg_op *loop = v->region->parent;
        return loop && trips(loop) == 1 &&
               (v->index == 0 || folds(tg_operand(loop, 2 + v->index), depth + 1));
    }
    if (v->def->code == TG_OP_FOR) {
        int n = trips(v->def);
        return n == 0 || n == 1;
    }
    bool all = (tg_op_info_get(v->def->code)->flags & TG_OPF_PURE) && v->def->code != TG_OP_SLOT;
    for (int i = 0; i < v->def->n_operands && all; i++) {
        all = folds(tg_operand(v->def, i), depth + 1);
    }
    return all;
}

static bool is_argument(const tg_value *v) { return !v->def && !v->region->parent; }

/* May the constant differ? Not where code depends on its value. */
static bool is_free(const tg_op *op) {
    int64_t i;
    if (op->code == TG_OP_GEP) {
        int64_t bytes = tg_attr_int(op, TG_ATTR_BYTES, 1);
        return bytes > 8 && tg_operand(op, 1)->type->kind != TG_TY_VEC &&
               !tg_value_const_int(tg_operand(op, 1), &i);
    }
    if (op->code != TG_OP_CONST_INT || op->results[0].type->kind == TG_TY_VEC ||
        op->results[0].type->dtype != TG_DT_I64) {
        return false;
    }
    const tg_value *v = &op->results[0];
    for (const tg_use *u = v->uses; u; u = u->next) {
        bool bound = u->user->code == TG_OP_FOR && &u->user->operands[1] == u && trips(u->user) > 1;
        bool offset = u->user->code == TG_OP_GEP && &u->user->operands[1] == u &&
                      is_argument(tg_operand(u->user, 0));
        if (!bound && !offset) {
            return false;
        }
    }
    return v->uses != NULL;
}

static void put_head(writer *w, tg_op *op) {
    bool differs = is_free(op);
    if (differs) {
        tg_attr_key name = op->code == TG_OP_GEP ? TG_ATTR_BYTES : TG_ATTR_VALUE_I;
        TG_LIST_PUSH(w->e->arena, &w->k->sites, (site){op, tg_attr_int(op, name, 0)});
    }
    put(w, ((int64_t)op->code << 32) | (op->n_operands << 16) | op->n_attrs);
    put(w, ((int64_t)op->n_results << 32) | op->n_regions);
    for (int i = 0; i < op->n_attrs; i++) {
        const tg_attr *a = &op->attrs[i];
        int64_t bits;
        memcpy(&bits, &a->f, sizeof bits);
        put(w, ((int64_t)a->key << 32) | (int64_t)a->n_list);
        put(w, differs ? 0 : a->i); /* neither has another integer */
        put(w, bits);
        put_pointer(w, a->s);
        put_pointer(w, a->type);
        for (size_t j = 0; j < a->n_list; j++) {
            put(w, a->list[j]);
        }
    }
    for (int i = 0; i < op->n_results; i++) {
        put_pointer(w, op->results[i].type);
    }
    if (w->e->debug) { /* one line table: equal code of other lines is other code */
        put_pointer(w, op->span.source);
        put(w, (int64_t)op->span.begin);
    }
}

static bool is_made_again(const tg_op *op) {
    return op && (op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT ||
                  op->code == TG_OP_SPLAT || op->code == TG_OP_LANES);
}

static bool put_operand(writer *w, tg_value *v) {
    if (w->s->seen[v->id] == w->s->n_keys) {
        put(w, w->s->number[v->id]);
        return true;
    }
    if (is_made_again(v->def)) {
        for (int i = 0; i < v->def->n_operands; i++) {
            if (!put_operand(w, tg_operand(v->def, i))) {
                return false;
            }
        }
        put(w, -1);
        put_head(w, v->def);
        TG_LIST_PUSH(w->e->arena, &w->k->copied, v->def);
    } else if (v->type->kind == TG_TY_VEC || folds(v, 0) || w->k->inputs.count == MAX_INPUTS) {
        return false;
    } else {
        put(w, tg_emit_orders_as_bits(v) ? -3 : -2); /* the emitter asks that of values too */
        put_pointer(w, v->type);
        TG_LIST_PUSH(w->e->arena, &w->k->inputs, v);
    }
    number(w, v);
    return true;
}

static bool put_op(writer *w, tg_op *op, int depth);

static bool put_region(writer *w, const tg_region *r, int depth) {
    put(w, r->n_args);
    for (int i = 0; i < r->n_args; i++) {
        put_pointer(w, r->args[i]->type);
        number(w, r->args[i]);
    }
    for (tg_op *op = r->first; op; op = op->next) {
        if (!put_op(w, op, depth)) {
            return false;
        }
    }
    return true;
}

static bool put_op(writer *w, tg_op *op, int depth) {
    depth += op->code == TG_OP_FOR;
    w->k->depth = depth > w->k->depth ? depth : w->k->depth;
    if (op->code == TG_OP_ASSERT || op->code == TG_OP_TRAP || op->code == TG_OP_WHILE ||
        op->code == TG_OP_SLOT) {
        return false;
    }
    w->k->n_ops += !is_made_again(op);
    for (int i = 0; i < op->n_operands; i++) {
        if (!put_operand(w, tg_operand(op, i))) {
            return false;
        }
    }
    put_head(w, op);
    for (int i = 0; i < op->n_regions; i++) {
        if (!put_region(w, op->regions[i], depth)) {
            return false;
        }
    }
    for (int i = 0; i < op->n_results; i++) {
        number(w, &op->results[i]);
    }
    return true;
}

/* False when the loop may not be a function of its own. */
static bool make_key(tg_emitter *e, tg_op *op, key *k) {
    k->sites.count = k->words.count = k->inputs.count = k->copied.count = 0;
    k->n_ops = k->depth = 0;
    e->shares->n_keys++;
    e->shares->n_numbers = 0;
    for (int i = 0; i < op->n_results; i++) {
        if (op->results[i].type->kind == TG_TY_VEC || folds(&op->results[i], 0)) {
            return false;
        }
    }
    return op->n_results <= MAX_RESULTS && put_op(&(writer){e, e->shares, k}, op, 0) &&
           k->n_ops >= MIN_OPS && k->depth >= 2;
}

/* ---- finding them -----------------------------------------------------------------------------
 */

static bool is_same(tg_emitter *e, const key *k, tg_op *loop) {
    key *other = &e->shares->other;
    return make_key(e, loop, other) && other->words.count == k->words.count &&
           memcmp(other->words.data, k->words.data, k->words.count * sizeof(int64_t)) == 0;
}

/* Parameters for the sites whose values are not one in all members; those that go together share
 * one. Returns how many. */
static int free_sites(const part *p, int *free_of) {
    int n = 0;
    for (int i = 0; i < p->n_sites; i++) {
        free_of[i] = -1;
        for (size_t m = 1; m < p->members.count && free_of[i] < 0; m++) {
            free_of[i] = p->members.data[m][i] != p->members.data[0][i] ? n : -1;
        }
        for (int j = 0; j < i && free_of[i] == n; j++) {
            bool together = free_of[j] >= 0;
            for (size_t m = 0; m < p->members.count && together; m++) {
                together = p->members.data[m][i] == p->members.data[m][j];
            }
            free_of[i] = together ? free_of[j] : n;
        }
        n += free_of[i] == n;
    }
    return n;
}

/* False when too much would differ. */
static bool add_member(tg_emitter *e, part *p, const key *k) {
    int64_t *values = TG_NEW_ARRAY(e->arena, int64_t, p->n_sites + 1);
    int *free_of = TG_NEW_ARRAY(e->arena, int, p->n_sites + 1);
    for (int i = 0; i < p->n_sites; i++) {
        values[i] = k->sites.data[i].value;
    }
    TG_LIST_PUSH(e->arena, &p->members, values);
    int n = free_sites(p, free_of);
    if (n > MAX_FREE) {
        p->members.count--;
        return false;
    }
    p->free_of = free_of;
    p->n_free = n;
    p->count++;
    return true;
}

/* True when an equal loop was there before. */
static bool note(tg_emitter *e, tg_op *loop) {
    struct tg_emit_shares *s = e->shares;
    if (!make_key(e, loop, &s->key)) {
        return false;
    }
    uint64_t hash = tg_hash_bytes(s->key.words.data, s->key.words.count * sizeof(int64_t), 0);
    part **bucket = &s->buckets[hash % BUCKETS];
    for (part *p = *bucket; p; p = p->next) {
        if (p->hash == hash && is_same(e, &s->key, p->first) && add_member(e, p, &s->key)) {
            loop->scratch = p;
            return true;
        }
    }
    part *p = TG_NEW(e->arena, part);
    *p = (part){.first = loop, .hash = hash, .n_sites = (int)s->key.sites.count, .next = *bucket};
    add_member(e, p, &s->key);
    *bucket = p;
    loop->scratch = p;
    return false;
}

static void find_in(tg_emitter *e, tg_region *r) {
    for (tg_op *op = r->first; op; op = op->next) {
        if ((op->code == TG_OP_FOR || op->code == TG_OP_IF) && note(e, op)) {
            continue;
        }
        for (int i = 0; i < op->n_regions; i++) {
            find_in(e, op->regions[i]);
        }
    }
}

void tg_emit_shares_find(tg_emitter *e, tg_module *m) {
    uint32_t n = 0;
    for (tg_func *f = m->first_func; f; f = f->next) {
        n = f->next_value_id >= n ? f->next_value_id + 1 : n;
    }
    e->shares = TG_NEW(e->arena, struct tg_emit_shares);
    e->shares->seen = TG_NEW_ARRAY(e->arena, uint32_t, n);
    e->shares->number = TG_NEW_ARRAY(e->arena, uint32_t, n);
    for (tg_func *f = m->first_func; f; f = f->next) {
        if (f->level == TG_LEVEL_LOOP) {
            find_in(e, f->body);
        }
    }
}

static void forget_in(tg_region *r) {
    for (tg_op *op = r->first; op; op = op->next) {
        op->scratch = NULL;
        for (int i = 0; i < op->n_regions; i++) {
            forget_in(op->regions[i]);
        }
    }
}

void tg_emit_shares_end(tg_emitter *e, tg_module *m) {
    for (tg_func *f = m->first_func; f; f = f->next) {
        if (f->level == TG_LEVEL_LOOP) {
            forget_in(f->body);
        }
    }
    e->shares = NULL;
}

/* ---- emitting them ----------------------------------------------------------------------------
 */

/* One result is returned as it is, more as a structure. */
static LLVMTypeRef result_type(tg_emitter *e, const tg_op *op) {
    LLVMTypeRef t[MAX_RESULTS];
    for (int i = 0; i < op->n_results; i++) {
        t[i] = tg_emit_type(e, op->results[i].type);
    }
    return op->n_results == 0 ? LLVMVoidTypeInContext(e->context)
           : op->n_results == 1
               ? t[0]
               : LLVMStructTypeInContext(e->context, t, (unsigned)op->n_results, 0);
}

static void give_back(tg_emitter *e, const tg_op *op) {
    LLVMValueRef v[MAX_RESULTS];
    for (int i = 0; i < op->n_results; i++) {
        v[i] = tg_emit_get(e, &op->results[i]);
    }
    if (op->n_results == 0) {
        LLVMBuildRetVoid(e->builder);
    } else if (op->n_results == 1) {
        LLVMBuildRet(e->builder, v[0]);
    } else {
        LLVMBuildAggregateRet(e->builder, v, (unsigned)op->n_results);
    }
}

/* The function of an operation of e->func; its parameters are the key's inputs in order. The body
 * is that of the operation called first, which need not be the part's first: that may have been
 * emitted in place. */
static void define(tg_emitter *e, part *p, const key *k, tg_op *op) {
    int n = (int)k->inputs.count, n_copied = (int)k->copied.count;
    tg_value **inputs = TG_NEW_ARRAY(e->arena, tg_value *, n + 1);
    tg_op **copied = TG_NEW_ARRAY(e->arena, tg_op *, n_copied + 1);
    LLVMTypeRef *params = TG_NEW_ARRAY(e->arena, LLVMTypeRef, n + p->n_free + 1);
    site *sites = TG_NEW_ARRAY(e->arena, site, p->n_sites + 1);
    for (int i = 0; i < p->n_sites; i++) {
        sites[i] = k->sites.data[i];
    }
    for (int i = 0; i < p->n_free; i++) {
        params[n + i] = LLVMInt64TypeInContext(e->context);
    }
    for (int i = 0; i < n; i++) { /* the key's lists are used again inside */
        inputs[i] = k->inputs.data[i];
        params[i] = tg_emit_type(e, inputs[i]->type);
    }
    for (int i = 0; i < n_copied; i++) {
        copied[i] = k->copied.data[i];
    }
    p->type = LLVMFunctionType(result_type(e, op), params, (unsigned)(n + p->n_free), 0);
    tg_emitter outer = *e;
    LLVMBasicBlockRef at = LLVMGetInsertBlock(e->builder);
    const char *name = tg_arena_printf(e->arena, "%s.part%d", e->func->name, e->shares->n_parts++);
    tg_emit_part_begin(e, name, p->type);
    p->function = e->function;
    e->values = TG_NEW_ARRAY(e->arena, LLVMValueRef, e->n_values);
    for (int i = 0; i < n; i++) {
        tg_emit_set(e, inputs[i], LLVMGetParam(e->function, (unsigned)i));
    }
    p->strides = TG_NEW_ARRAY(e->arena, LLVMValueRef, p->n_sites + 1);
    for (int i = 0; i < p->n_sites; i++) {
        if (p->free_of[i] >= 0) {
            p->strides[i] = LLVMGetParam(e->function, (unsigned)(n + p->free_of[i]));
            sites[i].op->scratch = &p->strides[i];
        }
    }
    e->shares->in_place += p->n_free > 0;
    for (int i = 0; i < n_copied; i++) {
        tg_emit_op(e, copied[i]);
    }
    tg_emit_structured(e, op);
    e->shares->in_place -= p->n_free > 0;
    for (int i = 0; i < p->n_sites; i++) {
        sites[i].op->scratch = NULL;
    }
    give_back(e, op);
    outer.failed = e->failed;
    outer.wants_unroll = e->wants_unroll;
    *e = outer;
    LLVMPositionBuilderAtEnd(e->builder, at);
}

LLVMValueRef tg_emit_free(const tg_emitter *e, const tg_op *op) {
    return e->shares && op->scratch ? *(const LLVMValueRef *)op->scratch : NULL;
}

bool tg_emit_shared(tg_emitter *e, tg_op *op) {
    part *p = e->shares ? op->scratch : NULL;
    if (!p || p->count < 2 || e->shares->in_place || !make_key(e, op, &e->shares->key)) {
        return false;
    }
    const key *k = &e->shares->key;
    int n = (int)k->inputs.count;
    LLVMTypeRef i64 = LLVMInt64TypeInContext(e->context);
    LLVMValueRef *args = TG_NEW_ARRAY(e->arena, LLVMValueRef, n + p->n_free + 1);
    for (int i = 0; i < p->n_sites; i++) {
        if (p->free_of[i] >= 0) {
            args[n + p->free_of[i]] = LLVMConstInt(i64, (uint64_t)k->sites.data[i].value, 1);
        }
    }
    for (int i = 0; i < n; i++) {
        args[i] = tg_emit_get(e, k->inputs.data[i]);
    }
    if (!p->function) {
        define(e, p, k, op);
        tg_emit_debug_location(e, op->span);
    }
    LLVMValueRef x =
        LLVMBuildCall2(e->builder, p->type, p->function, args, (unsigned)(n + p->n_free), "");
    for (int i = 0; i < op->n_results; i++) {
        tg_emit_set(e, &op->results[i],
                    op->n_results == 1 ? x : LLVMBuildExtractValue(e->builder, x, (unsigned)i, ""));
    }
    return true;
}
