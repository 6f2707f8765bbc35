/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Takes kernel text that fails, gives smaller text that still fails. It tries, until nothing helps:
 * a store or other op without results removed; a loop or if replaced by its initial values; an op's
 * result replaced by an earlier operand of its type, or by a constant; then everything unused
 * removed. Each attempt edits a fresh parse of the current text, so a failed attempt costs nothing.
 */
#include "tests/random/reduce.h"

#include <string.h>

#include "ir/build.h"

/* ---- ops by number ------------------------------------------------------------------------------
 */

static tg_op *find_op(tg_region *r, int *number) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if ((*number)-- == 0) {
            return op;
        }
        for (int k = 0; k < op->n_regions; k++) {
            tg_op *found = find_op(op->regions[k], number);
            if (found != NULL) {
                return found;
            }
        }
    }
    return NULL;
}

static int count_ops(tg_region *r) {
    int n = 0;
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        n++;
        for (int k = 0; k < op->n_regions; k++) {
            n += count_ops(op->regions[k]);
        }
    }
    return n;
}

/* ---- edits --------------------------------------------------------------------------------------
 */

static bool is_unused(const tg_op *op) {
    for (int r = 0; r < op->n_results; r++) {
        if (tg_value_is_used(&op->results[r])) {
            return false;
        }
    }
    return true;
}

static bool has_effect(tg_op *op) {
    if ((tg_op_info_get(op->code)->flags & (TG_OPF_WRITE | TG_OPF_TERMINATOR)) != 0) {
        return true;
    }
    for (int k = 0; k < op->n_regions; k++) {
        for (tg_op *inner = op->regions[k]->first; inner != NULL; inner = inner->next) {
            if (inner->code != TG_OP_YIELD && has_effect(inner)) {
                return true;
            }
        }
    }
    return false;
}

/* Unused ops without effect, last first. */
static void sweep(tg_region *r) {
    tg_op *op = r->last;
    while (op != NULL) {
        tg_op *prev = op->prev;
        for (int k = 0; k < op->n_regions; k++) {
            sweep(op->regions[k]);
        }
        if (is_unused(op) && !has_effect(op)) {
            tg_op_erase(op);
        }
        op = prev;
    }
}

static bool remove_unused(tg_op *op) {
    if (op->n_results == 0 || !is_unused(op) || has_effect(op)) {
        return false;
    }
    tg_op_erase(op);
    return true;
}

static bool remove_effect(tg_op *op) {
    if (op->n_results != 0 || op->code == TG_OP_YIELD) {
        return false;
    }
    tg_op_erase(op);
    return true;
}

/* Results become operands `from`, ...: the initial values of a loop, or operands of equal type. */
static bool replace_by_operands(tg_op *op, int from) {
    if (op->n_results == 0 || from + op->n_results > op->n_operands) {
        return false;
    }
    for (int r = 0; r < op->n_results; r++) {
        if (tg_operand(op, from + r)->type != op->results[r].type) {
            return false;
        }
    }
    for (int r = 0; r < op->n_results; r++) {
        tg_replace_all_uses(&op->results[r], tg_operand(op, from + r));
    }
    tg_op_erase(op);
    return true;
}

static bool replace_by_constants(tg_op *op, int64_t v) {
    if (op->n_results == 0 || op->code == TG_OP_CONST_INT || op->code == TG_OP_CONST_FLOAT) {
        return false;
    }
    for (int r = 0; r < op->n_results; r++) {
        if (op->results[r].type->kind != TG_TY_TILE) {
            return false;
        }
    }
    tg_builder b = tg_builder_before(op);
    for (int r = 0; r < op->n_results; r++) {
        const tg_type *t = op->results[r].type;
        tg_value *c =
            tg_dtype_is_float(t->dtype) ? tg_build_float(&b, t, (double)v) : tg_build_int(&b, t, v);
        tg_replace_all_uses(&op->results[r], c);
    }
    tg_op_erase(op);
    return true;
}

/* The trailing mask goes away. */
static bool drop_mask(tg_op *op) {
    if (tg_attr_int(op, TG_ATTR_MASKED, 0) == 0) {
        return false;
    }
    const tg_type *bool_type = tg_operand(op, op->n_operands - 1)->type;
    tg_builder b = tg_builder_before(op);
    tg_value *old = tg_operand(op, op->n_operands - 1);
    int64_t v;
    if (tg_value_const_int(old, &v)) {
        return false;
    }
    tg_set_operand(op, op->n_operands - 1, tg_build_int(&b, bool_type, 1));
    return true;
}

enum { EDITS = 10, NO_EDIT = -1 };

static bool apply(tg_op *op, int edit) {
    switch (edit) {
    case 0:
        return remove_effect(op);
    case 1:
        return replace_by_operands(op, op->code == TG_OP_FOR ? 3 : 0);
    case 2:
        return replace_by_constants(op, 0);
    case 3:
        return replace_by_constants(op, 1);
    case 4:
        return replace_by_operands(op, 1);
    case 5:
        return replace_by_operands(op, 2);
    case 6:
        return drop_mask(op);
    case 7:
        return op->code == TG_OP_SPAN ? false : replace_by_constants(op, 2);
    case 8:
        return replace_by_constants(op, 5);
    case 9:
        return remove_unused(op);
    default:
        return false;
    }
}

/* ---- the search ---------------------------------------------------------------------------------
 */

static tg_module *parse(const char *text, tg_arena *a) {
    tg_source *src = TG_NEW(a, tg_source);
    tg_sink sink;
    tg_module *m = NULL;
    tg_sink_init(&sink, a);
    *src = (tg_source){.name = "reduce", .text = text, .len = strlen(text)};
    return tg_module_parse(src, a, &sink, &m) == TG_OK ? m : NULL;
}

/* The text after edit `edit` of op `number`, or NULL. */
static const char *edited(const char *text, int number, int edit, bool swept, tg_arena *a) {
    tg_module *m = parse(text, a);
    tg_sink sink;
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_sink_init(&sink, a);
    tg_op *op = m == NULL ? NULL : find_op(m->first_func->body, &number);
    if (op == NULL || (edit != NO_EDIT && (op->code == TG_OP_YIELD || !apply(op, edit)))) {
        return NULL;
    }
    if (swept) {
        sweep(m->first_func->body);
    }
    if (tg_module_verify(m, &sink) != TG_OK) {
        return NULL;
    }
    tg_module_print(&sb, m);
    return strlen(sb.data) < strlen(text) || edit != 6 ? sb.data : NULL;
}

static int ops_in(const char *text, tg_arena *a) {
    tg_module *m = parse(text, a);
    return m == NULL ? 0 : count_ops(m->first_func->body);
}

const char *reduce_text(const char *text, reduce_still_fails *still, void *user, tg_arena *a) {
    /* Code whose result nobody uses can be what it takes to fail. */
    const char *clean = edited(text, 0, NO_EDIT, true, a);
    bool progress = true, swept = clean != NULL && still(user, clean);
    for (int round = 0; progress && round < 8; round++) {
        progress = false;
        for (int n = ops_in(text, a) - 1; n >= 0; n--) {
            for (int edit = 0; edit < EDITS; edit++) {
                tg_arena own;
                tg_arena_init(&own, a->env);
                const char *next = edited(text, n, edit, swept, &own);
                if (next != NULL && strcmp(next, text) != 0 && still(user, next)) {
                    text = tg_arena_strdup(a, next);
                    progress = true;
                    edit = EDITS;
                }
                tg_arena_fini(&own);
            }
        }
    }
    return text;
}
