/* SPDX-License-Identifier: Apache-2.0 */
/*
 * `--check`: outputs of a launch against the interpreter, under the `tol` that the source gives the
 * kernel, else under a bound derived from the kernel itself: the interpreter runs it in double
 * arithmetic with every result moved by the error that the language allows it (ir/interp/noise.c),
 * and the outputs' moves, doubled because device and interpreter may err in opposite directions,
 * plus two units in the last place of the output's type are what an element may be off.
 */
#include "tools/check.h"

#include <math.h>
#include <stdlib.h>

enum { NOISY_RUNS = 2 };

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

void tool_check_end(tool_check *c) {
    tool_kernel_free(&c->before);
    tool_kernel_free(&c->want);
    tool_kernel_free(&c->plain);
    for (int i = 0; i < NOISY_RUNS; i++) {
        tool_kernel_free(&c->noisy[i]);
    }
}

/* The runs that the derived bound needs, once. */
static bool derive(tool *t, tool_check *c) {
    bool ok = c->derived || rerun(t, &c->before, TG_INTERP_F64, 0, &c->plain);
    for (int i = 0; ok && !c->derived && i < NOISY_RUNS; i++) {
        ok = rerun(t, &c->before, TG_INTERP_F64, (uint64_t)i + 1, &c->noisy[i]);
    }
    c->derived = ok;
    return ok;
}

static void take_slack(const tool_check *c, int arg, double *slack) {
    const tool_array *plain = &c->plain.args[arg];
    for (int64_t e = 0; e < plain->count; e++) {
        slack[e] = 0;
        for (int i = 0; i < NOISY_RUNS; i++) {
            double off = fabs(tool_array_get(&c->noisy[i].args[arg], e) - tool_array_get(plain, e));
            slack[e] = isfinite(off) && 2 * off > slack[e] ? 2 * off : slack[e];
        }
    }
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
    if (!v.pass && tol == NULL && v.first_bad >= 0 && a->dtype != TG_DT_RECORD && derive(t, c)) {
        want.slack = malloc(((size_t)a->count + 1) * sizeof(double));
        if (want.slack != NULL) {
            take_slack(c, arg, want.slack);
            tight.tol = TGK_TOL_DERIVED;
            tight.bound = want.f != NULL ? tight.bound : 0;
            v = tool_compare(t, a, &want, NULL, &tight);
        }
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
