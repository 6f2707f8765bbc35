/* SPDX-License-Identifier: Apache-2.0 */
/* See util.h. */
#include "ir/passes/util.h"

/* ---- effects -------------------------------------------------------------------------------- */

bool tg_op_is_removable(const tg_op *op) {
    /* A while may trap, so its going away can be observed. */
    if ((tg_op_info_get(op->code)->flags & TG_OPF_WRITE) != 0 || op->code == TG_OP_WHILE ||
        op->code == TG_OP_ALLOCA) {
        return false;
    }
    for (int i = 0; i < op->n_regions; i++) {
        for (const tg_op *o = op->regions[i]->first; o != NULL; o = o->next) {
            if (!tg_op_is_removable(o)) {
                return false;
            }
        }
    }
    return true;
}

int tg_tensor_param(const tg_value *tensor) {
    while (tensor->def != NULL && tensor->def->code == TG_OP_VIEW) {
        tensor = tg_operand(tensor->def, 0);
    }
    bool is_arg = tensor->def == NULL && tensor->region != NULL && tensor->region->parent == NULL;
    return is_arg && tensor->index < tensor->region->func->n_params ? tensor->index : -1;
}

bool tg_load_is_stable(const tg_op *load) {
    if (load->code != TG_OP_LOAD) {
        return false;
    }
    int param = tg_tensor_param(tg_operand(load, 0));
    /* `alias` parameters may share memory with one that is written. */
    unsigned unstable = TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS;
    return param >= 0 && (load->func->params[param].flags & unstable) == 0;
}

bool tg_op_is_repeatable(const tg_op *op) {
    if (op->n_regions > 0 && op->regions[0]->first != NULL) {
        return false;
    }
    if (op->code == TG_OP_LOAD) {
        return tg_load_is_stable(op);
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_PURE) != 0;
}

/* ---- places --------------------------------------------------------------------------------- */

bool tg_value_inside(const tg_value *v, const tg_region *r) {
    const tg_region *home = v->def != NULL ? v->def->parent : v->region;
    while (home != NULL && home != r) {
        home = home->parent == NULL ? NULL : home->parent->parent;
    }
    return home == r;
}

/* ---- edits ---------------------------------------------------------------------------------- */

void tg_drop_mask(tg_op *op) {
    tg_set_operand(op, op->n_operands - 1, NULL);
    op->n_operands--;
    tg_op_remove_attr(op, TG_ATTR_MASKED);
}

tg_op *tg_region_yield(const tg_region *r) {
    return r->last != NULL && r->last->code == TG_OP_YIELD ? r->last : NULL;
}

void tg_region_splice(tg_region *r, tg_op *at) {
    tg_op *yield = tg_region_yield(r);
    for (tg_op *op = r->first; op != NULL;) {
        tg_op *next = op->next;
        if (op != yield) {
            tg_op_unlink(op);
            tg_op_insert_before(at, op);
        }
        op = next;
    }
}

/* ---- dimensions ----------------------------------------------------------------------------- */

#define MAX_DIM_DEPTH 12

static bool dim_code_of(tg_opcode code, tg_dim_code *out) {
    static const struct {
        tg_opcode op;
        tg_dim_code dim;
    } map[] = {{TG_OP_ADD, TG_DIM_ADD}, {TG_OP_SUB, TG_DIM_SUB}, {TG_OP_MUL, TG_DIM_MUL},
               {TG_OP_DIV, TG_DIM_DIV}, {TG_OP_REM, TG_DIM_MOD}, {TG_OP_MIN, TG_DIM_MIN},
               {TG_OP_MAX, TG_DIM_MAX}};
    for (size_t i = 0; i < TG_COUNT_OF(map); i++) {
        if (map[i].op == code) {
            *out = map[i].dim;
            return true;
        }
    }
    return false;
}

static const tg_dim *value_dim_at(const tg_value *v, int depth) {
    int64_t c;
    tg_dim_code code;
    if (v->def == NULL || depth == 0 || !tg_type_is_scalar(v->type) ||
        v->type->dtype != TG_DT_I64) {
        return NULL;
    }
    const tg_op *op = v->def;
    tg_module *m = op->func->module;
    if (tg_value_const_int(v, &c)) {
        return tg_dim_const(m, c);
    }
    if (op->code == TG_OP_SYM) {
        return tg_dim_sym(m, (int)tg_attr_int(op, TG_ATTR_SYM, 0));
    }
    if (op->code == TG_OP_DIM) {
        return tg_operand(op, 0)->type->dims[tg_attr_int(op, TG_ATTR_AXIS, 0)];
    }
    if (!dim_code_of(op->code, &code)) {
        return NULL;
    }
    const tg_dim *a = value_dim_at(tg_operand(op, 0), depth - 1);
    const tg_dim *b = a == NULL ? NULL : value_dim_at(tg_operand(op, 1), depth - 1);
    return b == NULL ? NULL : tg_dim_binary(m, code, a, b);
}

const tg_dim *tg_value_dim(const tg_value *v) { return value_dim_at(v, MAX_DIM_DEPTH); }

/* ---- remarks -------------------------------------------------------------------------------- */

void tg_remark(tg_pass_context *ctx, tg_diag_id id, tg_span span, const char *text) {
    if (ctx->remarks && ctx->sink != NULL) {
        tg_report(ctx->sink, TG_SEV_REMARK, id, span, "%s", text);
    }
}
