/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading kernels and ops of a package: payloads of the KERNELS and OPS sections into structures of
 * the package's zone. Every count, index, flag and offset is checked here, so that launches need
 * not.
 */
#include "cursor.h"
#include "internal.h"

/* Least encoded size of an item, for counts. */
enum {
    MIN_PARAM = 40,
    MIN_VARIANT = 12,
    MIN_ENTRY = 24,
    MIN_KERNEL = 24,
    MIN_TEMP = 16,
    MIN_LAUNCH = 12,
    MIN_ARG = 5
};

typedef struct reader {
    tgr_package *package;
    tgr_cursor c;
    const char *error; /* first thing that was wrong */
    bool nomem;
} reader;

static bool fail(reader *r, const char *what) {
    if (!r->error) {
        r->error = what;
    }
    r->c.bad = true;
    return false;
}

static void *zone(reader *r, size_t count, size_t bytes) {
    void *p = tgr_zone_alloc(&r->package->zone, count, bytes);
    if (!p) {
        r->nomem = true;
        r->c.bad = true;
    }
    return p;
}

static const char *read_str(reader *r) {
    uint32_t n = tgr_cursor_count(&r->c, 1, TG_PACK_MAX_STR);
    const uint8_t *b = tgr_cursor_bytes(&r->c, n);
    if (!b || (n && memchr(b, 0, n))) {
        fail(r, "a text is cut short or holds a NUL");
        return "";
    }
    char *t = zone(r, (size_t)n + 1, 1);
    if (!t) {
        return "";
    }
    memcpy(t, b, n);
    return t;
}

/* A dimension code, copied so that the package's bytes may go. */
static tgr_dim read_dim(reader *r, uint32_t n_syms, bool required) {
    uint32_t n = tgr_cursor_count(&r->c, 1, TG_PACK_MAX_CODE);
    const uint8_t *b = tgr_cursor_bytes(&r->c, n);
    tgr_dim none = {.kind = TGR_DIM_IS_NONE};
    if (!b || (n == 0 && required) || (n > 0 && !tgr_dim_valid(b, n, n_syms))) {
        fail(r, "a dimension expression is malformed");
        return none;
    }
    if (n == 0) {
        return none;
    }
    uint8_t *copy = zone(r, n, 1);
    if (!copy) {
        return none;
    }
    memcpy(copy, b, n);
    return tgr_dim_make(copy, n);
}

/* ---- signature ------------------------------------------------------------------------------ */

static bool natural(tg_dtype dtype, uint64_t elem_bytes, int32_t *out_bits, int64_t *out_bytes) {
    if ((size_t)dtype == 0 || (size_t)dtype >= TG_DT_COUNT) {
        return false;
    }
    if (dtype == TG_DT_RECORD) {
        *out_bytes = (int64_t)elem_bytes;
        *out_bits = (int32_t)(elem_bytes * 8);
        return elem_bytes >= 1 && elem_bytes <= 1u << 24;
    }
    *out_bits = tgr_dtype_bits(dtype);
    *out_bytes = *out_bits < 8 ? 0 : *out_bits / 8;
    return elem_bytes == 0 || elem_bytes == (uint64_t)*out_bytes;
}

enum {
    KNOWN_FLAGS = TG_PARAM_TENSOR | TG_PARAM_OUT | TG_PARAM_INOUT | TG_PARAM_ALIAS |
                  TG_PARAM_STRIDED | TG_PARAM_SORTED | TG_PARAM_UNIQUE | TG_PARAM_RANGE |
                  TG_PARAM_INIT
};

static bool check_param(reader *r, const tgr_param *p, uint64_t align) {
    bool tensor = p->flags & TG_PARAM_TENSOR;
    if (p->rank > TG_MAX_RANK || p->flags & ~(unsigned)KNOWN_FLAGS ||
        (!tensor && (p->rank || p->flags))) {
        return fail(r, "a parameter has a rank or flags that cannot be");
    }
    if (!tensor && (p->dtype == TG_DT_RECORD || p->bits < 8)) {
        return fail(r, "a scalar parameter has a storage-only type");
    }
    if (p->bits < 8 && p->rank == 0) {
        return fail(r, "a packed tensor needs an axis");
    }
    if (align > 1u << 20 || (align & (align - 1))) {
        return fail(r, "an alignment is not a power of two");
    }
    if ((p->flags & TG_PARAM_INIT && !(p->flags & TG_PARAM_OUT)) ||
        (p->flags & TG_PARAM_OUT && p->flags & TG_PARAM_INOUT)) {
        return fail(r, "a parameter's roles contradict each other");
    }
    return true;
}

static int64_t natural_align(const tgr_param *p) {
    return p->dtype == TG_DT_RECORD || p->bits < 8 ? 1 : p->elem_bytes;
}

static void read_param(reader *r, tgr_param *p, uint32_t n_syms, uint32_t *slot) {
    p->name = read_str(r);
    p->dtype = (tg_dtype)tgr_cursor_u8(&r->c);
    p->rank = tgr_cursor_u8(&r->c);
    p->flags = tgr_cursor_u16(&r->c);
    uint64_t elem = tgr_cursor_u64(&r->c), align = tgr_cursor_u64(&r->c);
    p->init_bits = tgr_cursor_u64(&r->c);
    bool range = p->flags & TG_PARAM_RANGE;
    p->range_lo = read_dim(r, n_syms, range);
    p->range_hi = read_dim(r, n_syms, range);
    if (r->c.bad || !natural(p->dtype, elem, &p->bits, &p->elem_bytes)) {
        fail(r, "a parameter has an unknown type");
        return;
    }
    if (!check_param(r, p, align)) {
        return;
    }
    p->align_bytes = align ? (int64_t)align : natural_align(p);
    for (uint32_t a = 0; a < p->rank; a++) {
        p->dims[a] = read_dim(r, n_syms, true);
    }
    p->slot = (uint16_t)*slot;
    *slot += p->flags & TG_PARAM_TENSOR ? 1u + 2u * p->rank : 1u;
}

/*
 * Parameters come before the symbols in the bytes, but their codes need the number of symbols: the
 * parameters are skipped over first.
 */
static void skip_code(reader *r) {
    (void)tgr_cursor_bytes(&r->c, tgr_cursor_count(&r->c, 1, TG_PACK_MAX_CODE));
}

static void skip_param(reader *r) {
    (void)tgr_cursor_bytes(&r->c, tgr_cursor_count(&r->c, 1, TG_PACK_MAX_STR));
    (void)tgr_cursor_u8(&r->c);
    uint8_t rank = tgr_cursor_u8(&r->c);
    (void)tgr_cursor_bytes(&r->c, 2 + 8 + 8 + 8);
    skip_code(r);
    skip_code(r);
    for (uint8_t a = 0; a < rank && !r->c.bad; a++) {
        skip_code(r);
    }
}

static void read_syms(reader *r, tgr_kernel *k) {
    k->n_syms = tgr_cursor_count(&r->c, 4, TG_PACK_MAX_SYMS);
    k->syms = zone(r, k->n_syms + 1, sizeof *k->syms);
    for (uint32_t i = 0; k->syms && i < k->n_syms; i++) {
        k->syms[i] = read_str(r);
    }
}

static void read_requires(reader *r, tgr_kernel *k) {
    k->n_requires = tgr_cursor_count(&r->c, 4, 1024);
    k->requires_ = zone(r, k->n_requires, sizeof *k->requires_);
    for (uint32_t i = 0; k->requires_ && i < k->n_requires && !r->c.bad; i++) {
        k->requires_[i] = read_dim(r, k->n_syms, true);
    }
}

static void read_bindings(reader *r, tgr_kernel *k) {
    k->n_bindings = tgr_cursor_count(&r->c, 8, 1024);
    k->bindings = zone(r, k->n_bindings, sizeof *k->bindings);
    for (uint32_t i = 0; k->bindings && i < k->n_bindings && !r->c.bad; i++) {
        k->bindings[i].name = read_str(r);
        k->bindings[i].value = read_str(r);
    }
}

static void add_solvers(tgr_kernel *k, bool bare) {
    for (uint32_t p = 0; p < k->n_params; p++) {
        for (uint32_t a = 0; a < k->params[p].rank; a++) {
            const tgr_dim *d = &k->params[p].dims[a];
            uint64_t reads = tgr_dim_syms(d);
            for (uint32_t s = 0; s < k->n_syms; s++) {
                bool is_bare = d->kind == TGR_DIM_IS_SYM;
                if (is_bare != bare || !(reads >> s & 1) || !tgr_dim_invertible(d, s)) {
                    continue;
                }
                if (k->solvers) {
                    k->solvers[k->n_solvers] = (tgr_solver){.param = (uint16_t)p,
                                                            .axis = (uint16_t)a,
                                                            .sym = (uint16_t)s,
                                                            .needs = reads & ~(1ull << s)};
                }
                k->n_solvers++;
            }
        }
    }
}

/* Who tells which symbol: plain names first, then expressions that can be undone. */
static void make_solvers(reader *r, tgr_kernel *k) {
    add_solvers(k, true);
    add_solvers(k, false);
    k->solvers = zone(r, k->n_solvers, sizeof *k->solvers);
    if (k->solvers) {
        k->n_solvers = 0;
        add_solvers(k, true);
        add_solvers(k, false);
    }
}

static void read_signature(reader *r, tgr_kernel *k) {
    k->name = read_str(r);
    k->n_params = tgr_cursor_count(&r->c, MIN_PARAM, TG_PACK_MAX_PARAMS);
    k->params = zone(r, k->n_params, sizeof *k->params);
    tgr_cursor at = r->c;
    for (uint32_t i = 0; i < k->n_params && !r->c.bad; i++) {
        skip_param(r);
    }
    read_syms(r, k);
    tgr_cursor behind = r->c;
    uint32_t slot = 0;
    if (!r->c.bad && k->params) {
        r->c = at;
        for (uint32_t i = 0; i < k->n_params && !r->c.bad; i++) {
            read_param(r, &k->params[i], k->n_syms, &slot);
            k->n_init += (k->params[i].flags & TG_PARAM_INIT) != 0;
        }
        behind.bad = r->c.bad;
        r->c = behind;
    }
    read_requires(r, k);
    read_bindings(r, k);
    k->n_slots = slot + k->n_syms;
    if (k->n_slots > TG_PACK_MAX_SLOTS) {
        fail(r, "a kernel needs more launch slots than there are");
    }
    if (!r->c.bad) {
        make_solvers(r, k);
    }
}

/* ---- variants ------------------------------------------------------------------------------- */

static void read_entry(reader *r, tgr_code_entry *e) {
    e->code = tgr_cursor_u32(&r->c);
    e->n_phases = tgr_cursor_u32(&r->c);
    e->plan_offset = tgr_cursor_u64(&r->c);
    if (r->c.bad || e->code >= r->package->n_blobs || e->n_phases < 1 ||
        e->n_phases > TG_CPU_MAX_PHASES) {
        fail(r, "a variant names code that is not there");
        return;
    }
    uint64_t size = r->package->blobs[e->code].image_bytes;
    bool inside = e->plan_offset < size;
    for (uint32_t i = 0; i < e->n_phases; i++) {
        e->phase_offset[i] = tgr_cursor_u64(&r->c);
        inside &= e->phase_offset[i] < size;
    }
    if (!inside) {
        fail(r, "an entry point lies outside its code");
    }
}

static void read_variant(reader *r, const tgr_kernel *k, tgr_kernel_variant *v) {
    v->guard = read_dim(r, k->n_syms, false);
    v->schedule = read_str(r);
    v->n_codes = tgr_cursor_count(&r->c, MIN_ENTRY, 256);
    v->codes = zone(r, v->n_codes, sizeof *v->codes);
    for (uint32_t i = 0; v->codes && i < v->n_codes && !r->c.bad; i++) {
        read_entry(r, &v->codes[i]);
    }
}

static void read_kernel(reader *r, tgr_kernel *k) {
    read_signature(r, k);
    k->n_variants = tgr_cursor_count(&r->c, MIN_VARIANT, 4096);
    k->variants = zone(r, k->n_variants, sizeof *k->variants);
    for (uint32_t i = 0; k->variants && i < k->n_variants && !r->c.bad; i++) {
        read_variant(r, k, &k->variants[i]);
    }
    if (!r->c.bad && k->n_variants == 0) {
        fail(r, "a kernel has no variant");
    }
}

/* ---- ops ------------------------------------------------------------------------------------ */

static void read_temp(reader *r, const tgr_kernel *op, tgr_temp *t) {
    t->name = read_str(r);
    t->dtype = (tg_dtype)tgr_cursor_u8(&r->c);
    t->rank = tgr_cursor_u8(&r->c);
    uint16_t zero = tgr_cursor_u16(&r->c);
    uint64_t elem = tgr_cursor_u64(&r->c);
    if (r->c.bad || zero || t->rank > TG_MAX_RANK ||
        !natural(t->dtype, elem, &t->bits, &t->elem_bytes) || (t->bits < 8 && t->rank == 0)) {
        fail(r, "a temporary has a type or rank that cannot be");
        return;
    }
    for (uint32_t a = 0; a < t->rank; a++) {
        t->dims[a] = read_dim(r, op->n_syms, true);
    }
}

static void read_arg(reader *r, const tgr_kernel *op, const tgr_param *to, tgr_op_arg *a) {
    a->kind = (tg_pack_arg)tgr_cursor_u8(&r->c);
    bool tensor = to->flags & TG_PARAM_TENSOR, ok = false;
    if (a->kind == TG_PACK_ARG_PARAM || a->kind == TG_PACK_ARG_TEMP) {
        a->index = tgr_cursor_u32(&r->c);
        ok = a->kind == TG_PACK_ARG_TEMP
                 ? tensor && a->index < op->n_temps
                 : a->index < op->n_params &&
                       tensor == ((op->params[a->index].flags & TG_PARAM_TENSOR) != 0);
    } else if (a->kind == TG_PACK_ARG_DIM) {
        a->dim = read_dim(r, op->n_syms, true);
        ok = !tensor;
    } else if (a->kind == TG_PACK_ARG_FLOAT) {
        a->bits = tgr_cursor_u64(&r->c);
        ok = !tensor;
    }
    if (!ok) {
        fail(r, "an op hands a kernel something it cannot take");
    }
}

static void read_launch(reader *r, const tgr_kernel *op, tgr_op_launch *l) {
    l->kernel = tgr_cursor_u32(&r->c);
    l->when = read_dim(r, op->n_syms, false);
    l->n_args = tgr_cursor_count(&r->c, MIN_ARG, TG_PACK_MAX_PARAMS);
    if (r->c.bad || l->kernel >= r->package->n_kernels ||
        l->n_args != r->package->kernels[l->kernel].n_params) {
        fail(r, "an op launches a kernel that is not there, or with a wrong number of arguments");
        return;
    }
    l->args = zone(r, l->n_args, sizeof *l->args);
    for (uint32_t i = 0; l->args && i < l->n_args && !r->c.bad; i++) {
        read_arg(r, op, &r->package->kernels[l->kernel].params[i], &l->args[i]);
    }
}

static void read_op(reader *r, tgr_kernel *op) {
    op->is_op = true;
    read_signature(r, op);
    op->n_temps = tgr_cursor_count(&r->c, MIN_TEMP, TG_PACK_MAX_TEMPS);
    op->temps = zone(r, op->n_temps, sizeof *op->temps);
    for (uint32_t i = 0; op->temps && i < op->n_temps && !r->c.bad; i++) {
        read_temp(r, op, &op->temps[i]);
    }
    op->n_launches = tgr_cursor_count(&r->c, MIN_LAUNCH, TG_PACK_MAX_LAUNCHES);
    op->launches = zone(r, op->n_launches, sizeof *op->launches);
    for (uint32_t i = 0; op->launches && i < op->n_launches && !r->c.bad; i++) {
        read_launch(r, op, &op->launches[i]);
    }
}

/* ---- whole ---------------------------------------------------------------------------------- */

static tgr_status finish(const reader *r) {
    if (r->nomem) {
        return tgr_fail(r->package->context, TGR_E_NOMEM, "out of memory reading a package");
    }
    if (r->c.bad || tgr_cursor_left(&r->c)) {
        return tgr_fail(r->package->context, TGR_E_FORMAT, "package: %s",
                        r->error ? r->error : "kernels are cut short");
    }
    return TGR_OK;
}

tgr_status tgr_signatures_read(tgr_package *package, const tgr_section *kernels,
                               const tgr_section *ops) {
    reader r = {.package = package, .c = tgr_cursor_make(kernels->bytes, kernels->n_bytes)};
    reader o = {.package = package,
                .c = tgr_cursor_make(ops ? ops->bytes : NULL, ops ? ops->n_bytes : 0)};
    package->n_kernels = tgr_cursor_count(&r.c, MIN_KERNEL, UINT32_MAX);
    package->n_ops = ops ? tgr_cursor_count(&o.c, MIN_KERNEL, UINT32_MAX) : 0;
    package->kernels =
        zone(&r, (size_t)package->n_kernels + package->n_ops, sizeof *package->kernels);
    uint32_t *isas = zone(&r, package->n_blobs, sizeof *isas);
    if (r.c.bad || o.c.bad) {
        return r.nomem ? finish(&r)
                       : tgr_fail(package->context, TGR_E_FORMAT, "package: too many kernels");
    }
    for (uint32_t i = 0; i < package->n_blobs; i++) {
        isas[i] = package->blobs[i].isa;
    }
    for (uint32_t i = 0; i < package->n_kernels && !r.c.bad; i++) {
        read_kernel(&r, &package->kernels[i]);
        package->kernels[i].isas = isas;
    }
    tgr_status st = finish(&r);
    for (uint32_t i = 0; !st && i < package->n_ops && !o.c.bad; i++) {
        read_op(&o, &package->kernels[package->n_kernels + i]);
    }
    return st ? st : finish(&o);
}
