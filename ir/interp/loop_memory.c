/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory of the loop interpreter: spaces of bytes, each byte with a note of who wrote and who read
 * it last. Two accesses are ordered when a barrier of the right fence lies between them, or when
 * one lane makes both. Programs are never ordered; only atomics may meet.
 */
#include <stdlib.h>
#include <string.h>

#include "ir/interp/loop_internal.h"

int tg_li_elem_bytes(tg_dtype t) {
    int bits = tg_dtype_bits(t);
    return bits < 8 ? 1 : bits / 8;
}

uint64_t tg_li_read_bits(const unsigned char *p, tg_dtype t) {
    uint64_t v = 0;
    memcpy(&v, p, (size_t)tg_li_elem_bytes(t)); /* little-endian hosts, as everywhere */
    if (t == TG_DT_BOOL) {
        return v != 0;
    }
    return tg_dtype_is_float(t) ? v : (uint64_t)tg_int_decode(t, v);
}

void tg_li_write_bits(unsigned char *p, tg_dtype t, uint64_t bits) {
    memcpy(p, &bits, (size_t)tg_li_elem_bytes(t));
}

/* ---- finding a space ------------------------------------------------------------------------ */

static bool inside(const tg_li_space *s, uint64_t addr, int64_t bytes) {
    uint64_t base = (uint64_t)(uintptr_t)s->base;
    return addr >= base && addr - base <= (uint64_t)s->bytes &&
           (uint64_t)s->bytes - (addr - base) >= (uint64_t)bytes;
}

static const tg_li_space *nearest(const tg_li_run *r, uint64_t addr, int64_t *out_offset) {
    const tg_li_space *best = NULL;
    uint64_t least = UINT64_MAX;
    for (int k = 0; k < r->n_spaces; k++) {
        uint64_t base = (uint64_t)(uintptr_t)r->spaces[k]->base;
        uint64_t end = base + (uint64_t)r->spaces[k]->bytes;
        uint64_t far = addr < base ? base - addr : addr >= end ? addr - end : 0;
        if (far < least) {
            least = far;
            best = r->spaces[k];
            *out_offset = (int64_t)(addr - base);
        }
    }
    return best;
}

tg_li_space *tg_li_find(tg_li_run *r, const tg_li_ins *i, int lane, uint64_t addr, int64_t bytes,
                        bool write) {
    for (int k = 0; k < r->n_spaces; k++) {
        tg_li_space *s = r->spaces[k];
        if (!inside(s, addr, bytes)) {
            continue;
        }
        if (write && !s->writable) {
            tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "writes to %s, which is read-only",
                         s->name);
            return NULL;
        }
        if (r->opt->mark && i->op != NULL) {
            i->op->scratch = i->op;
        }
        if (k > 0) { /* the last one found is the likeliest next */
            r->spaces[k] = r->spaces[k / 2];
            r->spaces[k / 2] = s;
        }
        return s;
    }
    int64_t offset = 0;
    const tg_li_space *s = nearest(r, addr, &offset);
    tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "%s %lld bytes outside of all memory%s%s",
                 write ? "writes" : "reads", (long long)bytes, s != NULL ? "; nearest: " : "",
                 s == NULL ? ""
                           : tg_arena_printf(r->arena, "byte %lld of the %lld of %s",
                                             (long long)offset, (long long)s->bytes, s->name));
    return NULL;
}

/* ---- writers of one value ------------------------------------------------------------------- */

static size_t words(const tg_li_run *r) { return ((size_t)r->n_lanes + 63) / 64; }

static bool in_set(const tg_li_run *r, const tg_li_space *s, int32_t set, int lane) {
    const uint64_t *bits = &s->sets[(size_t)(-2 - set) * words(r)];
    return (bits[lane / 64] >> (lane % 64) & 1) != 0;
}

static bool wrote(const tg_li_run *r, const tg_li_space *s, const tg_li_byte *b, int lane) {
    return b->w_lane == lane || (b->w_lane <= -2 && in_set(r, s, b->w_lane, lane));
}

static void join_writers(tg_li_run *r, tg_li_space *s, tg_li_byte *b, int lane) {
    size_t n = words(r);
    if (b->w_lane >= 0) {
        if (s->n_sets == s->set_cap) {
            size_t cap = s->set_cap == 0 ? 256 : s->set_cap * 2;
            uint64_t *more = TG_NEW_ARRAY(r->arena, uint64_t, cap *n);
            if (s->n_sets > 0) {
                memcpy(more, s->sets, s->n_sets * n * sizeof more[0]);
            }
            s->sets = more;
            s->set_cap = cap;
        }
        uint64_t *bits = &s->sets[s->n_sets * n];
        memset(bits, 0, n * sizeof bits[0]);
        bits[b->w_lane / 64] |= UINT64_C(1) << (b->w_lane % 64);
        b->w_lane = -2 - (int32_t)s->n_sets++;
    }
    s->sets[(size_t)(-2 - b->w_lane) * n + (size_t)(lane / 64)] |= UINT64_C(1) << (lane % 64);
}

/* ---- one byte ------------------------------------------------------------------------------- */

static void race(tg_li_run *r, const tg_li_space *s, const tg_li_ins *i, int lane, int64_t at,
                 const char *now, const char *before, int32_t other, int64_t program) {
    if (program != r->program) {
        tg_li_report(r, TG_LOOP_RACE, i->op, lane,
                     "byte %lld of %s is %s here and was %s by another program", (long long)at,
                     s->name, now, before);
    } else {
        tg_li_report(r, TG_LOOP_RACE, i->op, lane,
                     "byte %lld of %s is %s here and was %s by %s%d with no barrier between",
                     (long long)at, s->name, now, before, other >= 0 ? "lane " : "lanes, not only ",
                     other >= 0 ? (int)other : lane);
    }
}

static bool same_program(const tg_li_run *r, const tg_li_space *s, int32_t program) {
    return s->per_program || program == (int32_t)r->program;
}

/* The byte's last write and an access of this lane: in order? */
static bool after_write(tg_li_run *r, tg_li_space *s, const tg_li_byte *b, uint32_t now, int lane,
                        tg_li_access access, bool same_value) {
    if (b->w_epoch == 0 || (b->w_atomic && access == LI_ATOMIC)) {
        return true;
    }
    if (!same_program(r, s, b->w_program)) {
        return s->per_program;
    }
    return b->w_epoch != now || wrote(r, s, b, lane) ||
           (access == LI_WRITE && same_value && s->per_program && !b->w_atomic);
}

static bool after_reads(const tg_li_run *r, const tg_li_space *s, const tg_li_byte *b, uint32_t now,
                        int lane) {
    if (b->r_epoch == 0) {
        return true;
    }
    if (!same_program(r, s, b->r_program)) {
        return false;
    }
    return b->r_epoch != now || b->r_lane == lane;
}

static void note_read(const tg_li_run *r, tg_li_byte *b, uint32_t now, int lane) {
    if (b->r_program != (int32_t)r->program) {
        b->r_program = b->r_epoch == 0 ? (int32_t)r->program : -2;
        b->r_lane = lane;
    } else if (b->r_epoch == now && b->r_lane != lane) {
        b->r_lane = -2;
    } else {
        b->r_lane = lane;
    }
    b->r_epoch = now;
}

static void note_write(tg_li_run *r, tg_li_space *s, tg_li_byte *b, uint32_t now, int lane,
                       bool atomic, bool undefined) {
    if (b->w_epoch == now && b->w_program == (int32_t)r->program && !wrote(r, s, b, lane)) {
        join_writers(r, s, b, lane); /* one value by several lanes, or atomics */
    } else if (b->w_epoch != now || b->w_program != (int32_t)r->program) {
        b->w_lane = lane;
    }
    b->w_epoch = now;
    b->w_program = (int32_t)r->program;
    b->w_atomic = atomic;
    b->undefined = undefined;
}

bool tg_li_touch(tg_li_run *r, tg_li_space *s, const tg_li_ins *i, int lane, int64_t at, int64_t n,
                 tg_li_access access, const unsigned char *with, bool undefined) {
    uint32_t now = r->epoch[s->device], first = r->first_epoch[s->device];
    bool found_undefined = false, told = false;
    if (s->shadow == NULL) {
        return false;
    }
    if (s->owner >= 0 && s->owner != lane) {
        tg_li_report(r, TG_LOOP_BOUNDS, i->op, lane, "touches the stack of another lane");
        return false;
    }
    if (r->code->roles) {
        return tg_li_touch_ordered(r, s, i, lane, at, n, access, with, undefined);
    }
    for (int64_t k = at; k < at + n; k++) {
        tg_li_byte *b = &s->shadow[k];
        if (s->per_program && b->w_epoch < first) { /* of an earlier program: forget */
            *b = (tg_li_byte){
                .undefined = 1, .w_program = (int32_t)r->program, .r_program = (int32_t)r->program};
        }
        found_undefined |= access != LI_WRITE && b->undefined;
        bool same = with != NULL && with[k - at] == s->base[k];
        if (!told && !after_write(r, s, b, now, lane, access, same)) {
            race(r, s, i, lane, k, access == LI_READ ? "read" : "written",
                 b->w_atomic ? "changed atomically" : "written", b->w_lane, b->w_program);
            told = true;
        }
        if (!told && access == LI_WRITE && !after_reads(r, s, b, now, lane)) {
            race(r, s, i, lane, k, "written", "read", b->r_lane, b->r_program);
            told = true;
        }
        if (access == LI_READ) {
            note_read(r, b, now, lane);
        } else {
            note_write(r, s, b, now, lane, access == LI_ATOMIC,
                       access == LI_WRITE ? undefined : undefined || b->undefined);
        }
    }
    return found_undefined;
}

void tg_li_barrier(tg_li_run *r, tg_fence fence) {
    if (fence != TG_FENCE_GLOBAL) {
        r->epoch[0]++;
        r->shared.n_sets = 0;
    }
    if (fence != TG_FENCE_SHARED) {
        r->epoch[1]++;
        for (int k = 0; k < r->n_spaces; k++) {
            r->spaces[k]->n_sets = 0;
        }
    }
}

void tg_li_next_program(tg_li_run *r) {
    tg_li_barrier(r, TG_FENCE_ALL);
    r->first_epoch[0] = r->epoch[0];
    r->first_epoch[1] = r->epoch[1];
}

/* ---- counters ------------------------------------------------------------------------------- */

enum { MAX_TRACES = 1 << 20, SECTOR = 32, BANK_BYTES = 4 };

void tg_li_trace_access(tg_li_run *r, const tg_li_ins *i, int lane, bool device, uint64_t addr,
                        int64_t bytes) {
    tg_li_lane *l = &r->lanes[lane];
    if (l->instances == NULL || r->traces.count >= MAX_TRACES) {
        return;
    }
    uint32_t ins = (uint32_t)(i - r->code->ins.data);
    tg_li_trace t = {ins, l->instances[ins]++, (uint16_t)lane, (uint16_t)bytes, device, addr};
    TG_LIST_PUSH(r->arena, &r->traces, t);
}

static int by_instance(const void *x, const void *y) {
    const tg_li_trace *a = x, *b = y;
    if (a->ins != b->ins) {
        return a->ins < b->ins ? -1 : 1;
    }
    return (a->instance > b->instance) - (a->instance < b->instance);
}

static int by_number(const void *x, const void *y) {
    uint64_t a = *(const uint64_t *)x, b = *(const uint64_t *)y;
    return (a > b) - (a < b);
}

/* The distinct units of `unit` bytes that a group of accesses touches, ascending. */
static size_t distinct_units(const tg_li_trace *t, size_t n, uint64_t unit, uint64_t *units) {
    enum { MOST = 4096 };
    size_t count = 0, kept = 0;
    for (size_t k = 0; k < n; k++) {
        uint64_t last = (t[k].addr + t[k].bytes - 1) / unit;
        for (uint64_t u = t[k].addr / unit; u <= last && count < MOST; u++) {
            units[count++] = u;
        }
    }
    qsort(units, count, sizeof units[0], by_number);
    for (size_t k = 0; k < count; k++) {
        if (k == 0 || units[k] != units[k - 1]) {
            units[kept++] = units[k];
        }
    }
    return kept;
}

typedef TG_LIST(tg_loop_conflict) conflict_list;

/* `ideal` cycles became `most`. Groups of one instruction follow each other. */
static void note_conflict(tg_li_run *r, conflict_list *list, const tg_op *op, int64_t most,
                          int64_t ideal) {
    tg_loop_conflict *last = list->count > 0 ? &list->data[list->count - 1] : NULL;
    if (last == NULL || last->op != op) {
        TG_LIST_PUSH(r->arena, list, (tg_loop_conflict){.op = op});
        last = &list->data[list->count - 1];
    }
    last->accesses++;
    last->extra += most - ideal;
    last->degree = tg_max_i64(last->degree, tg_cdiv_i64(most, ideal));
}

static void count_group(tg_li_run *r, const tg_li_trace *t, size_t n, uint64_t *units,
                        conflict_list *list) {
    if (t[0].device) {
        int64_t bytes = 0;
        size_t sectors = distinct_units(t, n, SECTOR, units);
        bytes = (int64_t)distinct_units(t, n, 1, units);
        r->out->global_accesses++;
        r->out->sectors += (int64_t)sectors;
        r->out->sectors_needed += (bytes + SECTOR - 1) / SECTOR;
        return;
    }
    int banks = r->opt->banks > 0 && r->opt->banks <= 64 ? r->opt->banks : 32;
    int64_t load[64] = {0}, most = 0;
    size_t w = distinct_units(t, n, BANK_BYTES, units);
    for (size_t k = 0; k < w; k++) {
        int64_t of_bank = ++load[units[k] % (uint64_t)banks];
        most = of_bank > most ? of_bank : most;
    }
    r->out->shared_accesses++;
    int64_t ideal = ((int64_t)w + banks - 1) / banks;
    r->out->bank_conflicts += most - ideal;
    if (most > ideal) {
        note_conflict(r, list, r->code->ins.data[t[0].ins].op, most, ideal);
    }
}

void tg_li_count_traces(tg_li_run *r) {
    if (r->traces.count == 0) {
        return;
    }
    uint64_t *units = TG_NEW_ARRAY(r->arena, uint64_t, 4096);
    conflict_list list = {0};
    qsort(r->traces.data, r->traces.count, sizeof r->traces.data[0], by_instance);
    for (size_t begin = 0, end; begin < r->traces.count; begin = end) {
        for (end = begin + 1; end < r->traces.count &&
                              by_instance(&r->traces.data[begin], &r->traces.data[end]) == 0;) {
            end++;
        }
        count_group(r, &r->traces.data[begin], end - begin, units, &list);
    }
    r->out->conflicts = list.data;
    r->out->n_conflicts = (int)list.count;
    r->traces.count = 0;
}
