/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The front end's door: source text in, checked tile IR out.
 *
 *   load (lex, parse, imports) ─▶ check ─▶ specialise one kernel for given bindings ─▶ tg_func
 *
 * Everything lives in the caller's arena; the sink collects diagnostics. Not thread-safe per
 * program.
 */
#ifndef TG_FRONTEND_H
#define TG_FRONTEND_H

#include "ir/ir.h"

typedef struct tg_program tg_program;

/* Reads an imported module's text: path as written in `import`, relative to `from`. Returns NULL
 * when it does not exist. The `std` module is built in and never asked for. */
typedef const tg_source *(*tg_import_fn)(void *user, tg_arena *a, const char *path,
                                         const tg_source *from);

/* Parses a source and its imports. TG_E_SOURCE when there were errors; *out is still usable for
 * fmt. */
tg_status tg_program_load(tg_arena *a, tg_sink *sink, const tg_source *src, tg_import_fn import,
                          void *import_user, tg_program **out) TG_MUST_USE;

/* Checks every kernel, fn, op, record, case, bench, schedule of the main file: each kernel is
 * specialised for its instantiate/case/bench lines (and, without any, for its type alternatives
 * with probe values for undeduced compile-time dims). TG_E_SOURCE when anything is wrong. */
tg_status tg_program_check(tg_program *p) TG_MUST_USE;

/* A record of the main file and its size. */
typedef struct tg_record_info {
    const char *name;
    int64_t bytes;
} tg_record_info;

/* The records of the main file, in order, but those with a parameter that has no default: their
 * number, -1 without memory. For programs that tg_program_check found right. */
int tg_program_records(tg_program *p, tg_record_info **out);

/* name=value settings: compile-time parameters, tunes, dims, scalars. Values are literals as text.
 */
typedef struct tg_setting {
    const char *name, *value;
} tg_setting;

/* What schedules are matched against: `schedule f for cpu`, `for nvidia >= sm90`. */
typedef struct tg_target_query {
    const char *vendor; /* "cpu", "nvidia", "amd", ...; NULL: apply no schedule */
    const char *arch;   /* "x86-64-v3", "sm90", ... */
} tg_target_query;

typedef enum tg_tolerance {
    TG_TOL_NONE,
    TG_TOL_EXACT,
    TG_TOL_ABS_REL,
    TG_TOL_CALC_DIFF,
    TG_TOL_ULP,
    TG_TOL_NMSE,
    TG_TOL_GATE
} tg_tolerance;

/* A case or bench line. Settings include types bound by [T...] under the parameter's name. */
typedef struct tg_case {
    bool is_bench;
    const char *kernel;
    tg_setting *settings;
    int n_settings;
    tg_tolerance tol;
    double tol_a, tol_b; /* ABS_REL: abs, rel; others: the bound (GATE: calc_diff, max/rms) */
    tg_span span;
} tg_case;

typedef struct tg_kernel_info {
    const char *name;
    bool is_op;
    const char *const *compile_names; /* in [...] order */
    int n_compile;
    tg_span span;
} tg_kernel_info;

int tg_program_n_kernels(const tg_program *p);
tg_kernel_info tg_program_kernel(const tg_program *p, int i);
/* The tolerance of the kernel's own `tol`, in the tol fields of a case without settings. */
tg_case tg_program_tolerance(const tg_program *p, const char *kernel);

/* A tune and the values that a tuner tries, as texts for settings; none: only the default. */
typedef struct tg_tune_info {
    const char *name;
    const char *const *values;
    int n_values;
} tg_tune_info;
int tg_program_n_tunes(const tg_program *p, const char *kernel);
tg_tune_info tg_program_tune(tg_program *p, const char *kernel, int i);

int tg_program_n_cases(const tg_program *p);
const tg_case *tg_program_case(const tg_program *p, int i);
/* The `instantiate` lines: kernel, settings and span of a tg_case. */
int tg_program_n_instances(const tg_program *p);
const tg_case *tg_program_instance(const tg_program *p, int i);

/*
 * Specialises a kernel (or op: then all kernels it launches are added, and a tg_hostop) into module
 * m at the tile level. Settings bind compile-time names; a compile-time dim that also appears as a
 * tensor extent becomes a constant. Runtime dims given in settings stay symbolic. Schedules
 * matching `target` bind tunes; of several `when` guards the ones that hold for the settings apply,
 * in order. The function is verified. *out is the kernel's func (NULL for an op).
 */
tg_status tg_program_specialise(tg_program *p, const char *kernel, const tg_setting *settings,
                                int n_settings, const tg_target_query *target, tg_module *m,
                                tg_func **out) TG_MUST_USE;

/* Alternatives by `schedule ... when` guards over runtime dims: number of variants (>= 1), and the
 * guard of variant v as a dim expression over the func's syms; variant n-1 has no guard. Guards
 * over compile-time values are decided in specialise. */
typedef struct tg_variant {
    tg_func *func;
    const tg_dim *guard; /* NULL: always */
} tg_variant;
tg_status tg_program_specialise_all(tg_program *p, const char *kernel, const tg_setting *settings,
                                    int n_settings, const tg_target_query *target, tg_module *m,
                                    tg_variant **out, int *out_n) TG_MUST_USE;

/* Formats source text: idempotent, comments kept, meaning unchanged. TG_E_SOURCE on syntax errors.
 */
tg_status tg_format_source(tg_arena *a, tg_sink *sink, const tg_source *src,
                           tg_sb *out) TG_MUST_USE;

/* Appends the AST as text (`--emit ast`). */
void tg_program_print_ast(const tg_program *p, tg_sb *out);

#endif
