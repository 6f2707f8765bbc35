/* SPDX-License-Identifier: Apache-2.0 */
/* Modules as the world sees them, grids, findings. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/ptx/model.h"

enum { SHARED_MOST = 227 * 1024 };

/* ---- modules --------------------------------------------------------------------------------- */

static void end_parser(sim_parser *p) {
    p->depth = 0;
    sim_symbol_leave(p);
    for (size_t i = 0; i < p->patches.n; i++) {
        free(p->patches.data[i].label);
    }
    free(p->patches.data);
    free(p->symbols.data);
    free(p);
}

sim_status sim_module_load(sim_machine *m, const char *text, size_t bytes, sim_module **out,
                           char message[256]) {
    sim_module *module = calloc(1, sizeof *module);
    sim_parser *p = calloc(1, sizeof *p);
    message[0] = '\0';
    if (!module || !p) {
        free(module);
        free(p);
        return SIM_E_NOMEM;
    }
    module->machine = m;
    module->dynamic_align = 128;
    p->module = module;
    p->message = message;
    p->lex = (sim_lexer){.p = text, .end = text + bytes, .line = 1};
    (void)sim_parse_module(p);
    sim_status st = p->status;
    end_parser(p);
    if (st != SIM_OK) {
        sim_module_free(module);
        return st;
    }
    *out = module;
    return SIM_OK;
}

void sim_module_free(sim_module *module) {
    if (!module) {
        return;
    }
    for (size_t i = 0; i < module->functions.n; i++) {
        sim_kernel *k = module->functions.data[i];
        free(k->name);
        free(k->params);
        free(k->results);
        free(k);
    }
    for (size_t i = 0; i < module->globals.n; i++) {
        sim_memory_free(module->machine, module->globals.data[i]);
    }
    for (size_t i = 0; i < module->global_names.n; i++) {
        free(module->global_names.data[i]);
    }
    free(module->code.data);
    free(module->parts.data);
    free(module->constants.data);
    free(module->functions.data);
    free(module->globals.data);
    free(module->global_names.data);
    free(module);
}

const sim_kernel *sim_module_kernel(const sim_module *module, const char *name) {
    for (size_t i = 0; i < module->functions.n; i++) {
        const sim_kernel *k = module->functions.data[i];
        if (k->entry && k->defined && strcmp(k->name, name) == 0) {
            return k;
        }
    }
    return NULL;
}

size_t sim_kernel_param_bytes(const sim_kernel *k) { return k->param_bytes; }
size_t sim_kernel_shared_bytes(const sim_kernel *k) { return k->shared_bytes; }

/* ---- findings -------------------------------------------------------------------------------- */

static const char *const fault_names[SIM_N_FAULTS] = {
    "out of bounds", "misaligned", "uninitialised", "race",           "divergence",  "deadlock",
    "trap",          "runaway",    "mbarrier",      "no proxy fence", "asynchronous"};

const char *sim_fault_name(sim_fault f) { return f < SIM_N_FAULTS ? fault_names[f] : "?"; }

void sim_find(sim_warp *w, sim_fault fault, int lane, uint64_t address, const char *format, ...) {
    sim_report *r = w->run->report;
    int32_t line = w->at ? w->at->line : 0;
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
                       .source_line = w->at ? w->at->source : 0,
                       .thread = w->index * LANES + (lane < 0 ? 0 : (uint32_t)lane),
                       .address = address,
                       .times = 1};
    memcpy(f->block, w->block->id, sizeof f->block);
    va_list args;
    va_start(args, format);
    (void)vsnprintf(f->text, sizeof f->text, format, args);
    va_end(args);
}

/* ---- blocks ---------------------------------------------------------------------------------- */

typedef struct sim_shape {
    uint32_t grid[3], block[3], cluster[3];
    uint32_t threads, warps, blocks; /* of a block, of a block, of a cluster */
} sim_shape;

static void free_blocks(sim_run *run) {
    for (uint32_t i = 0; run->blocks && i < run->n_blocks; i++) {
        sim_block *b = &run->blocks[i];
        free(b->shared);
        free(b->shared_written);
        free(b->cells);
        for (size_t c = 0; b->reads && b->bytes && c < run->shared_bytes / 4 + 1; c++) {
            for (int k = 0; b->bytes[c] && k < 4; k++) {
                free(b->bytes[c]->reads[k]);
            }
            free(b->bytes[c]);
            free(b->reads[c]);
        }
        free(b->reads);
        free(b->bytes);
        sim_mbarriers_free(b);
        free(b->mbarriers.data);
        for (uint32_t k = 0; b->warps && k < b->n_warps; k++) {
            free(b->warps[k].file);
            free(b->warps[k].local);
            free(b->warps[k].local_written);
            free(b->warps[k].copies.data);
            sim_registers_free(&b->warps[k]);
        }
        free(b->warps);
    }
    free(run->blocks);
    free(run->bulks.data);
    free(run->own_clocks);
}

static bool make_warp(sim_run *run, sim_block *b, uint32_t i) {
    sim_warp *w = &b->warps[i];
    size_t local = (size_t)LANES * run->local_bytes;
    w->file = malloc((size_t)run->rows * LANES * sizeof *w->file);
    w->local = calloc(1, local + 8);
    w->local_written = calloc(1, local / 8 + 8);
    w->constants = run->module->constants.data;
    w->parts = run->module->parts.data;
    w->block = b;
    w->run = run;
    w->index = i;
    return w->file && w->local && w->local_written && sim_registers_init(w);
}

static bool make_block(sim_run *run, sim_block *b, const sim_shape *s) {
    b->run = run;
    b->n_warps = s->warps;
    b->threads = s->threads;
    b->shared = calloc(1, run->shared_bytes + 8);
    b->shared_written = calloc(1, run->shared_bytes / 8 + 8);
    b->cells = calloc(run->shared_bytes / 4 + 1, sizeof *b->cells);
    b->reads = calloc(run->shared_bytes / 4 + 1, sizeof *b->reads);
    b->bytes = calloc(run->shared_bytes / 4 + 1, sizeof *b->bytes);
    b->warps = calloc(s->warps, sizeof *b->warps);
    bool ok = b->shared && b->shared_written && b->cells && b->reads && b->bytes && b->warps;
    for (uint32_t i = 0; ok && i < s->warps; i++) {
        ok = make_warp(run, b, i);
    }
    return ok;
}

/* Warps' clocks first, then the barriers', the cluster's, and one for passing use. */
static size_t clocks_of(const sim_run *run) {
    return run->n_warps + (size_t)run->n_blocks * N_BARRIERS + 2;
}
static bool make_blocks(sim_run *run, const sim_shape *s) {
    run->n_blocks = s->blocks;
    bool agents = run->module->asynchronous;
    run->n_warps = run->n_clocks = s->blocks * s->warps;
    run->n_clocks += agents ? 2 * run->n_warps + s->blocks * MBARRIER_AGENTS : 0;
    run->clock_words = run->n_clocks * (agents ? 2 : 1);
    run->blocks = calloc(s->blocks, sizeof *run->blocks);
    run->own_clocks = calloc(clocks_of(run) * run->clock_words, sizeof *run->own_clocks);
    bool ok = run->blocks && run->own_clocks;
    for (uint32_t i = 0; ok && i < s->blocks; i++) {
        ok = make_block(run, &run->blocks[i], s);
    }
    return ok;
}

static void number_clocks(sim_run *run) {
    uint32_t *next = run->own_clocks, n = run->clock_words;
    for (uint32_t i = 0; i < run->n_blocks; i++) {
        for (uint32_t k = 0; k < run->blocks[i].n_warps; k++, next += n) {
            sim_warp *w = &run->blocks[i].warps[k];
            w->number = i * run->blocks[i].n_warps + k;
            w->clock = next;
            w->clock[w->number] = 1;
        }
        for (int b = 0; b < N_BARRIERS; b++, next += n) {
            run->blocks[i].barriers[b] = (sim_barrier){.clock = next};
        }
    }
    run->cluster_clock = next;
    run->scratch_clock = next + n;
}

static void set_all(const sim_warp *w, sim_special row, uint64_t v) {
    uint64_t *r = sim_row(w, row);
    for (int l = 0; l < LANES; l++) {
        r[l] = v;
    }
}

static void set_specials(sim_warp *w, const sim_shape *s, const uint32_t id[3], uint32_t rank) {
    const sim_run *run = w->run;
    uint32_t in_cluster[3] = {rank % s->cluster[0], rank / s->cluster[0] % s->cluster[1],
                              rank / s->cluster[0] / s->cluster[1]};
    for (uint32_t l = 0; l < LANES; l++) {
        uint32_t t = w->index * LANES + l;
        sim_row(w, SR_TID_X)[l] = t % s->block[0];
        sim_row(w, SR_TID_Y)[l] = t / s->block[0] % s->block[1];
        sim_row(w, SR_TID_Z)[l] = t / s->block[0] / s->block[1];
        sim_row(w, SR_LANEID)[l] = l;
        sim_row(w, SR_LANEMASK_EQ)[l] = 1u << l;
        sim_row(w, SR_LANEMASK_LT)[l] = (1u << l) - 1;
        sim_row(w, SR_LANEMASK_LE)[l] = (2ull << l) - 1;
        sim_row(w, SR_LANEMASK_GE)[l] = (uint32_t)~((1u << l) - 1);
        sim_row(w, SR_LANEMASK_GT)[l] = (uint32_t)~((2ull << l) - 1);
    }
    for (int i = 0; i < 3; i++) {
        set_all(w, (sim_special)(SR_NTID_X + i), s->block[i]);
        set_all(w, (sim_special)(SR_CTAID_X + i), id[i]);
        set_all(w, (sim_special)(SR_NCTAID_X + i), s->grid[i]);
        set_all(w, (sim_special)(SR_CLUSTERID_X + i), id[i] / s->cluster[i]);
        set_all(w, (sim_special)(SR_NCLUSTERID_X + i), s->grid[i] / s->cluster[i]);
        set_all(w, (sim_special)(SR_CLUSTER_CTAID_X + i), in_cluster[i]);
        set_all(w, (sim_special)(SR_CLUSTER_NCTAID_X + i), s->cluster[i]);
    }
    set_all(w, SR_WARPID, w->index);
    set_all(w, SR_NWARPID, s->warps);
    set_all(w, SR_CLUSTER_CTARANK, rank);
    set_all(w, SR_CLUSTER_NCTARANK, s->blocks);
    set_all(w, SR_NSMID, 1);
    set_all(w, SR_DYNAMIC_SMEM, run->options->dynamic_shared);
    set_all(w, SR_TOTAL_SMEM, run->shared_bytes);
}

static void reset_warp(sim_warp *w, uint32_t threads) {
    sim_run *run = w->run;
    uint32_t left = threads - w->index * LANES, lanes = left < LANES ? left : LANES;
    memset(w->file, 0, (size_t)run->rows * LANES * sizeof *w->file);
    memset(w->local_written, 0, (size_t)LANES * run->local_bytes / 8 + 8);
    memset(w->groups, 0, sizeof w->groups);
    w->live = lanes == LANES ? UINT32_MAX : (1u << lanes) - 1;
    w->parked = w->turns = 0;
    w->barrier = -1;
    w->copies.n = 0;
    w->cluster_arrived = w->cluster_open = w->cluster_waits = w->group_waits = false;
    w->asleep = w->expired = w->copy_order = 0;
    sim_registers_reset(w);
    w->at = NULL;
    for (int l = 0; l < LANES; l++) {
        w->pc[l] = run->kernel->first;
    }
}

/* The blocks of the cluster whose first one is `origin`, as they begin. */
static void reset_cluster(sim_run *run, const sim_shape *s, const uint32_t origin[3]) {
    memset(run->own_clocks, 0, clocks_of(run) * run->clock_words * sizeof *run->own_clocks);
    run->stalls = 0;
    run->cluster_time = 0;
    number_clocks(run);
    for (uint32_t r = 0; r < run->n_blocks; r++) {
        sim_block *b = &run->blocks[r];
        b->rank = r;
        b->id[0] = origin[0] + r % s->cluster[0];
        b->id[1] = origin[1] + r / s->cluster[0] % s->cluster[1];
        b->id[2] = origin[2] + r / s->cluster[0] / s->cluster[1];
        memset(b->shared_written, 0, run->shared_bytes / 8 + 8);
        sim_mbarriers_free(b);
        memset(b->cells, 0, (run->shared_bytes / 4 + 1) * sizeof *b->cells);
        for (uint32_t i = 0; i < b->n_warps; i++) {
            reset_warp(&b->warps[i], b->threads);
            set_specials(&b->warps[i], s, b->id, r);
        }
    }
}

/* ---- grids ----------------------------------------------------------------------------------- */

static bool shape_of(const sim_kernel *k, const sim_launch_options *o, sim_shape *s,
                     sim_report *report) {
    const char *why = NULL;
    uint64_t threads = 1, blocks = 1;
    for (int i = 0; i < 3; i++) {
        s->grid[i] = o->grid[i];
        s->block[i] = o->block[i];
        s->cluster[i] = o->cluster[i]         ? o->cluster[i]
                        : k->needs_cluster[i] ? k->needs_cluster[i]
                                              : 1;
        why = o->grid[i] == 0 || o->block[i] == 0 ? "an extent of the launch is zero" : why;
        why = !why && o->grid[i] % s->cluster[i] ? "the grid is no multiple of the cluster" : why;
        why = !why && k->needs_block[i] && k->needs_block[i] != o->block[i]
                  ? "the kernel wants blocks of another shape"
                  : why;
        why = !why && k->needs_cluster[i] && k->needs_cluster[i] != s->cluster[i]
                  ? "the kernel wants clusters of another shape"
                  : why;
        threads = why ? 1 : threads * o->block[i];
        blocks *= s->cluster[i];
        why = !why && (threads > MAX_THREADS || blocks > MAX_CLUSTER)
                  ? "the block or cluster is too large"
                  : why;
    }
    why = !why && k->shared_bytes + o->dynamic_shared > SHARED_MOST
              ? "more shared memory than 227 KiB"
              : why;
    if (why) {
        (void)snprintf(report->message, sizeof report->message, "%s", why);
        return false;
    }
    s->threads = (uint32_t)threads;
    s->warps = (s->threads + LANES - 1) / LANES;
    s->blocks = (uint32_t)blocks;
    return true;
}

static void run_grid(sim_run *run, const sim_shape *s) {
    uint32_t at[3];
    for (at[2] = 0; at[2] < s->grid[2]; at[2] += s->cluster[2]) {
        for (at[1] = 0; at[1] < s->grid[1]; at[1] += s->cluster[1]) {
            for (at[0] = 0; at[0] < s->grid[0] && !run->stop && !run->no_memory;
                 at[0] += s->cluster[0]) {
                reset_cluster(run, s, at);
                sim_global_begin(run);
                sim_model_begin(run);
                sim_run_cluster(run);
                sim_model_end(run);
            }
        }
    }
}

sim_status sim_launch(sim_machine *m, const sim_kernel *k, const sim_launch_options *o,
                      const void *params, sim_report *report) {
    sim_shape s;
    memset(report, 0, sizeof *report);
    if (!shape_of(k, o, &s, report)) {
        return SIM_E_ARGUMENT;
    }
    uint32_t align = k->module->dynamic_align;
    uint32_t fixed = (k->shared_bytes + align - 1) / align * align;
    sim_run run = {.machine = m,
                   .kernel = k,
                   .module = k->module,
                   .options = o,
                   .params = params,
                   .report = report,
                   .random = o->seed * 0x9e3779b97f4a7c15ull | 1,
                   .rows = k->rows,
                   .local_bytes = (k->local_bytes + 15) / 16 * 16,
                   .shared_bytes =
                       o->dynamic_shared ? fixed + (uint32_t)o->dynamic_shared : k->shared_bytes};
    run.shared_bytes = (run.shared_bytes + 7) / 8 * 8;
    if (make_blocks(&run, &s) && sim_model_init(&run) && sim_global_init(&run)) {
        run_grid(&run, &s);
        sim_model_report(&run, (uint64_t)s.grid[0] * s.grid[1] * s.grid[2]);
    } else {
        run.no_memory = true;
    }
    sim_model_free(&run);
    sim_global_free(&run);
    free_blocks(&run);
    if (run.no_memory) {
        (void)snprintf(report->message, sizeof report->message, "out of memory");
        return SIM_E_NOMEM;
    }
    return report->n_findings ? SIM_E_FAULT : SIM_OK;
}
