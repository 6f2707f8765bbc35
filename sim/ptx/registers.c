/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Registers that are looked after: rows that a wgmma under way holds, when each was last computed,
 * and, where a launch asks for it, whether it ever was. Plain copies carry all of this along, so
 * that moving an accumulator is no use of it: a compiler renames registers as it likes.
 */
#include "sim/ptx/async.h"

#include <stdlib.h>
#include <string.h>

/* ---- state ----------------------------------------------------------------------------------- */

bool sim_registers_init(sim_warp *w) {
    const sim_run *run = w->run;
    if (run->module->asynchronous) {
        w->async = calloc(1, sizeof *w->async);
        if (!w->async) {
            return false;
        }
    }
    if (!run->module->warpgroups && !run->options->registers) {
        return true;
    }
    w->registers = calloc(run->rows, sizeof *w->registers);
    return w->registers != NULL;
}

void sim_registers_reset(sim_warp *w) {
    if (w->async) {
        uint32_t *busy = w->async->busy.data;
        size_t cap = w->async->busy.cap;
        *w->async = (sim_async){.busy = {.data = busy, .cap = cap}};
    }
    if (w->registers) {
        memset(w->registers, 0, w->run->rows * sizeof *w->registers);
    }
}

void sim_registers_free(sim_warp *w) {
    if (w->async) {
        free(w->async->busy.data);
        free(w->async);
    }
    free(w->registers);
}

/* ---- wgmma ----------------------------------------------------------------------------------- */

void sim_registers_hold(sim_warp *w, uint32_t row, uint32_t epoch, bool input) {
    sim_register *r = &w->registers[row];
    if (!SIM_PUSH(&w->async->busy, row)) {
        w->run->no_memory = true;
    }
    r->computed_at = input ? r->computed_at : 0;
    r->known = UINT32_MAX;
    if (!input || !r->held) {
        r->held = epoch;
        r->input = input;
    }
}

void sim_registers_release(sim_warp *w, uint32_t epoch) {
    sim_async *a = w->async;
    size_t kept = 0;
    for (size_t i = 0; i < a->busy.n; i++) {
        sim_register *r = &w->registers[a->busy.data[i]];
        if (r->held > epoch) {
            a->busy.data[kept++] = a->busy.data[i];
        } else {
            r->held = 0;
        }
    }
    a->busy.n = kept;
}

/* ---- every instruction ----------------------------------------------------------------------- */

static bool is_register(uint32_t row) {
    return row != ROW_NONE && !(row & ROW_CONSTANT) && row >= N_SPECIAL;
}

static void use(sim_warp *w, uint32_t row, bool writes, uint32_t act) {
    sim_register *r = &w->registers[row];
    if (r->held && (writes || !r->input)) {
        sim_find(w, SIM_FAULT_ASYNC, -1, row - N_SPECIAL,
                 "%s a register of a wgmma that has not been waited for",
                 writes ? "write to" : "read of");
    }
    if (writes) {
        r->computed_at = w->run->issues;
        r->known |= act;
    } else if (w->run->options->registers && act & ~r->known) {
        sim_find(w, SIM_FAULT_UNINITIALISED, __builtin_ctz(act & ~r->known), row - N_SPECIAL,
                 "read of a register that nobody wrote");
        r->known |= act;
    }
}

static void use_operand(sim_warp *w, const sim_operand *o, uint32_t act) {
    if (o->kind == OPERAND_VECTOR) {
        for (uint32_t i = 0; i < o->n; i++) {
            uint32_t row = w->parts[o->row + i];
            if (is_register(row)) {
                use(w, row, o->writes, act);
            }
        }
    } else if ((o->kind == OPERAND_ROW || o->kind == OPERAND_ADDRESS) && is_register(o->row)) {
        use(w, o->row, o->writes, act);
    }
}

/* What is known of the source holds for its copy. */
static void copy(sim_warp *w, uint32_t to, uint32_t from, uint32_t act) {
    sim_register *d = &w->registers[to];
    const sim_register plain = {.known = UINT32_MAX},
                       *s = is_register(from) ? &w->registers[from] : &plain;
    uint32_t known = (d->known & ~act) | (s->known & act);
    *d = *s;
    d->known = known;
    if (d->held && !SIM_PUSH(&w->async->busy, to)) {
        w->run->no_memory = true;
    }
}

void sim_registers_use(sim_warp *w, const sim_insn *in, uint32_t act) {
    if (in->copies) {
        copy(w, in->op[0].row, in->op[1].row, act);
        return;
    }
    for (int i = in->n - 1; i >= 0; i--) { /* destinations last */
        use_operand(w, &in->op[i], act);
    }
}
