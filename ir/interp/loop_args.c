/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments of a kernel as launch slots (abi.h) and memory ranges for the loop interpreter. */
#include <string.h>

#include "ir/dtype.h"
#include "ir/interp_loop.h"

static int64_t fill_slots(const tg_func *f, const tg_interp_arg *args, const int64_t *syms,
                          int64_t *slots) {
    int64_t n = 0;
    for (int p = 0; p < f->n_params; p++) {
        const tg_type *t = f->params[p].type;
        if (t->kind != TG_TY_TENSOR) {
            slots[n++] = (int64_t)args[p].scalar;
            continue;
        }
        slots[n++] = (int64_t)(intptr_t)args[p].data;
        for (int a = 0; a < t->rank; a++) {
            slots[n++] = args[p].extent[a];
        }
        for (int a = 0; a < t->rank; a++) {
            slots[n++] = args[p].stride_bytes[a];
        }
    }
    for (int s = 0; s < f->n_syms; s++) {
        slots[n++] = syms[s];
    }
    return n;
}

/* Bytes from the first to the last element. */
static int64_t tensor_bytes(const tg_type *t, const tg_interp_arg *arg) {
    int bits = tg_dtype_bits(t->dtype);
    int64_t last = 0, element = t->dtype == TG_DT_RECORD ? t->elem_bytes : (bits + 7) / 8;
    for (int a = 0; a < t->rank; a++) {
        if (arg->extent[a] <= 0) {
            return 0;
        }
        bool packed = a == t->rank - 1 && bits > 0 && bits < 8;
        last += packed ? (arg->extent[a] * bits + 7) / 8 - 1
                       : (arg->extent[a] - 1) * arg->stride_bytes[a];
    }
    return last + element;
}

/* Joins b into a when they overlap: arguments that may alias are one piece of memory. */
static bool join(tg_loop_range *a, const tg_loop_range *b) {
    uintptr_t a0 = (uintptr_t)a->base, b0 = (uintptr_t)b->base;
    uintptr_t a1 = a0 + (uintptr_t)a->bytes, b1 = b0 + (uintptr_t)b->bytes;
    if (a->bytes == 0 || b->bytes == 0 || a0 >= b1 || b0 >= a1) {
        return false;
    }
    a->base = b0 < a0 ? b->base : a->base;
    a->bytes = (int64_t)((a1 > b1 ? a1 : b1) - (uintptr_t)a->base);
    a->writable |= b->writable;
    a->undefined &= b->undefined;
    return true;
}

static int make_ranges(const tg_func *f, const tg_interp_arg *args, tg_loop_range *ranges) {
    int n = 0;
    for (int p = 0; p < f->n_params; p++) {
        const tg_param *param = &f->params[p];
        if (param->type->kind != TG_TY_TENSOR) {
            continue;
        }
        bool out = (param->flags & TG_PARAM_OUT) != 0, both = (param->flags & TG_PARAM_INOUT) != 0;
        int bits = tg_dtype_bits(param->type->dtype);
        tg_loop_range r = {.base = args[p].data,
                           .bytes = tensor_bytes(param->type, &args[p]),
                           .writable = out || both,
                           .name = param->name};
        r.undefined = out && !both && (param->flags & TG_PARAM_INIT) == 0 && bits >= 8;
        for (int k = 0; k < n; k++) {
            if (join(&r, &ranges[k])) {
                ranges[k--] = ranges[--n];
            }
        }
        ranges[n++] = r;
    }
    return n;
}

tg_status tg_loop_run_kernel(tg_module *loop, const tg_func *kernel, const tg_interp_arg *args,
                             const int64_t *syms, const tg_loop_options *options, tg_arena *a,
                             tg_loop_report *out) {
    int n = kernel->n_syms;
    for (int p = 0; p < kernel->n_params; p++) {
        n += 1 + 2 * TG_MAX_RANK;
    }
    int64_t *slots = TG_NEW_ARRAY(a, int64_t, n + 1);
    tg_loop_range *ranges = TG_NEW_ARRAY(a, tg_loop_range, kernel->n_params + 1);
    int n_slots = (int)fill_slots(kernel, args, syms, slots);
    int n_ranges = make_ranges(kernel, args, ranges);
    return tg_loop_run(loop, kernel->name, slots, n_slots, ranges, n_ranges, options, a, out);
}
