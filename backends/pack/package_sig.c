/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Encoding signatures, variants and ops (tegula/package_format.h). Limits of the format are checked
 * here, with diagnostics at the parameter or kernel that passes them.
 */
#include "backends/pack/package_sig.h"

#include <string.h>

/* ---- primitives ----------------------------------------------------------------------------- */

static void put(tg_sb *sb, uint64_t v, int n) {
    for (int i = 0; i < n; i++) {
        char c = (char)(unsigned char)(v >> 8 * i);
        tg_sb_addn(sb, &c, 1);
    }
}

void tg_pack_u8(tg_sb *sb, uint8_t v) { put(sb, v, 1); }
void tg_pack_u16(tg_sb *sb, uint16_t v) { put(sb, v, 2); }
void tg_pack_u32(tg_sb *sb, uint32_t v) { put(sb, v, 4); }
void tg_pack_u64(tg_sb *sb, uint64_t v) { put(sb, v, 8); }

void tg_pack_put32(char *at, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        at[i] = (char)(unsigned char)(v >> 8 * i);
    }
}

void tg_pack_put64(char *at, uint64_t v) {
    tg_pack_put32(at, (uint32_t)v);
    tg_pack_put32(at + 4, (uint32_t)(v >> 32));
}

void tg_pack_str(tg_sb *sb, const char *s) {
    size_t n = strlen(s);
    n = n > TG_PACK_MAX_STR ? TG_PACK_MAX_STR : n;
    tg_pack_u32(sb, (uint32_t)n);
    tg_sb_addn(sb, s, n);
}

void tg_pack_fail(tg_packer *p, tg_span span, const char *fmt, ...) {
    va_list ap;
    va_start(ap, fmt);
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    p->failed = true;
    tg_error(p->sink, TG_D_BACKEND, span, "%s", sb.data);
}

/* Operand stack that a code needs. */
static int code_depth(const tg_dim *d) {
    if (d->code == TG_DIM_CONST || d->code == TG_DIM_SYM) {
        return 1;
    }
    int a = code_depth(d->a), b = code_depth(d->b) + 1;
    return a > b ? a : b;
}

static void pack_dim(tg_packer *p, tg_sb *sb, const tg_dim *d, tg_span span) {
    tg_sb code;
    tg_sb_init(&code, p->arena);
    if (d) {
        tg_dim_encode(&code, d);
    }
    if (code.len > TG_PACK_MAX_CODE || (d && code_depth(d) > TG_PACK_CODE_DEPTH)) {
        tg_pack_fail(p, span, "this extent or condition is too long an expression");
        code.len = 0;
    }
    tg_pack_u32(sb, (uint32_t)code.len);
    tg_sb_addn(sb, code.data ? code.data : "", code.len);
}

/* ---- signatures ----------------------------------------------------------------------------- */

/* The parts that kernels and ops share. */
typedef struct signature {
    const char *name;
    const tg_param *params;
    int n_params;
    const tg_sym *syms;
    int n_syms;
    const tg_dim *const *requires_;
    int n_requires;
    const tg_binding *bindings;
    int n_bindings;
    tg_span span;
} signature;

static signature of_func(const char *name, const tg_func *f) {
    return (signature){.name = name,
                       .params = f->params,
                       .n_params = f->n_params,
                       .syms = f->syms,
                       .n_syms = f->n_syms,
                       .requires_ = f->requires_,
                       .n_requires = f->n_requires,
                       .bindings = f->bindings,
                       .n_bindings = f->n_bindings,
                       .span = f->span};
}

static signature of_op(const tg_hostop *o) {
    return (signature){.name = o->name,
                       .params = o->params,
                       .n_params = o->n_params,
                       .syms = o->syms,
                       .n_syms = o->n_syms,
                       .requires_ = o->requires_,
                       .n_requires = o->n_requires,
                       .span = o->span};
}

static uint64_t scalar_bits(tg_dtype t, double v) {
    if (tg_dtype_is_float(t)) {
        return tg_float_encode(t, v, TG_ROUND_RNE, false);
    }
    if (t == TG_DT_BOOL) {
        return v != 0;
    }
    int bits = tg_dtype_bits(t);
    uint64_t u = v < 0 ? (uint64_t)(int64_t)v : (uint64_t)v;
    return bits >= 64 || bits <= 0 ? u : u & ((1ull << bits) - 1);
}

static uint64_t init_bits(tg_packer *p, const tg_param *param) {
    if (!(param->flags & TG_PARAM_INIT)) {
        return 0;
    }
    if (param->type->dtype == TG_DT_RECORD) {
        if (param->init != 0) {
            tg_pack_fail(p, param->span, "records can only be initialised with 0");
        }
        return 0;
    }
    return scalar_bits(param->type->dtype, param->init);
}

static void pack_param(tg_packer *p, tg_sb *sb, const tg_param *param) {
    bool tensor = param->type->kind == TG_TY_TENSOR;
    unsigned flags = param->flags | (tensor ? TG_PARAM_TENSOR : 0u) |
                     (tensor && param->type->strided ? TG_PARAM_STRIDED : 0u);
    tg_pack_str(sb, param->name);
    tg_pack_u8(sb, (uint8_t)param->type->dtype);
    tg_pack_u8(sb, tensor ? param->type->rank : 0);
    tg_pack_u16(sb, (uint16_t)(tensor ? flags : 0));
    tg_pack_u64(sb, param->type->dtype == TG_DT_RECORD ? (uint64_t)param->type->elem_bytes : 0);
    tg_pack_u64(sb, tensor && param->align_bytes > 0 ? (uint64_t)param->align_bytes : 0);
    tg_pack_u64(sb, init_bits(p, param));
    bool range = tensor && flags & TG_PARAM_RANGE;
    pack_dim(p, sb, range ? param->range_lo : NULL, param->span);
    pack_dim(p, sb, range ? param->range_hi : NULL, param->span);
    for (int i = 0; tensor && i < param->type->rank; i++) {
        pack_dim(p, sb, param->type->dims[i], param->span);
    }
}

static void check_limits(tg_packer *p, const signature *s) {
    size_t slots = (size_t)s->n_syms;
    for (int i = 0; i < s->n_params; i++) {
        bool tensor = s->params[i].type->kind == TG_TY_TENSOR;
        slots += tensor ? 1 + 2 * (size_t)s->params[i].type->rank : 1;
    }
    if ((size_t)s->n_params > TG_PACK_MAX_PARAMS || (size_t)s->n_syms > TG_PACK_MAX_SYMS ||
        slots > TG_PACK_MAX_SLOTS) {
        tg_pack_fail(
            p, s->span,
            "%d parameters, %d dimension names and %zu launch slots (a tensor takes 1 + 2 for "
            "each axis); %u, %u and %u are the most",
            s->n_params, s->n_syms, slots, TG_PACK_MAX_PARAMS, TG_PACK_MAX_SYMS, TG_PACK_MAX_SLOTS);
    }
}

static void pack_signature(tg_packer *p, tg_sb *sb, const signature *s) {
    check_limits(p, s);
    tg_pack_str(sb, s->name);
    tg_pack_u32(sb, (uint32_t)s->n_params);
    for (int i = 0; i < s->n_params; i++) {
        pack_param(p, sb, &s->params[i]);
    }
    tg_pack_u32(sb, (uint32_t)s->n_syms);
    for (int i = 0; i < s->n_syms; i++) {
        tg_pack_str(sb, s->syms[i].name);
    }
    tg_pack_u32(sb, (uint32_t)s->n_requires);
    for (int i = 0; i < s->n_requires; i++) {
        pack_dim(p, sb, s->requires_[i], s->span);
    }
    tg_pack_u32(sb, (uint32_t)s->n_bindings);
    for (int i = 0; i < s->n_bindings; i++) {
        tg_pack_str(sb, s->bindings[i].name);
        tg_pack_str(sb, s->bindings[i].value);
    }
}

/* ---- kernels -------------------------------------------------------------------------------- */

static const tg_blob_symbol *find_symbol(const tg_blob *b, const char *prefix, const char *part) {
    size_t n = strlen(prefix);
    for (size_t i = 0; i < b->n_symbols; i++) {
        const char *name = b->symbols[i].name;
        if (strncmp(name, prefix, n) == 0 && name[n] == '.' && strcmp(name + n + 1, part) == 0) {
            return &b->symbols[i];
        }
    }
    return NULL;
}

/* One entry (CODE section c) of a variant; false when that code does not hold it. */
static bool pack_entry(tg_sb *sb, const tg_blob *b, const char *prefix, uint32_t c) {
    static const char *const parts[TG_CPU_MAX_PHASES] = {"phase0", "phase1", "phase2", "phase3"};
    const tg_blob_symbol *plan = find_symbol(b, prefix, "plan"), *phases[TG_CPU_MAX_PHASES];
    uint32_t n = 0;
    while (n < TG_CPU_MAX_PHASES && (phases[n] = find_symbol(b, prefix, parts[n])) != NULL) {
        n++;
    }
    if (!plan || n == 0) {
        return false;
    }
    tg_pack_u32(sb, c);
    tg_pack_u32(sb, n);
    tg_pack_u64(sb, plan->offset);
    for (uint32_t i = 0; i < n; i++) {
        tg_pack_u64(sb, phases[i]->offset);
    }
    return true;
}

static const char *schedule_text(tg_packer *p, const tg_pack_variant *v) {
    if (v->schedule) {
        return v->schedule;
    }
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_sb_add(&sb, "");
    for (int i = 0; i < v->func->n_bindings; i++) {
        tg_sb_addf(&sb, "%s%s=%s", i ? " " : "", v->func->bindings[i].name,
                   v->func->bindings[i].value);
    }
    return sb.data;
}

static void pack_variant(tg_packer *p, tg_sb *sb, const tg_pack_variant *v) {
    pack_dim(p, sb, v->guard, v->func->span);
    tg_pack_str(sb, schedule_text(p, v));
    tg_sb entries;
    tg_sb_init(&entries, p->arena);
    uint32_t n = 0;
    for (int c = 0; c < p->desc->n_codes; c++) {
        const char *prefix = v->symbols ? v->symbols[c] : v->func->name;
        n += prefix && pack_entry(&entries, p->desc->codes[c].blob, prefix, (uint32_t)c);
    }
    if (n == 0 && p->desc->n_codes > 0) {
        tg_pack_fail(p, v->func->span, "no code was made for `%s`", v->func->name);
    }
    tg_pack_u32(sb, n);
    tg_sb_addn(sb, entries.data ? entries.data : "", entries.len);
}

/* Encoded parameters, symbols and requirements: what hosts see and must be alike in all variants.
 */
static tg_sb interface_of(tg_packer *p, const tg_func *f) {
    tg_packer quiet = *p;
    signature s = of_func("", f);
    s.n_bindings = 0;
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    pack_signature(&quiet, &sb, &s);
    return sb;
}

/* Bindings that all variants share; those that differ belong to a schedule, not to the kernel's
 * name. */
static signature common_signature(tg_packer *p, const tg_pack_kernel *k) {
    const tg_func *f = k->variants[0].func;
    signature s = of_func(k->name, f);
    tg_binding *kept = TG_NEW_ARRAY(p->arena, tg_binding, f->n_bindings + 1);
    int n = 0;
    for (int i = 0; i < f->n_bindings; i++) {
        bool same = true;
        for (int v = 1; v < k->n_variants; v++) {
            const tg_func *g = k->variants[v].func;
            same = same && i < g->n_bindings &&
                   strcmp(g->bindings[i].value, f->bindings[i].value) == 0;
        }
        if (same) {
            kept[n++] = f->bindings[i];
        }
    }
    s.bindings = kept;
    s.n_bindings = n;
    return s;
}

static void pack_kernel(tg_packer *p, tg_sb *sb, const tg_pack_kernel *k) {
    tg_sb first = interface_of(p, k->variants[0].func);
    for (int v = 1; v < k->n_variants; v++) {
        tg_sb other = interface_of(p, k->variants[v].func);
        if (other.len != first.len || memcmp(other.data, first.data, first.len) != 0) {
            tg_pack_fail(p, k->variants[v].func->span,
                         "schedules of `%s` give it different signatures", k->name);
        }
    }
    signature s = common_signature(p, k);
    pack_signature(p, sb, &s);
    tg_pack_u32(sb, (uint32_t)k->n_variants);
    for (int v = 0; v < k->n_variants; v++) {
        pack_variant(p, sb, &k->variants[v]);
    }
}

void tg_pack_kernels(tg_packer *p, tg_sb *sb) {
    tg_pack_u32(sb, (uint32_t)p->desc->n_kernels);
    for (int i = 0; i < p->desc->n_kernels; i++) {
        pack_kernel(p, sb, &p->desc->kernels[i]);
    }
}

/* ---- ops ------------------------------------------------------------------------------------ */

static int find_kernel(const tg_packer *p, const char *name) {
    for (int i = 0; i < p->desc->n_kernels; i++) {
        const tg_pack_kernel *k = &p->desc->kernels[i];
        if (strcmp(k->func_name ? k->func_name : k->variants[0].func->name, name) == 0) {
            return i;
        }
    }
    return -1;
}

static void pack_arg(tg_packer *p, tg_sb *sb, const tg_hostop *op, const tg_hostop_arg *a,
                     const tg_param *to) {
    switch (a->kind) {
    case TG_ARG_PARAM:
        tg_pack_u8(sb, TG_PACK_ARG_PARAM);
        tg_pack_u32(sb, (uint32_t)a->index);
        break;
    case TG_ARG_TEMP:
        tg_pack_u8(sb, TG_PACK_ARG_TEMP);
        tg_pack_u32(sb, (uint32_t)a->index);
        break;
    case TG_ARG_DIM:
        tg_pack_u8(sb, TG_PACK_ARG_DIM);
        pack_dim(p, sb, a->dim, op->span);
        break;
    case TG_ARG_FLOAT:
        tg_pack_u8(sb, TG_PACK_ARG_FLOAT);
        tg_pack_u64(sb, scalar_bits(to->type->dtype, a->value));
        break;
    }
}

static void pack_launch(tg_packer *p, tg_sb *sb, const tg_hostop *op, const tg_hostop_launch *l) {
    int k = find_kernel(p, l->kernel);
    if (k < 0 || l->n_args != p->desc->kernels[k].variants[0].func->n_params) {
        tg_pack_fail(p, op->span,
                     "op `%s` launches `%s`, which is not in the package or takes other arguments",
                     op->name, l->kernel);
        return;
    }
    tg_pack_u32(sb, (uint32_t)k);
    pack_dim(p, sb, l->when, op->span);
    tg_pack_u32(sb, (uint32_t)l->n_args);
    for (int i = 0; i < l->n_args; i++) {
        pack_arg(p, sb, op, &l->args[i], &p->desc->kernels[k].variants[0].func->params[i]);
    }
}

static void pack_op(tg_packer *p, tg_sb *sb, const tg_hostop *op) {
    signature s = of_op(op);
    pack_signature(p, sb, &s);
    if ((size_t)op->n_temps > TG_PACK_MAX_TEMPS || (size_t)op->n_launches > TG_PACK_MAX_LAUNCHES) {
        tg_pack_fail(p, op->span, "op `%s` has more temporaries or launches than a package holds",
                     op->name);
    }
    tg_pack_u32(sb, (uint32_t)op->n_temps);
    for (int i = 0; i < op->n_temps; i++) {
        const tg_hostop_temp *t = &op->temps[i];
        tg_pack_str(sb, t->name);
        tg_pack_u8(sb, (uint8_t)t->dtype);
        tg_pack_u8(sb, (uint8_t)t->rank);
        tg_pack_u16(sb, 0);
        tg_pack_u64(sb, t->dtype == TG_DT_RECORD ? (uint64_t)t->elem_bytes : 0);
        for (int a = 0; a < t->rank; a++) {
            pack_dim(p, sb, t->dims[a], op->span);
        }
    }
    tg_pack_u32(sb, (uint32_t)op->n_launches);
    for (int i = 0; i < op->n_launches; i++) {
        pack_launch(p, sb, op, &op->launches[i]);
    }
}

void tg_pack_ops(tg_packer *p, tg_sb *sb) {
    uint32_t n = 0;
    for (const tg_hostop *o = p->desc->ops; o; o = o->next) {
        n++;
    }
    tg_pack_u32(sb, n);
    for (const tg_hostop *o = p->desc->ops; o; o = o->next) {
        pack_op(p, sb, o);
    }
}
