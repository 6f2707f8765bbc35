/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Arguments against a signature. One pass over the parameters writes the launch slots (abi.h) and
 * checks kind, type, rank, strides, alignment and bounds; then the symbols are solved from the
 * extents, every extent and `require` is compared, and what is written is held against everything
 * else for overlap. Nothing here allocates; messages name kernel, parameter and the numbers that
 * disagree.
 */
#include "internal.h"

#include <inttypes.h>

/* ---- constructors --------------------------------------------------------------------------- */

tgr_arg tgr_arg_tensor(void *data, tg_dtype dtype, int32_t rank, const int64_t *extents) {
    tgr_arg a = {
        .kind = TGR_ARG_TENSOR, .dtype = (uint8_t)dtype, .rank = (uint8_t)rank, .data = data};
    for (int32_t i = 0; i < rank && i < TG_MAX_RANK; i++) {
        a.extents[i] = extents[i];
    }
    return a;
}

tgr_arg tgr_arg_tensor_strided(void *data, tg_dtype dtype, int32_t rank, const int64_t *extents,
                               const int64_t *strides_bytes) {
    tgr_arg a = tgr_arg_tensor(data, dtype, rank, extents);
    a.has_strides = 1;
    for (int32_t i = 0; i < rank && i < TG_MAX_RANK; i++) {
        a.strides_bytes[i] = strides_bytes[i];
    }
    return a;
}

tgr_arg tgr_arg_buffer(tgr_buffer *buffer, size_t offset_bytes, tg_dtype dtype, int32_t rank,
                       const int64_t *extents) {
    tgr_arg a = tgr_arg_tensor(NULL, dtype, rank, extents);
    a.buffer = buffer;
    a.offset_bytes = offset_bytes;
    return a;
}

tgr_arg tgr_arg_bits(tg_dtype dtype, uint64_t bits) {
    return (tgr_arg){.kind = TGR_ARG_SCALAR, .dtype = (uint8_t)dtype, .bits = bits};
}

tgr_arg tgr_arg_i32(int32_t value) { return tgr_arg_bits(TG_DT_I32, (uint32_t)value); }
tgr_arg tgr_arg_i64(int64_t value) { return tgr_arg_bits(TG_DT_I64, (uint64_t)value); }

tgr_arg tgr_arg_f32(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return tgr_arg_bits(TG_DT_F32, bits);
}

tgr_arg tgr_arg_f64(double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return tgr_arg_bits(TG_DT_F64, bits);
}

/* ---- one argument --------------------------------------------------------------------------- */

/* What the checks of one bind share. */
typedef struct binder {
    const tgr_kernel *kernel;
    tgr_context *context;
    const tgr_arg *args;
    int64_t *slots;
    tgr_range ranges[TG_PACK_MAX_PARAMS];
} binder;

#define PARAM_FORMAT "%s `%s`, argument `%s`: "
#define PARAM_NAMES(b, p) (b)->kernel->is_op ? "op" : "kernel", (b)->kernel->name, (p)->name

static tgr_status bind_scalar(const binder *b, const tgr_param *p, const tgr_arg *a) {
    if (a->kind != TGR_ARG_SCALAR) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "a scalar is wanted, a tensor was given", PARAM_NAMES(b, p));
    }
    if (a->dtype != p->dtype) {
        const char *given = tgr_dtype_name((tg_dtype)a->dtype);
        return tgr_fail(b->context, TGR_E_MISMATCH, PARAM_FORMAT "type %s is wanted, %s was given",
                        PARAM_NAMES(b, p), tgr_dtype_name(p->dtype),
                        given ? given : "an unknown type");
    }
    uint64_t mask = p->bits >= 64 ? ~0ull : (1ull << p->bits) - 1;
    b->slots[p->slot] = (int64_t)(a->bits & mask);
    return TGR_OK;
}

/* Bytes between rows of a contiguous tensor whose innermost extent is n; false on overflow. */
static bool row_bytes(const tgr_param *p, int64_t n, int64_t *out) {
    if (p->elem_bytes) {
        return tgr_mul_i64(n, p->elem_bytes, out);
    }
    int64_t bits;
    if (!tgr_mul_i64(n, p->bits, &bits) || !tgr_add_i64(bits, 7, &bits)) {
        return false;
    }
    *out = bits / 8;
    return true;
}

static bool fill_strides(const tgr_param *p, const tgr_arg *a, int64_t *strides) {
    int64_t step = p->elem_bytes;
    for (int i = p->rank - 1; i >= 0; i--) {
        strides[i] = a->has_strides ? a->strides_bytes[i] : step;
        int64_t extent = a->extents[i] > 1 ? a->extents[i] : 1;
        bool inner = i == p->rank - 1;
        if (!(inner ? row_bytes(p, extent, &step) : tgr_mul_i64(step, extent, &step))) {
            return false;
        }
    }
    if (!p->elem_bytes) {
        strides[p->rank - 1] = 0;
    }
    return true;
}

/* Bytes below and above the base address that the elements reach; false on overflow. */
static bool footprint(const tgr_param *p, const int64_t *extents, const int64_t *strides,
                      int64_t *lo, int64_t *hi) {
    *lo = 0;
    *hi = p->elem_bytes;
    for (int i = 0; i < p->rank; i++) {
        int64_t reach;
        if (!p->elem_bytes && i == p->rank - 1) {
            if (!row_bytes(p, extents[i], &reach) || !tgr_add_i64(*hi, reach, hi)) {
                return false;
            }
        } else if (!tgr_mul_i64(strides[i], extents[i] - 1, &reach) ||
                   !tgr_add_i64(*(reach < 0 ? lo : hi), reach, reach < 0 ? lo : hi)) {
            return false;
        }
    }
    return true;
}

static tgr_status check_strides(const binder *b, const tgr_param *p, const int64_t *extents,
                                const int64_t *strides) {
    bool written = p->flags & (TG_PARAM_OUT | TG_PARAM_INOUT);
    for (int i = 0; i < p->rank; i++) {
        bool inner = i == p->rank - 1;
        if (extents[i] <= 1 || (inner && !p->elem_bytes)) {
            continue;
        }
        if (inner && !(p->flags & TG_PARAM_STRIDED) && strides[i] != p->elem_bytes) {
            return tgr_fail(b->context, TGR_E_MISMATCH,
                            PARAM_FORMAT "the innermost stride is %" PRId64
                                         " bytes, contiguous elements take %" PRId64,
                            PARAM_NAMES(b, p), strides[i], p->elem_bytes);
        }
        if (strides[i] % p->align_bytes) {
            return tgr_fail(b->context, TGR_E_MISMATCH,
                            PARAM_FORMAT "stride %" PRId64
                                         " of axis %d is not a multiple of %" PRId64,
                            PARAM_NAMES(b, p), strides[i], i, p->align_bytes);
        }
        if (written && strides[i] <= 0) {
            return tgr_fail(b->context, TGR_E_MISMATCH,
                            PARAM_FORMAT "stride %" PRId64 " of axis %d of what is written",
                            PARAM_NAMES(b, p), strides[i], i);
        }
    }
    return TGR_OK;
}

/* Written elements may not share bytes: axes sorted by stride must nest. */
static tgr_status check_nesting(const binder *b, const tgr_param *p, const int64_t *extents,
                                const int64_t *strides) {
    int order[TG_MAX_RANK], n = 0;
    int64_t inner = p->elem_bytes;
    for (int i = 0; i < p->rank; i++) {
        if (!p->elem_bytes && i == p->rank - 1) {
            (void)row_bytes(p, extents[i], &inner);
            continue;
        }
        if (extents[i] > 1) {
            int at = n++;
            for (; at > 0 && strides[order[at - 1]] > strides[i]; at--) {
                order[at] = order[at - 1];
            }
            order[at] = i;
        }
    }
    for (int k = 0; k < n; k++) {
        int i = order[k];
        if (strides[i] < inner) {
            return tgr_fail(b->context, TGR_E_OVERLAP,
                            PARAM_FORMAT "elements overlap: stride %" PRId64
                                         " of axis %d is less than the %" PRId64 " bytes inside it",
                            PARAM_NAMES(b, p), strides[i], i, inner);
        }
        inner += strides[i] * (extents[i] - 1);
    }
    return TGR_OK;
}

static tgr_status check_place(binder *b, const tgr_param *p, const tgr_arg *a, uintptr_t base,
                              int64_t lo, int64_t hi) {
    if (base % (uintptr_t)p->align_bytes) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "the address is not aligned to %" PRId64 " bytes",
                        PARAM_NAMES(b, p), p->align_bytes);
    }
    if (!base) {
        return tgr_fail(b->context, TGR_E_MISMATCH, PARAM_FORMAT "no memory was given",
                        PARAM_NAMES(b, p));
    }
    if (a->buffer) {
        uint64_t size = a->buffer->memory.bytes;
        if (a->offset_bytes > size || (uint64_t)hi > size - a->offset_bytes ||
            (uint64_t)-lo > a->offset_bytes) {
            return tgr_fail(b->context, TGR_E_MISMATCH,
                            PARAM_FORMAT "needs bytes %" PRId64 " .. %" PRId64
                                         " around offset %" PRIu64 " of a buffer of %" PRIu64,
                            PARAM_NAMES(b, p), lo, hi, a->offset_bytes, size);
        }
    }
    uintptr_t begin = base - (uintptr_t)-lo, end = base + (uintptr_t)hi;
    if (begin > base || end < base) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "the tensor wraps around the address space",
                        PARAM_NAMES(b, p));
    }
    const tgr_device *d = b->kernel->module->device;
    if (!d->driver->host_memory && !d->driver->holds(d->state, (void *)begin, end - begin)) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "the tensor lies in no buffer of the device",
                        PARAM_NAMES(b, p));
    }
    b->ranges[p - b->kernel->params] = (tgr_range){begin, end};
    return TGR_OK;
}

static tgr_status check_shape(const binder *b, const tgr_param *p, const tgr_arg *a,
                              bool *out_empty) {
    if (a->kind != TGR_ARG_TENSOR) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "a tensor is wanted, a scalar was given", PARAM_NAMES(b, p));
    }
    if (a->dtype != p->dtype) {
        const char *given = tgr_dtype_name((tg_dtype)a->dtype);
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "elements of %s are wanted, %s were given", PARAM_NAMES(b, p),
                        tgr_dtype_name(p->dtype), given ? given : "an unknown type");
    }
    if (a->rank != p->rank) {
        return tgr_fail(b->context, TGR_E_MISMATCH, PARAM_FORMAT "rank %d is wanted, %d was given",
                        PARAM_NAMES(b, p), p->rank, a->rank);
    }
    for (int i = 0; i < p->rank; i++) {
        if (a->extents[i] < 0 || a->extents[i] > TG_MAX_EXTENT) {
            return tgr_fail(b->context, TGR_E_MISMATCH,
                            PARAM_FORMAT "extent %" PRId64 " of axis %d", PARAM_NAMES(b, p),
                            a->extents[i], i);
        }
        *out_empty |= a->extents[i] == 0;
    }
    return TGR_OK;
}

static tgr_status bind_tensor(binder *b, const tgr_param *p, const tgr_arg *a) {
    bool empty = false;
    tgr_status st = check_shape(b, p, a, &empty);
    if (st) {
        return st;
    }
    int64_t *slots = b->slots + p->slot, *extents = slots + 1, *strides = extents + p->rank, lo, hi;
    memcpy(extents, a->extents, p->rank * sizeof *extents);
    bool fits = fill_strides(p, a, strides) && (empty || footprint(p, extents, strides, &lo, &hi));
    if (!fits) {
        return tgr_fail(b->context, TGR_E_MISMATCH,
                        PARAM_FORMAT "the tensor is larger than memory can be", PARAM_NAMES(b, p));
    }
    uintptr_t base =
        a->buffer ? (uintptr_t)a->buffer->memory.pointer + a->offset_bytes : (uintptr_t)a->data;
    slots[0] = (int64_t)base;
    if (empty) {
        /* Nobody may look up the address of no bytes. */
        slots[0] = b->kernel->module->device->driver->host_memory ? slots[0] : 0;
        b->ranges[p - b->kernel->params] = (tgr_range){0, 0};
        return TGR_OK;
    }
    st = check_strides(b, p, extents, strides);
    if (!st && p->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) {
        st = check_nesting(b, p, extents, strides);
    }
    return st ? st : check_place(b, p, a, base, lo, hi);
}

/* ---- symbols -------------------------------------------------------------------------------- */

static tgr_status preset(const tgr_kernel *k, tgr_context *context, const tgr_dim_value *dims,
                         int32_t n_dims, int64_t *syms, uint64_t *known) {
    for (int32_t d = 0; dims && d < n_dims; d++) {
        for (uint32_t s = 0; s < k->n_syms; s++) {
            if (dims[d].name && strcmp(k->syms[s], dims[d].name) == 0) {
                if (*known >> s & 1 && syms[s] != dims[d].value) {
                    return tgr_fail(context, TGR_E_MISMATCH,
                                    "dimension %s is given as %" PRId64 " and as %" PRId64,
                                    dims[d].name, syms[s], dims[d].value);
                }
                syms[s] = dims[d].value;
                *known |= 1ull << s;
            }
        }
    }
    return TGR_OK;
}

/* Fixpoint over the solvers; extents of -1 tell nothing. */
static void solve(const tgr_kernel *k, const tgr_arg *args, int64_t *syms, uint64_t *known) {
    uint64_t before;
    uint64_t all = k->n_syms >= 64 ? ~0ull : (1ull << k->n_syms) - 1;
    do {
        before = *known;
        for (uint32_t i = 0; i < k->n_solvers && *known != all; i++) {
            const tgr_solver *s = &k->solvers[i];
            int64_t extent = args[s->param].extents[s->axis];
            if (*known >> s->sym & 1 || s->needs & ~*known || extent < 0) {
                continue;
            }
            if (tgr_dim_invert(&k->params[s->param].dims[s->axis], s->sym, extent, syms,
                               &syms[s->sym])) {
                *known |= 1ull << s->sym;
            }
        }
    } while (*known != before && *known != all);
}

static tgr_status unknown_sym(const tgr_kernel *k, tgr_context *context, uint64_t known) {
    for (uint32_t s = 0; s < k->n_syms; s++) {
        if (!(known >> s & 1)) {
            return tgr_fail(
                context, TGR_E_MISMATCH,
                "%s `%s`: dimension %s follows from no argument; give it in the launch options",
                k->is_op ? "op" : "kernel", k->name, k->syms[s]);
        }
    }
    return TGR_OK;
}

static tgr_status extent_differs(const tgr_kernel *k, tgr_context *context, const tgr_param *p,
                                 int axis, int64_t given, int64_t want) {
    char expression[128];
    tgr_text t = {.data = expression, .size = sizeof expression, .length = 0};
    tgr_dim_text(&t, &p->dims[axis], k->syms);
    return tgr_fail(context, TGR_E_MISMATCH,
                    "%s `%s`, argument `%s`: extent of axis %d is %" PRId64 ", but %s is %" PRId64,
                    k->is_op ? "op" : "kernel", k->name, p->name, axis, given, expression, want);
}

/* All extents against the solved symbols; -1 is filled in when `fill`. */
static tgr_status check_extents(const tgr_kernel *k, tgr_context *context, const tgr_arg *args,
                                tgr_arg *fill, const int64_t *syms) {
    for (uint32_t i = 0; i < k->n_params; i++) {
        const tgr_param *p = &k->params[i];
        for (int a = 0; a < p->rank; a++) {
            int64_t want = tgr_dim_value_of(&p->dims[a], syms), given = args[i].extents[a];
            if (want < 0 || (given != want && !(fill && given == -1))) {
                return extent_differs(k, context, p, a, given, want);
            }
            if (fill) {
                fill[i].extents[a] = want;
            }
        }
    }
    return TGR_OK;
}

static tgr_status check_requires(const tgr_kernel *k, tgr_context *context, const int64_t *syms) {
    for (uint32_t i = 0; i < k->n_requires; i++) {
        if (tgr_dim_value_of(&k->requires_[i], syms) == 0) {
            char expression[256];
            tgr_text t = {.data = expression, .size = sizeof expression, .length = 0};
            tgr_dim_text(&t, &k->requires_[i], k->syms);
            return tgr_fail(context, TGR_E_MISMATCH, "%s `%s` requires %s",
                            k->is_op ? "op" : "kernel", k->name, expression);
        }
    }
    return TGR_OK;
}

/* ---- overlap -------------------------------------------------------------------------------- */

/* One view under two names: same elements at the same addresses. */
static bool same_view(const tgr_param *p, const int64_t *ps, const tgr_param *q,
                      const int64_t *qs) {
    if (p->rank != q->rank || p->bits != q->bits || p->elem_bytes != q->elem_bytes ||
        ps[0] != qs[0]) {
        return false;
    }
    for (int a = 0; a < p->rank; a++) {
        if (ps[1 + a] != qs[1 + a] ||
            (ps[1 + a] > 1 && ps[1 + p->rank + a] != qs[1 + q->rank + a])) {
            return false;
        }
    }
    return true;
}

static tgr_status refuse_overlap(const binder *b, const tgr_param *p, const tgr_param *q,
                                 bool alias) {
    const tgr_kernel *k = b->kernel;
    return tgr_fail(b->context, TGR_E_OVERLAP,
                    alias ? "%s `%s`: `%s` is written and shares part of its memory with `%s`: "
                            "`alias` allows the same elements at the same addresses"
                          : "%s `%s`: `%s` is written and shares memory with `%s`; not both are "
                            "declared `alias`",
                    k->is_op ? "op" : "kernel", k->name, p->name, q->name);
}

static tgr_status check_overlap(const binder *b) {
    const tgr_kernel *k = b->kernel;
    for (uint32_t i = 0; i < k->n_params; i++) {
        const tgr_param *p = &k->params[i];
        if (!(p->flags & (TG_PARAM_OUT | TG_PARAM_INOUT))) {
            continue;
        }
        for (uint32_t j = 0; j < k->n_params; j++) {
            const tgr_param *q = &k->params[j];
            bool both = q->flags & (TG_PARAM_OUT | TG_PARAM_INOUT);
            if (i == j || !(q->flags & TG_PARAM_TENSOR) || (both && j < i)) {
                continue;
            }
            const int64_t *ps = b->slots + p->slot, *qs = b->slots + q->slot;
            bool alias = (p->flags & q->flags & TG_PARAM_ALIAS) != 0;
            if (tgr_tensors_overlap(p, ps, b->ranges[i], q, qs, b->ranges[j]) &&
                !(alias && same_view(p, ps, q, qs))) {
                return refuse_overlap(b, p, q, alias);
            }
        }
    }
    return TGR_OK;
}

/* ---- doors ---------------------------------------------------------------------------------- */

static tgr_status check_count(const tgr_kernel *k, tgr_context *context, const tgr_arg *args,
                              int32_t n_args) {
    if (n_args < 0 || (uint32_t)n_args != k->n_params || (!args && n_args)) {
        return tgr_fail(context, TGR_E_MISMATCH, "%s `%s` takes %u arguments, %d were given",
                        k->is_op ? "op" : "kernel", k->name, k->n_params, n_args);
    }
    return TGR_OK;
}

tgr_status tgr_args_bind(const tgr_kernel *kernel, tgr_context *context, const tgr_arg *args,
                         int32_t n_args, const tgr_launch_options *options, int64_t *slots) {
    tgr_status st = check_count(kernel, context, args, n_args);
    if (st) {
        return st;
    }
    binder b = {.kernel = kernel, .context = context, .args = args, .slots = slots};
    for (uint32_t i = 0; i < kernel->n_params; i++) {
        const tgr_param *p = &kernel->params[i];
        st = p->flags & TG_PARAM_TENSOR ? bind_tensor(&b, p, &args[i])
                                        : bind_scalar(&b, p, &args[i]);
        if (st) {
            return st;
        }
    }
    int64_t *syms = slots + kernel->n_slots - kernel->n_syms;
    uint64_t known = 0;
    if (options && options->dims) {
        st = preset(kernel, context, options->dims, options->n_dims, syms, &known);
    }
    if (st) {
        return st;
    }
    solve(kernel, args, syms, &known);
    st = unknown_sym(kernel, context, known);
    st = st ? st : check_extents(kernel, context, args, NULL, syms);
    st = st ? st : check_requires(kernel, context, syms);
    return st ? st : check_overlap(&b);
}

tgr_status tgr_kernel_infer(const tgr_kernel *kernel, tgr_arg *args, int32_t n_args,
                            const tgr_dim_value *dims, int32_t n_dims, int64_t *out_dims) {
    if (!kernel || !kernel->module) {
        return TGR_E_INVALID;
    }
    tgr_context *context = kernel->module->device->context;
    tgr_status st = check_count(kernel, context, args, n_args);
    int64_t syms[TG_PACK_MAX_SYMS] = {0};
    uint64_t known = 0;
    st = st ? st : preset(kernel, context, dims, n_dims, syms, &known);
    for (uint32_t i = 0; !st && i < kernel->n_params; i++) {
        if (kernel->params[i].rank != args[i].rank) {
            st = tgr_fail(context, TGR_E_MISMATCH,
                          "`%s`, argument `%s`: rank %d is wanted, %d was given", kernel->name,
                          kernel->params[i].name, kernel->params[i].rank, args[i].rank);
        }
    }
    if (st) {
        return st;
    }
    solve(kernel, args, syms, &known);
    st = unknown_sym(kernel, context, known);
    st = st ? st : check_extents(kernel, context, args, args, syms);
    st = st ? st : check_requires(kernel, context, syms);
    if (!st && out_dims) {
        memcpy(out_dims, syms, kernel->n_syms * sizeof *syms);
    }
    return st;
}
