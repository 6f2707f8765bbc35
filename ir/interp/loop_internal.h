/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Private to the loop interpreter (ir/interp_loop.h).
 *
 *   loop_code.c    structured regions to a flat list of instructions over numbered registers
 *   loop_exec.c    one lane: runs instructions until a barrier, a sub-group operation or the end
 *   loop_arith.c   elementwise operations on register cells
 *   loop_async.c   copies that land later
 *   loop_bulk.c    bulk copies of boxes of tensors
 *   loop_matrix.c  fragments and products of matrix units
 *   loop_order.c   order where only some lanes meet: barriers in shared memory, clocks of lanes
 *   loop_products.c  products that end later
 *   loop_memory.c  spaces of bytes with a shadow: bounds, alignment, order, definedness
 *   loop.c         launches, lanes, barriers, the report
 *
 * A register cell is 64 bits: integers in canonical form (sign- or zero-extended), floats as their
 * bits, addresses as they are. Beside each cell stands a byte, 1 when the value is undefined.
 */
#ifndef TG_INTERP_LOOP_INTERNAL_H
#define TG_INTERP_LOOP_INTERNAL_H

#include "ir/interp/internal.h"
#include "ir/interp_loop.h"

/* Instructions that are not operations; numbered behind the opcodes. */
enum {
    LI_JUMP = TG_OP_COUNT, /* to target */
    LI_UNLESS,             /* to target when arg 0 is false */
    LI_MOVES,              /* imm = first, n = count in code->moves */
    LI_FOR_TEST,           /* to target unless arg 0 < arg 1 */
    LI_FOR_NEXT,           /* arg 0 += arg 1, trip counter result += 1, to target */
    LI_ZERO,               /* result = 0 */
    LI_TRIP,               /* trip counter result += 1; beyond imm: trap and to target */
    LI_ROLE,               /* starts a role behind it, goes on at target */
    LI_END
};

typedef struct tg_li_ins {
    uint16_t code;
    uint8_t type, from; /* dtypes of result or stored value, and of operand 0 */
    bool masked;
    int32_t n; /* cells of the value worked on */
    int32_t result;
    int32_t arg[4]; /* registers, or the number of an array */
    int32_t target;
    int64_t imm;
    const int64_t *list;
    tg_op *op;
} tg_li_ins;

typedef struct tg_li_move {
    int32_t from, to, n;
} tg_li_move;

typedef struct tg_li_array {
    tg_space space;
    tg_dtype dtype;
    int64_t count, elem_bytes, offset; /* shared: byte offset */
    int32_t cell;                      /* private: first register */
} tg_li_array;

typedef struct tg_li_code {
    tg_func *func;
    TG_LIST(tg_li_ins) ins;
    TG_LIST(tg_li_move) moves;
    TG_LIST(tg_li_array) arrays;
    TG_LIST(int32_t) trips; /* trip counters of the loops around barriers */
    int32_t *reg_of;        /* by value id; arrays: their number */
    int32_t n_regs;
    int32_t max_moves; /* cells of the largest move */
    int64_t stack_bytes;
    bool roles;        /* some lanes meet without the others */
    const char *wrong; /* cannot be run */
    tg_op *wrong_op;
} tg_li_code;

tg_li_code *tg_li_compile(tg_func *f, tg_arena *a);

/* Placed functions as instructions: control flow as in loop code, every other operation one
 * instruction. `cells` says how many cells a value of a type has. Roles begin at LI_ROLE, which
 * goes on at its target while the role's own instructions follow it up to LI_END. */
typedef int32_t tg_li_cells_fn(void *user, const tg_type *t);
tg_li_code *tg_li_compile_placed(tg_func *f, tg_li_cells_fn *cells, void *user, tg_arena *a);

/* ---- memory ---------------------------------------------------------------------------------- */

/* Who touched a byte last. Epochs count barriers from 1 and never go back; 0: never. */
typedef struct tg_li_byte {
    uint32_t w_epoch, r_epoch;
    int32_t w_lane, r_lane; /* <= -2: several, -2 - index into the sets (w) or just several (r) */
    int32_t w_program, r_program; /* -1: none, -2: several */
    uint8_t w_atomic, undefined;
} tg_li_byte;

typedef struct tg_li_space {
    const char *name;
    unsigned char *base;
    int64_t bytes;
    bool writable;
    bool per_program;   /* undefined again and private to each program */
    bool device;        /* ordered by fence global, else by fence shared */
    int owner;          /* the only lane that may touch it; -1: all */
    tg_li_byte *shadow; /* NULL: read-only */
    uint64_t *sets;     /* writers of one value, reset at each barrier */
    size_t n_sets, set_cap;
} tg_li_space;

typedef enum tg_li_access { LI_READ, LI_WRITE, LI_ATOMIC } tg_li_access;

typedef enum tg_li_state {
    LI_RUN,
    LI_AT_BARRIER,
    LI_AT_SHUFFLE,
    LI_AT_MBARRIER,
    LI_AT_UNIT,
    LI_DONE
} tg_li_state;

/* A copy that has not landed. */
typedef struct tg_li_flight {
    const tg_op *op;
    int64_t at, bytes, group; /* byte of shared memory */
    unsigned char data[16];
    bool undefined;
    int64_t arrival; /* the one that waits for it; 0: none */
} tg_li_flight;

/* A barrier in shared memory. */
typedef struct tg_li_mbarrier {
    int64_t at; /* byte of shared memory */
    int64_t expected, pending, bytes, phase;
    uint32_t *clock[2], *done[2]; /* of lanes: what arrivals of this phase know, of phases ended */
} tg_li_mbarrier;

/* Accesses of several lanes to a byte: by groups of 32, when the last was and whose. */
typedef struct tg_li_history {
    uint32_t time, who;
} tg_li_history;

/* An arrival that waits for a lane's copies. */
typedef struct tg_li_arrival {
    int lane;
    int64_t number; /* from 1 on */
    const tg_li_ins *ins;
    tg_li_mbarrier *at;
    uint32_t *clock[2]; /* what the lane knew */
} tg_li_arrival;

/* A box on its way to shared memory. */
typedef struct tg_li_box {
    const tg_li_ins *ins;
    int lane;
    int64_t at, bytes;
    unsigned char *data;
    bool undefined;
    tg_li_mbarrier *bar;
    uint32_t *clock[2]; /* what the lane knew, itself included */
} tg_li_box;

typedef struct tg_li_lane {
    int32_t pc;
    tg_li_state state;
    uint64_t *cells;
    uint8_t *undefined;
    uint32_t *instances; /* executions per instruction, for the counters; NULL: not counted */
    tg_li_space *stack;
    TG_LIST(tg_li_flight) flights;
    int64_t groups;         /* that have been closed */
    uint32_t *clock[2];     /* code->roles: of every lane, what this one knows; shared, device */
    int64_t product_groups; /* the same of products that end later */
} tg_li_lane;

typedef struct tg_li_trace {
    uint32_t ins, instance;
    uint16_t lane, bytes;
    bool device;
    uint64_t addr;
} tg_li_trace;

typedef struct tg_li_run {
    tg_interp numbers; /* options and tables for tg_num_* */
    tg_interp_options numbers_options;
    const tg_loop_options *opt;
    tg_loop_report *out;
    tg_arena *arena;
    const int64_t *slots;
    int n_slots;
    tg_li_code *code;
    tg_li_lane *lanes;
    int n_lanes;
    tg_li_space **spaces; /* device memory and stacks */
    int n_spaces;
    tg_li_space shared;
    uint32_t epoch[2], first_epoch[2]; /* now and of this program: shared, device */
    int64_t program, steps, max_steps;
    uint64_t random;
    bool stop;
    int trap; /* of the running function */
    uint64_t *move_cells;
    uint8_t *move_undefined;
    TG_LIST(tg_loop_finding) found;
    TG_LIST(tg_li_trace) traces;
    bool tracing;
    TG_LIST(tg_li_mbarrier *) mbarriers;
    TG_LIST(tg_li_arrival) arrivals;
    int64_t n_arrivals; /* so far */
    TG_LIST(tg_li_box) boxes;
    TG_LIST(tg_li_history) histories; /* in rows of a word for 32 lanes */
    TG_LIST(int32_t) free_rows;
} tg_li_run;

void tg_li_report(tg_li_run *r, tg_loop_fault fault, const tg_op *op, int lane, const char *fmt,
                  ...) TG_PRINTF(5, 6);

/* The space that holds all of the bytes, or NULL after a report. */
tg_li_space *tg_li_find(tg_li_run *r, const tg_li_ins *i, int lane, uint64_t addr, int64_t bytes,
                        bool write);
/* Checks and records an access to bytes [at, at + n) of a space. `with`: what a write will store.
 * Returns whether any byte read is undefined. */
bool tg_li_touch(tg_li_run *r, tg_li_space *s, const tg_li_ins *i, int lane, int64_t at, int64_t n,
                 tg_li_access access, const unsigned char *with, bool undefined);
/* A barrier with this fence: later accesses are after all earlier ones. */
void tg_li_barrier(tg_li_run *r, tg_fence fence);
/* Everything that was recorded about programs before is over. */
void tg_li_next_program(tg_li_run *r);
void tg_li_trace_access(tg_li_run *r, const tg_li_ins *i, int lane, bool device, uint64_t addr,
                        int64_t bytes);
/* Counters from the traces. */
void tg_li_count_traces(tg_li_run *r);

uint64_t tg_li_read_bits(const unsigned char *p, tg_dtype t);
void tg_li_write_bits(unsigned char *p, tg_dtype t, uint64_t bits);
int tg_li_elem_bytes(tg_dtype t);

/* ---- arithmetic ------------------------------------------------------------------------------ */

/* Evaluates a pure instruction on whole vectors; false when it is not one. */
bool tg_li_arith(tg_li_run *r, const tg_li_ins *i, uint64_t *cells, uint8_t *undefined);
uint64_t tg_li_binary(tg_opcode code, tg_dtype t, uint64_t a, uint64_t b);
/* Register form of an element's bits. */
uint64_t tg_li_canonical(tg_dtype t, uint64_t bits);

/* ---- lanes ----------------------------------------------------------------------------------- */

/* Runs a lane until it waits or ends. */
void tg_li_run_lane(tg_li_run *r, int lane);
/* A register's first cell; reports what depends on memory that nobody wrote. */
bool tg_li_is_defined(tg_li_run *r, const tg_li_ins *i, int lane, int32_t reg, const char *what);
/* The instruction a lane that does not run stands at; do both stand there in one trip of every
 * loop? */
const tg_li_ins *tg_li_waiting_at(const tg_li_run *r, int lane);
bool tg_li_same_place(const tg_li_run *r, int a, int b);
void tg_li_report_divergence(tg_li_run *r, int a, int b);

/* loop_order.c; all but the last do nothing where all lanes always meet. */
void tg_li_order_init(tg_li_run *r);
void tg_li_order_start(tg_li_run *r);
/* These lanes (NULL: the first n) have met. */
void tg_li_order_barrier(tg_li_run *r, tg_fence fence, const int *lanes, int n);
/* Lets lanes go on that wait for what has happened; whether any did. */
bool tg_li_meet(tg_li_run *r);
bool tg_li_report_deadlock(tg_li_run *r);
/* As tg_li_touch. */
bool tg_li_touch_ordered(tg_li_run *r, tg_li_space *s, const tg_li_ins *i, int lane, int64_t at,
                         int64_t n, tg_li_access access, const unsigned char *with, bool undefined);
/* The instructions of barriers in shared memory. */
void tg_li_mbar(tg_li_run *r, const tg_li_ins *i, int lane);
/* The barrier that operands `array` and the next one name, or NULL after a report. */
tg_li_mbarrier *tg_li_mbar_at(tg_li_run *r, const tg_li_ins *i, int lane, int array);
/* So many bytes of copies that the barrier expects are there, as `clock` knows. */
void tg_li_mbar_bytes(tg_li_run *r, const tg_li_ins *i, int lane, tg_li_mbarrier *m, int64_t bytes,
                      uint32_t *const clock[2]);
/* The lane moves on: as lanes beside it do, whose clocks agree with its own. */
void tg_li_order_tick(tg_li_run *r, int lane);
/* What a lane knows now, kept. */
void tg_li_order_keep(tg_li_run *r, int lane, uint32_t *clock[2]);

/* loop_async.c */
/* Of one lane: fences, groups and waits of products that end later. */
void tg_li_products(tg_li_run *r, const tg_li_ins *i, int lane);
/* The lanes of a unit that meet at a gmma, `first` on; false: not all of them are there. */
bool tg_li_gmma(tg_li_run *r, int first);
void tg_li_async(tg_li_run *r, const tg_li_ins *i, int lane);
/* loop_bulk.c; false when i is none of its operations. */
bool tg_li_bulk(tg_li_run *r, const tg_li_ins *i, int lane);
/* The first box in line lands; false: there is none. */
bool tg_li_land_box(tg_li_run *r);
/* All lanes have ended: copies that nobody waited for. */
void tg_li_report_unawaited(tg_li_run *r);
void tg_li_land_arrival(tg_li_run *r, const tg_li_ins *i, int lane, int64_t arrival);
/* loop_matrix.c: the operation of a matrix unit that these lanes wait at. */
void tg_li_matrix(tg_li_run *r, const tg_li_ins *i, int first, int n);
/* Executes the sub-group operation that these lanes wait at. */
void tg_li_shuffle(tg_li_run *r, int first, int n);

#endif
