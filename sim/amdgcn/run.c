/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waves of a group: one runs until a barrier or its end, then the next, in an order that the seed
 * draws. Loads put their values at once; which registers they fill is remembered until the wave has
 * waited for them, and a use before that is a finding.
 */
#include <stdio.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

enum { MOST_VM = 63, MOST_LGKM_9 = 15, MOST_LGKM_11 = 63 };

/* ---- loads under way
 * ----------------------------------------------------------------------------- */

static void mark(amd_wave *w, const amd_pending *p, int by) {
    for (uint32_t i = 0; i < p->n; i++) {
        uint32_t at = p->first + i;
        if (at < sizeof w->busy && (by > 0 || w->busy[at] > 0)) {
            w->busy[at] = (uint8_t)(w->busy[at] + by);
        }
    }
}

static uint32_t outstanding(const amd_wave *w, amd_counter counter, bool *scalar) {
    uint32_t n = 0;
    *scalar = false;
    for (uint32_t i = 0; i < w->n_pending; i++) {
        n += w->pending[i].counter == (uint8_t)counter;
        *scalar =
            *scalar || (w->pending[i].counter == (uint8_t)counter && w->pending[i].scalar_memory);
    }
    return n;
}

static void retire(amd_wave *w, amd_counter counter, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < w->n_pending; i++) {
        if (count > 0 && w->pending[i].counter == (uint8_t)counter) {
            mark(w, &w->pending[i], -1);
            count--;
        } else {
            w->pending[kept++] = w->pending[i];
        }
    }
    w->n_pending = kept;
}

void amd_wait(amd_wave *w, amd_counter counter, uint32_t most) {
    bool scalar;
    uint32_t n = outstanding(w, counter, &scalar);
    if (n > most && !(scalar && most > 0)) { /* scalar loads come back in any order */
        retire(w, counter, n - most);
    }
}

void amd_issue(amd_wave *w, amd_counter counter, uint16_t first, uint32_t n, bool scalar) {
    bool any;
    uint32_t most = counter != COUNT_LGKM     ? MOST_VM
                    : w->run->generation == 0 ? MOST_LGKM_9
                                              : MOST_LGKM_11;
    while (outstanding(w, counter, &any) >= most || w->n_pending == MAX_PENDING) {
        retire(w, w->n_pending == MAX_PENDING ? (amd_counter)w->pending[0].counter : counter, 1);
    }
    amd_pending p = {
        .counter = (uint8_t)counter, .scalar_memory = scalar, .first = first, .n = (uint16_t)n};
    w->pending[w->n_pending++] = p;
    mark(w, &p, 1);
}

/* ---- instructions
 * --------------------------------------------------------------------------------- */

static bool execute_one(amd_wave *w, const amd_insn *in) {
    switch (amd_ops[in->op].format) {
    case AMD_SOP2:
    case AMD_SOPK:
    case AMD_SOP1:
    case AMD_SOPC:
        return amd_exec_scalar(w, in) || amd_exec_flow(w, in);
    case AMD_SOPP:
        return amd_exec_flow(w, in);
    case AMD_SMEM:
    case AMD_FLAT:
    case AMD_MUBUF:
        return amd_exec_memory(w, in);
    case AMD_DS:
        return in->op == AMD_DS_NOP || amd_exec_lds(w, in);
    case AMD_VOPC:
        return amd_exec_compare(w, in);
    case AMD_VOP3P:
        return amd_exec_packed(w, in) || amd_exec_matrix(w, in) || amd_exec_integer(w, in);
    default:
        return in->op == AMD_V_NOP || amd_exec_lanes(w, in) || amd_exec_wide(w, in) ||
               amd_exec_packed(w, in) || amd_exec_integer(w, in) || amd_exec_float(w, in);
    }
}

/* Both halves of a pair take their sources before either writes. */
static bool execute(amd_wave *w, const amd_insn *in) {
    uint32_t before[LANES], after[LANES];
    if (!in->pair) {
        return execute_one(w, in);
    }
    uint32_t *row = amd_row(w, in->dst, 3);
    memcpy(before, row, sizeof before);
    if (!execute_one(w, in)) {
        return false;
    }
    memcpy(after, row, sizeof after);
    memcpy(row, before, sizeof before);
    bool done = execute_one(w, in->pair);
    memcpy(row, after, sizeof after);
    return done;
}

static sim_class class_of(const amd_insn *in) {
    static const uint8_t classes[] = {
        [AMD_SOP2] = SIM_CLASS_INTEGER,  [AMD_SOPK] = SIM_CLASS_INTEGER,
        [AMD_SOP1] = SIM_CLASS_INTEGER,  [AMD_SOPC] = SIM_CLASS_INTEGER,
        [AMD_SOPP] = SIM_CLASS_CONTROL,  [AMD_SMEM] = SIM_CLASS_GLOBAL,
        [AMD_VOP2] = SIM_CLASS_INTEGER,  [AMD_VOP1] = SIM_CLASS_MOVE,
        [AMD_VOPC] = SIM_CLASS_INTEGER,  [AMD_VOP3] = SIM_CLASS_INTEGER,
        [AMD_VOP3P] = SIM_CLASS_INTEGER, [AMD_DS] = SIM_CLASS_SHARED,
        [AMD_FLAT] = SIM_CLASS_GLOBAL,   [AMD_MUBUF] = SIM_CLASS_CONTROL};
    uint32_t flags = amd_ops[in->op].flags;
    if (flags & AMD_MATRIX) {
        return SIM_CLASS_MATRIX;
    }
    return in->op == AMD_S_BARRIER          ? SIM_CLASS_BARRIER
           : flags & AMD_F64                ? SIM_CLASS_DOUBLE
           : flags & (AMD_F32 | AMD_F16)    ? SIM_CLASS_FLOAT
           : in->segment == SEGMENT_SCRATCH ? SIM_CLASS_LOCAL
                                            : (sim_class)classes[amd_ops[in->op].format];
}

static const amd_insn *fetch(amd_wave *w) {
    struct sim_module *m = w->run->module;
    if (w->pc < m->code_begin || w->pc >= m->code_end || w->pc % 4 != 0) {
        amd_find(w, SIM_FAULT_BOUNDS, -1, w->pc, "the code ends");
        w->run->stop = true;
        return NULL;
    }
    amd_insn *in = &m->code[(w->pc - m->code_begin) / 4];
    if (in->words == 0) {
        char why[160];
        const uint32_t *words = (const uint32_t *)(const void *)(m->image + w->pc);
        amd_insn made;
        bool known = amd_decode(m->generation, words, (m->code_end - w->pc) / 4, &made, why);
        *in = made;
        if (!known) {
            in->words = 0;
            (void)snprintf(w->run->report->message, sizeof w->run->report->message,
                           "code at 0x%x: %s", w->pc, why);
            w->run->stop = true;
            return NULL;
        }
    }
    return in;
}

static bool step(amd_wave *w) {
    const amd_insn *in = fetch(w);
    sim_report *r = w->run->report;
    if (!in) {
        return false;
    }
    w->at = in;
    w->pc += in->words * 4u;
    w->run->issues++;
    r->counters.issued[class_of(in)]++;
    r->counters.lanes += (uint64_t)__builtin_popcountll(amd_exec(w));
    if (!execute(w, in)) {
        (void)snprintf(r->message, sizeof r->message, "`%s` is not simulated",
                       amd_name(w->run->generation, in));
        w->run->stop = true;
        return false;
    }
    uint64_t most = w->run->options->most_issues ? w->run->options->most_issues : UINT64_C(1) << 36;
    if (w->run->issues > most) {
        amd_find(w, SIM_FAULT_RUNAWAY, -1, w->pc, "more instructions than allowed");
        w->run->stop = true;
    }
    return !w->run->stop;
}

static void run_wave(amd_wave *w) {
    while (w->live && !w->waiting && !w->run->stop && step(w)) {
    }
}

sim_status amd_run_group(amd_run *run, amd_group *g) {
    uint64_t turn = run->options->seed;
    run->issues = 0;
    for (;;) {
        uint32_t live = 0, waiting = 0;
        for (uint32_t i = 0; i < g->n_waves && !run->stop; i++) {
            run_wave(&g->waves[(i + turn) % g->n_waves]);
        }
        turn = turn * UINT64_C(6364136223846793005) + 1442695040888963407;
        turn >>= 8;
        for (uint32_t i = 0; i < g->n_waves; i++) {
            live += g->waves[i].live;
            waiting += g->waves[i].live && g->waves[i].waiting;
        }
        amd_lds_barrier(g);
        if (run->stop || live == 0) {
            break;
        }
        for (uint32_t i = 0; waiting == live && i < g->n_waves; i++) {
            g->waves[i].waiting = false;
        }
        g->epoch++;
    }
    return run->report->message[0]       ? SIM_E_UNSUPPORTED
           : run->report->n_findings > 0 ? SIM_E_FAULT
                                         : SIM_OK;
}
