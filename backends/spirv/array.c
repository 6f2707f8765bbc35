/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared and private arrays. Elements lie as unsigned integers of their width, floats too, so that
 * shared arrays of one width may share bytes: those whose byte ranges meet become parts of one
 * Workgroup variable. Arrays of different widths never do (docs/placed.md); it is refused here.
 * Every private array is a variable of its own.
 */
#include <string.h>

#include "backends/spirv/spirv.h"

typedef struct range {
    const tg_op *op;
    int64_t from, to; /* bytes */
    int bits;
    int cluster;
} range;

typedef struct range_list {
    range *data;
    size_t count, cap;
} range_list;

static int element_bits(const tg_type *t) {
    int bits = tg_spv_bits(t);
    return bits < 8 ? 8 : bits;
}

static void collect(tg_spv *s, const tg_region *r, range_list *shared) {
    for (const tg_op *op = r->first; op; op = op->next) {
        for (int i = 0; i < op->n_regions; i++) {
            collect(s, op->regions[i], shared);
        }
        if (op->code != TG_OP_ARRAY) {
            continue;
        }
        const tg_type *t = op->results[0].type;
        int bits = element_bits(t);

        if (t->space != TG_SPACE_SHARED) {
            uint32_t word = tg_spv_type_int(s, bits);
            uint32_t array = tg_spv_type_array(s, word, (uint32_t)t->shape[0]);
            uint32_t pointer = tg_spv_type_pointer(s, SpvStorageClassFunction, array);
            uint32_t id = tg_spv_id(s);
            TG_SPV(s, TG_SPV_LOCAL, SpvOpVariable, pointer, id, SpvStorageClassFunction);
            tg_spv_name(s, id, tg_attr_str(op, TG_ATTR_NAME));
            tg_spv_array a = {.value = &op->results[0], .variable = id, .element = word};
            a.pointer = tg_spv_type_pointer(s, SpvStorageClassFunction, word);
            TG_LIST_PUSH(s->arena, &s->arrays, a);
            continue;
        }
        int64_t from = tg_attr_int(op, TG_ATTR_OFFSET, 0);
        range n = {.op = op, .from = from, .to = from + t->shape[0] * bits / 8, .bits = bits};
        TG_LIST_PUSH(s->arena, shared, n);
    }
}

static void sort_by_start(range_list *l) {
    for (size_t i = 1; i < l->count; i++) {
        range x = l->data[i];
        size_t at = i;
        for (; at > 0 && l->data[at - 1].from > x.from; at--) {
            l->data[at] = l->data[at - 1];
        }
        l->data[at] = x;
    }
}

/* A variable for ranges [begin, end), which hang together. */
static void shared_variable(tg_spv *s, const range_list *l, size_t begin, size_t end, int64_t to) {
    int bits = l->data[begin].bits, bytes = bits / 8;
    int64_t from = l->data[begin].from;
    uint32_t word = tg_spv_type_int(s, bits);
    uint32_t array = tg_spv_type_array(s, word, (uint32_t)((to - from) / bytes));
    uint32_t variable = tg_spv_global(s, SpvStorageClassWorkgroup, array);
    tg_spv_interface(s, variable, SpvStorageClassWorkgroup);
    tg_spv_name(s, variable, tg_attr_str(l->data[begin].op, TG_ATTR_NAME));
    for (size_t i = begin; i < end; i++) {
        const range *r = &l->data[i];
        if (r->bits != bits || (r->from - from) % bytes != 0) {
            tg_spv_refuse(s, r->op, "it shares bytes with an array of another element width");
            return;
        }
        tg_spv_array a = {.value = &r->op->results[0], .variable = variable, .element = word};
        a.first = (uint32_t)((r->from - from) / bytes);
        a.pointer = tg_spv_type_pointer(s, SpvStorageClassWorkgroup, word);
        a.shared = true;
        TG_LIST_PUSH(s->arena, &s->arrays, a);
    }
}

void tg_spv_arrays(tg_spv *s, tg_func *f) {
    range_list l = {0};
    collect(s, f->body, &l);
    sort_by_start(&l);
    for (size_t begin = 0, end; begin < l.count; begin = end) {
        int64_t to = l.data[begin].to;
        for (end = begin + 1; end < l.count && l.data[end].from < to; end++) {
            to = l.data[end].to > to ? l.data[end].to : to;
        }
        shared_variable(s, &l, begin, end, to);
    }
}

static const tg_spv_array *find(tg_spv *s, const tg_value *v) {
    for (size_t i = 0; i < s->arrays.count; i++) {
        if (s->arrays.data[i].value == v) {
            return &s->arrays.data[i];
        }
    }
    return NULL;
}

/* Pointer to element index + skip; NULL array after a refusal. */
uint32_t tg_spv_element(tg_spv *s, const tg_op *op, int64_t skip, bool *shared) {
    const tg_spv_array *a = find(s, tg_operand(op, 0));
    if (!a) {
        s->failed = true;
        return 0;
    }
    *shared = a->shared;
    uint32_t index = tg_spv_operand(s, op, 1).id[0];
    int64_t at = skip + a->first, known = 0;
    const tg_op *def = tg_operand(op, 1)->def;
    if (def && def->code == TG_OP_CONST_INT) {
        known = tg_attr_int(def, TG_ATTR_VALUE_I, 0);
        index = tg_spv_const(s, 32, (uint64_t)(known + at));
    } else if (at != 0) {
        index = TG_SPV_VALUE(s, SpvOpIAdd, tg_spv_type_int(s, 32), index,
                             tg_spv_const(s, 32, (uint64_t)at));
    }
    return TG_SPV_VALUE(s, SpvOpAccessChain, a->pointer, a->variable, index);
}

/* Private memory is nobody else's; shared memory says that others see it. */
static uint32_t operands(tg_spv *s, bool shared) {
    return shared ? s->flavour->access : SpvMemoryAccessMaskNone;
}

static tg_spv_value load(tg_spv *s, const tg_op *op) {
    const tg_type *t = op->results[0].type;
    tg_spv_value row = tg_spv_row(s, tg_spv_lanes(t));
    uint32_t word = tg_spv_type_int(s, element_bits(tg_operand(op, 0)->type));
    for (int l = 0; l < row.n; l++) {
        bool shared = false;
        uint32_t at = tg_spv_element(s, op, l, &shared);
        uint32_t x = TG_SPV_VALUE(s, SpvOpLoad, word, at, operands(s, shared));
        row.id[l] = tg_spv_from_bits(s, t, x);
    }
    return row;
}

static void store(tg_spv *s, const tg_op *op) {
    const tg_type *t = tg_operand(op, 2)->type;
    tg_spv_value x = tg_spv_operand(s, op, 2);
    for (int l = 0; l < x.n; l++) {
        bool shared = false;
        uint32_t v = tg_spv_as_bits(s, t, x.id[l]), at = tg_spv_element(s, op, l, &shared);
        TG_SPV(s, TG_SPV_BODY, SpvOpStore, at, v, operands(s, shared));
    }
}

tg_spv_value tg_spv_array_op(tg_spv *s, tg_op *op) {
    if (op->code == TG_OP_ALOAD) {
        return load(s, op);
    }
    if (op->code == TG_OP_ASTORE) {
        store(s, op);
    }
    return (tg_spv_value){0}; /* the array itself was declared with the function */
}
