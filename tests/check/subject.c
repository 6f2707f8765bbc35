/* SPDX-License-Identifier: Apache-2.0 */
/* See subject.h. */
#include "tests/check/subject.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "frontend/frontend.h"
#include "ir/passes.h"
#include "ir/interp.h"

typedef struct program {
    const char *name, *text;
    bool by_hand;       /* placed IR */
    bool roles;         /* for a machine with a copy unit */
    const char *stages; /* of the schedule */
    int64_t syms[GEN_MAX_SYMS];
} program;

/* Two buffers in turn: the next block is copied while this one is used. */
static const char ring[] = "tegula-ir 1\n"
                           "kernel placed ring {\n"
                           "  program lanes 32 shared 256 scratch 0\n"
                           "  syms N\n"
                           "  param x: tensor<f32[N]>\n"
                           "  param y: tensor<f32[32]> out\n"
                           "  axis i by 32\n"
                           "  grid (%0: tensor<f32[N]>, %1: tensor<f32[32]>) {\n"
                           "    %2 = const {i = 32} : i64\n"
                           "    yield %2\n"
                           "  }\n"
                           "  body (%3: tensor<f32[N]>, %4: tensor<f32[32]>, %5: i64) {\n"
                           "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
                           "    %7 = const {i = 0} : i64\n"
                           "    %8 = const {i = 1} : i64\n"
                           "    %9 = const {i = 32} : i64\n"
                           "    %10 = sym {sym = 0} : i64\n"
                           "    %11 = add %10, %9 : i64\n"
                           "    %12 = sub %11, %8 : i64\n"
                           "    %13 = div %12, %9 : i64\n"
                           "    %14 = fconst {f = 0.0} : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "    %15 = span %7, %10 : span<32>\n"
                           "    %16 = copy %6, %7, %3, %15 {axes = [0], ring = true} : i64\n"
                           "    %17, %18 = for %7, %13, %8, %14, %16 : f32[32] @\"1; "
                           "0:32*1@lane*1\", i64 (%19: i64, %20: f32[32] "
                           "@\"1; 0:32*1@lane*1\", %21: i64) {\n"
                           "      %22 = add %19, %8 : i64\n"
                           "      %23 = mul %22, %9 : i64\n"
                           "      %24 = span %23, %10 : span<32>\n"
                           "      wait %21\n"
                           "      barrier {fence = shared}\n"
                           "      %25 = copy %6, %22, %3, %24 {axes = [0], ring = true} : i64\n"
                           "      %26 = get %6, %19 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "      %27 = add %20, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
                           "      yield %27, %25\n"
                           "    }\n"
                           "    wait %18\n"
                           "    %28 = mul %5, %9 : i64\n"
                           "    %29 = span %28, %9 : span<32>\n"
                           "    store %4, %17, %29 {axes = [0]}\n"
                           "    yield\n"
                           "  }\n"
                           "}\n";

/* A role that copies and one that adds up, joined by full and empty events. */
static const char roles[] =
    "tegula-ir 1\n"
    "kernel placed roles {\n"
    "  program lanes 32 shared 256 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[N]>\n"
    "  param y: tensor<f32[32]> out\n"
    "  axis i by 32\n"
    "  grid (%0: tensor<f32[N]>, %1: tensor<f32[32]>) {\n"
    "    %2 = const {i = 32} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[N]>, %4: tensor<f32[32]>, %5: i64) {\n"
    "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
    "    %7 = event {n = 2} : i64\n"
    "    %8 = event {n = 2, count = 1} : i64\n"
    "    %9 = const {i = 0} : i64\n"
    "    %10 = const {i = 1} : i64\n"
    "    %11 = const {i = 32} : i64\n"
    "    %12 = sym {sym = 0} : i64\n"
    "    %13 = add %12, %11 : i64\n"
    "    %14 = sub %13, %10 : i64\n"
    "    %15 = div %14, %11 : i64\n"
    "    role {units = \"copy\", n = 32} (%16: i64) {\n"
    "      for %9, %15, %10 (%17: i64) {\n"
    "        await %8, %17\n"
    "        %18 = mul %17, %11 : i64\n"
    "        %19 = span %18, %12 : span<32>\n"
    "        %20 = copy %6, %17, %3, %19 {axes = [0], ring = true} : i64\n"
    "        signal %7, %17, %20\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%21: i64) {\n"
    "      %22 = fconst {f = 0.0} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "      %23 = for %9, %15, %10, %22 : f32[32] @\"1; 0:32*1@lane*1\" (%24: i64, %25: f32[32] "
    "@\"1; "
    "0:32*1@lane*1\") {\n"
    "        await %7, %24\n"
    "        %26 = get %6, %24 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %8, %24\n"
    "        %27 = add %25, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        yield %27\n"
    "      }\n"
    "      %28 = span %9, %11 : span<32>\n"
    "      store %4, %23, %28 {axes = [0]}\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "}\n";

/* Three roles in a row: one copies, one doubles, one stores. */
static const char relay[] =
    "tegula-ir 1\n"
    "kernel placed relay {\n"
    "  program lanes 96 shared 512 scratch 0\n"
    "  syms N\n"
    "  param x: tensor<f32[N]>\n"
    "  param y: tensor<f32[N]> out\n"
    "  axis i by 32\n"
    "  grid (%0: tensor<f32[N]>, %1: tensor<f32[N]>) {\n"
    "    %2 = const {i = 32} : i64\n"
    "    yield %2\n"
    "  }\n"
    "  body (%3: tensor<f32[N]>, %4: tensor<f32[N]>, %5: i64) {\n"
    "    %6 = buffer {offset = 0} : buf<shared, f32[32], 2>\n"
    "    %7 = buffer {offset = 256} : buf<shared, f32[32], 2>\n"
    "    %8 = event {n = 2} : i64\n"
    "    %9 = event {n = 2, count = 1} : i64\n"
    "    %10 = event {n = 2} : i64\n"
    "    %11 = event {n = 2, count = 1} : i64\n"
    "    %12 = const {i = 0} : i64\n"
    "    %13 = const {i = 1} : i64\n"
    "    %14 = const {i = 32} : i64\n"
    "    %15 = sym {sym = 0} : i64\n"
    "    %16 = add %15, %14 : i64\n"
    "    %17 = sub %16, %13 : i64\n"
    "    %18 = div %17, %14 : i64\n"
    "    role {units = \"copy\", n = 32} (%19: i64) {\n"
    "      for %12, %18, %13 (%20: i64) {\n"
    "        await %9, %20\n"
    "        %21 = mul %20, %14 : i64\n"
    "        %22 = span %21, %15 : span<32>\n"
    "        %23 = copy %6, %20, %3, %22 {axes = [0], ring = true} : i64\n"
    "        signal %8, %20, %23\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%24: i64) {\n"
    "      for %12, %18, %13 (%25: i64) {\n"
    "        await %8, %25\n"
    "        %26 = get %6, %25 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %9, %25\n"
    "        %27 = add %26, %26 : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        await %11, %25\n"
    "        put %7, %27, %25 {ring = true}\n"
    "        signal %10, %25\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    role {units = \"vector\", n = 32} (%28: i64) {\n"
    "      for %12, %18, %13 (%29: i64) {\n"
    "        await %10, %29\n"
    "        %30 = get %7, %29 {ring = true} : f32[32] @\"1; 0:32*1@lane*1\"\n"
    "        signal %11, %29\n"
    "        %31 = mul %29, %14 : i64\n"
    "        %32 = span %31, %15 : span<32>\n"
    "        store %4, %30, %32 {axes = [0]}\n"
    "        yield\n"
    "      }\n"
    "      yield\n"
    "    }\n"
    "    yield\n"
    "  }\n"
    "}\n";

static const program programs[] = {
    {.name = "matmul",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .syms = {35, 37, 40}},
    {.name = "linear",
     .text = "kernel f(a: f32[M, K], b: f32[N, K], out c: f32[M, N])\n"
             "  grid i: M by 16, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[16, 32]\n"
             "  for k: K by 32 { acc += a[i, k] @ b[j, k].T }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .syms = {19, 45, 33}},
    {.name = "transpose",
     .text = "kernel f(x: f32[M, N], out y: f32[N, M])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  y[j, i] = x[i, j].T\n"
             "}\n",
     .syms = {33, 70}},
    {.name = "row_sum",
     .text = "kernel f(x: f32[M, N], out total: f32[M], out largest: f32[M])\n"
             "  grid i: M by 2\n"
             "{\n"
             "  var s = zeros f32[2], m = full f32[2] = -inf\n"
             "  for j: N by 128 {\n"
             "    s += sum(x[i, j] + 1.0, axis 1)\n"
             "    m = max(m, max(x[i, j], axis 1))\n"
             "  }\n"
             "  total[i] = s\n"
             "  largest[i] = m\n"
             "}\n",
     .syms = {5, 300}},
    {.name = "centre",
     .text = "kernel f(x: i32[M, N], out y: i32[M, N])\n"
             "  grid i: M by 4\n"
             "{\n"
             "  for j: N by 64 {\n"
             "    let t = x[i, j]\n"
             "    y[i, j] = t - max(t, axis 1)[:, _]\n"
             "  }\n"
             "}\n",
     .syms = {6, 100}},
    {.name = "scan",
     .text = "kernel f(x: i32[N], out y: i32[N])\n"
             "  grid i: N by 64\n"
             "{\n"
             "  let t = x[i]\n"
             "  y[i] = exscan(t) * 2 - t\n"
             "}\n",
     .syms = {150}},
    {.name = "chain",
     .text = "kernel f(a: f32[M, K], b: f32[K, 32], v: f32[32, 32], out c: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  var acc = zeros f32[16, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, :] }\n"
             "  let p = where(acc > 0.0, acc, 0.0)\n"
             "  c[i, :] = p @ v[:, :]\n"
             "}\n",
     .syms = {20, 24}},
    {.name = "halves",
     .text = "kernel f(x: f32[M, 64], out y: f32[M, 32])\n"
             "  grid i: M by 4\n"
             "{\n"
             "  let t = x[i, :]\n"
             "  y[i, :] = t[:, 0:32] - t[:, 32:64]\n"
             "}\n",
     .syms = {6}},
    {.name = "ring", .text = ring, .by_hand = true, .syms = {150}},
    {.name = "roles", .text = roles, .by_hand = true, .syms = {150}},
    {.name = "relay", .text = relay, .by_hand = true, .syms = {150}},
    {.name = "staged",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .stages = "3",
     .syms = {35, 100, 40}},
    {.name = "attend",
     .text = "kernel f(q: f32[M, 16], k: f32[B, N, 16], v: f32[B, N, 32], out o: f32[M, 32])\n"
             "  grid i: M by 16\n"
             "{\n"
             "  let t = q[i, :]\n"
             "  var m = full f32[16] = -1000.0, acc = zeros f32[16, 32]\n"
             "  for b in 0..B { for j: N by 16 {\n"
             "    let s = t @ k[b, j, :].T\n"
             "    m = max(m, max(s, axis 1))\n"
             "    acc = acc * 0.5 + (where(s > m[:, _] * 0.5, s, 0.0) @ v[b, j, :])\n"
             "  } }\n"
             "  o[i, :] = acc\n"
             "}\n",
     .stages = "2",
     .syms = {20, 2, 40}},
    {.name = "fetched",
     .text = "kernel f(a: f32[M, K], b: f32[K, N], out c: f32[M, N])\n"
             "  grid i: M by 32, j: N by 32\n"
             "{\n"
             "  var acc = zeros f32[32, 32]\n"
             "  for k: K by 16 { acc += a[i, k] @ b[k, j] }\n"
             "  c[i, j] = acc\n"
             "}\n",
     .roles = true,
     .syms = {35, 100, 40}},
};

static const tg_machine *machine(void) { return tg_machine_find("opencl"); }

/* One that fetches blocks ahead by a role of its own. */
static const tg_machine *two_roles(void) {
    static const tg_machine fetching = {.name = "two-roles",
                                        .vendor = "modelled",
                                        .label = "modelled",
                                        .class_ = TG_MACHINE_SIMT,
                                        .emitter = TG_EMIT_OPENCL_C,
                                        .simt = TG_SIMT_F64 | TG_SIMT_INT64,
                                        .lanes = 64,
                                        .max_lanes = 64,
                                        .shared_bytes = 32768,
                                        .scratch_bytes = 1 << 20,
                                        .register_bytes = 1024,
                                        .units = TG_UNIT_VECTOR | TG_UNIT_COPY,
                                        .copy_lanes = 32,
                                        .stages = 3};
    return &fetching;
}

static void give_up(const char *name, const tg_sink *sink) {
    (void)fprintf(stderr, "%s: %s\n", name,
                  sink->first != NULL ? sink->first->text : "no diagnostic");
    exit(2);
}

static tg_source *source_of(const char *text, tg_arena *a) {
    tg_source *src = TG_NEW(a, tg_source);
    *src = (tg_source){.name = "check", .text = text, .len = strlen(text)};
    return src;
}

static void run_passes(tg_func *f, tg_arena *a, tg_sink *sink) {
    for (size_t p = 0; p < tg_tile_pipeline_count; p++) {
        tg_pass_context ctx = {.scratch = a, .sink = sink};
        tg_tile_pipeline[p].run(f, &ctx);
    }
}

static void args_of(const gen_case *c, const case_memory *m, tg_interp_arg *args) {
    memset(args, 0, GEN_MAX_PARAMS * sizeof args[0]);
    for (int p = 0; p < m->n; p++) {
        args[p].data = m->tensors[p].base;
        args[p].scalar = m->scalars[p];
        memcpy(args[p].extent, m->tensors[p].extent, sizeof args[p].extent);
        memcpy(args[p].stride_bytes, m->tensors[p].stride, sizeof args[p].stride_bytes);
    }
    (void)c;
}

/* What the memory must hold afterwards: by the tile interpreter, or by the function as it is. */
static bool make_want(subject *s, tg_arena *a) {
    tg_interp_arg args[GEN_MAX_PARAMS];
    tg_sink sink;
    tg_sink_init(&sink, a);
    memory_make(&s->want, &s->c);
    args_of(&s->c, &s->want, args);
    if (s->by_hand) {
        tg_loop_options o = {.seed = 1};
        tg_loop_report r;
        return tg_check_run(s->placed, args, s->c.syms, &o, a, &r) == TG_OK;
    }
    tg_interp_options o = {.max_steps = 20000000};
    return tg_interp_run(s->c.func, args, s->c.syms, &o, a, &sink) == TG_OK;
}

static bool place(subject *s, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    s->module = tg_module_make(a);
    run_passes(s->c.func, a, &sink);
    if (tg_place(s->c.func, s->roles ? two_roles() : machine(), s->module, &sink) != TG_OK) {
        return false;
    }
    s->placed = tg_func_find(s->module, s->c.func->name);
    return s->placed != NULL && tg_module_verify(s->module, &sink) == TG_OK;
}

static void compile(subject *s, const program *p, tg_arena *a) {
    tg_sink sink;
    tg_program *prog = NULL;
    tg_sink_init(&sink, a);
    jmp_buf *keep = a->env->oom;
    if (tg_program_load(a, &sink, source_of(p->text, a), NULL, NULL, &prog) != TG_OK) {
        give_up(p->name, &sink);
    }
    a->env->oom = keep;
    s->c.module = tg_module_make(a);
    tg_setting set = {.name = "schedule.stages", .value = p->stages};
    if (tg_program_specialise(prog, "f", &set, p->stages != NULL, NULL, s->c.module, &s->c.func) !=
        TG_OK) {
        give_up(p->name, &sink);
    }
    a->env->oom = keep;
}

static void parse(subject *s, const program *p, tg_arena *a) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    if (tg_module_parse(source_of(p->text, a), a, &sink, &s->module) != TG_OK ||
        tg_module_verify(s->module, &sink) != TG_OK) {
        give_up(p->name, &sink);
    }
    s->placed = s->c.func = s->module->first_func;
    s->c.module = s->module;
}

static void choose_data(subject *s) {
    for (int p = 0; p < s->c.func->n_params; p++) {
        bool out = (s->c.func->params[p].flags & TG_PARAM_OUT) != 0;
        s->c.params[p] = (gen_param){.data = out ? GEN_DATA_OUTPUT : GEN_DATA_ANY};
    }
}

/* Extents by the order in which the signature names them. */
bool subject_make(int number, subject *s, tg_arena *a) {
    if (number < 0 || (size_t)number >= TG_COUNT_OF(programs)) {
        return false;
    }
    const program *p = &programs[number];
    *s = (subject){.name = p->name, .by_hand = p->by_hand, .roles = p->roles};
    s->c.seed = 11;
    if (p->by_hand) {
        parse(s, p, a);
    } else {
        compile(s, p, a);
    }
    memcpy(s->c.syms, p->syms, sizeof s->c.syms);
    choose_data(s);
    if ((!p->by_hand && !place(s, a)) || !make_want(s, a)) {
        (void)fprintf(stderr, "%s cannot be placed or interpreted\n", p->name);
        exit(2);
    }
    return true;
}

bool subject_random(uint64_t seed, subject *s, tg_arena *a) {
    gen_options o = {.max_steps = 8};
    *s = (subject){.name = "random"};
    gen_make(&s->c, seed, &o, a);
    bool ok = place(s, a);
    return make_want(s, a) && ok;
}

void subject_free(subject *s) { memory_free(&s->want); }

/* ---- judges --------------------------------------------------------------------------------- */

const char *judge_name(judge j) {
    static const char *const names[] = {"-", "static checker", "placed interpreter",
                                        "loop interpreter", "wrong result"};
    return names[j];
}

static const char *first_finding(const tg_loop_report *r, tg_arena *a) {
    if (r->n_findings == 0) {
        return r->trap != 0 ? "a trap" : NULL;
    }
    const tg_op *op = r->findings[0].op;
    return tg_arena_printf(a, "%s: %s: %s", tg_loop_fault_name(r->findings[0].fault),
                           op != NULL ? tg_op_info_get(op->code)->name : "launch",
                           r->findings[0].text);
}

static judge compare(subject *s, case_memory *got, judge by, const tg_loop_report *r, tg_arena *a,
                     const char **why) {
    *why = first_finding(r, a);
    judge j = *why != NULL ? by : JUDGE_SILENT;
    if (j == JUDGE_SILENT) {
        *why = memory_compare(&s->want, got, &s->c, a);
        j = *why != NULL ? JUDGE_RESULT : JUDGE_SILENT;
    }
    memory_free(got);
    return j;
}

static judge judge_static(subject *s, tg_arena *a, const char **why) {
    tg_sink sink;
    tg_check_limits limits = {
        .shared_bytes = machine()->shared_bytes, .max_lanes = 256, .one_width = true};
    tg_sink_init(&sink, a);
    if (tg_check_placed(s->placed, &limits, a, &sink) != TG_OK) {
        *why = sink.first != NULL ? sink.first->text : "?";
        return JUDGE_STATIC;
    }
    return JUDGE_SILENT;
}

judge subject_judge_placed(subject *s, uint64_t seed, tg_arena *a, const char **why) {
    judge j = judge_static(s, a, why);
    for (uint64_t k = 0; k < 2 && j == JUDGE_SILENT; k++) {
        tg_interp_arg args[GEN_MAX_PARAMS];
        case_memory m;
        tg_loop_options o = {.seed = seed + k, .max_steps = 2000000};
        tg_loop_report r;
        memory_make(&m, &s->c);
        args_of(&s->c, &m, args);
        if (tg_check_run(s->placed, args, s->c.syms, &o, a, &r) != TG_OK) {
            *why = "not a placed function";
            memory_free(&m);
            return JUDGE_PLACED;
        }
        j = compare(s, &m, JUDGE_PLACED, &r, a, why);
    }
    return j;
}

tg_module *subject_lower(subject *s, tg_arena *a, const char **why) {
    tg_sink sink;
    tg_sink_init(&sink, a);
    tg_module *loop = tg_module_make(a);
    if (tg_lower_simt(s->placed, machine(), loop, &sink) != TG_OK ||
        tg_module_verify(loop, &sink) != TG_OK) {
        *why = sink.first != NULL ? sink.first->text : "?";
        return NULL;
    }
    return loop;
}

judge subject_judge_loop(subject *s, tg_module *loop, uint64_t seed, tg_arena *a,
                         const char **why) {
    tg_interp_arg args[GEN_MAX_PARAMS];
    case_memory m;
    tg_loop_options o = {.seed = seed, .max_steps = 100000000, .mark = true};
    tg_loop_report r;
    memory_make(&m, &s->c);
    args_of(&s->c, &m, args);
    if (tg_loop_run_kernel(loop, s->c.func, args, s->c.syms, &o, a, &r) != TG_OK) {
        *why = "no function to run";
        memory_free(&m);
        return JUDGE_LOOP;
    }
    return compare(s, &m, JUDGE_LOOP, &r, a, why);
}
