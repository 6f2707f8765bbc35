/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Grids: each group by itself, its waves set up as a kernel's descriptor asks for (LLVM, "User
 * Guide for AMDGPU Backend", Initial Kernel Execution State). And findings.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

enum {
    LDS_MOST = 65536,
    PACKET_BYTES = 64,
    NEVER_WRITTEN = 0x7fbadbad /* a NaN; what registers hold that nobody wrote */
};

/* ---- findings
 * -------------------------------------------------------------------------------------- */

const char *amd_fault_name(sim_fault f) {
    static const char *const names[SIM_N_FAULTS] = {
        "out of bounds", "misaligned", "uninitialised", "race",           "divergence",  "deadlock",
        "trap",          "runaway",    "mbarrier",      "no proxy fence", "asynchronous"};
    return f < SIM_N_FAULTS ? names[f] : "?";
}

/* The place in the code, in bytes from its begin, stands for a line. */
void amd_find(amd_wave *w, sim_fault fault, int lane, uint64_t address, const char *format, ...) {
    sim_report *r = w->run->report;
    int32_t line = (int32_t)(w->pc - (w->at ? w->at->words * 4u : 0) - w->run->module->code_begin);
    for (uint32_t i = 0; i < r->n_findings; i++) {
        if (r->findings[i].fault == fault && r->findings[i].ptx_line == line) {
            r->findings[i].times++;
            return;
        }
    }
    if (r->n_findings == SIM_MAX_FINDINGS) {
        r->more++;
        return;
    }
    sim_finding *f = &r->findings[r->n_findings++];
    *f = (sim_finding){.fault = fault,
                       .ptx_line = line,
                       .thread = w->index * (uint32_t)w->run->wave_lanes +
                                 (lane < 0 ? 0 : (uint32_t)lane),
                       .address = address,
                       .times = 1};
    memcpy(f->block, w->group->id, sizeof f->block);
    int n = snprintf(f->text, sizeof f->text,
                     "%s: ", w->at ? amd_name(w->run->generation, w->at) : "?");
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->text + n, sizeof f->text - (size_t)n, format, args);
    va_end(args);
}

/* ---- waves
 * ----------------------------------------------------------------------------------------- */

static void set_pair(amd_wave *w, uint32_t *at, uint64_t v) {
    w->s[(*at)++] = (uint32_t)v;
    w->s[(*at)++] = (uint32_t)(v >> 32);
}

/* User SGPRs, then the group's numbers. */
static void set_scalars(amd_wave *w, uint64_t packet) {
    const sim_kernel *k = w->run->kernel;
    uint32_t at = 0;
    uint64_t values[6] = {0, packet, 0, w->run->kernarg, 0, 0};
    memset(w->s, 0, sizeof w->s);
    for (int i = 1; i < 6; i++) {
        if (k->properties >> i & 1) {
            set_pair(w, &at, values[i]);
        }
    }
    if (k->properties >> 6 & 1) {
        w->s[at++] = k->private_bytes;
    }
    for (uint32_t i = 0; i < k->preload_words; i++) {
        (void)sim_memory_read(w->run->machine, &w->s[at++],
                              w->run->kernarg + UINT64_C(4) * (k->preload_at + i), 4);
    }
    at = k->rsrc2 >> 1 & 31 ? k->rsrc2 >> 1 & 31 : at;
    for (int i = 0; i < 3; i++) {
        if (k->rsrc2 >> (7 + i) & 1) {
            w->s[at++] = w->group->id[i];
        }
    }
}

static void start_wave(amd_run *run, amd_group *g, uint32_t index, uint64_t packet) {
    amd_wave *w = &g->waves[index];
    const uint32_t *block = run->options->block;
    uint32_t threads = block[0] * block[1] * block[2], first = index * (uint32_t)run->wave_lanes;
    uint64_t exec = 0;
    w->run = run;
    w->group = g;
    w->index = index;
    /* Where arguments are in registers already the first 256 bytes, which load them, are skipped.
     */
    w->pc = (uint32_t)run->kernel->entry + (run->kernel->preload_words ? 256 : 0);
    w->at = NULL;
    w->scc = w->waiting = false;
    w->live = true;
    w->gpr_index = w->mode = w->n_pending = 0;
    memset(w->busy, 0, sizeof w->busy);
    set_scalars(w, packet);
    for (uint32_t r = 0; r < VGPRS; r++) {
        for (uint32_t l = 0; l < LANES; l++) {
            w->v[r][l] = NEVER_WRITTEN;
        }
    }
    for (uint32_t l = 0; l < (uint32_t)run->wave_lanes && first + l < threads; l++) {
        uint32_t t = first + l, x = t % block[0], y = t / block[0] % block[1],
                 z = t / block[0] / block[1];
        exec |= UINT64_C(1) << l;
        w->v[0][l] = x | y << 10 | z << 20;
    }
    w->s[SRC_EXEC] = (uint32_t)exec;
    w->s[SRC_EXEC + 1] = (uint32_t)(exec >> 32);
}

/* ---- groups
 * ---------------------------------------------------------------------------------------- */

static void free_group(amd_group *g) {
    for (uint32_t i = 0; g->waves && i < g->n_waves; i++) {
        free(g->waves[i].v);
        free(g->waves[i].scratch);
    }
    free(g->waves);
    free(g->lds);
    free(g->lds_written);
    free(g->cells);
}

static bool make_group(amd_run *run, amd_group *g) {
    size_t room = (size_t)run->kernel->private_bytes * LANES;
    g->waves = calloc(g->n_waves, sizeof *g->waves);
    g->lds = calloc(1, run->lds_bytes + 16u);
    g->lds_written = calloc(1, run->lds_bytes / 8 + 4u);
    g->cells = calloc(run->lds_bytes + 1u, sizeof *g->cells);
    bool ok = g->waves && g->lds && g->lds_written && g->cells;
    for (uint32_t i = 0; ok && i < g->n_waves; i++) {
        amd_wave *w = &g->waves[i];
        w->v = calloc(VGPRS, sizeof *w->v);
        w->scratch = calloc(1, room + 16);
        ok = w->v && w->scratch;
    }
    return ok;
}

static const char *refusal(const sim_kernel *k, const sim_launch_options *o, uint64_t *threads) {
    *threads = 1;
    for (int i = 0; i < 3; i++) {
        *threads *= o->block[i];
        if (o->block[i] == 0 || o->block[i] > 1024 || *threads > 1024) {
            return "a group has 1 to 1024 lanes";
        }
    }
    if (o->cluster[0] > 1 || o->cluster[1] > 1 || o->cluster[2] > 1) {
        return "there are no clusters";
    }
    return k->lds_bytes + o->dynamic_shared > LDS_MOST ? "a group has 64 KiB of LDS" : NULL;
}

/* What the packet of a dispatch tells of sizes (HSA, hsa_kernel_dispatch_packet_t). */
static uint64_t make_packet(sim_machine *m, const sim_launch_options *o) {
    uint8_t bytes[PACKET_BYTES] = {0};
    for (int i = 0; i < 3; i++) {
        uint16_t size = (uint16_t)o->block[i];
        uint32_t all = o->grid[i] * o->block[i];
        memcpy(bytes + 4 + 2 * i, &size, sizeof size);
        memcpy(bytes + 12 + 4 * i, &all, sizeof all);
    }
    uint64_t at = sim_memory_alloc(m, sizeof bytes);
    return at && sim_memory_write(m, at, bytes, sizeof bytes) ? at : 0;
}

static void forget(uint8_t *lds, uint32_t bytes) {
    const uint32_t never = NEVER_WRITTEN;
    for (uint32_t i = 0; i + 4 <= bytes; i += 4) {
        memcpy(lds + i, &never, sizeof never);
    }
}

static sim_status run_grid(amd_run *run, amd_group *g, uint64_t packet) {
    const uint32_t *grid = run->options->grid;
    sim_status st = SIM_OK;
    for (uint32_t z = 0; z < grid[2]; z++) {
        for (uint32_t y = 0; y < grid[1]; y++) {
            for (uint32_t x = 0; x < grid[0] && !run->stop; x++) {
                memcpy(g->id, (uint32_t[3]){x, y, z}, sizeof g->id);
                memset(g->lds_written, 0, run->lds_bytes / 8 + 4u);
                forget(g->lds, run->lds_bytes);
                g->epoch++;
                for (uint32_t i = 0; i < g->n_waves; i++) {
                    start_wave(run, g, i, packet);
                }
                st = amd_run_group(run, g);
                run->stop = run->stop || st != SIM_OK;
            }
        }
    }
    return st;
}

sim_status amd_launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                      const void *params, sim_report *report) {
    uint64_t threads;
    memset(report, 0, sizeof *report);
    const char *why = refusal(k, o, &threads);
    if (why) {
        (void)snprintf(report->message, sizeof report->message, "%s", why);
        return SIM_E_ARGUMENT;
    }
    int wave = k->module->generation == 1 && (k->properties >> 10 & 1) ? 32 : LANES;
    amd_run run = {.machine = m,
                   .module = k->module,
                   .kernel = k,
                   .options = o,
                   .report = report,
                   .wave_lanes = wave,
                   .generation = k->module->generation,
                   .lds_bytes = k->lds_bytes + (uint32_t)o->dynamic_shared};
    amd_group g = {.n_waves = (uint32_t)((threads + (uint32_t)wave - 1) / (uint32_t)wave)};
    run.kernarg = sim_memory_alloc(m, k->kernarg_bytes + 16);
    uint64_t packet = make_packet(m, o);
    sim_status st = SIM_E_NOMEM;
    if (run.kernarg && packet && make_group(&run, &g) &&
        sim_memory_write(m, run.kernarg, params, k->kernarg_bytes)) {
        st = run_grid(&run, &g, packet);
    }
    free_group(&g);
    sim_memory_free(m, run.kernarg);
    sim_memory_free(m, packet);
    return st;
}
