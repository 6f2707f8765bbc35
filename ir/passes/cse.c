/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cse: one computation for equal ones.
 *
 * Takes any tile or loop IR. Gives the same kernel where an operation with the opcode, operands,
 * attributes and result types of an earlier, visible one is replaced by it. Refuses operations with
 * effects or regions of their own, and loads of memory that the kernel may write.
 *
 * Before:
 *   %2 = mul %0, %1 : i64
 *   %3 = mul %1, %0 : i64
 *   %4 = add %2, %3 : i64
 * After:
 *   %2 = mul %0, %1 : i64
 *   %4 = add %2, %2 : i64
 *
 * Method: a hash table scoped by region. Regions are walked in order; what a region added is taken
 * out again at its end, so a hit is always defined in an enclosing region and earlier.
 */
#include "ir/passes/util.h"

#include <string.h>

typedef struct entry {
    tg_op *op;
    uint64_t hash;
    struct entry *next;  /* in the bucket */
    struct entry *added; /* the one added before, for taking out */
} entry;

typedef struct scope {
    tg_arena *arena;
    entry **buckets;
    size_t n_buckets;
    entry *last;
} scope;

/* Operand i as the key sees it: commutative operands in the order of their ids. */
static tg_value *key_operand(const tg_op *op, int i) {
    bool commutes = (tg_op_info_get(op->code)->flags & TG_OPF_COMMUTATIVE) != 0;
    if (commutes && op->n_operands == 2 && tg_operand(op, 0)->id > tg_operand(op, 1)->id) {
        i = 1 - i;
    }
    return tg_operand(op, i);
}

static uint64_t mix(uint64_t h, uint64_t v) { return (h ^ v) * 0x9E3779B97F4A7C15u + (h >> 29); }

static uint64_t attr_hash(const tg_attr *a) {
    uint64_t h = mix((uint64_t)a->key, (uint64_t)a->i);
    if (a->n_list > 0) {
        h = tg_hash_bytes(a->list, a->n_list * sizeof(int64_t), h);
    }
    return a->s == NULL ? h : tg_hash_bytes(a->s, strlen(a->s), h);
}

static uint64_t op_hash(const tg_op *op) {
    uint64_t h = mix(17, (uint64_t)op->code), attrs = 0;
    for (int i = 0; i < op->n_operands; i++) {
        h = mix(h, key_operand(op, i)->id);
    }
    for (int i = 0; i < op->n_attrs; i++) {
        attrs += attr_hash(&op->attrs[i]); /* in any order */
    }
    return mix(h, attrs);
}

/* Bits, not values: -0 is not 0, and a NaN equals itself. */
static bool same_bits(double a, double b) {
    uint64_t x, y;
    memcpy(&x, &a, sizeof x);
    memcpy(&y, &b, sizeof y);
    return x == y;
}

static bool attr_equal(const tg_attr *a, const tg_attr *b) {
    if (b == NULL) {
        return false;
    }
    bool plain =
        a->i == b->i && same_bits(a->f, b->f) && a->type == b->type && a->n_list == b->n_list;
    if (!plain || (a->s == NULL) != (b->s == NULL)) {
        return false;
    }
    return (a->s == NULL || strcmp(a->s, b->s) == 0) &&
           (a->n_list == 0 || memcmp(a->list, b->list, a->n_list * sizeof(int64_t)) == 0);
}

static bool op_equal(const tg_op *a, const tg_op *b) {
    if (a->code != b->code || a->n_operands != b->n_operands || a->n_results != b->n_results ||
        a->n_attrs != b->n_attrs) {
        return false;
    }
    for (int i = 0; i < a->n_operands; i++) {
        if (key_operand(a, i) != key_operand(b, i)) {
            return false;
        }
    }
    for (int i = 0; i < a->n_results; i++) {
        if (a->results[i].type != b->results[i].type) {
            return false;
        }
    }
    for (int i = 0; i < a->n_attrs; i++) {
        if (!attr_equal(&a->attrs[i], tg_attr_get(b, a->attrs[i].key))) {
            return false;
        }
    }
    return true;
}

static tg_op *find(const scope *s, const tg_op *op, uint64_t hash) {
    for (entry *e = s->buckets[hash & (s->n_buckets - 1)]; e != NULL; e = e->next) {
        if (e->hash == hash && op_equal(e->op, op)) {
            return e->op;
        }
    }
    return NULL;
}

static void add(scope *s, tg_op *op, uint64_t hash) {
    entry *e = TG_NEW(s->arena, entry);
    entry **bucket = &s->buckets[hash & (s->n_buckets - 1)];
    *e = (entry){.op = op, .hash = hash, .next = *bucket, .added = s->last};
    *bucket = e;
    s->last = e;
}

static void leave(scope *s, const entry *mark) {
    while (s->last != mark) {
        s->buckets[s->last->hash & (s->n_buckets - 1)] = s->last->next;
        s->last = s->last->added;
    }
}

static void visit(scope *s, tg_region *r) {
    const entry *mark = s->last;
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        for (int i = 0; i < op->n_regions; i++) {
            visit(s, op->regions[i]);
        }
        if (op->n_results > 0 && tg_op_is_repeatable(op)) {
            uint64_t hash = op_hash(op);
            tg_op *earlier = find(s, op, hash);
            if (earlier == NULL) {
                add(s, op, hash);
            } else {
                for (int i = 0; i < op->n_results; i++) {
                    tg_replace_all_uses(&op->results[i], &earlier->results[i]);
                }
                tg_op_erase(op);
            }
        }
        op = next;
    }
    leave(s, mark);
}

void tg_pass_cse(tg_func *f, tg_pass_context *ctx) {
    scope s = {.arena = ctx->scratch, .n_buckets = 1024};
    s.buckets = TG_NEW_ARRAY(ctx->scratch, entry *, s.n_buckets);
    if (f->grid != NULL) {
        visit(&s, f->grid);
    }
    visit(&s, f->body);
}
