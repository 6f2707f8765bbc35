/* SPDX-License-Identifier: Apache-2.0 */
/* A kernel made ready to launch: loaded, specialised, dims bound, arguments allocated and filled.
 */
#define _GNU_SOURCE /* memfd_create */
#include "tools/tool.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

tg_program *tool_load_program(tool *t, const char *path) {
    const tg_source *src = tool_read_source(t, path);
    tg_program *p = NULL;
    if (src == NULL || tg_program_load(&t->arena, &t->sink, src, tool_import, t, &p) != TG_OK) {
        return NULL;
    }
    return p;
}

static const char *setting(const tool_kernel *k, const char *name) {
    const char *value = NULL;
    for (int i = 0; i < k->n_settings; i++) {
        if (strcmp(k->settings[i].name, name) == 0) {
            value = k->settings[i].value;
        }
    }
    return value;
}

static bool parse_int(const char *text, int64_t *out) {
    char *end;
    errno = 0;
    long long v = strtoll(text, &end, 0);
    if (end == text || *end != '\0' || errno != 0) {
        return false;
    }
    *out = v;
    return true;
}

static bool set_scalar(tool *t, tool_kernel *k, tool_array *a) {
    const char *text = setting(k, a->name);
    char *end;
    if (text == NULL) {
        return true;
    }
    errno = 0;
    double v = strtod(text, &end);
    int64_t i = 0;
    if (end == text || *end != '\0' || (!tg_dtype_is_float(a->dtype) && !parse_int(text, &i))) {
        tool_error(t, TG_D_TOOL, "%s=%s is not a %s", a->name, text, tg_dtype_name(a->dtype));
        return false;
    }
    if (tg_dtype_is_float(a->dtype)) {
        tool_array_set(a, 0, v);
    } else {
        tool_array_set_int(a, 0, i);
        if (tool_array_get_int(a, 0) != i) {
            tool_error(t, TG_D_TOOL, "%s=%s does not fit %s", a->name, text,
                       tg_dtype_name(a->dtype));
            return false;
        }
    }
    return true;
}

bool tool_kernel_make(tool *t, tg_program *p, const char *kernel, const tg_setting *settings,
                      int n_settings, const tg_target_query *target, tool_kernel *out) {
    *out = (tool_kernel){.program = p, .settings = settings, .n_settings = n_settings};
    out->module = tg_module_make(&t->arena);
    if (tg_program_specialise(p, kernel, settings, n_settings, target, out->module, &out->func) !=
        TG_OK) {
        return false;
    }
    const tg_func *f = out->func;
    const tg_hostop *op = f == NULL ? out->module->hostops : NULL;
    if (f == NULL && op == NULL) {
        tool_error(t, TG_D_TOOL, "%s is neither a kernel nor an op", kernel);
        return false;
    }
    const tg_param *params = f != NULL ? f->params : op->params;
    out->op = op;
    out->name = kernel;
    out->sym_names = f != NULL ? f->syms : op->syms;
    out->n_syms = f != NULL ? f->n_syms : op->n_syms;
    out->syms = TG_NEW_ARRAY(&t->arena, int64_t, out->n_syms + 1);
    for (int i = 0; i < out->n_syms; i++) {
        const char *text = setting(out, out->sym_names[i].name);
        out->syms[i] = -1;
        if (text != NULL && (!parse_int(text, &out->syms[i]) || out->syms[i] < 0)) {
            tool_error(t, TG_D_TOOL, "%s=%s is not an extent", out->sym_names[i].name, text);
            return false;
        }
    }
    out->n_args = f != NULL ? f->n_params : op->n_params;
    out->args = TG_NEW_ARRAY(&t->arena, tool_array, out->n_args + 1);
    for (int i = 0; i < out->n_args; i++) {
        const tg_param *param = &params[i];
        tool_array *a = &out->args[i];
        *a = (tool_array){.param = param,
                          .name = param->name,
                          .dtype = param->type->dtype,
                          .elem_bytes = param->type->elem_bytes,
                          .rank = param->type->rank,
                          .count = 1};
        if (a->rank == 0 && !set_scalar(t, out, a)) {
            return false;
        }
    }
    return true;
}

/* The only unknown name in d, or -1; -2 when there is none. */
static int only_unknown(const tg_dim *d, const int64_t *syms) {
    if (d->code == TG_DIM_CONST) {
        return -2;
    }
    if (d->code == TG_DIM_SYM) {
        return syms[d->value] < 0 ? (int)d->value : -2;
    }
    int a = only_unknown(d->a, syms), b = d->b != NULL ? only_unknown(d->b, syms) : -2;
    return a == -2 ? b : b == -2 ? a : -1;
}

/* The value of the unknown name for which d is `want`, through sums, differences and products, as
 * the runtime finds it at a launch (runtime/core/dims.c); negative: not to be found. */
static int64_t solved(const tg_dim *d, int64_t want, const int64_t *syms) {
    while (d->code != TG_DIM_SYM) {
        bool left = d->a != NULL && only_unknown(d->a, syms) >= 0;
        if (d->code != TG_DIM_ADD && d->code != TG_DIM_SUB && d->code != TG_DIM_MUL) {
            return -1;
        }
        int64_t known = tg_dim_eval(left ? d->b : d->a, syms);
        if (d->code == TG_DIM_MUL) {
            if (known <= 0 || want % known != 0) {
                return -1;
            }
            want /= known;
        } else if (d->code == TG_DIM_ADD ? __builtin_sub_overflow(want, known, &want)
                   : left                ? __builtin_add_overflow(want, known, &want)
                                         : __builtin_sub_overflow(known, want, &want)) {
            return -1;
        }
        d = left ? d->a : d->b;
    }
    return want;
}

/* Dimension names follow from the extents of the arrays that were given; names that stand alone
 * first. */
static void solve_from_arrays(tool_kernel *k) {
    for (int round = 0; round <= k->n_syms; round++) {
        for (int i = 0; i < k->n_args; i++) {
            const tool_array *a = &k->args[i];
            for (int d = 0; d < a->rank && a->data != NULL; d++) {
                const tg_dim *dim = a->param->type->dims[d];
                int s = round > 0 || dim->code == TG_DIM_SYM ? only_unknown(dim, k->syms) : -1;
                if (s >= 0) {
                    k->syms[s] = solved(dim, a->extent[d], k->syms);
                }
            }
        }
    }
}

/* All that are missing, at once. */
static bool all_known(tool *t, const tool_kernel *k) {
    int missing = 0;
    tg_sb names, sets;
    tg_sb_init(&names, &t->arena);
    tg_sb_init(&sets, &t->arena);
    for (int i = 0; i < k->n_syms; i++) {
        if (k->syms[i] < 0) {
            tg_sb_addf(&names, "%s%s", missing > 0 ? ", " : "", k->sym_names[i].name);
            tg_sb_addf(&sets, " --set %s=...", k->sym_names[i].name);
            missing++;
        }
    }
    if (missing > 0) {
        tool_error(t, TG_D_TOOL, "the extent%s %s of %s %s not known: give%s",
                   missing > 1 ? "s" : "", names.data, k->name, missing > 1 ? "are" : "is",
                   sets.data);
    }
    return missing == 0;
}

bool tool_kernel_allocate(tool *t, tool_kernel *k, int64_t pad_row_bytes) {
    solve_from_arrays(k);
    if (!all_known(t, k)) {
        return false;
    }
    for (int i = 0; i < k->n_args; i++) {
        tool_array *a = &k->args[i];
        if (a->rank == 0 || a->data != NULL) {
            continue;
        }
        for (int d = 0; d < a->rank; d++) {
            a->extent[d] = tg_dim_eval(a->param->type->dims[d], k->syms);
            if (a->extent[d] < 0) {
                tool_error(t, TG_D_TOOL, "argument %s: extent %d of axis %d is negative", a->name,
                           (int)a->extent[d], d);
                return false;
            }
        }
        int64_t pad = a->rank >= 2 ? pad_row_bytes : 0;
        if (a->dtype == TG_DT_RECORD && pad > 0) {
            pad = a->elem_bytes; /* a whole record: alignment stays */
        }
        if (!tool_array_make(t, a, pad)) {
            return false;
        }
    }
    return true;
}

void tool_kernel_free(tool_kernel *k) {
    for (int i = 0; i < k->n_args; i++) {
        tool_array_free(&k->args[i]);
    }
}

bool tool_kernel_copy(tool *t, const tool_kernel *k, tool_kernel *out) {
    *out = *k;
    out->args = TG_NEW_ARRAY(&t->arena, tool_array, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_copy(t, &k->args[i], &out->args[i])) {
            return false;
        }
    }
    return true;
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

static bool is_input(const tool_array *a) { return (a->param->flags & TG_PARAM_OUT) == 0; }

/* How many elements of a large array are drawn for timing: no power of two, so that rows differ,
 * and whole pages of doubles. */
enum { FULL_DRAWN = 2047 * 512 };

/* With `full`, which is for timing, a large dense array repeats its beginning. */
static bool repeats(const tool_array *a) {
    return a->mapped == 0 && tg_dtype_is_float(a->dtype) && a->dtype != TG_DT_RECORD &&
           a->count > FULL_DRAWN &&
           (int64_t)a->bytes == (a->count * tg_dtype_bits(a->dtype) + 7) / 8;
}

static void repeat_beginning(const tool_array *a) {
    size_t done = (size_t)((int64_t)FULL_DRAWN * tg_dtype_bits(a->dtype) / 8);
    for (size_t at = done; at < a->bytes; at += done) {
        memcpy(a->data + at, a->data, a->bytes - at < done ? a->bytes - at : done);
    }
}

static int ascending(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

static void fill_integers(const tool_kernel *k, tool_array *a, tgk_random *r) {
    const tg_param *p = a->param;
    int64_t lo = tg_dtype_is_signed(a->dtype) ? -8 : 0, hi = a->dtype == TG_DT_BOOL ? 2 : 8;
    if ((p->flags & TG_PARAM_RANGE) != 0) {
        lo = tg_dim_eval(p->range_lo, k->syms);
        hi = tg_dim_eval(p->range_hi, k->syms);
    }
    int64_t *v = calloc((size_t)a->count + 1, sizeof *v);
    for (int64_t i = 0; v != NULL && i < a->count; i++) {
        v[i] = (p->flags & TG_PARAM_UNIQUE) != 0 ? lo + i : lo + tgk_random_below(r, hi - lo);
    }
    if (v != NULL && (p->flags & TG_PARAM_SORTED) != 0) {
        qsort(v, (size_t)a->count, sizeof *v, ascending);
    }
    for (int64_t i = 0; v != NULL && i < a->count; i++) {
        tool_array_set_int(a, i, v[i]);
    }
    free(v);
}

static void fill_records(const tool_array *a, tgk_random *r) {
    for (int64_t e = 0; e < a->count; e++) {
        unsigned char *bytes = tool_array_record(a, e);
        for (int64_t b = 0; b < a->elem_bytes; b++) {
            bytes[b] = (unsigned char)(tgk_random_u64(r) & 0x3f);
        }
    }
}

static void fill_floats(const tool_array *a, tgk_random *r, bool exact) {
    bool part = r->full && repeats(a);
    int64_t n = part ? FULL_DRAWN : a->count;
    for (int64_t e = 0; e < n; e++) {
        tool_array_set(a, e, exact ? (double)(tgk_random_below(r, 5) - 2) : tgk_random_normal(r));
    }
    if (part) {
        repeat_beginning(a);
    }
}

static void fill_defaults(tool_kernel *k, tgk_random *r, bool exact) {
    for (int i = 0; i < k->n_args; i++) {
        tool_array *a = &k->args[i];
        if (!is_input(a) || (a->rank == 0 && setting(k, a->name) != NULL)) {
            continue;
        }
        if (a->dtype == TG_DT_RECORD) {
            fill_records(a, r);
        } else if (!tg_dtype_is_float(a->dtype)) {
            fill_integers(k, a, r);
        } else {
            fill_floats(a, r, exact);
        }
    }
}

/* Decoded copy of an argument for the references; arena memory. */
bool tool_array_decode(tool *t, const tool_array *a, tgk_arg *out) {
    *out = (tgk_arg){.name = a->name,
                     .dtype = a->dtype,
                     .rank = a->rank,
                     .elem_bytes = a->elem_bytes,
                     .count = a->count,
                     .is_out = (a->param->flags & TG_PARAM_OUT) != 0};
    memcpy(out->extent, a->extent, sizeof out->extent);
    if (a->dtype == TG_DT_RECORD) {
        out->bytes = malloc((size_t)(a->count * a->elem_bytes) + 1);
        for (int64_t e = 0; out->bytes != NULL && e < a->count; e++) {
            memcpy(out->bytes + e * a->elem_bytes, tool_array_record(a, e), (size_t)a->elem_bytes);
        }
    } else if (tg_dtype_is_float(a->dtype)) {
        out->f = malloc(((size_t)a->count + 1) * sizeof(double));
        if (out->f != NULL) {
            tool_array_get_floats(a, out->f);
        }
    } else {
        out->i = malloc(((size_t)a->count + 1) * sizeof(int64_t));
        for (int64_t e = 0; out->i != NULL && e < a->count; e++) {
            out->i[e] = tool_array_get_int(a, e);
        }
    }
    if (out->bytes == NULL && out->f == NULL && out->i == NULL) {
        tool_error(t, TG_D_TOOL, "argument %s: no memory for the reference", a->name);
        return false;
    }
    return true;
}

/* The integers and types among the settings, for the references; arena memory. */
static const tgk_constant *constants_of(tool *t, const tool_kernel *k) {
    tgk_constant *out = TG_NEW_ARRAY(&t->arena, tgk_constant, k->n_settings + 1);
    int n = 0;
    for (int i = 0; i < k->n_settings; i++) {
        const char *value = k->settings[i].value;
        tg_dtype type = TG_DT_NONE;
        bool is_type = tg_dtype_from_name(value, strlen(value), &type);
        out[n] = (tgk_constant){k->settings[i].name, (int64_t)type};
        n += is_type || parse_int(value, &out[n].value) ? 1 : 0;
    }
    out[n] = (tgk_constant){0};
    return out;
}

static bool decode_args(tool *t, const tool_kernel *k, tgk_arg *out) {
    const tgk_constant *constants = constants_of(t, k);
    bool ok = true;
    for (int i = 0; i < k->n_args; i++) {
        ok = tool_array_decode(t, &k->args[i], &out[i]) && ok;
        out[i].constants = constants;
    }
    return ok;
}

static void free_arg(tgk_arg *a) {
    free(a->bytes);
    free(a->f);
    free(a->i);
    free(a->slack);
    *a = (tgk_arg){0};
}

void tool_args_free(tgk_arg *args, int n) {
    for (int i = 0; i < n; i++) {
        free_arg(&args[i]);
    }
}

static void encode_arg(const tool_kernel *k, const tgk_arg *from, tool_array *a) {
    if (!is_input(a) || (a->rank == 0 && setting(k, a->name) != NULL)) {
        return;
    }
    if (from->f != NULL) {
        tool_array_set_floats(a, from->f);
        return;
    }
    for (int64_t e = 0; e < a->count; e++) {
        if (from->bytes != NULL) {
            memcpy(tool_array_record(a, e), from->bytes + e * a->elem_bytes, (size_t)a->elem_bytes);
        } else if (from->i != NULL) {
            tool_array_set_int(a, e, from->i[e]);
        }
    }
}

/* ---- inputs for timing --------------------------------------------------------------------------
 * A large array's doubles are one piece of memory that stands at every multiple of FULL_DRAWN: an
 * inputs() that walks `count` elements draws the piece, one that goes by the extents writes into it
 * again and again. Either way it costs neither the time nor the memory of the whole.
 */

static size_t piece_span(const tool_array *a) {
    int64_t pieces = (a->count + FULL_DRAWN - 1) / FULL_DRAWN;
    return (size_t)pieces * FULL_DRAWN * sizeof(double);
}

/* NULL: no memory. */
static double *map_piece(const tool_array *a) {
    size_t piece = FULL_DRAWN * sizeof(double), span = piece_span(a);
    int fd = memfd_create("inputs", MFD_CLOEXEC);
    char *base = MAP_FAILED;
    if (fd >= 0 && ftruncate(fd, (off_t)piece) == 0) {
        base = mmap(NULL, span, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    }
    bool ok = base != MAP_FAILED;
    for (size_t at = 0; ok && at < span; at += piece) {
        ok = mmap(base + at, piece, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) !=
             MAP_FAILED;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    if (!ok && base != MAP_FAILED) {
        (void)munmap(base, span);
    }
    return ok ? (double *)(void *)base : NULL;
}

static bool decode_piece(tool *t, const tool_array *a, tgk_arg *out) {
    *out = (tgk_arg){.name = a->name,
                     .dtype = a->dtype,
                     .rank = a->rank,
                     .is_out = (a->param->flags & TG_PARAM_OUT) != 0,
                     .count = FULL_DRAWN,
                     .f = map_piece(a)};
    memcpy(out->extent, a->extent, sizeof out->extent);
    if (out->f == NULL) {
        tool_error(t, TG_D_TOOL, "argument %s: no memory for the reference", a->name);
        return false;
    }
    for (int64_t e = 0; e < FULL_DRAWN; e++) {
        out->f[e] = tool_array_get(a, e);
    }
    return true;
}

static bool decode_for_timing(tool *t, const tool_kernel *k, tgk_arg *out) {
    const tgk_constant *constants = constants_of(t, k);
    bool ok = true;
    for (int i = 0; i < k->n_args; i++) {
        ok = (repeats(&k->args[i]) ? decode_piece(t, &k->args[i], &out[i])
                                   : tool_array_decode(t, &k->args[i], &out[i])) &&
             ok;
        out[i].constants = constants;
    }
    return ok;
}

/* What a piece poisons as nobody's may be somebody's in its repetitions: a number stands there. */
static void encode_for_timing(const tool_kernel *k, tgk_arg *from, int i, tgk_random *r) {
    tool_array *a = &k->args[i];
    if (!repeats(a)) {
        encode_arg(k, from, a);
        return;
    }
    for (int64_t e = 0; is_input(a) && from->f != NULL && e < FULL_DRAWN; e++) {
        tool_array_set(a, e, isnan(from->f[e]) ? tgk_random_normal(r) : from->f[e]);
    }
    if (is_input(a)) {
        repeat_beginning(a);
    }
}

/* Pieces are no memory of malloc. */
static void free_pieces(const tool_kernel *k, tgk_arg *args) {
    for (int i = 0; i < k->n_args; i++) {
        if (repeats(&k->args[i]) && args[i].f != NULL) {
            (void)munmap(args[i].f, piece_span(&k->args[i]));
            args[i].f = NULL;
        }
    }
}

void tool_kernel_fill_full(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed) {
    tgk_random r = {.state = seed, .full = true};
    fill_defaults(k, &r, false);
    if (ref == NULL || ref->inputs == NULL) {
        return;
    }
    tgk_arg *args = TG_NEW_ARRAY(&t->arena, tgk_arg, k->n_args + 1);
    if (decode_for_timing(t, k, args)) {
        ref->inputs(args, k->n_args, &r);
        for (int i = 0; i < k->n_args; i++) {
            encode_for_timing(k, &args[i], i, &r);
        }
    }
    free_pieces(k, args);
    tool_args_free(args, k->n_args);
}

/* ---- inputs for checking ------------------------------------------------------------------------
 */

static void fill(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed, bool exact) {
    tgk_random r = {.state = seed, .exact = exact};
    fill_defaults(k, &r, exact);
    if (ref == NULL || ref->inputs == NULL) {
        return;
    }
    tgk_arg *args = TG_NEW_ARRAY(&t->arena, tgk_arg, k->n_args + 1);
    if (decode_args(t, k, args)) {
        ref->inputs(args, k->n_args, &r);
        for (int i = 0; i < k->n_args; i++) {
            bool keep = exact && !ref->exact_inputs && tg_dtype_is_float(k->args[i].dtype) &&
                        k->args[i].rank > 0;
            if (!keep) {
                encode_arg(k, &args[i], &k->args[i]);
            }
        }
    }
    tool_args_free(args, k->n_args);
}

void tool_kernel_fill(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed) {
    fill(t, k, ref, seed, false);
}

void tool_kernel_fill_exact(tool *t, tool_kernel *k, const tgk_reference *ref, uint64_t seed) {
    fill(t, k, ref, seed, true);
}

/* ---- running ----------------------------------------------------------------------------------
 */

tg_interp_arg *tool_kernel_interp_args(tool *t, const tool_kernel *k) {
    tg_interp_arg *args = TG_NEW_ARRAY(&t->arena, tg_interp_arg, k->n_args + 1);
    for (int i = 0; i < k->n_args; i++) {
        const tool_array *a = &k->args[i];
        args[i].data = a->data;
        args[i].scalar = a->scalar;
        memcpy(args[i].extent, a->extent, sizeof args[i].extent);
        memcpy(args[i].stride_bytes, a->stride_bytes, sizeof args[i].stride_bytes);
        for (int64_t e = 0; (a->param->flags & TG_PARAM_INIT) != 0 && e < a->count; e++) {
            tool_array_set(a, e, a->param->init);
        }
    }
    return args;
}

static bool interpret_launch(tool *t, tool_kernel *k, void *user) {
    return tool_kernel_interpret(t, k, user);
}

bool tool_kernel_interpret(tool *t, tool_kernel *k, const tg_interp_options *options) {
    if (k->op != NULL) {
        tg_interp_options own = *options;
        return tool_op_run(t, k, interpret_launch, &own);
    }
    tg_interp_arg *args = tool_kernel_interp_args(t, k);
    int64_t *syms = TG_NEW_ARRAY(&t->arena, int64_t, k->n_syms + 1);
    return tg_interp_bind(k->func, args, syms, &t->sink) == TG_OK &&
           tg_interp_run(k->func, args, syms, options, &t->arena, &t->sink) == TG_OK;
}

bool tool_kernel_reference(tool *t, const tool_kernel *k, const tgk_reference *ref,
                           tgk_arg *out_args) {
    if (!decode_args(t, k, out_args)) {
        return false;
    }
    if (!ref->run(out_args, k->n_args)) {
        tool_error(t, TG_D_TOOL, "%s: the reference does not take these arguments", k->name);
        return false;
    }
    return true;
}
