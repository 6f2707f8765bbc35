/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules, functions, regions, operations and the use lists between them.
 *
 *   value.uses ─▶ tg_use ─▶ tg_use ...      one list per value, through every operand slot naming
 * it │ user ▼ tg_op.operands[i]         the slots themselves, an array of the op
 *
 * So replacing all uses of a value or asking whether it has any costs no walk over the function.
 */
#include "ir/ir.h"

#include <string.h>

/* ---- containers ----------------------------------------------------------------------------- */

tg_module *tg_module_make(tg_arena *a) {
    tg_module *m = TG_NEW(a, tg_module);
    m->arena = a;
    tg_strtab_init(&m->strings, a);
    return m;
}

tg_func *tg_func_make(tg_module *m, const char *name, tg_level level) {
    tg_func *f = TG_NEW(m->arena, tg_func);
    f->module = m;
    f->name = tg_intern(&m->strings, name, strlen(name));
    f->level = level;
    if (m->last_func == NULL) {
        m->first_func = f;
    } else {
        m->last_func->next = f;
    }
    m->last_func = f;
    return f;
}

tg_func *tg_func_find(tg_module *m, const char *name) {
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        if (strcmp(f->name, name) == 0) {
            return f;
        }
    }
    return NULL;
}

tg_region *tg_region_make(tg_func *f, tg_op *parent) {
    tg_region *r = TG_NEW(f->module->arena, tg_region);
    r->parent = parent;
    r->func = f;
    return r;
}

tg_value *tg_region_add_arg(tg_region *r, const tg_type *type, const char *name) {
    tg_arena *arena = r->func->module->arena;
    /* The array doubles when the count reaches a power of two, so no capacity field is needed. */
    if ((r->n_args & (r->n_args - 1)) == 0) {
        size_t cap = r->n_args == 0 ? 1 : (size_t)r->n_args * 2;
        tg_value **args = TG_NEW_ARRAY(arena, tg_value *, cap);
        if (r->n_args > 0) {
            memcpy(args, r->args, (size_t)r->n_args * sizeof(args[0]));
        }
        r->args = args;
    }
    tg_value *v = TG_NEW(arena, tg_value);
    v->type = type;
    v->region = r;
    v->index = r->n_args;
    v->id = r->func->next_value_id++;
    v->name = name == NULL ? NULL : tg_intern(&r->func->module->strings, name, strlen(name));
    r->args[r->n_args++] = v;
    return v;
}

/* ---- uses ----------------------------------------------------------------------------------- */

static void use_link(tg_use *u, tg_value *v) {
    u->value = v;
    u->prev = NULL;
    u->next = NULL;
    if (v == NULL) {
        return;
    }
    u->next = v->uses;
    if (v->uses != NULL) {
        v->uses->prev = u;
    }
    v->uses = u;
}

static void use_unlink(tg_use *u) {
    if (u->value == NULL) {
        return;
    }
    if (u->prev != NULL) {
        u->prev->next = u->next;
    } else {
        u->value->uses = u->next;
    }
    if (u->next != NULL) {
        u->next->prev = u->prev;
    }
    u->value = NULL;
    u->prev = NULL;
    u->next = NULL;
}

tg_value *tg_operand(const tg_op *op, int i) { return op->operands[i].value; }

void tg_set_operand(tg_op *op, int i, tg_value *v) {
    use_unlink(&op->operands[i]);
    use_link(&op->operands[i], v);
}

void tg_replace_all_uses(tg_value *of, tg_value *with) {
    if (of == with) {
        return;
    }
    while (of->uses != NULL) {
        tg_use *u = of->uses;
        use_unlink(u);
        use_link(u, with);
    }
}

bool tg_value_is_used(const tg_value *v) { return v->uses != NULL; }

/* ---- operations ----------------------------------------------------------------------------- */

tg_op *tg_op_make(tg_func *f, tg_opcode code, tg_span span, int n_operands,
                  tg_value *const *operands, int n_results, const tg_type *const *types,
                  int n_regions) {
    tg_arena *arena = f->module->arena;
    tg_op *op = TG_NEW(arena, tg_op);
    op->code = code;
    op->span = span;
    op->func = f;
    op->n_operands = n_operands;
    op->n_results = n_results;
    op->n_regions = n_regions;
    if (n_operands > 0) {
        op->operands = TG_NEW_ARRAY(arena, tg_use, n_operands);
        for (int i = 0; i < n_operands; i++) {
            op->operands[i].user = op;
            use_link(&op->operands[i], operands[i]);
        }
    }
    if (n_results > 0) {
        op->results = TG_NEW_ARRAY(arena, tg_value, n_results);
        for (int i = 0; i < n_results; i++) {
            op->results[i].type = types[i];
            op->results[i].def = op;
            op->results[i].index = i;
            op->results[i].id = f->next_value_id++;
        }
    }
    if (n_regions > 0) {
        op->regions = TG_NEW_ARRAY(arena, tg_region *, n_regions);
        for (int i = 0; i < n_regions; i++) {
            op->regions[i] = tg_region_make(f, op);
        }
    }
    return op;
}

void tg_op_append(tg_region *r, tg_op *op) {
    op->parent = r;
    op->next = NULL;
    op->prev = r->last;
    if (r->last != NULL) {
        r->last->next = op;
    } else {
        r->first = op;
    }
    r->last = op;
}

void tg_op_insert_before(tg_op *at, tg_op *op) {
    tg_region *r = at->parent;
    op->parent = r;
    op->next = at;
    op->prev = at->prev;
    if (at->prev != NULL) {
        at->prev->next = op;
    } else {
        r->first = op;
    }
    at->prev = op;
}

void tg_op_unlink(tg_op *op) {
    tg_region *r = op->parent;
    if (r == NULL) {
        return;
    }
    if (op->prev != NULL) {
        op->prev->next = op->next;
    } else {
        r->first = op->next;
    }
    if (op->next != NULL) {
        op->next->prev = op->prev;
    } else {
        r->last = op->prev;
    }
    op->parent = NULL;
    op->prev = NULL;
    op->next = NULL;
}

static void drop_uses(tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        use_unlink(&op->operands[i]);
    }
    for (int i = 0; i < op->n_regions; i++) {
        for (tg_op *o = op->regions[i]->first; o != NULL; o = o->next) {
            drop_uses(o);
        }
    }
}

void tg_op_erase(tg_op *op) {
    tg_op_unlink(op);
    drop_uses(op);
}

/* ---- cloning -------------------------------------------------------------------------------- */

/* Open-addressed by pointer; grown at half load. */
struct tg_value_map {
    tg_arena *arena;
    const tg_value **keys;
    tg_value **values;
    size_t count, cap;
};

static size_t map_slot(const tg_value_map *map, const tg_value *key) {
    uint64_t h = (uint64_t)(uintptr_t)key * 0x9E3779B97F4A7C15u;
    size_t at = (size_t)(h >> 20) & (map->cap - 1);
    while (map->keys[at] != NULL && map->keys[at] != key) {
        at = (at + 1) & (map->cap - 1);
    }
    return at;
}

static void map_resize(tg_value_map *map, size_t cap) {
    tg_value_map bigger = {.arena = map->arena, .cap = cap, .count = map->count};
    bigger.keys = TG_NEW_ARRAY(map->arena, const tg_value *, cap);
    bigger.values = TG_NEW_ARRAY(map->arena, tg_value *, cap);
    for (size_t i = 0; i < map->cap; i++) {
        if (map->keys[i] != NULL) {
            size_t at = map_slot(&bigger, map->keys[i]);
            bigger.keys[at] = map->keys[i];
            bigger.values[at] = map->values[i];
        }
    }
    *map = bigger;
}

tg_value_map *tg_value_map_make(tg_arena *a) {
    tg_value_map *map = TG_NEW(a, tg_value_map);
    map->arena = a;
    map_resize(map, 32);
    return map;
}

void tg_value_map_put(tg_value_map *map, const tg_value *from, tg_value *to) {
    if (map->count * 2 >= map->cap) {
        map_resize(map, map->cap * 2);
    }
    size_t at = map_slot(map, from);
    if (map->keys[at] == NULL) {
        map->count++;
    }
    map->keys[at] = from;
    map->values[at] = to;
}

tg_value *tg_value_map_get(const tg_value_map *map, const tg_value *from) {
    return map->values[map_slot(map, from)];
}

static void clone_region(tg_region *from, tg_region *to, tg_value_map *map) {
    for (int i = 0; i < from->n_args; i++) {
        tg_value *arg = tg_region_add_arg(to, from->args[i]->type, from->args[i]->name);
        tg_value_map_put(map, from->args[i], arg);
    }
    for (tg_op *op = from->first; op != NULL; op = op->next) {
        tg_op_clone(op, to, map);
    }
}

static void clone_attrs(tg_op *to, const tg_op *from) {
    for (int i = 0; i < from->n_attrs; i++) {
        const tg_attr *a = &from->attrs[i];
        switch (tg_attr_kind(a->key)) {
        case 'l':
            tg_op_set_list(to, a->key, a->list, a->n_list);
            break;
        case 'f':
            tg_op_set_float(to, a->key, a->f);
            break;
        case 's':
            tg_op_set_str(to, a->key, a->s);
            break;
        case 't':
            tg_op_set_type(to, a->key, a->type);
            break;
        default:
            tg_op_set_int(to, a->key, a->i);
            break;
        }
    }
}

tg_op *tg_op_clone(tg_op *op, tg_region *into, tg_value_map *map) {
    tg_func *f = into->func;
    tg_arena *arena = f->module->arena;
    tg_value **operands = NULL;
    const tg_type **types = NULL;
    if (op->n_operands > 0) {
        operands = TG_NEW_ARRAY(arena, tg_value *, op->n_operands);
    }
    if (op->n_results > 0) {
        types = TG_NEW_ARRAY(arena, const tg_type *, op->n_results);
    }
    for (int i = 0; i < op->n_operands; i++) {
        tg_value *to = tg_value_map_get(map, tg_operand(op, i));
        operands[i] = to != NULL ? to : tg_operand(op, i);
    }
    for (int i = 0; i < op->n_results; i++) {
        types[i] = op->results[i].type;
    }
    tg_op *copy = tg_op_make(f, op->code, op->span, op->n_operands, operands, op->n_results, types,
                             op->n_regions);
    clone_attrs(copy, op);
    for (int i = 0; i < op->n_results; i++) {
        copy->results[i].name = op->results[i].name;
        tg_value_map_put(map, &op->results[i], &copy->results[i]);
    }
    tg_op_append(into, copy);
    for (int i = 0; i < op->n_regions; i++) {
        clone_region(op->regions[i], copy->regions[i], map);
    }
    return copy;
}

/* ---- attributes ----------------------------------------------------------------------------- */

const tg_attr *tg_attr_get(const tg_op *op, tg_attr_key key) {
    for (int i = 0; i < op->n_attrs; i++) {
        if (op->attrs[i].key == key) {
            return &op->attrs[i];
        }
    }
    return NULL;
}

int64_t tg_attr_int(const tg_op *op, tg_attr_key key, int64_t otherwise) {
    const tg_attr *a = tg_attr_get(op, key);
    return a != NULL ? a->i : otherwise;
}

double tg_attr_float(const tg_op *op, tg_attr_key key, double otherwise) {
    const tg_attr *a = tg_attr_get(op, key);
    return a != NULL ? a->f : otherwise;
}

const char *tg_attr_str(const tg_op *op, tg_attr_key key) {
    const tg_attr *a = tg_attr_get(op, key);
    return a != NULL ? a->s : NULL;
}

/* The slot of `key`, added if absent. The array doubles at powers of two. */
static tg_attr *attr_slot(tg_op *op, tg_attr_key key) {
    for (int i = 0; i < op->n_attrs; i++) {
        if (op->attrs[i].key == key) {
            return &op->attrs[i];
        }
    }
    if ((op->n_attrs & (op->n_attrs - 1)) == 0) {
        size_t cap = op->n_attrs == 0 ? 1 : (size_t)op->n_attrs * 2;
        tg_attr *attrs = TG_NEW_ARRAY(op->func->module->arena, tg_attr, cap);
        if (op->n_attrs > 0) {
            memcpy(attrs, op->attrs, (size_t)op->n_attrs * sizeof(attrs[0]));
        }
        op->attrs = attrs;
    }
    tg_attr *a = &op->attrs[op->n_attrs++];
    a->key = key;
    return a;
}

void tg_op_set_int(tg_op *op, tg_attr_key key, int64_t v) { attr_slot(op, key)->i = v; }
void tg_op_set_float(tg_op *op, tg_attr_key key, double v) { attr_slot(op, key)->f = v; }

void tg_op_set_str(tg_op *op, tg_attr_key key, const char *s) {
    attr_slot(op, key)->s = tg_intern(&op->func->module->strings, s, strlen(s));
}

void tg_op_set_list(tg_op *op, tg_attr_key key, const int64_t *v, size_t n) {
    tg_attr *a = attr_slot(op, key);
    int64_t *list = TG_NEW_ARRAY(op->func->module->arena, int64_t, n == 0 ? 1 : n);
    if (n > 0) {
        memcpy(list, v, n * sizeof(v[0]));
    }
    a->list = list;
    a->n_list = n;
}

void tg_op_set_type(tg_op *op, tg_attr_key key, const tg_type *t) { attr_slot(op, key)->type = t; }

void tg_op_remove_attr(tg_op *op, tg_attr_key key) {
    for (int i = 0; i < op->n_attrs; i++) {
        if (op->attrs[i].key == key) {
            /* Capacity is derived from the count, so the array is rebuilt rather than shrunk. */
            int n = op->n_attrs;
            tg_attr *old = op->attrs;
            op->attrs = NULL;
            op->n_attrs = 0;
            for (int j = 0; j < n; j++) {
                if (j != i) {
                    *attr_slot(op, old[j].key) = old[j];
                }
            }
            return;
        }
    }
}
