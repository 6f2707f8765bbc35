/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loading: parses the main file, the built-in std module and the imports, finds names, and turns
 * case and bench lines into settings. Everything that needs types is the checker's (elab*.c).
 */
#include "frontend/program.h"

#include <string.h>

enum { IMPORT_MAX_DEPTH = 64, SIGNATURE_MAX_NAMES = 256 };

/* ---- lookup --------------------------------------------------------------------------------- */

static bool declares_name(const tg_decl *d) {
    return d->kind <= TG_DECL_CONST && d->name.name != NULL;
}

/* The slot of a name: its declaration's, or the free one where it belongs. */
static size_t slot_of(const tg_file *f, const char *name) {
    size_t at = (size_t)tg_hash_bytes(name, strlen(name), 0) & (f->table_cap - 1);
    while (f->table[at] != NULL && strcmp(f->table[at]->name.name, name) != 0) {
        at = (at + 1) & (f->table_cap - 1);
    }
    return at;
}

tg_decl *tg_file_find(const tg_file *f, const char *name) {
    tg_decl *d = f != NULL && f->table_cap > 0 && name != NULL ? f->table[slot_of(f, name)] : NULL;
    return d != NULL && d->kind != TG_DECL_IMPORT ? d : NULL;
}

tg_file *tg_program_module(const tg_program *p, const tg_file *from, const char *module) {
    tg_decl *d = from->table_cap > 0 ? from->table[slot_of(from, module)] : NULL;
    if (d != NULL && d->kind == TG_DECL_IMPORT) {
        return d->u.import.file;
    }
    return strcmp(module, "std") == 0 ? p->std : NULL;
}

tg_decl *tg_program_find(const tg_program *p, const tg_file *from, const char *name) {
    tg_decl *d = tg_file_find(from, name);
    return d != NULL || from == p->std ? d : tg_file_find(p->std, name);
}

const char *tg_program_name(tg_program *p, const char *text) {
    return tg_intern(&p->names, text, strlen(text));
}

/* ---- files and imports ---------------------------------------------------------------------- */

static tg_file *load_file(tg_program *p, const tg_source *src, const char *module, int depth);

static tg_file *loaded(const tg_program *p, const tg_source *src) {
    for (size_t i = 0; i < p->files.count; i++) {
        if (p->files.data[i]->source == src ||
            strcmp(p->files.data[i]->source->name, src->name) == 0) {
            return p->files.data[i];
        }
    }
    return NULL;
}

static void load_import(tg_program *p, tg_file *from, tg_decl *d, int depth) {
    if (d->broken || d->u.import.path == NULL) {
        return;
    }
    if (strcmp(d->u.import.path, "std") == 0) {
        d->u.import.file = p->std;
        return;
    }
    const tg_source *src = p->import != NULL && depth < IMPORT_MAX_DEPTH
                               ? p->import(p->import_user, p->arena, d->u.import.path, from->source)
                               : NULL;
    if (src == NULL) {
        tg_error(p->sink, TG_D_IMPORT_NOT_FOUND, d->u.import.path_span,
                 "the module \"%s\" cannot be read", d->u.import.path);
        return;
    }
    tg_file *f = loaded(p, src);
    if (f != NULL && f->loading) {
        tg_error(p->sink, TG_D_IMPORT_CYCLE, d->u.import.path_span,
                 "\"%s\" imports itself in a circle", d->u.import.path);
        return;
    }
    d->u.import.file = f != NULL ? f : load_file(p, src, d->name.name, depth + 1);
}

/* Kernels, ops, fns, records, constants and modules share one set of names. */
static void enter_names(tg_program *p, tg_file *f) {
    f->table_cap = 16;
    while (f->table_cap < 2 * (size_t)f->n_decls) {
        f->table_cap *= 2;
    }
    f->table = TG_NEW_ARRAY(p->arena, tg_decl *, f->table_cap);
    for (int i = 0; i < f->n_decls; i++) {
        tg_decl *d = f->decls[i];
        if (!declares_name(d) && !(d->kind == TG_DECL_IMPORT && d->name.name != NULL)) {
            continue;
        }
        tg_decl **slot = &f->table[slot_of(f, d->name.name)];
        if (*slot != NULL) {
            tg_diag *g = tg_error(p->sink, TG_D_REDECLARED, d->name.span, "`%s` is declared twice",
                                  d->name.name);
            tg_note_add(p->sink, g, (*slot)->name.span, "the first declaration is here");
        } else {
            *slot = d;
        }
    }
}

/* Names of a signature: compile-time parameters, tunes and grid axes differ from one another. */
static void check_signature(tg_program *p, const tg_decl *d) {
    const tg_ct_params *ct = &d->u.kernel.ct;
    int n = ct->n + d->u.kernel.n_tunes + d->u.kernel.n_grid;
    const tg_ident **names = TG_NEW_ARRAY(p->arena, const tg_ident *, n + 1);
    if (n > SIGNATURE_MAX_NAMES) {
        tg_error(p->sink, TG_D_SYNTAX, d->head,
                 "a signature has at most %d compile-time parameters, tunes and grid axes",
                 SIGNATURE_MAX_NAMES);
        return;
    }
    n = 0;
    for (int i = 0; i < ct->n; i++) {
        names[n++] = &ct->items[i].name;
    }
    for (int i = 0; i < d->u.kernel.n_tunes; i++) {
        names[n++] = &d->u.kernel.tunes[i].name;
    }
    for (int i = 0; i < d->u.kernel.n_grid; i++) {
        names[n++] = &d->u.kernel.grid[i].name;
    }
    for (int i = 0; i < n; i++) {
        for (int k = 0; k < i && names[i]->name != NULL; k++) {
            if (names[k]->name == names[i]->name) {
                tg_diag *g = tg_error(p->sink, TG_D_REDECLARED, names[i]->span,
                                      "`%s` is declared twice", names[i]->name);
                tg_note_add(p->sink, g, names[k]->span, "the first declaration is here");
                break;
            }
        }
    }
}

static tg_file *load_file(tg_program *p, const tg_source *src, const char *module, int depth) {
    tg_parse_env env = {p->arena, p->sink, &p->names};
    tg_file *f = tg_parse_file(&env, src, module);
    TG_LIST_PUSH(p->arena, &p->files, f);
    f->loading = true;
    for (int i = 0; i < f->n_decls; i++) {
        if (f->decls[i]->kind == TG_DECL_IMPORT) {
            load_import(p, f, f->decls[i], depth);
        }
    }
    f->loading = false;
    enter_names(p, f);
    for (int i = 0; i < f->n_decls; i++) {
        bool kernel = f->decls[i]->kind == TG_DECL_KERNEL || f->decls[i]->kind == TG_DECL_OP;
        if (kernel && !f->decls[i]->broken) {
            check_signature(p, f->decls[i]);
        }
    }
    return f;
}

/* ---- cases ---------------------------------------------------------------------------------- */

static bool is_kernel(const tg_decl *d) {
    return d != NULL && (d->kind == TG_DECL_KERNEL || d->kind == TG_DECL_OP);
}

/* Does the name occur in the expression (as a dimension)? */
static bool mentions(const tg_expr *e, const char *name) {
    if (e == NULL) {
        return false;
    }
    switch ((int)e->kind) {
    case TG_EXPR_NAME:
        return e->u.name.name == name;
    case TG_EXPR_UNARY:
        return mentions(e->u.unary.x, name);
    case TG_EXPR_BINARY:
        return mentions(e->u.binary.a, name) || mentions(e->u.binary.b, name);
    case TG_EXPR_CALL:
        for (int i = 0; i < e->u.call.n; i++) {
            if (mentions(e->u.call.args[i].value, name)) {
                return true;
            }
        }
        return false;
    default:
        return false;
    }
}

static bool list_mentions(const tg_expr_list *l, const char *name) {
    for (int i = 0; i < l->n; i++) {
        if (mentions(l->items[i], name)) {
            return true;
        }
    }
    return false;
}

/* Compile-time parameters, tunes, scalars, and names in the extents of tensors can be set. */
static bool can_set(const tg_decl *k, const char *name) {
    for (int i = 0; i < k->u.kernel.ct.n; i++) {
        if (k->u.kernel.ct.items[i].name.name == name) {
            return true;
        }
    }
    for (int i = 0; i < k->u.kernel.n_tunes; i++) {
        if (k->u.kernel.tunes[i].name.name == name) {
            return true;
        }
    }
    for (int i = 0; i < k->u.kernel.params.n; i++) {
        const tg_ast_param *a = &k->u.kernel.params.items[i];
        bool scalar = a->name.name == name && !a->type.has_dims;
        if (scalar || list_mentions(&a->type.dims, name) || list_mentions(&a->type.args, name)) {
            return true;
        }
    }
    return false;
}

static bool is_compile_time(const tg_decl *k, const char *name) {
    bool yes = false;
    for (int i = 0; i < k->u.kernel.ct.n; i++) {
        yes |= k->u.kernel.ct.items[i].name.name == name;
    }
    for (int i = 0; i < k->u.kernel.n_tunes; i++) {
        yes |= k->u.kernel.tunes[i].name.name == name;
    }
    return yes;
}

static bool is_scalar_param(const tg_decl *k, const char *name) {
    bool yes = false;
    for (int i = 0; i < k->u.kernel.params.n; i++) {
        yes |= k->u.kernel.params.items[i].name.name == name &&
               !k->u.kernel.params.items[i].type.has_dims;
    }
    return yes;
}

/* Dimensions are counts; scalars are numbers or truth values. Types are compile-time arguments
 * only. */
static void check_literal(tg_program *p, const tg_decl *kernel, const tg_set *s) {
    const char *name = s->name.name, *t = s->text;
    if (name == NULL || is_compile_time(kernel, name)) {
        return;
    }
    bool digits = *t >= '0' && *t <= '9', special = strcmp(t, "inf") == 0 || strcmp(t, "nan") == 0;
    bool number = digits || *t == '-' || special;
    if (is_scalar_param(kernel, name)) {
        if (!number && strcmp(t, "true") != 0 && strcmp(t, "false") != 0) {
            tg_error(p->sink, TG_D_CASE_SETTING, s->span,
                     "`%s` is a scalar and takes a number, not %s", name, t);
        }
    } else if (!digits || (strpbrk(t, ".eE") != NULL && strncmp(t, "0x", 2) != 0)) {
        tg_error(p->sink, TG_D_CASE_SETTING, s->span,
                 "`%s` is a dimension and takes a count, not %s", name, t);
    }
}

static const char *setting_name(tg_program *p, const tg_decl *example, const tg_decl *kernel, int i,
                                int positional) {
    const tg_set *s = &example->u.example.sets[i];
    if (s->name.name != NULL) {
        if (!can_set(kernel, s->name.name)) {
            tg_diag *d =
                tg_error(p->sink, TG_D_CASE_SETTING, s->name.span,
                         "`%s` has nothing called `%s` to set", kernel->name.name, s->name.name);
            tg_note_add(
                p->sink, d, kernel->head,
                "settings are compile-time parameters, tunes, dimensions and scalar parameters");
            return NULL;
        }
        check_literal(p, kernel, s);
        return s->name.name;
    }
    if (positional >= kernel->u.kernel.ct.n) {
        tg_diag *d = tg_error(p->sink, TG_D_CASE_POSITIONAL, s->span,
                              "`%s` has %d compile-time parameter%s", kernel->name.name,
                              kernel->u.kernel.ct.n, kernel->u.kernel.ct.n == 1 ? "" : "s");
        tg_note_add(p->sink, d, kernel->head,
                    "values in brackets bind them in the order of their declaration");
        return NULL;
    }
    return kernel->u.kernel.ct.items[positional].name.name;
}

bool tg_program_settings(tg_program *p, const tg_decl *example, tg_setting **out, int *out_n) {
    const tg_decl *kernel = tg_file_find(example->file, example->name.name);
    int n = 0, positional = 0;
    bool ok = true;
    tg_setting *settings = TG_NEW_ARRAY(p->arena, tg_setting, example->u.example.n);
    *out = settings;
    *out_n = 0;
    if (!is_kernel(kernel)) {
        return false;
    }
    for (int i = 0; i < example->u.example.n; i++) {
        const tg_set *s = &example->u.example.sets[i];
        const char *name = setting_name(p, example, kernel, i, positional);
        positional += s->name.name == NULL;
        bool twice = false;
        for (int k = 0; name != NULL && k < n; k++) {
            twice |= settings[k].name == name;
        }
        if (twice) {
            tg_error(p->sink, TG_D_CASE_SETTING, s->span, "`%s` is set twice", name);
        }
        ok &= name != NULL && !twice;
        if (name != NULL && !twice) {
            settings[n++] = (tg_setting){name, s->text};
        }
    }
    *out_n = n;
    return ok;
}

static void check_kernel_name(tg_program *p, const tg_decl *d) {
    const tg_decl *k = tg_file_find(d->file, d->name.name);
    if (k == NULL) {
        tg_error(p->sink, TG_D_CASE_KERNEL, d->name.span,
                 "this file has no kernel or op called `%s`", d->name.name);
    } else if (!is_kernel(k)) {
        tg_diag *g = tg_error(p->sink, TG_D_CASE_KERNEL, d->name.span,
                              "`%s` is neither a kernel nor an op", d->name.name);
        tg_note_add(p->sink, g, k->name.span, "it is declared here");
    }
}

static void set_tolerance(tg_case *c, const tg_tol *t) {
    static const tg_tolerance kinds[] = {TG_TOL_NONE,      TG_TOL_EXACT, TG_TOL_ABS_REL,
                                         TG_TOL_CALC_DIFF, TG_TOL_ULP,   TG_TOL_NMSE,
                                         TG_TOL_GATE};
    c->tol = kinds[t->kind];
    c->tol_a = t->a;
    c->tol_b = t->b;
}

static void add_case(tg_program *p, tg_decl *d) {
    const tg_decl *kernel = tg_file_find(d->file, d->name.name);
    tg_case c = {.is_bench = d->kind == TG_DECL_BENCH, .kernel = d->name.name, .span = d->head};
    (void)tg_program_settings(p, d, &c.settings, &c.n_settings);
    bool own = d->u.example.tol.kind != TG_TOLK_NONE;
    set_tolerance(&c, own ? &d->u.example.tol : &kernel->u.kernel.tol);
    TG_LIST_PUSH(p->arena, &p->cases, c);
    TG_LIST_PUSH(p->arena, &p->case_decls, d);
}

static void collect(tg_program *p) {
    for (int i = 0; i < p->main->n_decls; i++) {
        tg_decl *d = p->main->decls[i];
        if (d->name.name == NULL) {
            continue;
        }
        if (is_kernel(d)) {
            TG_LIST_PUSH(p->arena, &p->kernels, d);
        }
        bool example = d->kind == TG_DECL_CASE || d->kind == TG_DECL_BENCH;
        if (example || d->kind == TG_DECL_SCHEDULE || d->kind == TG_DECL_INSTANTIATE) {
            check_kernel_name(p, d);
        }
        if (is_kernel(tg_file_find(p->main, d->name.name)) && !d->broken) {
            tg_setting *settings;
            int n;
            if (example) {
                add_case(p, d);
            } else if (d->kind == TG_DECL_INSTANTIATE) {
                if (tg_program_settings(p, d, &settings, &n)) {
                    tg_case c = {.kernel = d->name.name,
                                 .settings = settings,
                                 .n_settings = n,
                                 .span = d->head};
                    TG_LIST_PUSH(p->arena, &p->instances, c);
                }
            }
        }
    }
}

/* ---- the door ------------------------------------------------------------------------------- */

static tg_program *load(tg_arena *a, tg_sink *sink, const tg_source *src, tg_import_fn import,
                        void *user) {
    tg_program *p = TG_NEW(a, tg_program);
    p->arena = a;
    p->sink = sink;
    p->import = import;
    p->import_user = user;
    tg_strtab_init(&p->names, a);
    p->std = load_file(p, tg_std_source(), "std", 0);
    p->main = load_file(p, src, "", 0);
    collect(p);
    return p;
}

tg_status tg_program_load(tg_arena *a, tg_sink *sink, const tg_source *src, tg_import_fn import,
                          void *import_user, tg_program **out) {
    jmp_buf *outer = a->env->oom;
    jmp_buf buf;
    int errors = sink->errors;
    *out = NULL;
    if (TG_ENV_GUARD(a->env, buf)) {
        a->env->oom = outer;
        return TG_E_NOMEM;
    }
    *out = load(a, sink, src, import, import_user);
    a->env->oom = outer;
    return sink->errors > errors ? TG_E_SOURCE : TG_OK;
}

int tg_program_n_kernels(const tg_program *p) { return (int)p->kernels.count; }

tg_kernel_info tg_program_kernel(const tg_program *p, int i) {
    const tg_decl *d = p->kernels.data[i];
    tg_kernel_info info = {.name = d->name.name,
                           .is_op = d->kind == TG_DECL_OP,
                           .n_compile = d->u.kernel.ct.n,
                           .span = d->head};
    const char **names = TG_NEW_ARRAY(p->arena, const char *, info.n_compile + 1);
    for (int k = 0; k < info.n_compile; k++) {
        names[k] = d->u.kernel.ct.items[k].name.name;
    }
    info.compile_names = names;
    return info;
}

static const tg_decl *kernel_named(const tg_program *p, const char *name) {
    for (size_t i = 0; i < p->kernels.count; i++) {
        if (strcmp(p->kernels.data[i]->name.name, name) == 0) {
            return p->kernels.data[i];
        }
    }
    return NULL;
}

tg_case tg_program_tolerance(const tg_program *p, const char *kernel) {
    const tg_decl *d = kernel_named(p, kernel);
    tg_case c = {.kernel = kernel};
    if (d != NULL) {
        set_tolerance(&c, &d->u.kernel.tol);
        c.span = d->u.kernel.tol.span;
    }
    return c;
}

int tg_program_n_tunes(const tg_program *p, const char *kernel) {
    const tg_decl *d = kernel_named(p, kernel);
    return d != NULL ? d->u.kernel.n_tunes : 0;
}

/* A literal as settings write it (no digit separators); NULL for any other expression. */
static const char *literal_text(tg_program *p, const tg_expr *x) {
    bool negative = x->kind == TG_EXPR_UNARY && x->u.unary.op == TG_UN_NEG;
    const tg_expr *v = negative ? x->u.unary.x : x;
    if (v->kind != TG_EXPR_INT && v->kind != TG_EXPR_FLOAT && v->kind != TG_EXPR_BOOL) {
        return NULL;
    }
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    for (uint32_t i = x->span.begin; i < x->span.end; i++) {
        char c = x->span.source->text[i];
        if (c != '_' && c != '(' && c != ')' && c != ' ') {
            tg_sb_addc(&sb, c);
        }
    }
    return sb.data;
}

tg_tune_info tg_program_tune(tg_program *p, const char *kernel, int i) {
    const tg_tune *t = &kernel_named(p, kernel)->u.kernel.tunes[i];
    const char **values = TG_NEW_ARRAY(p->arena, const char *, t->values.n + 1);
    tg_tune_info info = {.name = t->name.name, .values = values};
    for (int k = 0; k < t->values.n; k++) {
        const char *text = literal_text(p, t->values.items[k]);
        if (text != NULL) {
            values[info.n_values++] = text;
        }
    }
    return info;
}

int tg_program_n_cases(const tg_program *p) { return (int)p->cases.count; }

const tg_case *tg_program_case(const tg_program *p, int i) { return &p->cases.data[i]; }

int tg_program_n_instances(const tg_program *p) { return (int)p->instances.count; }

const tg_case *tg_program_instance(const tg_program *p, int i) { return &p->instances.data[i]; }
