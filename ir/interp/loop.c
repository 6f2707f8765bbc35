/* SPDX-License-Identifier: Apache-2.0 */
/* Launches of the loop interpreter: plan, phases, programs, lanes, barriers, report. */
#include <stdarg.h>
#include <string.h>

#include "ir/interp/loop_internal.h"

enum { MAX_FINDINGS = 64, ALIGN = 64 };

/* ---- report --------------------------------------------------------------------------------- */

const char *tg_loop_fault_name(tg_loop_fault fault) {
    static const char *const names[TG_LOOP_FAULT_COUNT] = {
        "race",     "undefined", "bounds",    "align", "divergence",
        "deadlock", "mbarrier",  "unawaited", "limit", "bad code"};
    return (unsigned)fault < TG_LOOP_FAULT_COUNT ? names[fault] : "?";
}

void tg_li_report(tg_li_run *r, tg_loop_fault fault, const tg_op *op, int lane, const char *fmt,
                  ...) {
    r->out->faults++;
    for (size_t k = 0; k < r->found.count; k++) {
        if (r->found.data[k].fault == fault && r->found.data[k].op == op) {
            return;
        }
    }
    if (r->found.count >= MAX_FINDINGS) {
        return;
    }
    tg_sb sb;
    va_list ap;
    tg_sb_init(&sb, r->arena);
    va_start(ap, fmt);
    tg_sb_addv(&sb, fmt, ap);
    va_end(ap);
    tg_loop_finding f = {fault, op, r->program, lane, sb.data};
    TG_LIST_PUSH(r->arena, &r->found, f);
}

static void print_finding(tg_sb *sb, const tg_loop_finding *f) {
    tg_sb_addf(sb, "%s: ", tg_loop_fault_name(f->fault));
    if (f->op != NULL) {
        int line = 0, column = 0;
        if (f->op->span.source != NULL) {
            tg_source_position(f->op->span.source, f->op->span.begin, &line, &column);
        }
        tg_sb_addf(sb, "%s of line %d: ", tg_op_info_get(f->op->code)->name, line);
    }
    tg_sb_addf(sb, "%s (program %lld, lane %d)\n", f->text, (long long)f->program, f->lane);
}

void tg_loop_report_print(tg_sb *sb, const tg_loop_report *report) {
    for (int k = 0; k < report->n_findings; k++) {
        print_finding(sb, &report->findings[k]);
    }
    if (report->trap != 0) {
        tg_sb_addf(sb, "trap %d at line %lld in program %lld\n", report->trap,
                   (long long)report->trap_line, (long long)report->trap_program);
    }
}

void tg_loop_conflicts_print(tg_sb *sb, const tg_loop_report *report) {
    for (int k = 0; k < report->n_conflicts; k++) {
        const tg_loop_conflict *c = &report->conflicts[k];
        int line = 0, column = 0;
        if (c->op->span.source != NULL) {
            tg_source_position(c->op->span.source, c->op->span.begin, &line, &column);
        }
        tg_sb_addf(sb, "%s of line %d: bank conflicts of degree %lld, %lld extra cycles\n",
                   tg_op_info_get(c->op->code)->name, line, (long long)c->degree,
                   (long long)c->extra);
    }
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Arena blocks are 16-byte aligned; kernels are promised more. */
static unsigned char *aligned_block(tg_arena *a, int64_t bytes) {
    unsigned char *p = tg_arena_alloc(a, (size_t)bytes + ALIGN);
    return p + (ALIGN - (uintptr_t)p % ALIGN) % ALIGN;
}

static tg_li_byte *make_shadow(tg_li_run *r, int64_t bytes, bool undefined) {
    tg_li_byte *s = TG_NEW_ARRAY(r->arena, tg_li_byte, bytes + 1);
    for (int64_t k = 0; k < bytes; k++) {
        s[k] = (tg_li_byte){.undefined = undefined, .w_program = -1, .r_program = -1};
    }
    return s;
}

static void add_space(tg_li_run *r, tg_li_space s) {
    tg_li_space *copy = TG_NEW(r->arena, tg_li_space);
    *copy = s;
    r->spaces[r->n_spaces++] = copy;
}

/* Memory that belongs to a run: garbage at first. */
static tg_li_space own_space(tg_li_run *r, const char *name, int64_t bytes, bool device) {
    tg_li_space s = {.name = name,
                     .base = aligned_block(r->arena, bytes),
                     .bytes = bytes,
                     .writable = true,
                     .per_program = true,
                     .device = device,
                     .owner = -1,
                     .shadow = make_shadow(r, bytes, true)};
    memset(s.base, 0xA5, (size_t)bytes);
    return s;
}

static void make_ranges(tg_li_run *r, const tg_loop_range *ranges, int n) {
    for (int k = 0; k < n; k++) {
        tg_li_space s = {.name = ranges[k].name != NULL ? ranges[k].name : "an argument",
                         .base = ranges[k].base,
                         .bytes = ranges[k].bytes,
                         .writable = ranges[k].writable,
                         .device = true,
                         .owner = -1};
        if (s.writable || ranges[k].undefined) {
            s.shadow = make_shadow(r, s.bytes, ranges[k].undefined);
        }
        add_space(r, s);
    }
}

/* ---- lanes ---------------------------------------------------------------------------------- */

static uint64_t next_random(tg_li_run *r) {
    uint64_t z = r->random += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

static void make_lanes(tg_li_run *r, int n, bool simt) {
    size_t regs = (size_t)r->code->n_regs + 1;
    r->n_lanes = n;
    r->lanes = TG_NEW_ARRAY(r->arena, tg_li_lane, n);
    for (int k = 0; k < n; k++) {
        tg_li_lane *l = &r->lanes[k];
        l->cells = TG_NEW_ARRAY(r->arena, uint64_t, regs);
        l->undefined = TG_NEW_ARRAY(r->arena, uint8_t, regs);
        l->stack = TG_NEW(r->arena, tg_li_space);
        if (r->code->stack_bytes > 0) {
            *l->stack = own_space(r, "the stack", r->code->stack_bytes, true);
            l->stack->owner = k;
            r->spaces[r->n_spaces++] = l->stack;
        }
        if (simt && k < (r->opt->warp > 0 ? r->opt->warp : 32)) {
            l->instances = TG_NEW_ARRAY(r->arena, uint32_t, r->code->ins.count);
        }
    }
    r->move_cells = TG_NEW_ARRAY(r->arena, uint64_t, r->code->max_moves + 1);
    r->move_undefined = TG_NEW_ARRAY(r->arena, uint8_t, r->code->max_moves + 1);
}

static void forget_private(tg_li_run *r, tg_li_lane *l) {
    for (size_t a = 0; a < r->code->arrays.count; a++) {
        const tg_li_array *x = &r->code->arrays.data[a];
        for (int64_t k = 0; x->space == TG_SPACE_PRIVATE && k < x->count; k++) {
            l->cells[x->cell + k] =
                tg_li_canonical(x->dtype, UINT64_C(0xA5A5A5A5A5A5A5A5) >> (64 - 8 * x->elem_bytes));
            l->undefined[x->cell + k] = 1;
        }
    }
}

static void set_arg(tg_li_run *r, int lane, int arg, uint64_t v) {
    const tg_region *body = r->code->func->body;
    if (arg < body->n_args) {
        r->lanes[lane].cells[r->code->reg_of[body->args[arg]->id]] = v;
    }
}

static void start_lanes(tg_li_run *r) {
    for (int k = 0; k < r->n_lanes; k++) {
        r->lanes[k].pc = 0;
        r->lanes[k].state = LI_RUN;
        r->lanes[k].flights.count = 0;
        forget_private(r, &r->lanes[k]);
    }
    tg_li_order_start(r);
}

/* Runs every lane that can run, in a drawn order. */
static void run_ready(tg_li_run *r, int *order) {
    for (int k = 0; k < r->n_lanes; k++) {
        order[k] = k;
    }
    for (int k = r->n_lanes - 1; k > 0 && r->opt->seed != 0; k--) {
        int other = (int)(next_random(r) % (uint64_t)(k + 1)), keep = order[k];
        order[k] = order[other];
        order[other] = keep;
    }
    for (int k = 0; k < r->n_lanes && !r->stop; k++) {
        tg_li_run_lane(r, order[k]);
    }
}

/* ---- meeting -------------------------------------------------------------------------------- */

const tg_li_ins *tg_li_waiting_at(const tg_li_run *r, int lane) {
    return &r->code->ins.data[r->lanes[lane].pc - 1];
}

bool tg_li_same_place(const tg_li_run *r, int a, int b) {
    const tg_li_lane *x = &r->lanes[a], *y = &r->lanes[b];
    if (x->state != y->state || x->pc != y->pc) {
        return false;
    }
    const tg_li_ins *i = tg_li_waiting_at(r, a);
    for (int32_t k = 0; i->code == TG_OP_BARRIER && k < i->n; k++) {
        int32_t trip = r->code->trips.data[i->imm + k];
        if (x->cells[trip] != y->cells[trip]) {
            return false;
        }
    }
    return true;
}

void tg_li_report_divergence(tg_li_run *r, int a, int b) {
    int at = r->lanes[a].state == LI_DONE ? b : a, other = at == a ? b : a;
    const char *where = r->lanes[other].state == LI_DONE ? "has ended"
                        : r->lanes[other].pc == r->lanes[at].pc
                            ? "is there in another trip of a loop"
                            : "waits elsewhere";
    tg_li_report(r, TG_LOOP_DIVERGENCE, tg_li_waiting_at(r, at)->op, at,
                 "lane %d waits here, lane %d %s", at, other, where);
    r->stop = true;
}

static bool all_in(const tg_li_run *r, int first, int n, tg_li_state state) {
    for (int k = first; k < first + n; k++) {
        if (r->lanes[k].state != state) {
            return false;
        }
    }
    return true;
}

/* Sub-groups whose lanes all wait at one shuffle go on. */
static bool meet_subgroups(tg_li_run *r) {
    int size = r->opt->subgroup > 0 ? r->opt->subgroup : r->n_lanes;
    bool moved = false;
    for (int first = 0; first < r->n_lanes; first += size) {
        int n = size < r->n_lanes - first ? size : r->n_lanes - first;
        bool together = all_in(r, first, n, LI_AT_SHUFFLE);
        for (int k = first + 1; together && k < first + n; k++) {
            together = tg_li_same_place(r, first, k);
        }
        if (together) {
            tg_li_shuffle(r, first, n);
            moved = true;
        }
    }
    for (int lane = 0; lane < r->n_lanes; lane++) {
        moved |= r->lanes[lane].state == LI_AT_UNIT && tg_li_gmma(r, lane);
    }
    return moved;
}

static void meet_at_barrier(tg_li_run *r) {
    if (tg_li_report_deadlock(r)) {
        return;
    }
    for (int k = 1; k < r->n_lanes; k++) {
        if (!tg_li_same_place(r, 0, k)) {
            tg_li_report_divergence(r, 0, k);
            return;
        }
    }
    if (r->lanes[0].state != LI_AT_BARRIER) { /* some shuffle that not all of a sub-group reach */
        tg_li_report(r, TG_LOOP_DIVERGENCE, tg_li_waiting_at(r, 0)->op, 0,
                     "not all lanes of the sub-group come here");
        r->stop = true;
        return;
    }
    tg_fence fence = (tg_fence)tg_attr_int(tg_li_waiting_at(r, 0)->op, TG_ATTR_FENCE, TG_FENCE_ALL);
    tg_li_barrier(r, fence);
    tg_li_order_barrier(r, fence, NULL, r->n_lanes);
    for (int k = 0; k < r->n_lanes; k++) {
        r->lanes[k].state = LI_RUN;
    }
}

static void run_lanes(tg_li_run *r, int *order) {
    start_lanes(r);
    while (!r->stop) {
        run_ready(r, order);
        if (r->stop) {
            return;
        }
        if (all_in(r, 0, r->n_lanes, LI_DONE)) {
            tg_li_report_unawaited(r);
            return;
        }
        if (r->code->roles) { /* all of these: whoever can go on does */
            bool moved = meet_subgroups(r);
            moved |= tg_li_meet(r);
            if (moved || r->stop) {
                continue;
            }
        } else if (meet_subgroups(r)) {
            continue;
        }
        meet_at_barrier(r);
    }
}

/* ---- functions ------------------------------------------------------------------------------ */

static bool set_code(tg_li_run *r, tg_func *f, int lanes, bool simt) {
    r->code = tg_li_compile(f, r->arena);
    if (r->code->wrong != NULL) {
        tg_li_report(r, TG_LOOP_BAD_CODE, r->code->wrong_op, 0, "%s", r->code->wrong);
        return false;
    }
    r->spaces = TG_NEW_ARRAY(r->arena, tg_li_space *, r->n_spaces + lanes + 4);
    r->n_spaces = 0;
    make_lanes(r, lanes, simt);
    r->trap = 0;
    tg_li_order_init(r);
    return true;
}

static void run_programs(tg_li_run *r, int64_t n, int64_t scratch) {
    int *order = TG_NEW_ARRAY(r->arena, int, r->n_lanes);
    int64_t step = 1, index = 0;
    int64_t count = r->opt->max_programs > 0 && r->opt->max_programs < n ? r->opt->max_programs : n;
    if ((r->opt->seed != 0 || count < n) && n > 1) {
        step = tg_interp_walk((int64_t)(next_random(r) % (uint64_t)n), n);
        index = (int64_t)(next_random(r) % (uint64_t)n);
    }
    for (int64_t k = 0; k < count && !r->stop; k++) {
        tg_li_next_program(r);
        r->program = index;
        for (int lane = 0; lane < r->n_lanes; lane++) {
            set_arg(r, lane, 1, (uint64_t)index);
            set_arg(r, lane, 2, (uint64_t)lane);
            set_arg(r, lane, 3, (uint64_t)scratch);
        }
        run_lanes(r, order);
        if (k == 0) {
            tg_li_count_traces(r);
            for (int lane = 0; lane < r->n_lanes; lane++) {
                r->lanes[lane].instances = NULL;
            }
        }
        r->out->programs++;
        index = index >= n - step ? index - (n - step) : index + step;
    }
    r->program = -1;
}

typedef struct job {
    const int64_t *slots;
    const tg_loop_range *ranges;
    int n_ranges;
    tg_cpu_plan plan;
    struct tg_cpu_report *report;
} job;

static void run_plan(tg_li_run *r, tg_func *f, job *j) {
    int order[1];
    r->n_spaces = j->n_ranges + 1;
    if (!set_code(r, f, 1, false)) {
        return;
    }
    make_ranges(r, j->ranges, j->n_ranges); /* a grid may come from data */
    tg_li_space s = own_space(r, "the plan", (int64_t)sizeof j->plan, true);
    add_space(r, s);
    tg_li_next_program(r);
    set_arg(r, 0, 1, (uint64_t)(uintptr_t)s.base);
    run_lanes(r, order);
    memset(&j->plan, 0, sizeof j->plan);
    for (size_t k = 0; k < sizeof j->plan; k++) { /* what the plan does not say counts as 0 */
        ((unsigned char *)&j->plan)[k] = s.shadow[k].undefined ? 0 : s.base[k];
    }
    r->stop |= r->trap != 0;
}

static void run_simt(tg_li_run *r, tg_func *f, const job *j, int64_t programs) {
    r->n_spaces = j->n_ranges;
    if (f->lanes < 1 || f->lanes > 1024) {
        tg_li_report(r, TG_LOOP_BAD_CODE, NULL, 0, "%s has %lld lanes", f->name,
                     (long long)f->lanes);
        return;
    }
    if (!set_code(r, f, (int)f->lanes, true)) {
        return;
    }
    make_ranges(r, j->ranges, j->n_ranges);
    r->shared = own_space(r, "shared memory", f->shared_bytes, false);
    tg_li_space scratch = own_space(r, "scratch memory", f->scratch_bytes, true);
    add_space(r, scratch);
    for (int lane = 0; lane < r->n_lanes; lane++) {
        set_arg(r, lane, 4, (uint64_t)(uintptr_t)j->report);
    }
    run_programs(r, programs, (int64_t)(uintptr_t)scratch.base);
}

/* A phase of the CPU convention: one lane runs all programs. */
static void run_cpu(tg_li_run *r, tg_func *f, const job *j, int64_t programs) {
    int order[1];
    r->n_spaces = j->n_ranges;
    if (!set_code(r, f, 1, false)) {
        return;
    }
    make_ranges(r, j->ranges, j->n_ranges);
    tg_li_space scratch = own_space(r, "scratch memory", j->plan.scratch_bytes, true);
    tg_li_space shared = own_space(r, "shared memory", j->plan.shared_bytes, true);
    shared.per_program = false;
    add_space(r, scratch);
    add_space(r, shared);
    tg_li_next_program(r);
    r->program = 0;
    uint64_t args[] = {0, (uint64_t)programs, (uint64_t)(uintptr_t)scratch.base,
                       (uint64_t)(uintptr_t)shared.base, (uint64_t)(uintptr_t)j->report};
    for (int k = 0; k < 5; k++) {
        set_arg(r, 0, k + 1, args[k]);
    }
    run_lanes(r, order);
    r->out->programs += programs;
}

static tg_func *find_part(tg_module *m, tg_arena *a, const char *name, const char *part) {
    return tg_func_find(m, tg_arena_printf(a, "%s.%s", name, part));
}

static void init_run(tg_li_run *r, const tg_loop_options *o, const int64_t *slots, int n_slots,
                     tg_arena *a, tg_loop_report *out) {
    memset(r, 0, sizeof *r);
    memset(out, 0, sizeof *out);
    r->numbers_options.mode = TG_INTERP_F32;
    r->numbers.opt = &r->numbers_options;
    r->opt = o;
    r->out = out;
    r->arena = a;
    r->slots = slots;
    r->n_slots = n_slots;
    r->epoch[0] = r->epoch[1] = 1;
    r->program = -1;
    r->max_steps = o->max_steps > 0 ? o->max_steps : (int64_t)1 << 32;
    r->random = o->seed;
}

tg_status tg_loop_run(tg_module *loop, const char *name, const int64_t *slots, int n_slots,
                      const tg_loop_range *ranges, int n_ranges, const tg_loop_options *options,
                      tg_arena *a, tg_loop_report *out) {
    tg_li_run r;
    job j = {.slots = slots, .ranges = ranges, .n_ranges = n_ranges};
    init_run(&r, options, slots, n_slots, a, out);
    j.report = TG_NEW(a, struct tg_cpu_report);
    tg_func *plan = find_part(loop, a, name, "plan");
    if (options->programs <= 0 && plan == NULL) {
        return TG_E_INVALID;
    }
    if (options->programs > 0) {
        j.plan.n_phases = 1;
        j.plan.programs[0] = options->programs;
    } else {
        run_plan(&r, plan, &j);
    }
    if (j.plan.n_phases < 0 || j.plan.n_phases > TG_CPU_MAX_PHASES) {
        tg_li_report(&r, TG_LOOP_BAD_CODE, NULL, 0, "the plan has %d phases", j.plan.n_phases);
        j.plan.n_phases = 0;
    }
    for (int p = 0; p < j.plan.n_phases && !r.stop; p++) {
        char part[16] = "phase0";
        part[5] = (char)('0' + p);
        tg_func *f = find_part(loop, a, name, part);
        if (f == NULL) {
            return TG_E_INVALID;
        }
        if (f->role != NULL && strcmp(f->role, "simt") == 0) {
            run_simt(&r, f, &j, j.plan.programs[p]);
        } else {
            run_cpu(&r, f, &j, j.plan.programs[p]);
        }
    }
    out->findings = r.found.data;
    out->n_findings = (int)r.found.count;
    out->steps = r.steps;
    return TG_OK;
}
