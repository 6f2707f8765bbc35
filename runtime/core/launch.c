/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Launches: bind arguments into slots on the stack, pick the variant, hand one command to the
 * queue. An op does this for each of its launches, twice: first everything is checked, then
 * everything runs, so that a wrong argument never leaves half an op behind.
 */
#include "internal.h"

#include <inttypes.h>

/* ---- filling `out y init v` ----------------------------------------------------------------- */

static void fill_row(char *at, const tgr_fill *f, int64_t n, int64_t stride) {
    if (f->elem_bits < 8) {
        uint64_t bits = f->bits & ((1u << f->elem_bits) - 1);
        memset(at, (int)(f->elem_bits == 4 ? bits * 0x11 : bits * 0xff),
               (size_t)((n * f->elem_bits + 7) / 8));
        return;
    }
    size_t size = (size_t)f->elem_bytes;
    if (stride == f->elem_bytes && (f->bits == 0 || size == 1)) {
        memset(at, (int)(f->bits & 0xff), (size_t)n * size);
        return;
    }
    for (int64_t i = 0; i < n; i++, at += stride) {
        memset(at, 0, size);
        memcpy(at, &f->bits, size < 8 ? size : 8);
    }
}

void tgr_fill_run(const tgr_fill *f) {
    int64_t index[TG_MAX_RANK] = {0};
    int outer = f->rank > 0 ? f->rank - 1 : 0;
    int64_t n = f->rank > 0 ? f->extents[outer] : 1,
            stride = f->rank > 0 ? f->strides[outer] : f->elem_bytes;
    for (int i = 0; i < f->rank; i++) {
        if (f->extents[i] == 0) {
            return;
        }
    }
    char *at = f->data;
    for (;;) {
        fill_row(at, f, n, stride);
        int i = outer - 1;
        for (; i >= 0; i--) {
            at += f->strides[i];
            if (++index[i] < f->extents[i]) {
                break;
            }
            at -= f->strides[i] * f->extents[i];
            index[i] = 0;
        }
        if (i < 0) {
            return;
        }
    }
}

tgr_fill tgr_fill_of(const tgr_param *p, const int64_t *slots) {
    const int64_t *s = slots + p->slot;
    tgr_fill f = {.data = (void *)(uintptr_t)s[0],
                  .bits = p->init_bits,
                  .elem_bits = p->bits,
                  .rank = p->rank,
                  .elem_bytes = p->elem_bytes};
    memcpy(f.extents, s + 1, p->rank * sizeof *s);
    memcpy(f.strides, s + 1 + p->rank, p->rank * sizeof *s);
    return f;
}

static tgr_status fill_inits(tgr_device *d, const tgr_kernel *k, const int64_t *slots) {
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < k->n_params && !st; i++) {
        const tgr_param *p = &k->params[i];
        if (!(p->flags & TG_PARAM_INIT)) {
            continue;
        }
        tgr_fill f = tgr_fill_of(p, slots);
        if (d->driver->host_memory) {
            tgr_fill_run(&f);
        } else {
            st = tgr_fill_device(d, &f);
        }
    }
    return st;
}

static tgr_status check_facts(tgr_device *d, const tgr_kernel *k, const int64_t *slots) {
    return d->driver->host_memory ? tgr_facts_check(k, d->context, slots)
                                  : tgr_facts_device(d, k, slots);
}

/* ---- one command ---------------------------------------------------------------------------- */

static tgr_status run_kernel(tgr_device *d, const tgr_command *c, const int64_t *slots) {
    tgr_context *context = d->context;
    int64_t begin = context->profile ? tgr_now_ns() : 0;
    tgr_status st = c->checked ? check_facts(d, c->kernel, slots) : TGR_OK;
    if (!st && c->kernel->n_init) {
        st = fill_inits(d, c->kernel, slots);
    }
    if (st) {
        return st;
    }
    tgr_run run = {.name = c->kernel->name,
                   .entry = &c->variant->entry,
                   .slots = slots,
                   .n_slots = c->kernel->n_slots,
                   .timed = context->profile != NULL};
    st = d->driver->run(context, d->state, &run);
    if (context->profile) {
        tgr_profile_record r = {.kernel = c->kernel->name,
                                .variant = c->variant->schedule,
                                .begin_ns = begin,
                                .end_ns = tgr_now_ns(),
                                .programs = run.programs,
                                .device_ns = run.device_ns};
        context->profile(context->profile_user, &r);
    }
    return st;
}

tgr_status tgr_command_run(tgr_device *device, const tgr_command *command, const int64_t *slots) {
    if (command->kind == TGR_CMD_RUN) {
        return run_kernel(device, command, slots);
    }
    if (command->kind == TGR_CMD_FACTS) {
        return check_facts(device, command->kernel, slots);
    }
    if (command->kind == TGR_CMD_COPY) {
        return device->driver->copy(device->context, device->state, command->copy, command->to,
                                    command->from, command->bytes);
    }
    return TGR_OK;
}

/* ---- variants ------------------------------------------------------------------------------- */

static tgr_status pick_variant(const tgr_kernel *k, tgr_context *context, const int64_t *syms,
                               int32_t wanted, const tgr_kernel_variant **out) {
    bool guarded = false;
    if (wanted < 0 || (wanted > 0 && (uint32_t)wanted > k->n_variants)) {
        return tgr_fail(context, TGR_E_INVALID, "kernel `%s` has %u variants", k->name,
                        k->n_variants);
    }
    for (uint32_t i = 0; i < k->n_variants; i++) {
        const tgr_kernel_variant *v = &k->variants[i];
        bool holds = v->guard.kind == TGR_DIM_IS_NONE || tgr_dim_value_of(&v->guard, syms) != 0;
        guarded |= !holds;
        if (wanted > 0 ? i + 1 == (uint32_t)wanted : holds && tgr_entry_ready(&v->entry)) {
            *out = v;
            if (!holds) {
                return tgr_fail(context, TGR_E_MISMATCH,
                                "kernel `%s`: the guard of variant %d does not hold", k->name,
                                wanted - 1);
            }
            return tgr_entry_ready(&v->entry)
                       ? TGR_OK
                       : tgr_fail(context, TGR_E_UNSUPPORTED,
                                  "kernel `%s`: variant %d has no code for this device", k->name,
                                  wanted - 1);
        }
    }
    return tgr_fail(context, TGR_E_UNSUPPORTED,
                    "kernel `%s`: the package holds no code for this device%s", k->name,
                    guarded ? " and these extents" : "");
}

typedef struct bound {
    const tgr_kernel_variant *variant;
    int64_t slots[TG_PACK_MAX_SLOTS];
} bound;

static tgr_status bind_kernel(const tgr_kernel *k, const tgr_arg *args, int32_t n_args,
                              const tgr_launch_options *o, bound *out) {
    tgr_device *d = k->module->device;
    tgr_status st = tgr_args_bind(k, d->context, args, n_args, o, out->slots);
    if (!st && !k->is_op) {
        st = pick_variant(k, d->context, out->slots + k->n_slots - k->n_syms, o ? o->variant : 0,
                          &out->variant);
    }
    return st;
}

static bool wants_facts(const tgr_kernel *k, const tgr_launch_options *o) {
    return o->checked || k->module->checked;
}

/* Data facts are checked when the work runs: earlier work of the queue may still write the data. */
static tgr_status submit(tgr_queue *queue, const tgr_kernel *k, const bound *b, bool checked) {
    tgr_command c = {.kind = k->is_op ? TGR_CMD_FACTS : TGR_CMD_RUN,
                     .kernel = k,
                     .variant = b->variant,
                     .checked = checked};
    return tgr_queue_submit(queue, &c, b->slots);
}

/* ---- ops ------------------------------------------------------------------------------------ */

enum { TEMP_ALIGN = 64 };

/* Shape of a temporary; false when it is larger than memory can be. */
static bool temp_shape(const tgr_temp *t, const int64_t *syms, int64_t *extents,
                       int64_t *out_bytes) {
    int64_t n = t->elem_bytes ? t->elem_bytes : 1;
    for (int i = t->rank - 1; i >= 0; i--) {
        int64_t e = tgr_dim_value_of(&t->dims[i], syms);
        extents[i] = e;
        if (e < 0) {
            return false;
        }
        if (!t->elem_bytes && i == t->rank - 1) {
            int64_t bits;
            if (!tgr_mul_i64(e, t->bits, &bits) || !tgr_add_i64(bits, 7, &bits)) {
                return false;
            }
            n = bits / 8;
        } else if (!tgr_mul_i64(n, e, &n)) {
            return false;
        }
    }
    *out_bytes = n;
    return true;
}

/* Places the temporaries one behind the other. */
static tgr_status place_temps(const tgr_kernel *op, tgr_context *context, const int64_t *syms,
                              char *base, tgr_arg *temps, size_t *out_bytes) {
    int64_t at = 0;
    for (uint32_t i = 0; i < op->n_temps; i++) {
        const tgr_temp *t = &op->temps[i];
        int64_t extents[TG_MAX_RANK], bytes, next;
        if (!temp_shape(t, syms, extents, &bytes) || !tgr_add_i64(at, bytes, &next) ||
            next > INT64_MAX / 2) {
            return tgr_fail(context, TGR_E_MISMATCH,
                            "op `%s`: the shape of `%s` is negative or too large", op->name,
                            t->name);
        }
        if (temps) {
            temps[i] = tgr_arg_tensor(base ? base + at : NULL, t->dtype, t->rank, extents);
        }
        at = (next + TEMP_ALIGN - 1) / TEMP_ALIGN * TEMP_ALIGN;
    }
    *out_bytes = (size_t)at;
    return TGR_OK;
}

static bool dim_to_scalar(const tgr_param *p, int64_t v, tgr_arg *out) {
    if (p->dtype == TG_DT_F32) {
        *out = tgr_arg_f32((float)v);
    } else if (p->dtype == TG_DT_F64) {
        *out = tgr_arg_f64((double)v);
    } else {
        bool is_signed = p->dtype >= TG_DT_I8 && p->dtype <= TG_DT_I64;
        int64_t lo = is_signed ? INT64_MIN >> (64 - p->bits) : 0;
        uint64_t hi =
            is_signed ? (uint64_t)INT64_MAX >> (64 - p->bits) : UINT64_MAX >> (64 - p->bits);
        bool integer = p->dtype <= TG_DT_U64;
        if (!integer || v < lo || (v > 0 && (uint64_t)v > hi)) {
            return false;
        }
        *out = tgr_arg_bits(p->dtype, (uint64_t)v);
    }
    return true;
}

typedef struct op_run {
    const tgr_kernel *op;
    tgr_context *context;
    const tgr_arg *args;
    const int64_t *syms;
    tgr_arg *temps;
    bool checked;
} op_run;

static tgr_status op_bind(const op_run *r, const tgr_op_launch *l, bound *out) {
    const tgr_kernel *k = &r->op->module->package.kernels[l->kernel];
    tgr_arg args[TG_PACK_MAX_PARAMS];
    for (uint32_t i = 0; i < l->n_args; i++) {
        const tgr_op_arg *a = &l->args[i];
        if (a->kind == TG_PACK_ARG_PARAM) {
            args[i] = r->args[a->index];
        } else if (a->kind == TG_PACK_ARG_TEMP) {
            args[i] = r->temps[a->index];
        } else if (a->kind == TG_PACK_ARG_FLOAT) {
            args[i] = tgr_arg_bits(k->params[i].dtype, a->bits);
        } else {
            int64_t v = tgr_dim_value_of(&a->dim, r->syms);
            if (!dim_to_scalar(&k->params[i], v, &args[i])) {
                return tgr_fail(r->context, TGR_E_MISMATCH,
                                "op `%s`: %" PRId64 " does not fit `%s` of kernel `%s`",
                                r->op->name, v, k->params[i].name, k->name);
            }
        }
    }
    tgr_status st = tgr_args_bind(k, r->context, args, (int32_t)l->n_args, NULL, out->slots);
    return st ? st
              : pick_variant(k, r->context, out->slots + k->n_slots - k->n_syms, 0, &out->variant);
}

static bool op_wants(const tgr_op_launch *l, const int64_t *syms) {
    return l->when.kind == TGR_DIM_IS_NONE || tgr_dim_value_of(&l->when, syms) != 0;
}

/* Checks every launch; runs them too when queue is given (its lock is held). */
static tgr_status op_pass(const op_run *r, tgr_queue *queue) {
    bound b;
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < r->op->n_launches && !st; i++) {
        const tgr_op_launch *l = &r->op->launches[i];
        if (!op_wants(l, r->syms)) {
            continue;
        }
        st = op_bind(r, l, &b);
        if (!st && queue) {
            st = submit(queue, &r->op->module->package.kernels[l->kernel], &b, r->checked);
        }
    }
    return st;
}

static tgr_status op_workspace(tgr_queue *queue, const op_run *r, const tgr_launch_options *o,
                               size_t bytes, void **out) {
    if (!o || !o->workspace) {
        return tgr_queue_workspace(queue, bytes ? bytes : 1, out);
    }
    if (o->workspace_bytes < bytes || (uintptr_t)o->workspace % TEMP_ALIGN) {
        return tgr_fail(r->context, TGR_E_MISMATCH,
                        "op `%s` needs %zu bytes of workspace aligned to %d, %zu were given",
                        r->op->name, bytes, TEMP_ALIGN, o->workspace_bytes);
    }
    *out = o->workspace;
    return TGR_OK;
}

static tgr_status launch_op(tgr_queue *queue, const tgr_kernel *op, const tgr_arg *args,
                            int32_t n_args, const tgr_launch_options *o) {
    bound b;
    tgr_status st = bind_kernel(op, args, n_args, o, &b);
    if (st) {
        return st;
    }
    tgr_arg temps[TG_PACK_MAX_TEMPS];
    op_run r = {.op = op,
                .context = op->module->device->context,
                .args = args,
                .syms = b.slots + op->n_slots - op->n_syms,
                .temps = temps,
                .checked = wants_facts(op, o)};
    size_t bytes = 0;
    void *base = NULL;
    st = place_temps(op, r.context, r.syms, NULL, NULL, &bytes);
    if (st) {
        return st;
    }
    tgr_queue_lock(queue);
    st = op_workspace(queue, &r, o, bytes, &base);
    st = st ? st : place_temps(op, r.context, r.syms, base, temps, &bytes);
    st = st ? st : op_pass(&r, NULL);
    st = !st && r.checked ? submit(queue, op, &b, true) : st;
    st = st ? st : op_pass(&r, queue);
    tgr_queue_unlock(queue);
    return st;
}

/* ---- doors ---------------------------------------------------------------------------------- */

static tgr_status check_handles(const tgr_kernel *kernel, const tgr_launch_options *options,
                                tgr_launch_options *out) {
    if (!kernel || !kernel->module) {
        return TGR_E_INVALID;
    }
    if (!tgr_options_copy(out, sizeof *out, options)) {
        return tgr_fail(kernel->module->device->context, TGR_E_INVALID,
                        "launch options: bad struct_bytes");
    }
    return TGR_OK;
}

tgr_status tgr_kernel_check(const tgr_kernel *kernel, const tgr_arg *args, int32_t n_args,
                            const tgr_launch_options *options) {
    tgr_launch_options o;
    bound b;
    tgr_status st = check_handles(kernel, options, &o);
    st = st ? st : bind_kernel(kernel, args, n_args, &o, &b);
    return !st && wants_facts(kernel, &o) ? check_facts(kernel->module->device, kernel, b.slots)
                                          : st;
}

tgr_status tgr_kernel_workspace(const tgr_kernel *kernel, const tgr_arg *args, int32_t n_args,
                                const tgr_launch_options *options, size_t *out_bytes) {
    tgr_launch_options o;
    bound b;
    if (!out_bytes) {
        return TGR_E_INVALID;
    }
    *out_bytes = 0;
    tgr_status st = check_handles(kernel, options, &o);
    st = st ? st : bind_kernel(kernel, args, n_args, &o, &b);
    if (st || !kernel->is_op) {
        return st;
    }
    return place_temps(kernel, kernel->module->device->context,
                       b.slots + kernel->n_slots - kernel->n_syms, NULL, NULL, out_bytes);
}

tgr_status tgr_launch(tgr_queue *queue, const tgr_kernel *kernel, const tgr_arg *args,
                      int32_t n_args, const tgr_launch_options *options) {
    tgr_launch_options o;
    if (!queue) {
        return TGR_E_INVALID;
    }
    tgr_status st = check_handles(kernel, options, &o);
    if (st) {
        return st;
    }
    if (kernel->module->device != tgr_queue_device(queue)) {
        return tgr_fail(tgr_queue_device(queue)->context, TGR_E_INVALID,
                        "kernel `%s` was loaded for another device", kernel->name);
    }
    if (kernel->is_op) {
        return launch_op(queue, kernel, args, n_args, &o);
    }
    bound b;
    st = bind_kernel(kernel, args, n_args, &o, &b);
    if (st) {
        return st;
    }
    tgr_queue_lock(queue);
    st = submit(queue, kernel, &b, wants_facts(kernel, &o));
    tgr_queue_unlock(queue);
    return st;
}
