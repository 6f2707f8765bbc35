/* SPDX-License-Identifier: Apache-2.0 */
/* One lane of the loop interpreter: instructions until it waits or ends. */
#include <string.h>

#include "ir/interp/loop_internal.h"

bool tg_li_is_defined(tg_li_run *r, const tg_li_ins *i, int lane, int32_t reg, const char *what) {
    if (r->lanes[lane].undefined[reg] == 0) {
        return true;
    }
    tg_li_report(r, TG_LOOP_UNDEFINED, i->op, lane, "%s depends on memory that nobody wrote", what);
    return false;
}

/* ---- device memory -------------------------------------------------------------------------- */

static bool check_align(tg_li_run *r, const tg_li_ins *i, int lane, uint64_t addr, int64_t align) {
    if (addr % (uint64_t)align == 0) {
        return true;
    }
    tg_li_report(r, TG_LOOP_ALIGN, i->op, lane, "the address is %llu past a multiple of %lld",
                 (unsigned long long)(addr % (uint64_t)align), (long long)align);
    return false;
}

static void load_cells(tg_li_run *r, const tg_li_ins *i, int lane, uint64_t addr, int32_t to,
                       int32_t n, tg_dtype t) {
    tg_li_lane *l = &r->lanes[lane];
    int64_t bytes = tg_li_elem_bytes(t);
    tg_li_space *s = tg_li_find(r, i, lane, addr, n * bytes, false);
    if (s == NULL) {
        memset(&l->cells[to], 0, (size_t)n * sizeof l->cells[0]);
        memset(&l->undefined[to], 0, (size_t)n);
        return;
    }
    int64_t at = (int64_t)(addr - (uint64_t)(uintptr_t)s->base);
    tg_li_trace_access(r, i, lane, true, addr, n * bytes);
    for (int32_t k = 0; k < n; k++, at += bytes) {
        l->undefined[to + k] = tg_li_touch(r, s, i, lane, at, bytes, LI_READ, NULL, false);
        l->cells[to + k] = tg_li_read_bits(s->base + at, t);
    }
}

static void store_cells(tg_li_run *r, const tg_li_ins *i, int lane, uint64_t addr, int32_t from,
                        int32_t n, tg_dtype t) {
    tg_li_lane *l = &r->lanes[lane];
    int64_t bytes = tg_li_elem_bytes(t);
    tg_li_space *s = tg_li_find(r, i, lane, addr, n * bytes, true);
    if (s == NULL) {
        return;
    }
    int64_t at = (int64_t)(addr - (uint64_t)(uintptr_t)s->base);
    tg_li_trace_access(r, i, lane, true, addr, n * bytes);
    for (int32_t k = 0; k < n; k++, at += bytes) {
        unsigned char raw[8];
        bool undefined = l->undefined[from + k] != 0;
        if (undefined && !s->per_program) {
            (void)tg_li_is_defined(r, i, lane, from + k, "the value stored");
        }
        tg_li_write_bits(raw, t, l->cells[from + k]);
        (void)tg_li_touch(r, s, i, lane, at, bytes, LI_WRITE, raw, undefined);
        memcpy(s->base + at, raw, (size_t)bytes);
    }
}

/* Elements of the mask in runs; a whole vector at once when there is none. */
static void masked_walk(tg_li_run *r, const tg_li_ins *i, int lane, int32_t mask, int32_t data,
                        uint64_t addr,
                        void (*one)(tg_li_run *, const tg_li_ins *, int, uint64_t, int32_t, int32_t,
                                    tg_dtype)) {
    tg_li_lane *l = &r->lanes[lane];
    int64_t bytes = tg_li_elem_bytes((tg_dtype)i->type);
    for (int32_t k = 0; k < i->n; k++) {
        if (!tg_li_is_defined(r, i, lane, mask + k, "the mask")) {
            return;
        }
        if (l->cells[mask + k] != 0) {
            one(r, i, lane, addr + (uint64_t)(k * bytes), data + k, 1, (tg_dtype)i->type);
        }
    }
}

static void exec_loadm(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    uint64_t addr = l->cells[i->arg[0]];
    int64_t align = i->imm > 0 ? i->imm : tg_li_elem_bytes((tg_dtype)i->type);
    if (!tg_li_is_defined(r, i, lane, i->arg[0], "the address")) {
        return;
    }
    if (!i->masked) {
        (void)check_align(r, i, lane, addr, align);
        load_cells(r, i, lane, addr, i->result, i->n, (tg_dtype)i->type);
        return;
    }
    memmove(&l->cells[i->result], &l->cells[i->arg[2]], (size_t)i->n * sizeof l->cells[0]);
    memmove(&l->undefined[i->result], &l->undefined[i->arg[2]], (size_t)i->n);
    masked_walk(r, i, lane, i->arg[1], i->result, addr, load_cells);
}

static void exec_storem(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    uint64_t addr = l->cells[i->arg[0]];
    int64_t align = i->imm > 0 ? i->imm : tg_li_elem_bytes((tg_dtype)i->type);
    if (!tg_li_is_defined(r, i, lane, i->arg[0], "the address")) {
        return;
    }
    if (!i->masked) {
        (void)check_align(r, i, lane, addr, align);
        store_cells(r, i, lane, addr, i->arg[1], i->n, (tg_dtype)i->type);
        return;
    }
    masked_walk(r, i, lane, i->arg[2], i->arg[1], addr, store_cells);
}

static void exec_indexed(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    bool load = i->code == TG_OP_GATHERM;
    if (!tg_li_is_defined(r, i, lane, i->arg[0], "the address")) {
        return;
    }
    for (int32_t k = 0; k < i->n; k++) {
        if (i->masked && (!tg_li_is_defined(r, i, lane, i->arg[3] + k, "the mask") ||
                          l->cells[i->arg[3] + k] == 0)) {
            if (load) {
                l->cells[i->result + k] = l->cells[i->arg[2] + k];
                l->undefined[i->result + k] = l->undefined[i->arg[2] + k];
            }
            continue;
        }
        if (!tg_li_is_defined(r, i, lane, i->arg[1] + k, "the index")) {
            return;
        }
        uint64_t addr = l->cells[i->arg[0]] + l->cells[i->arg[1] + k] * (uint64_t)i->imm;
        (void)check_align(r, i, lane, addr, tg_li_elem_bytes((tg_dtype)i->type));
        if (load) {
            load_cells(r, i, lane, addr, i->result + k, 1, (tg_dtype)i->type);
        } else {
            store_cells(r, i, lane, addr, i->arg[2] + k, 1, (tg_dtype)i->type);
        }
    }
}

/* memset and memcpy, byte by byte as far as the shadow is concerned. */
static void exec_block(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    int64_t n = (int64_t)l->cells[i->arg[2]];
    uint64_t to = l->cells[i->arg[0]], value = l->cells[i->arg[1]];
    bool copy = i->code == TG_OP_MEMCPY;
    if (n <= 0 || !tg_li_is_defined(r, i, lane, i->arg[0], "the address") ||
        !tg_li_is_defined(r, i, lane, i->arg[2], "the length")) {
        return;
    }
    tg_li_space *s = tg_li_find(r, i, lane, to, n, true);
    tg_li_space *f = copy ? tg_li_find(r, i, lane, value, n, false) : NULL;
    if (s == NULL || (copy && f == NULL)) {
        return;
    }
    int64_t at = (int64_t)(to - (uint64_t)(uintptr_t)s->base);
    int64_t from = copy ? (int64_t)(value - (uint64_t)(uintptr_t)f->base) : 0;
    for (int64_t k = 0; k < n; k++) {
        unsigned char byte = copy ? f->base[from + k] : (unsigned char)value;
        bool undefined = copy ? tg_li_touch(r, f, i, lane, from + k, 1, LI_READ, NULL, false)
                              : l->undefined[i->arg[1]] != 0;
        (void)tg_li_touch(r, s, i, lane, at + k, 1, LI_WRITE, &byte, undefined);
        s->base[at + k] = byte;
    }
}

/* ---- atomics -------------------------------------------------------------------------------- */

static uint64_t combine(tg_atomic_kind kind, tg_dtype t, uint64_t old, uint64_t v, uint64_t want) {
    switch (kind) {
    case TG_ATOMIC_ADD:
        return tg_li_binary(TG_OP_ADD, t, old, v);
    case TG_ATOMIC_MIN:
        return tg_li_binary(TG_OP_MIN, t, old, v);
    case TG_ATOMIC_MAX:
        return tg_li_binary(TG_OP_MAX, t, old, v);
    case TG_ATOMIC_CAS:
        return old == want ? v : old;
    }
    return old;
}

static void atomic_at(tg_li_run *r, const tg_li_ins *i, int lane, tg_li_space *s, int64_t at,
                      int first_value) {
    tg_li_lane *l = &r->lanes[lane];
    tg_dtype t = (tg_dtype)i->type;
    bool cas = i->imm == TG_ATOMIC_CAS;
    int32_t v = i->arg[first_value], want = cas ? i->arg[first_value + 1] : v;
    bool undefined = l->undefined[v] || l->undefined[want];
    if (undefined && s->device && !s->per_program) {
        (void)tg_li_is_defined(r, i, lane, l->undefined[v] ? v : want, "the value of the atomic");
    }
    bool old_undefined =
        tg_li_touch(r, s, i, lane, at, tg_li_elem_bytes(t), LI_ATOMIC, NULL, undefined);
    uint64_t old = tg_li_read_bits(s->base + at, t);
    tg_li_write_bits(s->base + at, t,
                     combine((tg_atomic_kind)i->imm, t, old, l->cells[v], l->cells[want]));
    l->cells[i->result] = old;
    l->undefined[i->result] = old_undefined;
}

static void exec_atomicm(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    uint64_t addr = l->cells[i->arg[0]];
    int bytes = tg_li_elem_bytes((tg_dtype)i->type);
    l->cells[i->result] = 0;
    l->undefined[i->result] = 0;
    if (!tg_li_is_defined(r, i, lane, i->arg[0], "the address") ||
        !check_align(r, i, lane, addr, bytes)) {
        return;
    }
    tg_li_space *s = tg_li_find(r, i, lane, addr, bytes, true);
    if (s != NULL) {
        tg_li_trace_access(r, i, lane, true, addr, bytes);
        atomic_at(r, i, lane, s, (int64_t)(addr - (uint64_t)(uintptr_t)s->base), 1);
    }
}

/* ---- arrays --------------------------------------------------------------------------------- */

/* First element, or -1 after a report. */
static int64_t array_index(tg_li_run *r, const tg_li_ins *i, int lane, const tg_li_array *a,
                           int64_t n, int64_t align) {
    int64_t index = (int64_t)r->lanes[lane].cells[i->arg[1]];
    if (!tg_li_is_defined(r, i, lane, i->arg[1], "the index")) {
        return -1;
    }
    if (index < 0 || index > a->count - n) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "%lld elements from %lld of an array of %lld",
                     (long long)n, (long long)index, (long long)a->count);
        return -1;
    }
    i->op->scratch = r->opt->mark ? i->op : NULL;
    if (align > 1 && (index + a->offset / a->elem_bytes) % align != 0) {
        tg_li_report(r, TG_LOOP_ALIGN, i->op, lane, "element %lld is not a multiple of %lld",
                     (long long)index, (long long)align);
    }
    return index;
}

static void exec_aload(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    const tg_li_array *a = &r->code->arrays.data[i->arg[0]];
    int64_t index = array_index(r, i, lane, a, i->n, i->imm);
    for (int32_t k = 0; k < i->n; k++) {
        uint64_t v = 0;
        uint8_t u = 0;
        if (index >= 0 && a->space == TG_SPACE_PRIVATE) {
            v = l->cells[a->cell + index + k];
            u = l->undefined[a->cell + index + k];
        } else if (index >= 0) {
            int64_t at = a->offset + (index + k) * a->elem_bytes;
            u = tg_li_touch(r, &r->shared, i, lane, at, a->elem_bytes, LI_READ, NULL, false);
            v = tg_li_read_bits(r->shared.base + at, a->dtype);
        }
        l->cells[i->result + k] = v;
        l->undefined[i->result + k] = u;
    }
    if (index >= 0 && a->space == TG_SPACE_SHARED) {
        tg_li_trace_access(r, i, lane, false, (uint64_t)(a->offset + index * a->elem_bytes),
                           i->n * a->elem_bytes);
    }
}

static void exec_astore(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    const tg_li_array *a = &r->code->arrays.data[i->arg[0]];
    int64_t index = array_index(r, i, lane, a, i->n, i->imm);
    if (index < 0) {
        return;
    }
    if (a->space == TG_SPACE_SHARED) {
        tg_li_trace_access(r, i, lane, false, (uint64_t)(a->offset + index * a->elem_bytes),
                           i->n * a->elem_bytes);
    }
    for (int32_t k = 0; k < i->n; k++) {
        uint64_t v = l->cells[i->arg[2] + k];
        uint8_t u = l->undefined[i->arg[2] + k];
        if (a->space == TG_SPACE_PRIVATE) {
            l->cells[a->cell + index + k] = v;
            l->undefined[a->cell + index + k] = u;
            continue;
        }
        unsigned char raw[8];
        int64_t at = a->offset + (index + k) * a->elem_bytes;
        tg_li_write_bits(raw, a->dtype, v);
        (void)tg_li_touch(r, &r->shared, i, lane, at, a->elem_bytes, LI_WRITE, raw, u);
        memcpy(r->shared.base + at, raw, (size_t)a->elem_bytes);
    }
}

static void exec_aatomic(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    const tg_li_array *a = &r->code->arrays.data[i->arg[0]];
    int64_t index = array_index(r, i, lane, a, 1, 1);
    l->cells[i->result] = 0;
    l->undefined[i->result] = 0;
    if (index >= 0 && a->space != TG_SPACE_SHARED) {
        tg_li_report(r, TG_LOOP_BAD_CODE, i->op, lane, "an atomic on private memory");
    } else if (index >= 0) {
        atomic_at(r, i, lane, &r->shared, a->offset + index * a->elem_bytes, 2);
    }
}

static void exec_slot(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    uint64_t bits = 0;
    if (i->imm < 0 || i->imm >= r->n_slots) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "there is no slot %lld", (long long)i->imm);
    } else {
        bits = (uint64_t)r->slots[i->imm];
    }
    int width = tg_dtype_bits((tg_dtype)i->type);
    bits = width < 64 ? bits & ((UINT64_C(1) << width) - 1) : bits;
    l->cells[i->result] = tg_li_canonical((tg_dtype)i->type, bits);
    l->undefined[i->result] = 0;
}

static bool exec_memory(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    switch ((int)i->code) {
    case TG_OP_SLOT:
        exec_slot(r, i, lane);
        return true;
    case TG_OP_LOADM:
        exec_loadm(r, i, lane);
        return true;
    case TG_OP_STOREM:
        exec_storem(r, i, lane);
        return true;
    case TG_OP_GATHERM:
    case TG_OP_SCATTERM:
        exec_indexed(r, i, lane);
        return true;
    case TG_OP_MEMSET:
    case TG_OP_MEMCPY:
        exec_block(r, i, lane);
        return true;
    case TG_OP_ATOMICM:
        exec_atomicm(r, i, lane);
        return true;
    case TG_OP_ALOAD:
        exec_aload(r, i, lane);
        return true;
    case TG_OP_ASTORE:
        exec_astore(r, i, lane);
        return true;
    case TG_OP_AATOMIC:
        exec_aatomic(r, i, lane);
        return true;
    case TG_OP_ACOPY:
    case TG_OP_AGROUP:
    case TG_OP_ALAND:
        tg_li_async(r, i, lane);
        return true;
    case TG_OP_MBAR_INIT:
    case TG_OP_MBAR_ARRIVE:
    case TG_OP_MBAR_EXPECT:
    case TG_OP_MBAR_COPIED:
        tg_li_mbar(r, i, lane);
        return true;
    case TG_OP_SETREGS:
        return true;
    case TG_OP_PFENCE:
    case TG_OP_GFENCE:
    case TG_OP_GCOMMIT:
    case TG_OP_GWAIT:
        tg_li_products(r, i, lane);
        return true;
    case TG_OP_ALLOCA:
        l->cells[i->result] = (uint64_t)(uintptr_t)l->stack->base + (uint64_t)i->n;
        l->undefined[i->result] = 0;
        return true;
    case TG_OP_PREFETCH:
        return true;
    }
    return false;
}

/* ---- control -------------------------------------------------------------------------------- */

static void exec_moves(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    const tg_li_move *m = &r->code->moves.data[i->imm];
    int32_t at = 0;
    if (i->n == 1) {
        memmove(&l->cells[m->to], &l->cells[m->from], (size_t)m->n * sizeof l->cells[0]);
        memmove(&l->undefined[m->to], &l->undefined[m->from], (size_t)m->n);
        return;
    }
    for (int32_t k = 0; k < i->n; at += m[k].n, k++) {
        memcpy(&r->move_cells[at], &l->cells[m[k].from], (size_t)m[k].n * sizeof l->cells[0]);
        memcpy(&r->move_undefined[at], &l->undefined[m[k].from], (size_t)m[k].n);
    }
    at = 0;
    for (int32_t k = 0; k < i->n; at += m[k].n, k++) {
        memcpy(&l->cells[m[k].to], &r->move_cells[at], (size_t)m[k].n * sizeof l->cells[0]);
        memcpy(&l->undefined[m[k].to], &r->move_undefined[at], (size_t)m[k].n);
    }
}

static void trap(tg_li_run *r, const tg_li_ins *i, int lane, int code) {
    if (r->out->trap == 0) {
        int line = 1, column = 1;
        tg_span s = i->op->span;
        if (s.source != NULL) {
            tg_source_position(s.source, s.begin, &line, &column);
        }
        r->out->trap = code;
        r->out->trap_line = line;
        r->out->trap_program = r->program;
    }
    r->trap = code;
    if (strcmp(r->code->func->role, "simt") != 0) {
        r->lanes[lane].state = LI_DONE; /* returns the code */
    }
}

static void exec_trap(tg_li_run *r, const tg_li_ins *i, int lane) {
    if (!tg_li_is_defined(r, i, lane, i->arg[0], "the condition of a trap")) {
        return;
    }
    bool v = r->lanes[lane].cells[i->arg[0]] != 0;
    if (i->code == TG_OP_TRAP ? v : !v) {
        trap(r, i, lane, i->code == TG_OP_TRAP ? (int)i->imm : TG_CPU_TRAP_ASSERT);
    }
}

/* Instructions that decide what comes next; false when i is another. */
static bool exec_control(tg_li_run *r, const tg_li_ins *i, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    switch ((int)i->code) {
    case LI_JUMP:
        l->pc = i->target;
        return true;
    case LI_UNLESS:
        (void)tg_li_is_defined(r, i, lane, i->arg[0], "a branch");
        l->pc = l->cells[i->arg[0]] == 0 ? i->target : l->pc;
        return true;
    case LI_MOVES:
        exec_moves(r, i, lane);
        return true;
    case LI_FOR_TEST:
        (void)tg_li_is_defined(r, i, lane, i->arg[1], "a loop bound");
        l->pc = (int64_t)l->cells[i->arg[0]] < (int64_t)l->cells[i->arg[1]] ? l->pc : i->target;
        return true;
    case LI_FOR_NEXT: {
        int64_t next;
        l->cells[i->result]++;
        if (!tg_add_i64((int64_t)l->cells[i->arg[0]], (int64_t)l->cells[i->arg[1]], &next)) {
            next = INT64_MAX;
        }
        l->cells[i->arg[0]] = (uint64_t)next;
        l->pc = i->target;
        return true;
    }
    case LI_ZERO:
        l->cells[i->result] = 0;
        return true;
    case LI_TRIP:
        if ((int64_t)l->cells[i->result]++ >= i->imm) {
            trap(r, i, lane, TG_CPU_TRAP_LIMIT);
            l->pc = i->target;
        }
        return true;
    case LI_END:
        l->state = LI_DONE;
        return true;
    case TG_OP_TRAP:
    case TG_OP_ASSERT:
        exec_trap(r, i, lane);
        return true;
    case TG_OP_BARRIER:
        l->state = LI_AT_BARRIER;
        return true;
    case TG_OP_MBAR_WAIT:
        l->state = LI_AT_MBARRIER;
        return true;
    case TG_OP_SHFL:
    case TG_OP_BALLOT:
    case TG_OP_FRAGLOAD:
    case TG_OP_FRAGSTORE:
    case TG_OP_MMA:
        l->state = LI_AT_SHUFFLE;
        return true;
    case TG_OP_GMMA:
        l->state = LI_AT_UNIT;
        return true;
    }
    return false;
}

void tg_li_run_lane(tg_li_run *r, int lane) {
    tg_li_lane *l = &r->lanes[lane];
    while (l->state == LI_RUN && !r->stop) {
        const tg_li_ins *i = &r->code->ins.data[l->pc++];
        if (++r->steps > r->max_steps) {
            tg_li_report(r, TG_LOOP_LIMIT, i->op, lane, "given up after %lld instructions",
                         (long long)r->max_steps);
            r->stop = true;
        } else if (!exec_control(r, i, lane) && !exec_memory(r, i, lane) &&
                   !tg_li_bulk(r, i, lane) && !tg_li_arith(r, i, l->cells, l->undefined)) {
            tg_li_report(r, TG_LOOP_BAD_CODE, i->op, lane, "an operation that cannot be run: %s",
                         i->op != NULL ? tg_op_info_get(i->op->code)->name : "?");
            r->stop = true;
        }
    }
}

/* ---- sub-groups ------------------------------------------------------------------------------ */

static int source_lane(tg_shuffle_mode mode, int lane, int64_t which) {
    switch (mode) {
    case TG_SHUFFLE_XOR:
        return which < 0 ? -1 : lane ^ (int)which;
    case TG_SHUFFLE_INDEX:
        return (int)which;
    case TG_SHUFFLE_UP:
        return lane - (int)which;
    case TG_SHUFFLE_DOWN:
        return lane + (int)which;
    }
    return -1;
}

void tg_li_shuffle(tg_li_run *r, int first, int n) {
    const tg_li_ins *i = &r->code->ins.data[r->lanes[first].pc - 1];
    if (i->code != TG_OP_SHFL && i->code != TG_OP_BALLOT) {
        tg_li_matrix(r, i, first, n);
        return;
    }
    uint64_t values[1024] = {0}, mask = 0;
    uint8_t undefined[1024] = {0}, any = 0;
    for (int k = 0; k < n && k < 1024; k++) {
        values[k] = r->lanes[first + k].cells[i->arg[0]];
        undefined[k] = r->lanes[first + k].undefined[i->arg[0]];
        mask |= k < 64 && values[k] != 0 ? UINT64_C(1) << k : 0;
        any |= undefined[k];
    }
    for (int k = 0; k < n; k++) {
        tg_li_lane *l = &r->lanes[first + k];
        int from = k;
        if (i->code == TG_OP_SHFL) {
            from = source_lane((tg_shuffle_mode)i->imm, k, (int64_t)l->cells[i->arg[1]]);
            (void)tg_li_is_defined(r, i, first + k, i->arg[1], "the lane of a shuffle");
            from = from < 0 || from >= n ? k : from;
        }
        l->cells[i->result] =
            i->code == TG_OP_SHFL ? values[from] : tg_li_canonical((tg_dtype)i->type, mask);
        l->undefined[i->result] = i->code == TG_OP_SHFL ? undefined[from] : any;
        l->state = LI_RUN;
    }
}
