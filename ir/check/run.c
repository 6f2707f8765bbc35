/* SPDX-License-Identifier: Apache-2.0 */
/* Programs, roles and events of the placed interpreter; see run.h. */
#include <stdlib.h>
#include <string.h>

#include "ir/check/run.h"

enum { MAX_TURN = 24 };

static uint64_t next_random(tg_run *r) {
    uint64_t z = r->base.random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

void *tg_run_temp(tg_run *r, int64_t bytes) {
    void *p = tg_stack_alloc(&r->tiles.stack, (size_t)bytes);
    memset(p, 0, (size_t)bytes);
    return p;
}

/* ---- control -------------------------------------------------------------------------------- */

static void start_thread(tg_run *r, int32_t pc, const tg_run_thread *from) {
    tg_run_thread *t = &r->threads[r->n_threads];
    if (r->n_threads == r->max_threads) {
        tg_li_report(&r->base, TG_LOOP_BAD_CODE, NULL, 0, "too many roles");
        return;
    }
    if (t->cells == NULL) {
        t->cells = TG_NEW_ARRAY(r->arena, uint64_t, r->n_cells);
        t->undefined = TG_NEW_ARRAY(r->arena, uint8_t, r->n_cells);
        t->seen = TG_NEW_ARRAY(r->arena, uint32_t, r->max_threads);
        t->epoch = 1;
    }
    t->pc = pc;
    t->done = t->blocked = false;
    t->copies.count = 0;
    tg_run_thread *past = t;
    for (int k = 0; k < r->n_threads; k++) { /* what came before is over */
        past->seen[k] = r->threads[k].epoch;
    }
    if (from != NULL) {
        memcpy(t->cells, from->cells, (size_t)r->n_cells * sizeof t->cells[0]);
        memcpy(t->undefined, from->undefined, (size_t)r->n_cells);
        memcpy(t->seen, from->seen, (size_t)r->n_threads * sizeof t->seen[0]);
        t->seen[from - r->threads] = from->epoch;
    }
    r->n_threads++;
}

static void start_role(tg_run *r, const tg_li_ins *i) {
    tg_run_thread *t = tg_run_now(r);
    int64_t n = tg_attr_int(i->op, TG_ATTR_REPLICAS, 1);
    for (int64_t k = 0; k < n; k++) {
        t->cells[i->result] = (uint64_t)k;
        start_thread(r, t->pc, t);
    }
    t->epoch++;
    t->pc = i->target;
}

static void run_moves(tg_run *r, const tg_li_ins *i) {
    tg_run_thread *t = tg_run_now(r);
    const tg_li_move *m = &r->code->moves.data[i->imm];
    int64_t n = 0, at = 0;
    for (int32_t k = 0; k < i->n; k++) {
        n += m[k].n;
    }
    uint64_t *cells = tg_run_temp(r, n * (int64_t)sizeof cells[0]);
    uint8_t *undefined = tg_run_temp(r, n);
    for (int32_t k = 0; k < i->n; at += m[k].n, k++) {
        memcpy(&cells[at], &t->cells[m[k].from], (size_t)m[k].n * sizeof cells[0]);
        memcpy(&undefined[at], &t->undefined[m[k].from], (size_t)m[k].n);
    }
    at = 0;
    for (int32_t k = 0; k < i->n; at += m[k].n, k++) {
        memcpy(&t->cells[m[k].to], &cells[at], (size_t)m[k].n * sizeof cells[0]);
        memcpy(&t->undefined[m[k].to], &undefined[at], (size_t)m[k].n);
    }
}

static void need_defined(tg_run *r, const tg_li_ins *i, int32_t reg) {
    if (tg_run_now(r)->undefined[reg]) {
        tg_li_report(&r->base, TG_LOOP_UNDEFINED, i->op, 0,
                     "control flow depends on memory that nobody wrote");
    }
}

static bool run_control(tg_run *r, const tg_li_ins *i) {
    tg_run_thread *t = tg_run_now(r);
    switch ((int)i->code) {
    case LI_JUMP:
        t->pc = i->target;
        return true;
    case LI_UNLESS:
        need_defined(r, i, i->arg[0]);
        t->pc = t->cells[i->arg[0]] == 0 ? i->target : t->pc;
        return true;
    case LI_MOVES:
        run_moves(r, i);
        return true;
    case LI_FOR_TEST:
        need_defined(r, i, i->arg[1]);
        t->pc = (int64_t)t->cells[i->arg[0]] < (int64_t)t->cells[i->arg[1]] ? t->pc : i->target;
        return true;
    case LI_FOR_NEXT:
        t->cells[i->arg[0]] += t->cells[i->arg[1]];
        t->pc = i->target;
        return true;
    case LI_ZERO:
        t->cells[i->result] = 0;
        return true;
    case LI_TRIP:
        if ((int64_t)t->cells[i->result]++ >= i->imm) {
            r->base.out->trap = TG_CPU_TRAP_LIMIT;
            t->pc = i->target;
        }
        return true;
    case LI_ROLE:
        start_role(r, i);
        return true;
    case LI_END:
        t->done = true;
        return true;
    }
    return false;
}

/* ---- events --------------------------------------------------------------------------------- */

static void make_event(tg_run *r, const tg_op *op) {
    int64_t n = tg_attr_int(op, TG_ATTR_N, 1), count = tg_attr_int(op, TG_ATTR_N_COUNT, 0);
    tg_run_now(r)->cells[tg_run_reg(r, &op->results[0])] = (uint64_t)r->semaphores.count;
    tg_run_now(r)->undefined[tg_run_reg(r, &op->results[0])] = 0;
    for (int64_t k = 0; k < n; k++) {
        tg_run_semaphore s = {.count = count, .initial = count};
        s.seen = TG_NEW_ARRAY(r->arena, uint32_t, r->max_threads);
        TG_LIST_PUSH(r->arena, &r->semaphores, s);
    }
}

static tg_run_semaphore *semaphore_of(tg_run *r, const tg_op *op) {
    int64_t base = tg_run_scalar(r, op, tg_operand(op, 0), "an event");
    int64_t slot = tg_run_scalar(r, op, tg_operand(op, 1), "a slot");
    const tg_op *event = tg_operand(op, 0)->def;
    int64_t n = event != NULL ? tg_attr_int(event, TG_ATTR_N, 1) : 1;
    int64_t at = base + (slot % n + n) % n;
    return at >= 0 && at < (int64_t)r->semaphores.count ? &r->semaphores.data[at] : NULL;
}

static void run_signal(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    tg_run_semaphore *s = semaphore_of(r, op);
    if (s == NULL) {
        return;
    }
    s->count++;
    for (int k = 0; k < r->max_threads; k++) {
        s->seen[k] = s->seen[k] > t->seen[k] ? s->seen[k] : t->seen[k];
    }
    s->seen[r->thread] = t->epoch++;
}

/* False when it has to wait; it comes back to the same instruction. */
static bool run_await(tg_run *r, const tg_op *op) {
    tg_run_thread *t = tg_run_now(r);
    tg_run_semaphore *s = semaphore_of(r, op);
    if (s == NULL) {
        return true;
    }
    int64_t need = tg_attr_int(op, TG_ATTR_N_COUNT, 1);
    if (s->count < need) {
        t->blocked = true;
        t->pc--;
        return false;
    }
    s->count -= need;
    t->blocked = false;
    for (int k = 0; k < r->max_threads; k++) {
        t->seen[k] = s->seen[k] > t->seen[k] ? s->seen[k] : t->seen[k];
    }
    return true;
}

/* ---- one instruction --------------------------------------------------------------------------
 */

static bool run_event(tg_run *r, const tg_op *op) {
    switch ((int)op->code) {
    case TG_OP_EVENT:
        make_event(r, op);
        return true;
    case TG_OP_SIGNAL:
        run_signal(r, op);
        return true;
    case TG_OP_AWAIT:
        (void)run_await(r, op);
        return true;
    }
    return false;
}

static void run_instruction(tg_run *r) {
    tg_run_thread *t = tg_run_now(r);
    const tg_li_ins *i = &r->code->ins.data[t->pc++];
    tg_stack_mark mark = tg_stack_get_mark(&r->tiles.stack);
    if (++r->base.steps > r->base.max_steps) {
        tg_li_report(&r->base, TG_LOOP_LIMIT, i->op, 0, "given up after %lld operations",
                     (long long)r->base.max_steps);
        r->base.stop = true;
        return;
    }
    if (!run_control(r, i) && !tg_run_dense_op(r, i) && !tg_run_buffer_op(r, i) &&
        !run_event(r, i->op) && !tg_run_tile_op(r, i)) {
        tg_li_report(&r->base, TG_LOOP_BAD_CODE, i->op, 0, "placed code does not have %s",
                     i->op != NULL ? tg_op_info_get(i->op->code)->name : "this");
        r->base.stop = true;
    }
    if (i->code != TG_OP_VIEW) { /* a view lives on */
        tg_stack_release(&r->tiles.stack, mark);
    }
}

/* ---- programs ------------------------------------------------------------------------------- */

/* A thread that can go on, by chance; -1: none. */
static int pick_thread(tg_run *r) {
    int ready = 0, chosen = -1;
    for (int k = 0; k < r->n_threads; k++) {
        tg_run_thread *t = &r->threads[k];
        bool can = !t->done;
        if (can && t->blocked) {
            const tg_op *op = r->code->ins.data[t->pc].op;
            int keep = r->thread;
            r->thread = k;
            const tg_run_semaphore *s = semaphore_of(r, op);
            r->thread = keep;
            can = s == NULL || s->count >= tg_attr_int(op, TG_ATTR_N_COUNT, 1);
        }
        if (can && next_random(r) % (uint64_t)++ready == 0) {
            chosen = k;
        }
    }
    return chosen;
}

static void check_end(tg_run *r) {
    for (int k = 0; k < r->n_threads; k++) {
        const tg_run_thread *t = &r->threads[k];
        if (!t->done) {
            tg_li_report(&r->base, TG_LOOP_DIVERGENCE, r->code->ins.data[t->pc].op, 0,
                         "role %d waits for ever", k);
            r->base.stop = true;
        }
        for (size_t c = 0; c < t->copies.count && t->done; c++) {
            tg_li_report(&r->base, TG_LOOP_RACE, t->copies.data[c].op, 0,
                         "the program ends while the copy is under way");
        }
    }
    for (size_t k = 0; k < r->semaphores.count && !r->base.stop; k++) {
        const tg_run_semaphore *s = &r->semaphores.data[k];
        if (s->count != s->initial) {
            tg_li_report(&r->base, TG_LOOP_DIVERGENCE, NULL, 0,
                         "an event ends at %lld, it began at %lld", (long long)s->count,
                         (long long)s->initial);
        }
    }
}

static void run_program(tg_run *r) {
    r->n_threads = 0;
    r->semaphores.count = 0;
    start_thread(r, 0, NULL);
    for (int k = 0; k < r->tiles.func->body->n_args; k++) {
        const tg_value *arg = r->func->body->args[k];
        if (k >= r->func->n_params || r->func->params[k].type->kind != TG_TY_TENSOR) {
            r->threads[0].cells[tg_run_reg(r, arg)] =
                (uint64_t)*(int64_t *)r->tiles.values[arg->id];
            r->threads[0].undefined[tg_run_reg(r, arg)] = 0;
        }
    }
    while (!r->base.stop) {
        int next = pick_thread(r);
        if (next < 0) {
            break;
        }
        r->thread = next;
        int turn = 1 + (int)(next_random(r) % MAX_TURN);
        r->threads[next].blocked = false;
        while (turn-- > 0 && !r->threads[next].done && !r->threads[next].blocked && !r->base.stop) {
            run_instruction(r);
        }
    }
    if (!r->base.stop) {
        check_end(r);
    }
}

/* ---- set-up --------------------------------------------------------------------------------- */

static int32_t cells_of(void *user, const tg_type *t) {
    tg_run *r = user;
    if (t->kind == TG_TY_SPAN) {
        return 2;
    }
    if (t->kind != TG_TY_TILE || t->rank == 0 || t->layout == NULL) {
        return 1;
    }
    const tg_holders *h = tg_holders_get(&r->holders, t);
    int32_t n = (int32_t)(h->lanes * h->regs);
    return n;
}

static int count_roles(const tg_func *f) {
    int n = 1;
    for (const tg_op *op = f->body->first; op != NULL; op = op->next) {
        n += op->code == TG_OP_ROLE ? (int)tg_attr_int(op, TG_ATTR_REPLICAS, 1) : 0;
    }
    return n;
}

static void note_memory(tg_run *r, tg_run_memory *m, bool undefined) {
    m->notes = TG_NEW_ARRAY(r->arena, tg_run_byte, m->bytes + 1);
    m->readers = TG_NEW_ARRAY(r->arena, tg_run_reader, (m->bytes + 1) * r->max_threads);
    for (int64_t k = 0; k < m->bytes; k++) {
        m->notes[k].undefined = undefined;
        m->notes[k].program = -1;
    }
}

static tg_run_memory own_memory(tg_run *r, const char *name, int64_t bytes, int fence) {
    tg_run_memory m = {.name = name, .bytes = bytes, .fence = fence, .writable = true, .own = true};
    m.base = tg_arena_alloc(r->arena, (size_t)bytes + 8);
    memset(m.base, 0xA5, (size_t)bytes);
    note_memory(r, &m, true);
    return m;
}

static int64_t bytes_of(const tg_type *t, const tg_interp_arg *arg) {
    int bits = tg_dtype_bits(t->dtype);
    int64_t n = t->dtype == TG_DT_RECORD ? t->elem_bytes : (bits + 7) / 8;
    for (int a = 0; a < t->rank; a++) {
        if (arg->extent[a] <= 0) {
            return 0;
        }
        bool packed = a == t->rank - 1 && bits > 0 && bits < 8;
        n += packed ? (arg->extent[a] * bits + 7) / 8 - 1
                    : (arg->extent[a] - 1) * arg->stride_bytes[a];
    }
    return n;
}

/* Parameters that overlap are one memory: that of the lowest. */
static void make_memories(tg_run *r, const tg_interp_arg *args) {
    const tg_func *f = r->func;
    r->memories = TG_NEW_ARRAY(r->arena, tg_run_memory, f->n_params + 2);
    r->memory_of_param = TG_NEW_ARRAY(r->arena, int, f->n_params + 1);
    r->memories[0] = own_memory(r, "shared memory", f->shared_bytes, 0);
    r->memories[1] = own_memory(r, "scratch memory", f->scratch_bytes, 1);
    r->n_memories = 2;
    for (int p = 0; p < f->n_params; p++) {
        const tg_param *param = &f->params[p];
        if (param->type->kind != TG_TY_TENSOR) {
            continue;
        }
        tg_run_memory m = {.name = param->name,
                           .base = args[p].data,
                           .bytes = bytes_of(param->type, &args[p]),
                           .fence = 1};
        m.writable = (param->flags & (TG_PARAM_OUT | TG_PARAM_INOUT)) != 0;
        int same = -1;
        for (int k = 2; k < r->n_memories; k++) {
            bool overlap = m.bytes > 0 && m.base < r->memories[k].base + r->memories[k].bytes &&
                           r->memories[k].base < m.base + m.bytes;
            same = overlap ? k : same;
        }
        if (same >= 0) {
            tg_run_memory *to = &r->memories[same];
            unsigned char *end =
                to->base + to->bytes > m.base + m.bytes ? to->base + to->bytes : m.base + m.bytes;
            to->base = to->base < m.base ? to->base : m.base;
            to->bytes = end - to->base;
            to->writable |= m.writable;
            r->memory_of_param[p] = same;
            continue;
        }
        r->memory_of_param[p] = r->n_memories;
        r->memories[r->n_memories++] = m;
    }
    for (int k = 2; k < r->n_memories; k++) {
        if (r->memories[k].writable) {
            note_memory(r, &r->memories[k], false);
        }
    }
}

static void bind(tg_run *r, const tg_region *region, const tg_interp_arg *args) {
    for (int p = 0; p < r->func->n_params; p++) {
        const tg_type *t = r->func->params[p].type;
        if (t->kind != TG_TY_TENSOR) {
            tg_cell *c = TG_NEW(r->arena, tg_cell);
            uint64_t bits = args[p].scalar;
            bool wide = tg_dtype_is_float(t->dtype);
            *c = region == r->func->grid
                     ? tg_num_decode(NULL, t->dtype, bits)
                     : (tg_cell){.i = (int64_t)(wide ? bits : tg_li_canonical(t->dtype, bits))};
            r->tiles.values[region->args[p]->id] = c;
            continue;
        }
        tg_iv_tensor *v = TG_NEW(r->arena, tg_iv_tensor);
        *v = (tg_iv_tensor){.base = args[p].data, .dtype = t->dtype, .rank = t->rank, .param = p};
        memcpy(v->extent, args[p].extent, sizeof v->extent);
        memcpy(v->stride, args[p].stride_bytes, sizeof v->stride);
        r->tiles.values[region->args[p]->id] = v;
    }
}

/* Blocks along each grid axis; false: no program. */
static bool count_programs(tg_run *r, const tg_interp_arg *args, int64_t *blocks, int64_t *out) {
    const tg_func *f = r->func;
    *out = 1;
    if (f->n_grid == 0) {
        return true;
    }
    bind(r, f->grid, args);
    const tg_op *y = tg_interp_region(&r->tiles, f->grid);
    for (int a = 0; y != NULL && a < f->n_grid; a++) {
        int64_t extent = ((const tg_cell *)r->tiles.values[tg_operand(y, a)->id])->i;
        blocks[a] = extent <= 0 ? 0 : tg_cdiv_i64(extent, tg_max_i64(1, f->grid_by[a]));
        *out *= blocks[a];
    }
    return y != NULL && *out > 0;
}

static void run_all(tg_run *r, const tg_interp_arg *args, int64_t most) {
    int64_t blocks[TG_MAX_RANK], n;
    if (!count_programs(r, args, blocks, &n)) {
        return;
    }
    bind(r, r->func->body, args);
    int64_t first = most > 0 && most < n ? (int64_t)(next_random(r) % (uint64_t)n) : 0;
    for (int64_t k = 0; k < (most > 0 && most < n ? most : n) && !r->base.stop; k++) {
        int64_t rest = r->base.program = (first + k) % n;
        for (int a = r->func->n_grid - 1; a >= 0; a--) {
            int64_t *id = TG_NEW(r->arena, int64_t);
            *id = rest % blocks[a];
            rest /= blocks[a];
            r->tiles.values[r->func->body->args[r->func->n_params + a]->id] = id;
        }
        run_program(r);
        r->base.out->programs++;
    }
}

static void forget_scratch(tg_region *region) {
    for (tg_op *op = region->first; op != NULL; op = op->next) {
        op->scratch = NULL;
        for (int k = 0; k < op->n_regions; k++) {
            forget_scratch(op->regions[k]);
        }
    }
}

tg_status tg_check_run(tg_func *placed, const tg_interp_arg *args, const int64_t *syms,
                       const tg_loop_options *options, tg_arena *a, tg_loop_report *out) {
    tg_run r = {.func = placed, .syms = syms, .arena = a};
    tg_sink sink;
    if (placed->level != TG_LEVEL_PLACED || placed->body == NULL) {
        return TG_E_INVALID;
    }
    memset(out, 0, sizeof *out);
    tg_sink_init(&sink, a);
    r.base.numbers.opt = &r.base.numbers_options;
    r.base.opt = options;
    r.base.out = out;
    r.base.arena = a;
    r.base.max_steps = options->max_steps > 0 ? options->max_steps : (int64_t)1 << 32;
    r.base.random = options->seed;
    r.tiles = (tg_interp){.func = placed,
                          .opt = &r.base.numbers_options,
                          .syms = syms,
                          .sink = &sink,
                          .arena = a,
                          .program = -1};
    r.tiles.values = TG_NEW_ARRAY(a, void *, placed->next_value_id + 1);
    tg_stack_init(&r.tiles.stack, a);
    forget_scratch(placed->body);
    r.holders = (tg_holder_cache){.arena = a, .lanes = placed->lanes};
    r.max_threads = count_roles(placed);
    r.threads = TG_NEW_ARRAY(a, tg_run_thread, r.max_threads);
    r.code = tg_li_compile_placed(placed, cells_of, &r, a);
    int32_t most = 2;
    for (size_t k = 0; k < r.holders.all.count; k++) {
        int32_t n = (int32_t)(r.holders.all.data[k]->lanes * r.holders.all.data[k]->regs);
        most = n > most ? n : most;
    }
    r.n_cells = r.code->n_regs + most; /* operands of a wrong layout may be shorter than read */
    make_memories(&r, args);
    if (r.code->wrong != NULL) {
        tg_li_report(&r.base, TG_LOOP_BAD_CODE, r.code->wrong_op, 0, "%s", r.code->wrong);
    } else {
        run_all(&r, args, options->max_programs);
    }
    forget_scratch(placed->body);
    out->findings = r.base.found.data;
    out->n_findings = (int)r.base.found.count;
    out->steps = r.base.steps;
    return TG_OK;
}
