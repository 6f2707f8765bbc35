/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bulk copies (9.7.9.25): cp.async.bulk and cp.reduce.async.bulk, plain and of tensors. What they
 * touch in shared memory is noted when they are issued, under the name of an agent: the mbarrier
 * where they complete, or the warp's groups. Data moves when they are done, some rounds later.
 */
#include "sim/ptx/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LATENCY = 4 }; /* rounds, at most */

/* Operands: 0 destination, 1 its coordinates, 2 source, 3 its coordinates, 4 bytes, 5 mbarrier,
 * 6 mask of blocks. shape[0]: 1 tensor, 2 prefetch. */
enum { OP_TO, OP_TO_AT, OP_FROM, OP_FROM_AT, OP_BYTES, OP_MBARRIER, OP_BLOCKS };

/* ---- moving data ----------------------------------------------------------------------------- */

/* Bytes `at` of a copy: where they lie in shared and in global memory. whole: so do all `bytes`. */
typedef struct sim_piece {
    uint32_t shared;
    uint64_t global;
    bool inside, whole;
} sim_piece;

static sim_piece piece_of(const sim_bulk *b, uint32_t at, uint32_t bytes) {
    sim_piece p = {.shared = b->offset + at, .inside = true, .whole = true};
    if (!b->tensor) {
        p.global = b->global + at;
        return p;
    }
    uint32_t size = sim_tensor_bytes(b->map.type);
    uint64_t last = 0;
    p.shared = sim_swizzled(p.shared, b->map.swizzle);
    p.inside = sim_tensor_element(&b->map, b->at, at / size, &p.global);
    if (bytes > size) {
        p.whole = p.inside && p.global % bytes == 0 &&
                  sim_tensor_element(&b->map, b->at, (at + bytes) / size - 1, &last) &&
                  last - p.global == bytes - size;
    }
    return p;
}

/* Bytes that move together when nothing is in the way, and when something is. */
enum { CHUNK = 16 };
static uint32_t element_of(const sim_bulk *b) {
    return b->tensor ? sim_tensor_bytes(b->map.type) : CHUNK;
}

/* What stands for elements outside of the tensor. */
static uint64_t filling(const sim_tensor_map *map) {
    static const uint64_t nan[SIM_N_TENSOR_TYPES] = {
        [SIM_TENSOR_F16] = 0x7fff,          [SIM_TENSOR_F32] = 0x7fffffff,
        [SIM_TENSOR_F32_FTZ] = 0x7fffffff,  [SIM_TENSOR_F64] = 0x7fffffffffffffff,
        [SIM_TENSOR_BF16] = 0x7fff,         [SIM_TENSOR_TF32] = 0x7fffffff,
        [SIM_TENSOR_TF32_FTZ] = 0x7fffffff,
    };
    return map->fill_nan ? nan[map->type] : 0;
}

static void load_piece(const sim_bulk *b, const sim_piece *p, uint32_t bytes) {
    uint8_t *to = b->block->shared + p->shared;
    if (!p->inside) {
        uint64_t fill = filling(&b->map);
        memcpy(to, &fill, bytes);
        return;
    }
    sim_place at = sim_resolve(b->warp, b->lane, SPACE_GLOBAL, p->global, bytes, ACCESS_READ);
    if (at.data) {
        memcpy(to, at.data, bytes);
    }
}

static void load(const sim_bulk *b) {
    sim_warp *w = b->warp;
    uint32_t size = element_of(b);
    if (b->from_shared) {
        memcpy(b->block->shared + b->offset, b->source->shared + b->source_offset, b->bytes);
    }
    for (uint32_t i = 0; !b->from_shared && i < b->bytes; i += CHUNK) {
        sim_piece p = piece_of(b, i, CHUNK);
        if (p.whole) {
            load_piece(b, &p, CHUNK);
            continue;
        }
        for (uint32_t k = 0; k < CHUNK; k += size) {
            p = piece_of(b, i + k, size);
            load_piece(b, &p, size);
        }
    }
    sim_shadow_set(b->block->shared_written, b->offset, b->bytes);
    if (!w->run->options->no_races) {
        sim_race_pending(b->block, b->offset, b->bytes, false);
    }
}

/* The operation of a reduction on one element. */
static void combine(const sim_bulk *b, uint8_t *to, const uint8_t *from, uint32_t bytes) {
    static const uint8_t types[SIM_N_TENSOR_TYPES] = {
        T_U8, T_U16, T_U32, T_S32, T_U64, T_S64, T_F16, T_F32, T_F32, T_F64, T_BF16, T_F32, T_F32};
    sim_type t = b->tensor ? (sim_type)types[b->map.type] : (sim_type)b->insn->type;
    uint64_t old = 0, v = 0;
    memcpy(&old, to, bytes);
    memcpy(&v, from, bytes);
    v = sim_atomic_value(b->insn->cmp, t, old, v, 0);
    memcpy(to, &v, bytes);
}

static void store_piece(const sim_bulk *b, const sim_piece *p, uint32_t bytes) {
    bool reduces = b->insn->logic;
    const uint8_t *from = b->block->shared + p->shared;
    sim_place at = p->inside ? sim_resolve(b->warp, b->lane, SPACE_GLOBAL, p->global, bytes,
                                           reduces ? ACCESS_ATOMIC : ACCESS_WRITE)
                             : (sim_place){0};
    if (at.data && reduces) {
        combine(b, at.data, from, bytes);
    } else if (at.data) {
        memcpy(at.data, from, bytes);
    }
}

static void store(const sim_bulk *b) {
    bool reduces = b->insn->logic;
    uint32_t size = reduces && !b->tensor ? sim_type_bytes((sim_type)b->insn->type) : element_of(b);
    for (uint32_t i = 0; i < b->bytes; i += CHUNK) {
        sim_piece p = piece_of(b, i, CHUNK);
        if (p.whole && !reduces) {
            store_piece(b, &p, CHUNK);
            continue;
        }
        for (uint32_t k = 0; k < CHUNK; k += size) {
            p = piece_of(b, i + k, size);
            store_piece(b, &p, size);
        }
    }
}

/* Shared memory of another block, with an operation on each element: 9.7.9.25.4. */
static void reduce_shared(const sim_bulk *b) {
    uint32_t size = sim_type_bytes((sim_type)b->insn->type);
    for (uint32_t i = 0; i < b->bytes; i += size) {
        combine(b, b->block->shared + b->offset + i, b->source->shared + b->source_offset + i,
                size);
    }
    if (!b->warp->run->options->no_races) {
        sim_race_pending(b->block, b->offset, b->bytes, false);
    }
}

/* Registers to shared memory: the elements one by one. */
static void words(const sim_bulk *b) {
    uint32_t size = sim_type_bytes((sim_type)b->insn->type);
    for (uint32_t i = 0; i < b->bytes; i += size) {
        if (b->insn->logic) {
            combine(b, b->block->shared + b->offset + i, b->words + i, size);
        } else {
            memcpy(b->block->shared + b->offset + i, b->words + i, size);
        }
    }
    if (!b->insn->logic) {
        sim_shadow_set(b->block->shared_written, b->offset, b->bytes);
    }
    if (!b->warp->run->options->no_races) {
        sim_race_pending(b->block, b->offset, b->bytes, false);
    }
}

/* ---- the queue ------------------------------------------------------------------------------- */

void sim_bulk_push(sim_run *run, sim_bulk *b) {
    b->due = run->rounds + 1 + sim_draw(run) % LATENCY;
    if (run->model) {
        b->done_at = sim_model_copy(b->warp, b->bytes, !b->from_shared && b->kind != BULK_WORDS);
    }
    if (!SIM_PUSH(&run->bulks, *b)) {
        run->no_memory = true;
    }
}

static void finish(sim_run *run, size_t i) {
    sim_bulk b = run->bulks.data[i];
    memmove(&run->bulks.data[i], &run->bulks.data[i + 1],
            (run->bulks.n - i - 1) * sizeof *run->bulks.data);
    run->bulks.n--;
    const sim_insn *at = b.warp->at;
    b.warp->at = b.insn;
    if (b.block && b.kind != BULK_TO_GLOBAL && !sim_block_lives(b.block)) {
        sim_find(b.warp, SIM_FAULT_ASYNC, b.lane, b.offset,
                 "a copy to shared memory of a block that has ended");
    }
    if (b.kind == BULK_ARRIVE) {
        sim_copies_finish(b.warp, b.lane, b.order);
        sim_clock_release(b.warp, b.mbarrier->clock);
        sim_mbarrier_arrive(b.warp, b.lane, b.mbarrier, 1);
    } else if (b.kind == BULK_TO_GLOBAL) {
        store(&b);
    } else {
        if (b.kind == BULK_WORDS) {
            words(&b);
        } else if (b.insn->logic) {
            reduce_shared(&b);
        } else {
            load(&b);
        }
        if (b.mbarrier) {
            b.mbarrier->time = b.done_at > b.mbarrier->time ? b.done_at : b.mbarrier->time;
            sim_mbarrier_complete(b.warp, b.mbarrier, b.bytes, b.epoch);
        }
    }
    b.warp->at = at;
}

/* With a model: the copy that is done first, when all warps that can go are later. */
bool sim_bulk_until(sim_run *run, double time) {
    size_t first = 0;
    for (size_t i = 1; i < run->bulks.n; i++) {
        first = run->bulks.data[i].done_at < run->bulks.data[first].done_at ? i : first;
    }
    bool any = run->bulks.n > 0 && run->bulks.data[first].done_at <= time;
    if (any) {
        finish(run, first);
    }
    return any;
}

bool sim_bulk_progress(sim_run *run, bool all) {
    if (run->model) {
        return all && sim_bulk_until(run, INFINITY);
    }
    for (size_t i = 0; i < run->bulks.n; i++) {
        if (all || run->bulks.data[i].due <= run->rounds) {
            finish(run, i);
            return true;
        }
    }
    return false;
}

void sim_bulk_end(sim_run *run) {
    for (size_t i = 0; i < run->bulks.n && !run->stop; i++) {
        const sim_bulk *b = &run->bulks.data[i];
        b->warp->at = b->insn;
        if (b->kind == BULK_TO_SHARED || b->kind == BULK_WORDS) {
            sim_find(b->warp, SIM_FAULT_ASYNC, b->lane, b->offset,
                     "the block ends while a copy to its shared memory is under way");
        }
    }
    while (!run->stop && sim_bulk_progress(run, true)) {
    }
    run->bulks.n = 0;
}

/* ---- issuing --------------------------------------------------------------------------------- */

/* shared::cluster address of `bytes` bytes. */
static sim_block *shared_at(sim_warp *w, int lane, uint64_t address, uint32_t bytes, uint32_t align,
                            uint32_t *out_offset) {
    uint64_t own = address & ~WINDOW_MASK, rank = own >> CTA_SHIFT,
             at = own & ((1u << CTA_SHIFT) - 1);
    *out_offset = (uint32_t)at;
    if (at % align != 0) {
        sim_find(w, SIM_FAULT_ALIGNMENT, lane, address, "a bulk copy wants multiples of %u", align);
        return NULL;
    }
    if (rank > w->run->n_blocks || bytes > w->run->shared_bytes ||
        at > w->run->shared_bytes - bytes) {
        sim_find(w, SIM_FAULT_BOUNDS, lane, address,
                 "a bulk copy of %u bytes outside of shared memory", bytes);
        return NULL;
    }
    return rank == 0 ? w->block : &w->run->blocks[rank - 1];
}

static bool read_map(sim_warp *w, const sim_insn *in, int op, uint32_t lane, sim_bulk *b) {
    uint8_t bytes[SIM_TENSOR_MAP_BYTES];
    uint64_t address = sim_address(w, in, op, (int)lane);
    const sim_operand *o = &in->op[op + 1];
    if (address % 64 != 0) {
        sim_find(w, SIM_FAULT_ALIGNMENT, (int)lane, address, "a tensor map wants multiples of 64");
        return false;
    }
    for (uint32_t i = 0; i < sizeof bytes; i += 16) {
        sim_place at = sim_resolve(w, (int)lane, SPACE_GENERIC, address + i, 16, ACCESS_READ);
        if (!at.data) {
            return false;
        }
        memcpy(bytes + i, at.data, 16);
    }
    if (!sim_tensor_map_decode(bytes, &b->map) || b->map.rank != o->n) {
        sim_find(w, SIM_FAULT_TRAP, (int)lane, address, "no tensor map of %u dimensions", o->n);
        return false;
    }
    for (uint32_t i = 0; i < o->n; i++) {
        b->at[i] = (int32_t)sim_row(w, w->parts[o->row + i])[lane];
    }
    b->tensor = true;
    b->bytes = sim_tensor_box_bytes(&b->map);
    return true;
}

static bool read_plain(sim_warp *w, const sim_insn *in, uint32_t lane, uint64_t global,
                       sim_bulk *b) {
    b->bytes = (uint32_t)sim_in(w, in, OP_BYTES)[lane];
    b->global = global;
    if (b->bytes % 16 != 0 || global % 16 != 0) {
        sim_find(w, SIM_FAULT_ALIGNMENT, (int)lane, global,
                 "a bulk copy of %u bytes: multiples of 16 are wanted", b->bytes);
        return false;
    }
    return true;
}

/* The copy's destination in one block: noted, queued. */
static void send(sim_warp *w, const sim_insn *in, uint32_t lane, sim_bulk *b) {
    sim_run *run = w->run;
    if (b->mbarrier) {
        b->agent = b->mbarrier->agent;
        b->epoch = ++b->mbarrier->epoch;
    } else {
        b->agent = sim_agent_of_bulk(w);
        b->epoch = ++w->async->epoch;
        w->async->open[lane]++;
        w->async->last[lane] = b->epoch;
    }
    b->warp = w;
    b->insn = in;
    b->lane = (uint8_t)lane;
    if (!run->options->no_races) {
        bool in_shared = b->kind != BULK_TO_GLOBAL;
        sim_race_agent(w, w->clock, b->block, b->offset, b->bytes,
                       !in_shared       ? ACCESS_READ
                       : b->insn->logic ? ACCESS_ATOMIC
                                        : ACCESS_WRITE,
                       b->agent, b->epoch);
        if (in_shared) {
            sim_race_pending(b->block, b->offset, b->bytes, true);
        }
        if (b->from_shared) {
            sim_race_agent(w, w->clock, b->source, b->source_offset, b->bytes, ACCESS_READ,
                           b->agent, b->epoch);
        }
    }
    sim_bulk_push(run, b);
}

static void count_bytes(sim_warp *w, const sim_bulk *b) {
    w->run->report->counters.global_requests++;
    w->run->report->counters.global_sectors += (b->bytes + 31) / 32;
}

/* To shared memory, completing at an mbarrier; to several blocks where a mask is given. */
static void issue_load(sim_warp *w, const sim_insn *in, uint32_t lane) {
    sim_bulk b = {.kind = BULK_TO_SHARED};
    uint64_t from = sim_address(w, in, OP_FROM, (int)lane);
    uint32_t align = in->shape[0] ? 128 : 16;
    b.from_shared = in->type3 != 0;
    bool ok = in->shape[0] ? read_map(w, in, OP_FROM, lane, &b)
                           : read_plain(w, in, lane, b.from_shared ? 0 : from, &b);
    b.block = ok ? shared_at(w, (int)lane, sim_address(w, in, OP_TO, (int)lane), b.bytes, align,
                             &b.offset)
                 : NULL;
    b.source = b.block && b.from_shared
                   ? shared_at(w, (int)lane, from, b.bytes, 16, &b.source_offset)
                   : NULL;
    if (!b.block || (b.from_shared && !b.source)) {
        return;
    }
    uint64_t at = sim_address(w, in, OP_MBARRIER, (int)lane);
    uint64_t blocks = in->op[OP_BLOCKS].kind == OPERAND_ROW
                          ? sim_in(w, in, OP_BLOCKS)[lane] & 0xffff
                          : 1u << b.block->rank;
    if (!b.from_shared) {
        count_bytes(w, &b);
    }
    for (uint32_t r = 0; r < MAX_CLUSTER; r++) {
        if (!(blocks >> r & 1)) {
            continue;
        }
        if (r >= w->run->n_blocks) {
            sim_find(w, SIM_FAULT_BOUNDS, (int)lane, r, "multicast to block %u of a cluster of %u",
                     r, w->run->n_blocks);
            return;
        }
        b.block = &w->run->blocks[r];
        uint64_t offset = at & ((1u << CTA_SHIFT) - 1);
        b.mbarrier =
            sim_mbarrier_at(w, (int)lane, SPACE_SHARED, (uint64_t)(r + 1) << CTA_SHIFT | offset);
        if (b.mbarrier) {
            send(w, in, lane, &b);
        }
    }
}

static void issue_store(sim_warp *w, const sim_insn *in, uint32_t lane) {
    sim_bulk b = {.kind = BULK_TO_GLOBAL};
    bool ok = in->shape[0] ? read_map(w, in, OP_TO, lane, &b)
                           : read_plain(w, in, lane, sim_address(w, in, OP_TO, (int)lane), &b);
    b.block = ok ? shared_at(w, (int)lane, sim_address(w, in, OP_FROM, (int)lane), b.bytes,
                             in->shape[0] ? 128 : 16, &b.offset)
                 : NULL;
    if (!b.block) {
        return;
    }
    if (!sim_shadow_all(b.block->shared_written, b.offset, b.bytes)) {
        sim_find(w, SIM_FAULT_UNINITIALISED, (int)lane, b.offset,
                 "a bulk copy of shared memory that nobody wrote");
    }
    count_bytes(w, &b);
    send(w, in, lane, &b);
}

static void issue(sim_warp *w, const sim_insn *in, uint32_t mask) {
    EACH_LANE(l, mask) {
        if (in->mode == BULK_TO_SHARED) {
            issue_load(w, in, l);
        } else {
            issue_store(w, in, l);
        }
    }
}

/* 0 address, 1 values, 2 mbarrier */
static void issue_words(sim_warp *w, const sim_insn *in, uint32_t mask) {
    uint32_t size = sim_type_bytes((sim_type)in->type);
    EACH_LANE(l, mask) {
        sim_bulk b = {.kind = BULK_WORDS, .bytes = size * in->vector};
        for (uint32_t i = 0; i < in->vector; i++) {
            uint32_t row =
                in->op[1].kind == OPERAND_VECTOR ? w->parts[in->op[1].row + i] : in->op[1].row;
            memcpy(b.words + (size_t)i * size, &sim_row(w, row)[l], size);
        }
        b.block = shared_at(w, (int)l, sim_address(w, in, 0, (int)l), b.bytes, b.bytes, &b.offset);
        b.mbarrier = b.block
                         ? sim_mbarrier_at(w, (int)l, SPACE_SHARED, sim_address(w, in, 2, (int)l))
                         : NULL;
        if (b.mbarrier) {
            send(w, in, l, &b);
        }
    }
}

/* ---- groups ---------------------------------------------------------------------------------- */

static void commit(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_async *a = w->async;
    (void)in;
    EACH_LANE(l, mask) {
        a->epochs[l][a->groups[l]++ % GROUPS_KEPT] = a->last[l];
        a->open[l] = 0;
    }
}

/* All but the newest n groups are done; the warp knows what their copies read. */
static void wait(sim_warp *w, const sim_insn *in, uint32_t mask) {
    sim_async *a = w->async;
    EACH_LANE(l, mask) {
        uint32_t n = (uint32_t)sim_in(w, in, 0)[l];
        uint32_t done = a->groups[l] > n ? a->groups[l] - n : 0;
        if (done <= a->waited[l] || n >= GROUPS_KEPT) {
            continue;
        }
        uint32_t epoch = a->epochs[l][(done - 1) % GROUPS_KEPT];
        a->waited[l] = done;
        for (size_t i = 0; i < w->run->bulks.n;) {
            const sim_bulk *b = &w->run->bulks.data[i];
            bool own = b->kind == BULK_TO_GLOBAL && b->warp == w && b->lane == l;
            if (own && b->epoch <= epoch) {
                a->copies_time = b->done_at > a->copies_time ? b->done_at : a->copies_time;
                finish(w->run, i);
            } else {
                i++;
            }
        }
        if (w->run->model) {
            sim_model_wait(w, a->copies_time, "waits for copies");
        }
        uint32_t *known = &w->clock[sim_agent_of_bulk(w)];
        *known = *known > epoch ? *known : epoch;
    }
}

void sim_bulk_leave(sim_warp *w, uint32_t mask) {
    const sim_async *a = w->async;
    EACH_LANE(l, a ? mask : 0) {
        if (a->open[l] || a->waited[l] < a->groups[l]) {
            sim_find(w, SIM_FAULT_ASYNC, (int)l, 0,
                     "a thread ends that has not waited for its bulk copies");
        }
    }
}

/* ---- decoding -------------------------------------------------------------------------------- */

static void nothing(sim_warp *w, const sim_insn *in, uint32_t mask) {
    (void)w;
    (void)in;
    (void)mask;
}

bool sim_words_family(sim_decoder *d, bool reduces) {
    static const char *const vectors[] = {"v2", "v4", NULL};
    sim_insn *in = d->in;
    d->p->module->asynchronous = true;
    sim_took_hints(d);
    in->logic = reduces;
    in->cmp = (uint8_t)sim_took_atomic(d);
    in->vector = (uint8_t)(1u << sim_took_one(d, vectors));
    in->type = (uint8_t)sim_took_type(d);
    bool ok = sim_took(d, "shared::cluster") && sim_took(d, "mbarrier::complete_tx::bytes") &&
              in->type && reduces == (in->cmp != 0) && sim_operands(d, "AvA");
    uint32_t n = in->op[1].kind == OPERAND_VECTOR ? in->op[1].n : 1;
    return ok && n == in->vector && n * sim_type_bytes((sim_type)in->type) <= 16 &&
           sim_execs(d, issue_words, SIM_CLASS_ASYNC);
}

/* Operands in the order of the text, to the places of OP_. */
static void place(sim_insn *in, const uint8_t *to, int n) {
    sim_operand given[MAX_OPERANDS];
    memcpy(given, in->op, sizeof given);
    for (int i = 0; i < MAX_OPERANDS; i++) {
        in->op[i] = (sim_operand){.kind = OPERAND_NONE, .row = ROW_NONE};
    }
    for (int i = 0; i < n; i++) {
        in->op[to[i]] = given[i];
    }
    in->n = OP_BLOCKS + 1;
}

static bool prefetch(sim_decoder *d, bool tensor) {
    (void)sim_took(d, "tile");
    sim_took_hints(d);
    (void)sim_took(d, "L2");
    return sim_took(d, "global") && sim_operands(d, tensor ? "M?S" : "AS?S") &&
           sim_execs(d, nothing, SIM_CLASS_ASYNC);
}

static bool to_shared(sim_decoder *d, bool tensor, bool many, bool hint) {
    static const uint8_t tensors[] = {OP_TO, OP_FROM, OP_FROM_AT, OP_MBARRIER, OP_BLOCKS};
    static const uint8_t plain[] = {OP_TO, OP_FROM, OP_BYTES, OP_MBARRIER, OP_BLOCKS};
    const char *letters = tensor ? (many   ? "AMAS?S"
                                    : hint ? "AMA?S"
                                           : "AMA")
                                 : (many   ? "AASAS?S"
                                    : hint ? "AASA?S"
                                           : "AASA");
    if (!sim_operands(d, letters)) {
        return false;
    }
    place(d->in, tensor ? tensors : plain, many ? 5 : 4);
    return sim_execs(d, issue, SIM_CLASS_ASYNC);
}

static bool to_global(sim_decoder *d, bool tensor) {
    static const uint8_t tensors[] = {OP_TO, OP_TO_AT, OP_FROM};
    static const uint8_t plain[] = {OP_TO, OP_FROM, OP_BYTES};
    if (!sim_operands(d, tensor ? "MA?S" : "AAS?S")) {
        return false;
    }
    place(d->in, tensor ? tensors : plain, 3);
    return sim_execs(d, issue, SIM_CLASS_ASYNC);
}

/* The operation of a reduction and, where it is not of a tensor, its type. */
static bool took_reduction(sim_decoder *d, bool tensor) {
    sim_insn *in = d->in;
    in->logic = 1;
    in->cmp = (uint8_t)sim_took_atomic(d);
    (void)sim_took(d, "noftz");
    in->type = tensor ? T_NONE : (uint8_t)sim_took_type(d);
    return in->cmp && (tensor || in->type);
}

static bool copies(sim_decoder *d, bool reduces) {
    static const char *const ranks[] = {"1d", "2d", "3d", "4d", "5d", NULL};
    sim_insn *in = d->in;
    bool tensor = sim_took(d, "tensor");
    if (sim_took(d, "prefetch")) {
        (void)sim_took_one(d, ranks);
        return !reduces && prefetch(d, tensor);
    }
    int rank = tensor ? sim_took_one(d, ranks) : 0;
    in->shape[0] = tensor;
    bool cluster = sim_took(d, "shared::cluster"), own = sim_took(d, "shared::cta"),
         global = sim_took(d, "global"), barrier = sim_took(d, "mbarrier::complete_tx::bytes"),
         group = sim_took(d, "bulk_group"), many = sim_took(d, "multicast::cluster");
    bool hint = sim_took(d, "L2::cache_hint");
    (void)sim_took(d, "tile");
    bool known =
        (tensor == (rank != 0)) && barrier != group && (!reduces || took_reduction(d, tensor));
    if (!known || (reduces && barrier && global)) {
        return false;
    }
    in->mode = barrier ? BULK_TO_SHARED : BULK_TO_GLOBAL;
    in->type3 = !global; /* from shared memory to shared memory */
    if (barrier ? !(cluster || own) : !(own && global)) {
        return false;
    }
    return barrier ? to_shared(d, tensor, many, hint) : to_global(d, tensor);
}

bool sim_bulk_family(sim_decoder *d, bool reduces) {
    d->p->module->asynchronous = true;
    if (sim_took(d, "commit_group")) {
        return sim_operands(d, "") && sim_execs(d, commit, SIM_CLASS_ASYNC);
    }
    if (sim_took(d, "wait_group")) {
        (void)sim_took(d, "read");
        return sim_operands(d, "S") && sim_execs(d, wait, SIM_CLASS_ASYNC);
    }
    return copies(d, reduces);
}
