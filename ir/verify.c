/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The verifier: everything that must hold of IR between passes. It walks each function once:
 *
 *   signature ─▶ regions in order ─▶ per op: counts, attributes, operand visibility, types, own
 * rule
 *
 * Visibility needs no dominator tree: control flow is structured, so an operand is visible when its
 * definition was walked already and its region encloses the user. Rules of single operations are in
 * verify_elem.c, verify_tile.c, verify_axis.c and verify_loop.c; kernels' signatures and host ops
 * in verify_signature.c.
 */
#include "ir/verify.h"
#include "ir/verify_signature.h"

#include <string.h>

static tg_verify_fn *const rules[TG_OP_COUNT] = {
#define TG_OP(ident, ...) [TG_OP_##ident] = tg_verify_##ident,
#include "ir/ops.def"
#undef TG_OP
};

/* ---- messages ------------------------------------------------------------------------------- */

bool tg_verify_fail(tg_verifier *v, const char *fmt, ...) {
    tg_sb sb;
    tg_sb_init(&sb, v->sink->arena);
    if (v->op != NULL) {
        tg_sb_addf(&sb, "%s: ", tg_op_info_get(v->op->code)->name);
    }
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    tg_span span = v->op != NULL ? v->op->span : v->f->span;
    tg_error(v->sink, TG_D_IR_RULE, span, "kernel %s: %s", v->f->name, sb.data);
    v->failed = true;
    return false;
}

const char *tg_verify_type(tg_verifier *v, const tg_type *t) {
    tg_sb sb;
    tg_sb_init(&sb, v->sink->arena);
    tg_type_print(&sb, t, v->f);
    return sb.data;
}

/* ---- types ---------------------------------------------------------------------------------- */

static bool verify_type(tg_verifier *v, const tg_type *t) {
    bool loop = v->f->level == TG_LEVEL_LOOP;
    TG_CHECK(t != NULL, "a value has no type");
    switch (t->kind) {
    case TG_TY_TILE:
    case TG_TY_VEC:
        TG_CHECK(t->dtype > TG_DT_NONE && t->dtype < TG_DT_RECORD, "%s: bad element type",
                 tg_verify_type(v, t));
        for (int i = 0; i < t->rank; i++) {
            TG_CHECK(t->shape[i] >= 1, "%s: extents start at 1", tg_verify_type(v, t));
        }
        TG_CHECK(tg_type_count(t) <= TG_TILE_MAX_ELEMS, "%s: too many elements",
                 tg_verify_type(v, t));
        if (t->layout != NULL && !tg_verify_layout(v, t)) {
            return false;
        }
        TG_CHECK(loop == (t->kind == TG_TY_VEC) || t->rank == 0, "%s does not exist at this level",
                 tg_verify_type(v, t));
        return true;
    case TG_TY_TENSOR:
        TG_CHECK(!loop, "%s does not exist at this level", tg_verify_type(v, t));
        return tg_verify_tensor_type(v, t);
    case TG_TY_SPAN:
        TG_CHECK(!loop && t->shape[0] >= 1 && t->shape[0] <= TG_TILE_MAX_ELEMS, "%s: bad span",
                 tg_verify_type(v, t));
        return true;
    case TG_TY_PTR:
        TG_CHECK(loop, "ptr does not exist at this level");
        return true;
    case TG_TY_BUFFER:
        return tg_verify_buffer_type(v, t);
    }
    return tg_verify_fail(v, "a value has an unknown kind of type");
}

/* ---- one operation -------------------------------------------------------------------------- */

static bool verify_counts(tg_verifier *v, const tg_op *op, const tg_op_info *info) {
    static const char level_letters[] = "tpl";
    TG_CHECK(strchr(info->levels, level_letters[v->f->level]) != NULL,
             "does not exist at this level");
    TG_CHECK(op->n_operands >= info->min_operands &&
                 (info->max_operands < 0 || op->n_operands <= info->max_operands),
             "takes %d to %d operands (-1: any number), got %d", info->min_operands,
             info->max_operands, op->n_operands);
    TG_CHECK(info->n_results < 0 || op->n_results == info->n_results, "gives %d results, not %d",
             info->n_results, op->n_results);
    TG_CHECK(op->n_regions == info->n_regions, "has %d regions, not %d", info->n_regions,
             op->n_regions);
    return true;
}

static bool attr_allowed(const tg_op_info *info, tg_attr_key key) {
    for (int i = 0; i < info->n_attrs; i++) {
        if (info->attrs[i] == key && key != TG_ATTR_OPTIONAL) {
            return true;
        }
    }
    return false;
}

static bool verify_attrs(tg_verifier *v, const tg_op *op, const tg_op_info *info) {
    for (int i = 0; i < info->n_required; i++) {
        TG_CHECK(tg_attr_get(op, info->attrs[i]) != NULL, "needs the attribute `%s`",
                 tg_attr_name(info->attrs[i]));
    }
    for (int i = 0; i < op->n_attrs; i++) {
        const tg_attr *a = &op->attrs[i];
        TG_CHECK(attr_allowed(info, a->key), "takes no attribute `%s`", tg_attr_name(a->key));
        char kind = tg_attr_kind(a->key);
        TG_CHECK(kind != 'e' || tg_enum_name(a->key, a->i) != NULL, "bad value of `%s`",
                 tg_attr_name(a->key));
        TG_CHECK(kind != 's' || a->s != NULL, "`%s` has no text", tg_attr_name(a->key));
        TG_CHECK(kind != 't' || a->type != NULL, "`%s` has no type", tg_attr_name(a->key));
    }
    return true;
}

static char visited_mark;

static bool is_visible(const tg_value *value, const tg_op *user) {
    const tg_region *home = value->def != NULL ? value->def->parent : value->region;
    if (home == NULL || (value->def != NULL && value->def->scratch != &visited_mark)) {
        return false;
    }
    for (const tg_region *r = user->parent; r != NULL;
         r = r->parent == NULL ? NULL : r->parent->parent) {
        if (r == home) {
            return true;
        }
    }
    return false;
}

static bool verify_operands(tg_verifier *v, const tg_op *op) {
    for (int i = 0; i < op->n_operands; i++) {
        const tg_value *value = tg_operand(op, i);
        TG_CHECK(value != NULL, "operand %d is missing", i);
        TG_CHECK(is_visible(value, op), "operand %d is used where it is not defined", i);
    }
    for (int i = 0; i < op->n_results; i++) {
        if (!verify_type(v, op->results[i].type)) {
            return false;
        }
    }
    return true;
}

static void verify_region(tg_verifier *v, tg_region *r);

/* The op's own rule runs last: it may look at the yields of the op's regions. */
static bool verify_op(tg_verifier *v, tg_op *op) {
    const tg_op_info *info = tg_op_info_get(op->code);
    v->op = op;
    if (!verify_counts(v, op, info) || !verify_attrs(v, op, info) || !verify_operands(v, op)) {
        return false;
    }
    int64_t lanes = v->lanes;
    v->lanes = op->code == TG_OP_ROLE ? tg_attr_int(op, TG_ATTR_N, lanes) : lanes;
    for (int i = 0; i < op->n_regions; i++) {
        verify_region(v, op->regions[i]);
        v->op = op;
    }
    v->lanes = lanes;
    return !v->failed && rules[op->code](v, op) &&
           (v->f->level != TG_LEVEL_PLACED || v->in_grid || tg_verify_op_layouts(v, op));
}

static void verify_region(tg_verifier *v, tg_region *r) {
    for (int i = 0; i < r->n_args && !v->failed; i++) {
        (void)verify_type(v, r->args[i]->type);
    }
    for (tg_op *op = r->first; op != NULL && !v->failed; op = op->next) {
        if (op->parent != r) {
            v->op = op;
            (void)tg_verify_fail(v, "is linked into two regions");
            return;
        }
        (void)verify_op(v, op);
        op->scratch = &visited_mark;
    }
}

static void clear_marks(tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        op->scratch = NULL;
        for (int i = 0; i < op->n_regions; i++) {
            clear_marks(op->regions[i]);
        }
    }
}

static void verify_func_region(tg_verifier *v, tg_region *r) {
    if (r == NULL || v->failed) {
        return;
    }
    clear_marks(r);
    verify_region(v, r);
    clear_marks(r);
    v->op = NULL;
}

tg_status tg_func_verify(tg_func *f, tg_sink *sink) {
    tg_verifier v = {.f = f, .sink = sink, .lanes = f->lanes};
    if (tg_verify_signature(&v)) {
        v.in_grid = true;
        verify_func_region(&v, f->grid);
        v.in_grid = false;
        verify_func_region(&v, f->body);
        if (!v.failed) {
            (void)tg_verify_yields(&v);
        }
    }
    return v.failed ? TG_E_SOURCE : TG_OK;
}

tg_status tg_module_verify(tg_module *m, tg_sink *sink) {
    tg_status status = TG_OK;
    for (tg_func *f = m->first_func; f != NULL; f = f->next) {
        if (tg_func_verify(f, sink) != TG_OK) {
            status = TG_E_SOURCE;
        }
    }
    for (tg_hostop *h = m->hostops; h != NULL; h = h->next) {
        if (!tg_verify_hostop(m, h, sink)) {
            status = TG_E_SOURCE;
        }
    }
    return status;
}
