/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--check`: outputs of a launch against the interpreter, under the `tol` that the source gives the
 * kernel, else under a bound derived from the kernel itself: the interpreter runs it in double
 * arithmetic with every result moved by the error that the language allows it (ir/interp/noise.c),
 * and the outputs' moves, doubled because device and interpreter may err in opposite directions,
 * plus two units in the last place of the output's type are what an element may be off.
 *
 * Errors of one chain of operations may cancel in a run: 1 / (1 + exp(-x)) with both moved upwards
 * hardly moves. A move is never more than the language allows, so more runs only come closer to
 * that; they are made as long as some element is outside.
 */
#include "tools/check.h"

#include "kernels/rounding.h"

#include <math.h>
#include <stdlib.h>

enum { FIRST_RUNS = 2, MOST_RUNS = 12 };

/* One more run on the arguments as they were before the launch. */
static bool rerun(tool *t, const tool_kernel *before, tg_interp_mode mode, uint64_t noise_seed,
                  tool_kernel *out) {
    tg_interp_options o = {.mode = mode, .noise_seed = noise_seed};
    return tool_kernel_copy(t, before, out) && tool_kernel_interpret(t, out, &o);
}

bool tool_check_begin(tool *t, const tool_kernel *k, const tg_interp_options *options,
                      tool_check *out) {
    *out = (tool_check){0};
    return tool_kernel_copy(t, k, &out->before) && tool_kernel_copy(t, k, &out->want) &&
           tool_kernel_interpret(t, &out->want, options);
}

static void free_moves(tool_check *c) {
    for (int i = 0; c->moved != NULL && i < c->want.n_args; i++) {
        free(c->moved[i]);
    }
    free(c->moved);
    c->moved = NULL;
}

void tool_check_end(tool_check *c) {
    free_moves(c);
    tool_kernel_free(&c->before);
    tool_kernel_free(&c->want);
    tool_kernel_free(&c->plain);
}

/* The run without noise that moves are measured from, and room for those. */
static bool prepare(tool *t, tool_check *c) {
    if (c->moved != NULL) {
        return true;
    }
    int n = c->want.n_args;
    if (!rerun(t, &c->before, TG_INTERP_F64, 0, &c->plain) ||
        (c->moved = calloc((size_t)n + 1, sizeof *c->moved)) == NULL) {
        return false;
    }
    bool ok = true;
    for (int i = 0; i < n; i++) {
        c->moved[i] = calloc((size_t)c->plain.args[i].count + 1, sizeof **c->moved);
        ok = ok && c->moved[i] != NULL;
    }
    if (!ok) {
        free_moves(c);
    }
    return ok;
}

static void take_moves(tool_check *c, const tool_kernel *noisy) {
    for (int i = 0; i < noisy->n_args; i++) {
        const tool_array *plain = &c->plain.args[i], *a = &noisy->args[i];
        bool number = tool_array_is_output(a) && a->dtype != TG_DT_RECORD;
        for (int64_t e = 0; number && e < a->count; e++) {
            double off = fabs(tool_array_get(a, e) - tool_array_get(plain, e));
            c->moved[i][e] = isfinite(off) && off > c->moved[i][e] ? off : c->moved[i][e];
        }
    }
}

/* Noisy runs until there are n. */
static bool derive(tool *t, tool_check *c, int n) {
    bool ok = prepare(t, c);
    while (ok && c->noisy_runs < n) {
        tool_kernel noisy = {0};
        ok = rerun(t, &c->before, TG_INTERP_F64, (uint64_t)++c->noisy_runs, &noisy);
        if (ok) {
            take_moves(c, &noisy);
        }
        tool_kernel_free(&noisy);
    }
    return ok;
}

/* Under the bound derived from n noisy runs. */
static bool judge_derived(tool *t, tool_check *c, const tool_array *a, int arg, int n,
                          tgk_arg *want, tool_verdict *out) {
    bool integers = want->f == NULL;
    tgk_output_rule rule = {.name = a->name, .tol = TGK_TOL_DERIVED, .bound = integers ? 0 : 2};
    if (!derive(t, c, n) || (want->slack == NULL && tgk_make_slack(want) == NULL)) {
        return false;
    }
    for (int64_t e = 0; e < a->count; e++) {
        want->slack[e] = 2 * c->moved[arg][e];
    }
    *out = tool_compare(t, a, want, NULL, &rule);
    return true;
}

tool_verdict tool_check_judge(tool *t, tool_check *c, const tool_array *a, int arg) {
    const tool_array *w = &c->want.args[arg];
    tg_case own = tg_program_tolerance(c->before.program, c->before.name);
    const tg_case *tol = own.tol != TG_TOL_NONE ? &own : NULL;
    tool_verdict none = {.first_bad = -1, .why = "there is no memory to check it"};
    tgk_output_rule tight = {.name = a->name,
                             .tol = tg_dtype_is_float(a->dtype) ? TGK_TOL_ULP : TGK_TOL_EXACT,
                             .bound = 2};
    tgk_arg want = {0};
    if (!tool_array_decode(t, w, &want)) {
        tool_args_free(&want, 1);
        return none;
    }
    tool_verdict v = tool_compare(t, a, &want, tol, &tight);
    bool ok = tol == NULL && v.first_bad >= 0 && a->dtype != TG_DT_RECORD;
    for (int n = FIRST_RUNS; ok && !v.pass && n <= MOST_RUNS; n += FIRST_RUNS) {
        ok = judge_derived(t, c, a, arg, n, &want, &v);
    }
    tool_args_free(&want, 1);
    return v;
}

bool tool_check_outputs(tool *t, tool_check *c, const tool_kernel *k, tg_sb *json) {
    bool pass = true, first = true;
    for (int i = 0; i < k->n_args; i++) {
        if (!tool_array_is_output(&k->args[i])) {
            continue;
        }
        tool_verdict v = tool_check_judge(t, c, &k->args[i], i);
        pass = pass && v.pass;
        if (!t->json) {
            (void)printf("%s: %s  max ulp %.3g  max relative error %.3g  first bad index %lld\n",
                         k->args[i].name, v.pass ? "ok" : v.why, v.max_ulp, v.max_rel,
                         (long long)v.first_bad);
            continue;
        }
        tg_sb_addf(json, "%s{\"output\": \"%s\", \"pass\": %s, \"max_ulp\": ", first ? "" : ", ",
                   k->args[i].name, v.pass ? "true" : "false");
        tool_json_number(json, v.max_ulp);
        tg_sb_add(json, ", \"max_rel\": ");
        tool_json_number(json, v.max_rel);
        tg_sb_addf(json, ", \"first_bad\": %lld}", (long long)v.first_bad);
        first = false;
    }
    return pass;
}
