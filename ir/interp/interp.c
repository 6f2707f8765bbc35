/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The interpreter's driver: launch checks, programs in order, regions and control flow, dispatch
 * and reports. The evaluators are in the files beside it, one group of ops.def each.
 */
#include <fenv.h>
#include <math.h>
#include <string.h>

#include "ir/interp/internal.h"

/* ---- reports -------------------------------------------------------------------------------- */

static bool told_already(tg_interp *in, const tg_op *op) {
    for (size_t i = 0; op != NULL && i < in->told.count; i++) {
        if (in->told.data[i] == op) {
            return true;
        }
    }
    if (op != NULL) {
        TG_LIST_PUSH(in->arena, &in->told, op);
    }
    return false;
}

static void tell(tg_interp *in, const tg_op *op, tg_severity sev, tg_diag_id id, const char *fmt,
                 va_list ap) {
    tg_sb sb;
    tg_sb_init(&sb, in->sink->arena);
    tg_sb_addv(&sb, fmt, ap);
    if (in->program >= 0) {
        tg_sb_addf(&sb, " (program %lld)", (long long)in->program);
    }
    tg_report(in->sink, sev, id, op != NULL ? op->span : in->func->span, "%s", sb.data);
}

void tg_interp_error(tg_interp *in, const tg_op *op, tg_diag_id id, const char *fmt, ...) {
    if (told_already(in, op)) {
        return;
    }
    va_list ap;
    va_start(ap, fmt);
    tell(in, op, TG_SEV_ERROR, id, fmt, ap);
    va_end(ap);
    in->stop |= in->sink->errors >= in->sink->max_errors;
}

void tg_interp_fatal(tg_interp *in, const tg_op *op, tg_diag_id id, const char *fmt, ...) {
    if (!in->stop) {
        va_list ap;
        va_start(ap, fmt);
        tell(in, op, TG_SEV_ERROR, id, fmt, ap);
        va_end(ap);
    }
    in->stop = true;
}

void tg_interp_inexact(tg_interp *in, const tg_op *op, const char *why) {
    tg_interp_error(in, op, TG_D_INTERP_INEXACT, "`%s` is not exact here: %s",
                    tg_op_info_get(op->code)->name, why);
}

void tg_interp_step(tg_interp *in, const tg_op *op, int64_t n) {
    if (!tg_add_i64(in->steps, n, &in->steps)) {
        in->steps = INT64_MAX;
    }
    if (in->opt->max_steps > 0 && in->steps > in->opt->max_steps) {
        tg_interp_fatal(in, op, TG_D_INTERP_STEPS, "gave up after %lld elements",
                        (long long)in->opt->max_steps);
    }
}

void tg_interp_tell_births(tg_interp *in) {
    for (size_t i = 0; i < in->births.count; i++) {
        const tg_op *op = in->births.data[i];
        if (!told_already(in, op)) {
            tg_report(in->sink, TG_SEV_WARNING, TG_D_INTERP_NAN, op->span,
                      "`%s` makes a NaN from operands that are not NaN (program %lld)",
                      tg_op_info_get(op->code)->name, (long long)in->program);
        }
    }
    in->births.count = 0;
}

/* ---- values --------------------------------------------------------------------------------- */

size_t tg_iv_bytes(const tg_type *t) {
    switch (t->kind) {
    case TG_TY_TENSOR:
        return sizeof(tg_iv_tensor);
    case TG_TY_SPAN:
        return 2 * sizeof(tg_cell);
    case TG_TY_TILE:
    case TG_TY_VEC:
    case TG_TY_PTR:
    case TG_TY_BUFFER:
        break;
    }
    size_t bytes = 0;
    return tg_mul_size((size_t)tg_type_count(t), sizeof(tg_cell), &bytes) ? bytes : SIZE_MAX;
}

tg_cell *tg_iv_result(tg_interp *in, const tg_op *op, int r) {
    tg_cell *c = tg_stack_alloc(&in->stack, tg_iv_bytes(op->results[r].type));
    tg_iv_set(in, &op->results[r], c);
    return c;
}

int tg_iv_operands(const tg_op *op) {
    return op->n_operands - (tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? 1 : 0);
}

const tg_cell *tg_iv_mask(const tg_interp *in, const tg_op *op) {
    return tg_attr_int(op, TG_ATTR_MASKED, 0) != 0 ? tg_iv_cells(in, op, op->n_operands - 1) : NULL;
}

/* ---- dispatch ------------------------------------------------------------------------------- */

static tg_eval_fn *const evaluators[TG_OP_COUNT] = {
#define TG_OP(ident, ...) tg_eval_##ident,
#include "ir/ops.def"
#undef TG_OP
};

static bool holds_nan(const tg_interp *in, const tg_value *v) {
    const tg_cell *c = tg_iv_get(in, v);
    if (v->type->kind != TG_TY_TILE || !tg_dtype_is_float(v->type->dtype)) {
        return false;
    }
    for (int64_t i = 0, n = tg_type_count(v->type); i < n; i++) {
        if (isnan(c[i].f)) {
            return true;
        }
    }
    return false;
}

/* Arithmetic and reductions only: loads, constants and bit reinterpretation bear no NaN. */
static bool may_bear_nan(const tg_op *op) {
    if (op->code == TG_OP_BITCAST || op->code == TG_OP_CAST || op->code == TG_OP_SELECT) {
        return false;
    }
    return (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0 || op->code == TG_OP_DOT ||
           op->code == TG_OP_REDUCE || op->code == TG_OP_SCAN;
}

static void note_birth(tg_interp *in, tg_op *op) {
    bool born = false;
    for (int r = 0; r < op->n_results; r++) {
        born |= holds_nan(in, &op->results[r]);
    }
    for (int o = 0; born && o < op->n_operands; o++) {
        born = !holds_nan(in, tg_operand(op, o));
    }
    for (size_t i = 0; born && i < in->births.count; i++) {
        born = in->births.data[i] != op;
    }
    if (born) {
        TG_LIST_PUSH(in->arena, &in->births, op);
    }
}

static bool rounds_alone(tg_opcode code) {
    return code == TG_OP_ADD || code == TG_OP_SUB || code == TG_OP_MUL || code == TG_OP_DIV ||
           code == TG_OP_FMA;
}

/* The hardware's inexact flag over the whole tile tells whether any element was rounded. */
static void eval_watched(tg_interp *in, tg_op *op) {
    bool rounds = rounds_alone(op->code) && tg_dtype_is_float(op->results[0].type->dtype);
    if (rounds) {
        (void)feclearexcept(FE_INEXACT);
    }
    evaluators[op->code](in, op);
    if (rounds && fetestexcept(FE_INEXACT) != 0) {
        tg_interp_inexact(in, op, "the result was rounded");
    }
}

static void eval_op(tg_interp *in, tg_op *op) {
    int64_t n = 1;
    if (op->n_results > 0 && op->results[0].type->kind == TG_TY_TILE) {
        n += tg_type_count(op->results[0].type);
    }
    tg_interp_step(in, op, n);
    if (in->stop) {
        return;
    }
    if (in->opt->mode == TG_INTERP_EXACT) {
        eval_watched(in, op);
    } else {
        evaluators[op->code](in, op);
    }
    if (in->opt->noise_seed != 0 && !in->stop) {
        tg_interp_noise(in, op);
    }
    if (in->opt->check_nan_birth && !in->stop && may_bear_nan(op)) {
        note_birth(in, op);
    }
}

tg_op *tg_interp_region(tg_interp *in, tg_region *r) {
    for (tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_YIELD) {
            return in->stop ? NULL : op;
        }
        eval_op(in, op);
        if (in->stop) {
            return NULL;
        }
    }
    return &in->no_yield;
}

/* ---- programs ------------------------------------------------------------------------------- */

typedef struct launch {
    tg_iv_tensor *tensors; /* by parameter; rank-0 params use cells */
    tg_cell *scalars;
    int64_t blocks[TG_MAX_RANK]; /* per grid axis */
    int64_t programs;
} launch;

static void bind_params(tg_interp *in, const launch *l, const tg_region *r) {
    for (int p = 0; p < in->func->n_params; p++) {
        const void *v = in->func->params[p].type->kind == TG_TY_TENSOR
                            ? (const void *)&l->tensors[p]
                            : (const void *)&l->scalars[p];
        tg_iv_set(in, r->args[p], v);
    }
}

static void make_params(tg_interp *in, launch *l, const tg_interp_arg *args) {
    const tg_func *f = in->func;
    l->tensors = TG_NEW_ARRAY(in->arena, tg_iv_tensor, f->n_params + 1);
    l->scalars = TG_NEW_ARRAY(in->arena, tg_cell, f->n_params + 1);
    for (int p = 0; p < f->n_params; p++) {
        const tg_type *t = f->params[p].type;
        if (t->kind != TG_TY_TENSOR) {
            l->scalars[p] = tg_num_decode(NULL, t->dtype, args[p].scalar);
            continue;
        }
        tg_iv_tensor *v = &l->tensors[p];
        *v = (tg_iv_tensor){.base = args[p].data, .dtype = t->dtype, .rank = t->rank, .param = p};
        memcpy(v->extent, args[p].extent, sizeof v->extent);
        memcpy(v->stride, args[p].stride_bytes, sizeof v->stride);
    }
}

static bool grid_extents(tg_interp *in, launch *l) {
    const tg_func *f = in->func;
    l->programs = 1;
    if (f->n_grid == 0) {
        return true;
    }
    bind_params(in, l, f->grid);
    tg_op *y = tg_interp_region(in, f->grid);
    if (y == NULL) {
        return false;
    }
    bool empty = false;
    for (int a = 0; a < f->n_grid; a++) {
        int64_t extent = tg_iv_cells(in, y, a)[0].i;
        if (extent < 0) {
            tg_interp_fatal(in, NULL, TG_D_INTERP_GRID, "grid axis %s has the negative extent %lld",
                            f->grid_names[a] != NULL ? f->grid_names[a] : "?", (long long)extent);
            return false;
        }
        l->blocks[a] = extent == 0 ? 0 : 1 + (extent - 1) / tg_max_i64(1, f->grid_by[a]);
        empty |= l->blocks[a] == 0;
    }
    for (int a = 0; a < f->n_grid && !empty; a++) {
        if (!tg_mul_i64(l->programs, l->blocks[a], &l->programs) || l->programs > INT64_C(1)
                                                                                      << 62) {
            tg_interp_fatal(in, NULL, TG_D_INTERP_GRID, "the grid has more than 2^62 programs");
            return false;
        }
    }
    l->programs = empty ? 0 : l->programs;
    return true;
}

static void run_program(tg_interp *in, const launch *l, int64_t index) {
    const tg_func *f = in->func;
    tg_stack_mark mark = tg_stack_get_mark(&in->stack);
    tg_cell block[TG_MAX_RANK];
    int64_t rest = index;
    for (int a = f->n_grid - 1; a >= 0; a--) {
        block[a].i = rest % l->blocks[a];
        rest /= l->blocks[a];
        tg_iv_set(in, f->body->args[f->n_params + a], &block[a]);
    }
    bind_params(in, l, f->body);
    in->program = index;
    in->births.count = 0;
    (void)tg_interp_region(in, f->body);
    tg_stack_release(&in->stack, mark);
}

int64_t tg_interp_walk(int64_t from, int64_t n) {
    while (tg_gcd_i64(from, n) != 1) {
        from = (from + 1) % n;
    }
    return from;
}

static void run_programs(tg_interp *in, const launch *l) {
    int64_t n = l->programs, index = 0, step = 1;
    if (in->opt->order_seed != 0 && n > 1) {
        uint64_t mixed = in->opt->order_seed * 0x9E3779B97F4A7C15u >> 1;
        step = tg_interp_walk((int64_t)(mixed % (uint64_t)n), n);
        index = (int64_t)((in->opt->order_seed >> 17) % (uint64_t)n);
    }
    for (int64_t k = 0; k < n && !in->stop; k++) {
        run_program(in, l, index);
        index = index >= n - step ? index - (n - step) : index + step;
    }
    in->program = -1;
}

/* ---- set-up --------------------------------------------------------------------------------- */

/* The parameter a tensor value views, through views and region arguments; -1 when unclear. */
static int root_param(const tg_func *f, const tg_value *v) {
    while (v->def != NULL && v->def->code == TG_OP_VIEW) {
        v = tg_operand(v->def, 0);
    }
    return v->region != NULL && v->region == f->body && v->index < f->n_params ? v->index : -1;
}

static void find_written(const tg_func *f, const tg_region *r, bool *written) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_STORE || op->code == TG_OP_ATOMIC) {
            int p = root_param(f, tg_operand(op, 0));
            for (int k = 0; k < f->n_params; k++) {
                written[k] |= p < 0 || p == k;
            }
        }
        for (int k = 0; k < op->n_regions; k++) {
            find_written(f, op->regions[k], written);
        }
    }
}

static void make_shadow(tg_interp *in, const launch *l) {
    tg_func *f = in->func;
    bool *written = TG_NEW_ARRAY(in->arena, bool, f->n_params + 1);
    const tg_iv_tensor **tensors = TG_NEW_ARRAY(in->arena, const tg_iv_tensor *, f->n_params + 1);
    find_written(f, f->body, written);
    for (int p = 0; p < f->n_params; p++) {
        tensors[p] = f->params[p].type->kind == TG_TY_TENSOR ? &l->tensors[p] : NULL;
    }
    in->shadow = tg_shadow_make(in->arena, f, tensors, written);
}

static void make_decode_tables(tg_interp *in) {
    for (int t = TG_DT_BOOL; t < TG_DT_COUNT; t++) {
        if (tg_dtype_is_float((tg_dtype)t) && tg_dtype_bits((tg_dtype)t) <= 8) {
            double *table = TG_NEW_ARRAY(in->arena, double, 256);
            for (uint64_t c = 0; c < 256; c++) {
                table[c] = tg_float_decode((tg_dtype)t, c);
            }
            in->small_decode[t] = table;
        }
    }
}

/* `out y init v`: fills the whole tensor. */
static void fill_tensor(const tg_iv_tensor *t, int axis, char *at, tg_cell v) {
    bool last = axis == t->rank - 1, packed = tg_dtype_bits(t->dtype) < 8;
    if (t->rank == 0) {
        tg_num_store(t, at, 0, v);
        return;
    }
    for (int64_t i = 0; i < t->extent[axis]; i++) {
        if (last) {
            tg_num_store(t, packed ? at : at + i * t->stride[axis], packed ? i : 0, v);
        } else {
            fill_tensor(t, axis + 1, at + i * t->stride[axis], v);
        }
    }
}

static void fill_outputs(tg_interp *in, const launch *l) {
    for (int p = 0; p < in->func->n_params; p++) {
        const tg_param *param = &in->func->params[p];
        tg_dtype t = param->type->dtype;
        if ((param->flags & TG_PARAM_INIT) == 0 || t == TG_DT_RECORD) {
            continue;
        }
        tg_cell v = tg_num_cast(in, TG_DT_F64, t, (tg_cell){.f = param->init}, TG_ROUND_RNE, false);
        bool empty = false;
        for (int a = 0; a < l->tensors[p].rank; a++) {
            empty |= l->tensors[p].extent[a] <= 0;
        }
        if (!empty) {
            fill_tensor(&l->tensors[p], 0, l->tensors[p].base, v);
        }
    }
}

tg_status tg_interp_run(tg_func *kernel, const tg_interp_arg *args, const int64_t *syms,
                        const tg_interp_options *options, tg_arena *scratch, tg_sink *sink) {
    if (kernel->level != TG_LEVEL_TILE || kernel->body == NULL || kernel->n_grid > TG_MAX_RANK) {
        tg_error(sink, TG_D_INTERP_LEVEL, kernel->span, "%s is not a tile-level kernel",
                 kernel->name);
        return TG_E_INVALID;
    }
    int errors = sink->errors;
    tg_interp in = {.func = kernel, .opt = options, .syms = syms, .sink = sink, .arena = scratch};
    launch l = {0};
    in.program = -1;
    in.values = TG_NEW_ARRAY(scratch, void *, kernel->next_value_id + 1);
    tg_stack_init(&in.stack, scratch);
    make_decode_tables(&in);
    make_params(&in, &l, args);
    if (options->check_races) {
        make_shadow(&in, &l);
    }
    if (tg_interp_check_args(kernel, args, syms, options->check_facts, scratch, sink)) {
        fill_outputs(&in, &l);
        if (grid_extents(&in, &l)) {
            run_programs(&in, &l);
        }
    }
    return sink->errors > errors ? TG_E_SOURCE : TG_OK;
}
