/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The model of time. Rates of instructions: CUDA C++ Programming Guide, "Arithmetic Instructions"
 * (results a clock and SM); of matrix units, memory and clocks: the data sheets of A100, A10, L40
 * and H100; latencies are round numbers that published micro-benchmarks agree on. One block is
 * alone on its SM; blocks that share it are reckoned in at the end.
 */
#include "sim/ptx/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Lanes a clock and quadrant, cycles until a result is there; bytes a clock and SM from the second
 * cache, from memory, from shared memory. */
typedef struct sim_rates {
    int sm, multiprocessors;
    double clock_ghz, lanes[SIM_N_CLASSES], latency[SIM_N_CLASSES];
    double half_flops; /* a clock and SM, dense; 8-bit types twice, tf32 half of it */
    double global_bytes, dram_bytes, shared_bytes;
    int threads, shared; /* of an SM */
} sim_rates;

#define LATENCIES                                                                                  \
    {[SIM_CLASS_INTEGER] = 5,  [SIM_CLASS_FLOAT] = 4,    [SIM_CLASS_DOUBLE] = 8,                   \
     [SIM_CLASS_SPECIAL] = 18, [SIM_CLASS_CONVERT] = 8,  [SIM_CLASS_MOVE] = 4,                     \
     [SIM_CLASS_CONTROL] = 4,  [SIM_CLASS_BARRIER] = 20, [SIM_CLASS_WARP] = 24,                    \
     [SIM_CLASS_GLOBAL] = 480, [SIM_CLASS_SHARED] = 28,  [SIM_CLASS_LOCAL] = 32,                   \
     [SIM_CLASS_ATOMIC] = 500, [SIM_CLASS_MATRIX] = 33,  [SIM_CLASS_ASYNC] = 20}
#define LANES_OF(float_, double_)                                                                  \
    {[SIM_CLASS_INTEGER] = 16, [SIM_CLASS_FLOAT] = float_, [SIM_CLASS_DOUBLE] = double_,           \
     [SIM_CLASS_SPECIAL] = 4,  [SIM_CLASS_CONVERT] = 16,   [SIM_CLASS_MOVE] = 16,                  \
     [SIM_CLASS_CONTROL] = 16, [SIM_CLASS_BARRIER] = 16,   [SIM_CLASS_WARP] = 8,                   \
     [SIM_CLASS_GLOBAL] = 8,   [SIM_CLASS_SHARED] = 8,     [SIM_CLASS_LOCAL] = 8,                  \
     [SIM_CLASS_ATOMIC] = 4,   [SIM_CLASS_MATRIX] = 32,    [SIM_CLASS_ASYNC] = 8}
static const sim_rates rates[] = {
    {80, 108, 1.41, LANES_OF(16, 8), LATENCIES, 2048, 40, 10.2, 128, 2048, 164 << 10},
    {86, 72, 1.70, LANES_OF(32, 0.5), LATENCIES, 1024, 16, 4.9, 128, 1536, 100 << 10},
    {89, 142, 2.49, LANES_OF(32, 0.5), LATENCIES, 1024, 16, 2.4, 128, 1536, 100 << 10},
    {90, 132, 1.755, LANES_OF(32, 16), LATENCIES, 4096, 28, 14.5, 128, 2048, 228 << 10}};

enum { COPY_LATENCY = 600, NEAR_LATENCY = 200, PRODUCT_LATENCY = 60, SHORT = 8 };

/* ---- a launch ----------------------------------------------------------------------------------
 */

bool sim_model_init(sim_run *run) {
    if (!run->options->model && !run->options->timeline) {
        return true;
    }
    sim_model *m = calloc(1, sizeof *m);
    if (!m) {
        return false;
    }
    run->model = m;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        m->rates = rates[i].sm <= run->machine->sm ? &rates[i] : m->rates;
    }
    m->rates = m->rates ? m->rates : &rates[0];
    m->blocks = calloc(run->n_blocks, sizeof *m->blocks);
    m->ready = calloc((size_t)run->n_warps * run->rows, sizeof *m->ready);
    for (size_t i = 0; i < run->machine->ranges.n; i++) {
        const sim_range *r = &run->machine->ranges.data[i];
        memset(r->touched, 0, r->bytes / 256 + 2);
    }
    return m->blocks && m->ready;
}

void sim_model_free(sim_run *run) {
    if (run->model) {
        free(run->model->blocks);
        free(run->model->ready);
        free(run->model);
    }
}

void sim_model_begin(sim_run *run) {
    sim_model *m = run->model;
    if (!m) {
        return;
    }
    memset(m->blocks, 0, run->n_blocks * sizeof *m->blocks);
    memset(m->ready, 0, (size_t)run->n_warps * run->rows * sizeof *m->ready);
    for (uint32_t b = 0; b < run->n_blocks; b++) {
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            w->time = w->span_begin = 0;
            w->span = NULL;
        }
    }
}

/* ---- spans -------------------------------------------------------------------------------------
 */

static void add_span(sim_warp *w, uint32_t track, const char *name, double begin, double end,
                     int32_t line) {
    sim_timeline *t = w->run->options->timeline;
    if (!t || end <= begin || t->n >= SIM_TIMELINE_MOST) {
        return;
    }
    size_t cap = t->cap;
    if (!sim_grow((void **)&t->spans, &cap, t->n + 1, sizeof *t->spans)) {
        w->run->no_memory = true;
        return;
    }
    t->cap = cap;
    sim_span *s = &t->spans[t->n++];
    *s = (sim_span){.track = track, .name = name, .begin = begin, .end = end, .ptx_line = line};
    memcpy(s->block, w->block->id, sizeof s->block);
}

static void close_span(sim_warp *w) {
    if (w->span) {
        add_span(w, w->index, w->span, w->span_begin, w->time, w->span_line);
        w->span = NULL;
    }
}

/* What the warp does from now on has that name. */
static void in_span(sim_warp *w, const char *name, double at) {
    if (w->span != name) {
        close_span(w);
        w->span = name;
        w->span_begin = at;
        w->span_line = w->at->line;
    }
}

void sim_model_wait(sim_warp *w, double until, const char *what) {
    if (until <= w->time) {
        return;
    }
    if (until - w->time > SHORT) {
        close_span(w);
        add_span(w, w->index, what, w->time, until, w->at ? w->at->line : 0);
    }
    w->time = until;
}

/* ---- instructions ------------------------------------------------------------------------------
 */

static double *ready_of(const sim_warp *w, uint32_t row) {
    return row == ROW_NONE || row & ROW_CONSTANT || row < N_SPECIAL
               ? NULL
               : &w->run->model->ready[(size_t)w->number * w->run->rows + row];
}

/* The latest of the operand's rows; with set, they are ready at that time. */
static double rows_ready(const sim_warp *w, const sim_operand *o, double latest,
                         const double *set) {
    uint32_t n = o->kind == OPERAND_VECTOR                              ? o->n
                 : o->kind == OPERAND_ROW || o->kind == OPERAND_ADDRESS ? 1
                                                                        : 0;
    for (uint32_t i = 0; i < n; i++) {
        double *r = ready_of(w, o->kind == OPERAND_VECTOR ? w->parts[o->row + i] : o->row);
        if (r && set) {
            *r = *set;
        }
        latest = r && *r > latest ? *r : latest;
    }
    return latest;
}

static const char *const span_names[SIM_N_CLASSES] = {
    [SIM_CLASS_INTEGER] = "compute",      [SIM_CLASS_FLOAT] = "compute",
    [SIM_CLASS_DOUBLE] = "compute",       [SIM_CLASS_SPECIAL] = "compute",
    [SIM_CLASS_CONVERT] = "compute",      [SIM_CLASS_MOVE] = "compute",
    [SIM_CLASS_CONTROL] = "compute",      [SIM_CLASS_BARRIER] = "synchronise",
    [SIM_CLASS_WARP] = "compute",         [SIM_CLASS_GLOBAL] = "global memory",
    [SIM_CLASS_SHARED] = "shared memory", [SIM_CLASS_LOCAL] = "local memory",
    [SIM_CLASS_ATOMIC] = "atomics",       [SIM_CLASS_MATRIX] = "matrix unit",
    [SIM_CLASS_ASYNC] = "asynchronous"};

void sim_model_issue(sim_warp *w, const sim_insn *in) {
    sim_unit_times *u = &w->run->model->blocks[w->block->rank];
    uint32_t q = w->index % QUADRANTS;
    double at = w->time, *pipe = &u->pipe[q][in->class_];
    for (int i = 0; i < in->n; i++) {
        at = rows_ready(w, &in->op[i], at, NULL);
    }
    sim_model_wait(w, at, "waits for a result");
    at = at > u->issue[q] ? at : u->issue[q];
    at = at > *pipe ? at : *pipe;
    w->time = at;
    in_span(w, span_names[in->class_], at);
    u->issue[q] = w->time = at + 1;
    u->busy_issue += 1.0 / QUADRANTS;
    *pipe = at + LANES / w->run->model->rates->lanes[in->class_];
}

/* FLOP a clock and SM of a matrix product. */
static double product_rate(const sim_rates *r, sim_type t) {
    return t == T_TF32                        ? r->half_flops / 2
           : t == T_F64                       ? r->half_flops / 16
           : sim_type_bytes(t) == 1 && t != 0 ? r->half_flops * 2
                                              : r->half_flops;
}

void sim_model_result(sim_warp *w, const sim_insn *in, const sim_counters *before) {
    const sim_rates *r = w->run->model->rates;
    sim_unit_times *u = &w->run->model->blocks[w->block->rank];
    const sim_counters *now = &w->run->report->counters;
    double at = w->time, done;
    if (now->global_sectors != before->global_sectors) {
        double cost =
            32.0 * (double)(now->global_sectors - before->global_sectors) / r->global_bytes;
        u->memory = (u->memory > at ? u->memory : at) + cost;
        u->busy_memory += cost;
        at = u->memory;
    }
    if (now->shared_waves != before->shared_waves) {
        double cost = (double)(now->shared_waves - before->shared_waves);
        u->shared = (u->shared > at ? u->shared : at) + cost;
        u->busy_shared += cost;
        at = u->shared;
    }
    if (now->matrix_flops != before->matrix_flops) {
        double *pipe = &u->pipe[w->index % QUADRANTS][SIM_CLASS_MATRIX];
        double cost = (double)(now->matrix_flops - before->matrix_flops) * QUADRANTS /
                      product_rate(r, (sim_type)in->type2);
        *pipe = (*pipe > at ? *pipe : at) + cost;
        u->busy_matrix += cost / QUADRANTS;
        at = *pipe;
    }
    done = at + r->latency[in->class_];
    for (int i = 0; i < in->n; i++) {
        if (in->op[i].writes) {
            (void)rows_ready(w, &in->op[i], 0, &done);
        }
    }
}

void sim_model_touch(sim_run *run, const sim_range *r, uint64_t at, uint32_t bytes) {
    for (uint64_t s = at / 32; s <= (at + bytes - 1) / 32; s++) {
        uint8_t bit = (uint8_t)(1u << (s & 7));
        run->model->sectors += !(r->touched[s >> 3] & bit);
        r->touched[s >> 3] |= bit;
    }
}

double sim_model_arrival(const sim_warp *w) {
    const sim_unit_times *u = &w->run->model->blocks[w->block->rank];
    double begin = u->memory > w->time ? u->memory : w->time;
    return begin + w->run->model->rates->latency[SIM_CLASS_GLOBAL];
}

double sim_model_copy(sim_warp *w, uint32_t bytes, bool global) {
    const sim_rates *r = w->run->model->rates;
    sim_unit_times *u = &w->run->model->blocks[w->block->rank];
    double *unit = global ? &u->memory : &u->shared, begin = *unit > w->time ? *unit : w->time;
    double cost = bytes / (global ? r->global_bytes : r->shared_bytes);
    *unit = begin + cost;
    *(global ? &u->busy_memory : &u->busy_shared) += cost;
    double done = begin + cost + (global ? COPY_LATENCY : NEAR_LATENCY);
    add_span(w, SIM_TRACK_COPIES, "bulk copy", begin, done, w->at->line);
    return done;
}

double sim_model_product(sim_warp *const warps[WARPGROUP], double flops, sim_type type) {
    sim_warp *w = warps[0];
    sim_unit_times *u = &w->run->model->blocks[w->block->rank];
    double begin = 0, cost = flops / product_rate(w->run->model->rates, type);
    for (uint32_t i = 0; i < WARPGROUP; i++) {
        begin = warps[i]->time > begin ? warps[i]->time : begin;
    }
    double sent = begin;
    for (uint32_t q = 0; q < QUADRANTS; q++) {
        double p = u->pipe[q][SIM_CLASS_MATRIX];
        begin = p > begin ? p : begin;
    }
    for (uint32_t q = 0; q < QUADRANTS; q++) {
        u->pipe[q][SIM_CLASS_MATRIX] = begin + cost;
        sim_model_wait(warps[q], sent, "waits for its warpgroup");
    }
    u->busy_matrix += cost;
    add_span(w, SIM_TRACK_MATRIX + w->index / WARPGROUP, "wgmma", begin, begin + cost, w->at->line);
    return begin + cost + PRODUCT_LATENCY;
}

/* ---- the end -----------------------------------------------------------------------------------
 */

static double most(double a, double b) { return a > b ? a : b; }

void sim_model_end(sim_run *run) {
    sim_model *m = run->model;
    for (uint32_t b = 0; m && b < run->n_blocks; b++) {
        const sim_unit_times *u = &m->blocks[b];
        double last = 0;
        for (uint32_t i = 0; i < run->blocks[b].n_warps; i++) {
            sim_warp *w = &run->blocks[b].warps[i];
            close_span(w);
            last = most(last, w->time);
        }
        m->longest += last;
        m->matrix += u->busy_matrix;
        m->busiest +=
            most(most(u->busy_issue, u->busy_matrix), most(u->busy_shared, u->busy_memory));
        m->n_blocks++;
    }
}

/* Blocks come in waves of as many as fit; an SM is done when its busiest unit is; memory is read
 * and written once. */
void sim_model_report(sim_run *run, uint64_t blocks) {
    const sim_model *m = run->model;
    if (!m || m->n_blocks == 0) {
        return;
    }
    const sim_rates *r = m->rates;
    double n = (double)m->n_blocks, each = m->longest / n, busy = m->busiest / n;
    uint32_t threads = run->blocks[0].n_warps * LANES;
    uint64_t fit = (uint64_t)r->threads / threads;
    uint64_t by_shared = (uint64_t)r->shared / (run->shared_bytes + 1024);
    fit = by_shared < fit ? by_shared : fit;
    fit = fit == 0 ? 1 : fit > 32 ? 32 : fit;
    uint64_t wide = fit * (uint64_t)r->multiprocessors, waves = (blocks + wide - 1) / wide;
    uint64_t per = (blocks + (uint64_t)r->multiprocessors - 1) / (uint64_t)r->multiprocessors;
    run->report->block_cycles = each;
    run->report->matrix_share = each > 0 ? m->matrix / n / each : 0;
    run->report->grid_cycles = most((double)waves * each, (double)per * busy);
    double dram = 32.0 * (double)m->sectors / (r->dram_bytes * r->multiprocessors);
    run->report->grid_cycles = most(run->report->grid_cycles, dram);
    run->report->grid_seconds = run->report->grid_cycles / (r->clock_ghz * 1e9);
}

/* ---- as text -----------------------------------------------------------------------------------
 */

/* Chrome's trace format: complete events, a cycle as a microsecond. */
char *sim_timeline_json(const sim_timeline *t) {
    enum { LINE = 256 };
    char *out = malloc((t->n + 2) * LINE), *p = out;
    if (!out) {
        return NULL;
    }
    p += snprintf(p, LINE, "{\"displayTimeUnit\":\"ns\",\"traceEvents\":[");
    for (size_t i = 0; i < t->n; i++) {
        const sim_span *s = &t->spans[i];
        const char *unit = s->track == SIM_TRACK_COPIES   ? "copies"
                           : s->track >= SIM_TRACK_MATRIX ? "matrix unit, group"
                                                          : "warp";
        uint32_t number = s->track >= SIM_TRACK_MATRIX ? s->track - SIM_TRACK_MATRIX : s->track;
        p += snprintf(
            p, LINE,
            "%s\n{\"ph\":\"X\",\"pid\":\"block %u %u %u\",\"tid\":\"%s %02u\",\"name\":\"%s\","
            "\"ts\":%.1f,\"dur\":%.1f,\"args\":{\"line\":%d}}",
            i ? "," : "", s->block[0], s->block[1], s->block[2], unit,
            s->track == SIM_TRACK_COPIES ? 0 : number, s->name, s->begin, s->end - s->begin,
            (int)s->ptx_line);
    }
    (void)snprintf(p, LINE, "\n]}\n");
    return out;
}

void sim_timeline_free(sim_timeline *t) {
    free(t->spans);
    *t = (sim_timeline){0};
}
