/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Placement: the pipeline, and how many lanes run a program. The number of lanes starts at the
 * machine's, shrinks to what the largest tile can use, and doubles while a lane would hold more
 * registers than the machine gives it, unless the doubling would split rows that are reduced.
 */
#include "backends/place/place.h"
#include "backends/place/walk.h"

#include <stdlib.h>
#include <string.h>

const tg_place_pass tg_place_pipeline[] = {
    {"branch", tg_place_branch},     {"chunk", tg_place_chunk},
    {"split", tg_place_split},       {"whole", tg_place_whole},
    {"units", tg_place_units},       {"stage", tg_place_stage},
    {"layout", tg_place_layout},     {"registers", tg_place_registers},
    {"roles", tg_place_roles},       {"bulk", tg_place_bulk},
    {"prefetch", tg_place_prefetch}, {"capacity", tg_place_capacity},
    {"swizzle", tg_place_swizzle},   {"banks", tg_place_banks},
    {"operands", tg_place_operands}, {"sync", tg_place_sync},
};
const size_t tg_place_pipeline_count = TG_COUNT_OF(tg_place_pipeline);
enum { UP_TO_LAYOUT = 7 };

/* ---- schedules ------------------------------------------------------------------------------ */

const char *tg_place_schedule(const tg_func *f, const char *key) {
    static const char prefix[] = "schedule.";
    size_t n = sizeof prefix - 1;
    for (int i = 0; i < f->n_bindings; i++) {
        const char *name = f->bindings[i].name;
        if (strncmp(name, prefix, n) == 0 && strcmp(name + n, key) == 0) {
            return f->bindings[i].value;
        }
    }
    return NULL;
}

int64_t tg_place_schedule_int(const tg_func *f, const char *key, int64_t otherwise) {
    const char *value = tg_place_schedule(f, key);
    char *end;
    long long v = value == NULL ? 0 : strtoll(value, &end, 10);
    return value == NULL || end == value || *end != '\0' || v < 1 ? otherwise : v;
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static int64_t largest_tile(const tg_region *r) {
    int64_t most = 1;
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        for (int i = 0; i < op->n_results; i++) {
            if (op->results[i].type->kind == TG_TY_TILE) {
                most = tg_max_i64(most, tg_type_count(op->results[i].type));
            }
        }
        for (int i = 0; i < op->n_regions; i++) {
            most = tg_max_i64(most, largest_tile(op->regions[i]));
        }
    }
    return most;
}

/* Who runs a program. */
typedef struct crew {
    int64_t replicas, lanes; /* of one of them */
} crew;

static tg_status run_passes(tg_func *kernel, const tg_machine *machine, crew who, size_t n,
                            tg_module *out, tg_sink *sink, tg_placer *out_placer) {
    tg_placer p = {.m = out,
                   .machine = machine,
                   .arena = out->arena,
                   .sink = sink,
                   .lanes = who.lanes,
                   .roles = tg_place_wants_roles(kernel, machine),
                   .replicas = who.replicas,
                   .shared_bytes = machine->shared_bytes};
    p.f = tg_place_clone(kernel, out);
    p.f->lanes = who.lanes;
    for (size_t i = 0; i < n; i++) {
        tg_status st = tg_place_pipeline[i].run(&p);
        if (st) {
            return st;
        }
    }
    *out_placer = p;
    if (n == tg_place_pipeline_count) {
        tg_place_tell_units(&p);
    }
    return TG_OK;
}

/* Tries layouts in a module of its own. */
static tg_status choose_lanes(tg_func *kernel, const tg_machine *machine, tg_module *out,
                              tg_sink *sink, crew *who) {
    int64_t most = tg_max_i64(1, largest_tile(kernel->body) / who->replicas);
    /* roles are whole sub-groups */
    int64_t lanes = tg_place_wants_roles(kernel, machine) ? tg_max_i64(1, machine->subgroup) : 1;
    int64_t warps = tg_place_schedule_int(kernel, "warps", 0);
    int64_t max_lanes = tg_max_i64(1, machine->max_lanes / who->replicas);
    if (warps > 0) { /* the greatest power of two that the schedule and the machine allow */
        int64_t limit = tg_min_i64(tg_min_i64(warps, 64) * 32, max_lanes);
        while (lanes * 2 <= limit) {
            lanes *= 2;
        }
        who->lanes = lanes;
        return TG_OK;
    }
    while (lanes < machine->lanes && lanes < most && lanes * 2 <= max_lanes) {
        lanes *= 2;
    }
    while (lanes >= machine->lanes && lanes * 2 <= max_lanes && lanes < most) {
        tg_placer trial;
        tg_op *where;
        tg_module *m = tg_module_make(out->arena);
        crew tried = {.replicas = who->replicas, .lanes = lanes};
        tg_status st = run_passes(kernel, machine, tried, UP_TO_LAYOUT, m, sink, &trial);
        if (st) {
            return st;
        }
        if (tg_place_pressure(trial.f, out->arena, &where) <= machine->register_bytes ||
            tg_place_rows_whole(&trial)) {
            break;
        }
        lanes *= 2;
    }
    who->lanes = lanes;
    return TG_OK;
}

tg_status tg_place_prefix(tg_func *kernel, const tg_machine *machine, size_t n, tg_module *out,
                          tg_sink *sink) {
    crew who = {.replicas = tg_place_replicas(kernel, machine, out, sink)};
    tg_placer p;
    tg_status st = choose_lanes(kernel, machine, out, sink, &who);
    return st ? st : run_passes(kernel, machine, who, n, out, sink, &p);
}

tg_status tg_place(tg_func *kernel, const tg_machine *machine, tg_module *out, tg_sink *sink) {
    return tg_place_prefix(kernel, machine, tg_place_pipeline_count, out, sink);
}
