/* SPDX-License-Identifier: Apache-2.0 */
/* The door of the SIMT C printer: kernels, helpers, names, types. See emit.h. */
#include "backends/simt_c/emit.h"

#include <string.h>

enum { FIXED_ARGS = 5 }; /* slots, first, end, scratch, report */

/* ---- text -------------------------------------------------------------------------------------
 */

const char *tg_c_text(tg_c_emitter *e, const char *fmt, ...) {
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    return sb.data;
}

void tg_c_list(tg_c_emitter *e, tg_sb *sb, const char *type) {
    for (const char *c = e->dialect->list; *c != '\0'; c++) {
        if (c[0] == '%') {
            tg_sb_add(sb, type);
            c++;
        } else {
            tg_sb_addc(sb, *c);
        }
    }
}

void tg_c_refuse(tg_c_emitter *e, const tg_op *op, const char *fmt, ...) {
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    va_list ap;
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    if (!e->failed) {
        tg_error(e->sink, TG_D_BACKEND, op->span, "%s cannot be printed in %s: %s",
                 tg_op_info_get(op->code)->name, e->dialect->name, sb.data);
    }
    e->failed = true;
}

tg_c_value *tg_c_value_of(tg_c_emitter *e, const tg_value *v) { return &e->values[v->id]; }

const char *tg_c_paren(tg_c_emitter *e, tg_c_expr x, int prec) {
    if (x.text == NULL) {
        return "0"; /* after a refusal */
    }
    return x.prec >= prec ? x.text : tg_c_text(e, "(%s)", x.text);
}

const char *tg_c_at(tg_c_emitter *e, const tg_value *v, int prec) {
    return tg_c_paren(e, tg_c_value_of(e, v)->expr, prec);
}

const char *tg_c_lane(tg_c_emitter *e, const tg_value *v, int64_t lane) {
    if (v->type->kind != TG_TY_VEC) {
        return tg_c_at(e, v, TG_PREC_PRIMARY);
    }
    const tg_op *def = v->def;
    if (def != NULL && def->code == TG_OP_SPLAT && v->type->dtype != TG_DT_BOOL) {
        return tg_c_at(e, tg_operand(def, 0), TG_PREC_PRIMARY);
    }
    if (def != NULL && (def->code == TG_OP_CONST_INT || def->code == TG_OP_CONST_FLOAT)) {
        return tg_c_paren(e, tg_c_scalar_constant(e, def), TG_PREC_PRIMARY);
    }
    return tg_c_text(e, "%s.s%c", tg_c_at(e, v, TG_PREC_PRIMARY), "0123456789abcdef"[lane & 15]);
}

/* ---- names ------------------------------------------------------------------------------------
 */

/* Words of C, C++, OpenCL C and of this printer that no variable may be called. */
static const char *const reserved[] = {
    "kept",      "slots",     "first",    "end",       "scratch_base", "report",   "program",
    "lane",      "shared",    "scratch",  "float",     "double",       "int",      "uint",
    "long",      "ulong",     "short",    "ushort",    "char",         "uchar",    "half",
    "bool",      "void",      "if",       "else",      "for",          "while",    "do",
    "break",     "return",    "const",    "static",    "struct",       "union",    "enum",
    "switch",    "case",      "default",  "goto",      "kernel",       "global",   "local",
    "constant",  "private",   "min",      "max",       "abs",          "exp",      "exp2",
    "log",       "log2",      "sqrt",     "rsqrt",     "sin",          "cos",      "tan",
    "tanh",      "fma",       "floor",    "ceil",      "round",        "rint",     "select",
    "clamp",     "mix",       "step",     "sign",      "dot",          "cross",    "length",
    "any",       "all",       "trap",     "pow",       "erf",          "fabs",     "mad",
    "rotate",    "popcount",  "barrier",  "size_t",    "true",         "false",    "sizeof",
    "volatile",  "restrict",  "inline",   "signed",    "unsigned",     "image",    "event_t",
    "sampler_t", "vload2",    "pipe",     "typedef",   "extern",       "auto",     "register",
    "continue",  "degrees",   "radians",  "normalize", "distance",     "upsample", "hypot",
    "fmod",      "fdim",      "fmax",     "fmin",      "frexp",        "ldexp",    "modf",
    "nan",       "remainder", "isnan",    "isinf",     "signbit",      "convert",  "as",
    "prefetch",  "printf",    "NAN",      "INFINITY",  "acos",         "asin",     "atan",
    "atan2",     "cbrt",      "cosh",     "sinh",      "log10",        "log1p",    "expm1",
    "trunc",     "sincos",    "shuffle",  "mad24",     "mul24",        "ctz",      "clz",
    "lgamma",    "tgamma",    "new",      "delete",    "this",         "class",    "template",
    "typename",  "operator",  "public",   "protected", "namespace",    "using",    "virtual",
    "friend",    "mutable",   "explicit", "try",       "catch",        "throw",    "asm",
    "and",       "or",        "not",      "xor",       "export",       "decltype", "concept",
    "requires",  "nullptr",   "noexcept", "alignas",   "alignof",      "typeid",   "wchar_t",
    "bitand",    "bitor",     "compl",    "tegula",
};

static bool taken(const tg_c_emitter *e, const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(reserved); i++) {
        if (strcmp(reserved[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < e->helpers.count; i++) {
        if (strcmp(e->helpers.data[i], name) == 0) {
            return true;
        }
    }
    for (size_t i = 0; i < e->names.count; i++) {
        if (strcmp(e->names.data[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* A letter for values nobody named. */
static const char *letter(const tg_type *t) {
    if (t->kind == TG_TY_PTR) {
        return "p";
    }
    if (t->kind == TG_TY_BUFFER) {
        return "a";
    }
    return t->dtype == TG_DT_BOOL ? "c" : tg_dtype_is_float(t->dtype) ? "x" : "n";
}

const char *tg_c_name(tg_c_emitter *e, const char *hint, const tg_type *t) {
    tg_sb sb;
    tg_sb_init(&sb, e->arena);
    const char *from =
        hint != NULL && hint[0] != '\0' && !(hint[0] >= '0' && hint[0] <= '9') ? hint : letter(t);
    for (const char *c = from; *c != '\0'; c++) {
        tg_sb_addc(&sb, tg_simt_word_char(*c) ? *c : '_');
    }
    const char *base = sb.data, *name = base;
    bool numbered = from != hint;
    for (int n = numbered ? 1 : 2; numbered || taken(e, name); n++) {
        bool digit = base[strlen(base) - 1] >= '0' && base[strlen(base) - 1] <= '9';
        name = tg_c_text(e, digit ? "%s_%d" : "%s%d", base, n);
        numbered = false;
        if (n == 2 && e->names.count > 64) { /* do not count up from the start every time */
            n = (int)e->names.count;
        }
    }
    TG_LIST_PUSH(e->arena, &e->names, name);
    return name;
}

void tg_c_helper(tg_c_emitter *e, const char *name, const char *text) {
    for (size_t i = 0; i < e->helpers.count; i++) {
        if (strcmp(e->helpers.data[i], name) == 0) {
            return;
        }
    }
    TG_LIST_PUSH(e->arena, &e->helpers, name);
    const char *end = strncmp(text, "/*", 2) == 0 ? strstr(text, "*/\n") : NULL;
    const char *type = end != NULL ? end + strlen("*/\n") : text;
    tg_sb_addf(&e->helper_text, "%.*s%s%s\n", (int)(type - text), text, e->dialect->function, type);
}

/* ---- types ------------------------------------------------------------------------------------
 */

const char *tg_c_scalar(tg_dtype t) {
    switch (t) {
    case TG_DT_BOOL:
        return "bool";
    case TG_DT_I8:
        return "char";
    case TG_DT_I16:
        return "short";
    case TG_DT_I32:
        return "int";
    case TG_DT_I64:
        return "long";
    case TG_DT_U16:
    case TG_DT_F16:
    case TG_DT_BF16:
        return "ushort";
    case TG_DT_U32:
        return "uint";
    case TG_DT_U64:
        return "ulong";
    case TG_DT_F32:
        return "float";
    case TG_DT_F64:
        return "double";
    case TG_DT_U8:
    case TG_DT_F8E4M3:
    case TG_DT_F8E4M3FNUZ:
    case TG_DT_F8E5M2:
    case TG_DT_F8E8M0:
    case TG_DT_F4E2M1:
    case TG_DT_I4:
    case TG_DT_U4:
    case TG_DT_NONE:
    case TG_DT_RECORD:
    case TG_DT_COUNT:
        break;
    }
    return "uchar";
}

const char *tg_c_memory_type(tg_dtype t) { return t == TG_DT_BOOL ? "uchar" : tg_c_scalar(t); }

const char *tg_c_type(tg_c_emitter *e, const tg_type *t) {
    if (t->kind == TG_TY_PTR) {
        return tg_c_text(e, "%suchar *", e->dialect->device);
    }
    if (t->kind != TG_TY_VEC) {
        return tg_c_scalar(t->dtype);
    }
    return tg_c_text(e, "%s%lld", t->dtype == TG_DT_BOOL ? "int" : tg_c_scalar(t->dtype),
                     (long long)t->shape[0]);
}

const char *tg_c_value_type(tg_c_emitter *e, const tg_value *v) {
    return tg_c_is_narrow(e, v) ? "int" : tg_c_type(e, v->type);
}

/* ---- kernels ----------------------------------------------------------------------------------
 */

typedef struct survey {
    bool pointer[256]; /* slots read as addresses */
    bool f64, atomic64;
    const tg_op *bad; /* a vector no dialect has, a slot too many */
} survey;

static void look(survey *s, const tg_region *r) {
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_results; i++) {
            const tg_type *t = op->results[i].type;
            int64_t n = tg_c_lanes(t);
            s->f64 = s->f64 || (t->kind != TG_TY_PTR && t->dtype == TG_DT_F64);
            if (n != 1 && n != 2 && n != 4 && n != 8 && n != 16) {
                s->bad = op;
            }
        }
        bool atomic = op->code == TG_OP_ATOMICM || op->code == TG_OP_AATOMIC;
        s->atomic64 = s->atomic64 || (atomic && tg_dtype_bits(op->results[0].type->dtype) == 64);
        if (op->code == TG_OP_SLOT && op->results[0].type->kind == TG_TY_PTR) {
            int64_t i = tg_attr_int(op, TG_ATTR_VALUE_I, 0);
            if (i < 0 || i >= (int64_t)TG_COUNT_OF(s->pointer)) {
                s->bad = op;
            } else {
                s->pointer[i] = true;
            }
        }
        for (int i = 0; i < op->n_regions; i++) {
            look(s, op->regions[i]);
        }
    }
}

static void arguments(tg_c_emitter *e, const survey *s) {
    const char *d = e->dialect->device;
    tg_sb_addf(e->out,
               "(%sconst long *slots, long first, long end, %suchar *scratch_base,\n"
               "        %suint *report",
               d, d, d);
    for (size_t i = 0; i < TG_COUNT_OF(s->pointer); i++) {
        if (s->pointer[i] && !e->dialect->addresses) {
            tg_sb_addf(e->out, ",\n        %suchar *arg%zu", d, i);
        }
    }
    tg_sb_add(e->out, ") {\n");
}

static void set_argument(tg_c_emitter *e, const tg_func *f, int i, const char *text) {
    if (i < f->body->n_args) {
        tg_c_value_of(e, f->body->args[i])->expr = (tg_c_expr){text, TG_PREC_PRIMARY};
    }
}

/* What stands before the first statement: program number, lane, scratch, shared memory. */
static void preamble(tg_c_emitter *e, const tg_func *f) {
    const tg_c_dialect *d = e->dialect;
    bool plan = f->role != NULL && strcmp(f->role, "plan") == 0;
    e->indent = 1;
    set_argument(e, f, 0, "slots");
    if (plan) {
        set_argument(e, f, 1, "scratch_base");
        return;
    }
    tg_c_line(e, "long program = first + (long)%s + (long)%s * (long)%s;", d->group_x, d->group_y,
              d->groups_x);
    tg_c_line(e, "if (program >= end)");
    tg_c_line(e, "    return;");
    tg_c_line(e, "int lane = (int)%s;", d->lane);
    if (e->on_cpu) {
        tg_c_line(e, "volatile int kept; // written behind barriers, see the printer's keep_loops");
    }
    if (f->scratch_bytes > 0) {
        tg_c_line(e, "%suchar *scratch = scratch_base + (program - first) * %lld;", d->device,
                  (long long)f->scratch_bytes);
    }
    if (f->shared_bytes > 0) {
        tg_c_line(e, "%s uchar shared[%lld] __attribute__((aligned(16)));", d->shared,
                  (long long)f->shared_bytes);
    }
    set_argument(e, f, 1, "program");
    set_argument(e, f, 2, "lane");
    set_argument(e, f, 3, f->scratch_bytes > 0 ? "scratch" : "scratch_base");
    set_argument(e, f, 4, "report");
}

static void emit_function(tg_c_emitter *e, tg_func *f, const survey *s) {
    e->func = f;
    e->values = TG_NEW_ARRAY(e->arena, tg_c_value, f->next_value_id + 1);
    e->names.count = 0;
    e->last_line = 0;
    int64_t lanes = f->lanes > 0 ? f->lanes : 1;
    tg_sb_addc(e->out, '\n');
    for (const char *c = e->dialect->kernel_head; *c != '\0'; c++) {
        if (strncmp(c, "%lld", strlen("%lld")) == 0) {
            tg_sb_addf(e->out, "%lld", (long long)lanes);
            c += strlen("%lld") - 1;
        } else {
            tg_sb_addc(e->out, *c);
        }
    }
    tg_sb_addf(e->out, " %s", tg_simt_entry_name(e->arena, f));
    arguments(e, s);
    preamble(e, f);
    tg_c_region(e, f->body);
    tg_c_close_barriers(e, f->body);
    tg_sb_add(e->out, "}\n");
}

tg_status tg_simt_c_emit(tg_module *loop, const tg_machine *machine, tg_arena *a, tg_sink *sink,
                         const unsigned char **out, size_t *out_bytes) {
    tg_sb kernels, file;
    if (!tg_machine_prints_c(machine)) {
        tg_error(sink, TG_D_BACKEND, (tg_span){0}, "there is no C dialect of machine `%s`",
                 machine->name);
        return TG_E_UNSUPPORTED;
    }
    tg_sb_init(&kernels, a);
    tg_sb_init(&file, a);
    tg_c_emitter e = {.dialect = machine->emitter == TG_EMIT_HIP    ? &tg_c_hip
                                 : machine->emitter == TG_EMIT_CUDA ? &tg_c_cuda
                                                                    : &tg_c_opencl,
                      .on_cpu = machine->emitter == TG_EMIT_OPENCL_C && machine->banks == 0,
                      .arena = a,
                      .sink = sink,
                      .out = &kernels};
    tg_sb_init(&e.helper_text, a);
    bool f64 = false, atomic64 = false;
    for (tg_func *f = loop->first_func; f != NULL && !e.failed; f = f->next) {
        survey s = {0};
        if (f->level != TG_LEVEL_LOOP) {
            continue;
        }
        look(&s, f->body);
        if (s.bad != NULL) {
            e.func = f;
            tg_c_refuse(&e, s.bad, "vectors have 2, 4, 8 or 16 lanes");
            break;
        }
        f64 = f64 || s.f64;
        atomic64 = atomic64 || s.atomic64;
        emit_function(&e, f, &s);
    }
    if (e.failed) {
        return TG_E_UNSUPPORTED;
    }
    tg_sb_add(&file, e.dialect->file_head);
    tg_sb_add(&file, e.dialect->contract_off);
    tg_sb_add(&file, f64 ? e.dialect->extension_f64 : "");
    tg_sb_add(&file, atomic64 ? e.dialect->extension_atomic64 : "");
    tg_sb_add(&file, e.dialect->prelude != NULL ? e.dialect->prelude() : "");
    tg_sb_addf(&file, "\n%s", e.helper_text.len > 0 ? e.helper_text.data : "");
    tg_sb_addf(&file, "%s%s", e.dialect->kernels_head, kernels.data);
    tg_sb_add(&file, e.dialect->file_end);
    *out = (const unsigned char *)file.data;
    *out_bytes = file.len;
    return TG_OK;
}
