/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the SPIR-V writer: SIMT loop IR in, one SPIR-V module out, an entry point a function.
 *
 *   emit.c      the door: entries, their arguments and prologue, source lines
 *   flavour.c   what the flavours (Vulkan, ...) do differently: one row each
 *   module.c    sections, ids, interned types and constants, capabilities
 *   control.c   for, while, if as structured control flow; trap, barrier; dispatch
 *   trap.c      failures, kept until the function's end
 *   loops.c     what drivers need that end loops by themselves
 *   arith.c     elementwise operations, comparisons, integer and float
 *   convert.c   casts and bitcasts
 *   memory.c    device memory
 *   lanes.c     lanes of a vector, of a sub-group
 *   array.c     shared and private arrays
 *   atomic.c    read-modify-write
 *   matrix.c    cooperative matrices
 *   fma.c       fused multiply-add where the machine has none
 *
 * A value of the loop IR is a row of SPIR-V scalars, one a lane: registers know no vectors, only
 * memory accesses do. Addresses are 64-bit integers, turned into a typed pointer at each access.
 * Integers have no sign, storage floats are integers of their width, bool is a byte in memory.
 */
#ifndef TG_SPIRV_H
#define TG_SPIRV_H

#include <spirv/unified1/spirv.h>

#include "backends/backend.h"

typedef TG_LIST(uint32_t) tg_spv_words;

typedef enum tg_spv_section {
    TG_SPV_CAPABILITY,
    TG_SPV_EXTENSION,
    TG_SPV_IMPORT,
    TG_SPV_MODEL,
    TG_SPV_ENTRY,
    TG_SPV_MODE,
    TG_SPV_STRING,
    TG_SPV_NAME,
    TG_SPV_DECORATION,
    TG_SPV_GLOBAL,    /* types, constants, module variables */
    TG_SPV_FUNCTIONS, /* finished ones */
    TG_SPV_HEAD,      /* of the function being written: up to its first label */
    TG_SPV_LOCAL,     /* its variables */
    TG_SPV_BODY,
    TG_SPV_SECTIONS
} tg_spv_section;

/* The lanes of one loop value. */
typedef struct tg_spv_value {
    uint32_t *id;
    int n;
} tg_spv_value;

typedef struct tg_spv tg_spv;

/* The five words every entry takes, in order. */
typedef enum tg_spv_arg {
    TG_SPV_ARG_SLOTS,
    TG_SPV_ARG_FIRST,
    TG_SPV_ARG_END,
    TG_SPV_ARG_SCRATCH,
    TG_SPV_ARG_REPORT,
    TG_SPV_ARGS
} tg_spv_arg;

/* Numbers the device gives. */
typedef enum tg_spv_builtin_id {
    TG_SPV_IN_GROUP,
    TG_SPV_IN_GROUPS,
    TG_SPV_IN_LANE,
    TG_SPV_IN_SUBGROUP_LANE,
    TG_SPV_IN_SUBGROUP_SIZE,
    TG_SPV_INS
} tg_spv_builtin_id;

/* What one environment wants otherwise than another. */
typedef struct tg_spv_flavour {
    tg_emitter_kind emitter;
    uint32_t version;
    SpvAddressingModel addressing;
    SpvMemoryModel memory_model;
    SpvExecutionModel execution;
    SpvStorageClass device;                /* of device memory */
    const SpvCapability *base;             /* always declared; ends with SpvCapabilityMax */
    bool narrow_storage;                   /* 8- and 16-bit memory wants a capability of its own */
    bool float_controls;                   /* execution modes for rounding and subnormals */
    bool no_contraction;                   /* decorated; else one execution mode forbids it */
    bool widen_by_halves;                  /* emit.c */
    const char *instructions;              /* extended instruction set */
    uint32_t sqrt, floor, ceil, rint, fma; /* its numbers */
    int index_bits;                        /* of the built-in numbers of groups and lanes */
    uint32_t access;                       /* memory operands of every access */
    uint32_t visible;                      /* semantics a barrier has beyond acquire and release */
    uint32_t device_semantics;             /* semantics that name device memory */
    SpvScope device_scope;                 /* of atomics seen by all programs */
    /* Where the arguments come from: parameters of the function, or loads in its first block. */
    void (*parameters)(tg_spv *s, uint32_t *args);
    void (*arguments)(tg_spv *s, uint32_t *args);
    /* Type of the entry function. */
    uint32_t (*function_type)(tg_spv *s);
} tg_spv_flavour;

const tg_spv_flavour *tg_spv_flavour_find(tg_emitter_kind emitter); /* NULL if none */

/* A shared or private array of the function being written. */
typedef struct tg_spv_array {
    const tg_value *value;
    uint32_t variable, element, pointer; /* types: element in memory, pointer to it */
    bool shared;
    uint32_t first; /* element number of its start in the variable */
} tg_spv_array;

struct tg_spv {
    const tg_spv_flavour *flavour;
    const tg_machine *machine;
    tg_arena *arena;
    tg_sink *sink;
    bool failed;
    uint32_t version; /* the flavour's, or what an operation needs beyond it */
    tg_spv_words section[TG_SPV_SECTIONS];
    uint32_t next_id;
    uint32_t import; /* extended instructions */
    struct {
        uint32_t *at; /* index into GLOBAL of an interned instruction + 1 */
        size_t cap, count;
    } interned;
    TG_LIST(uint32_t) capabilities;
    struct {
        const tg_source *source;
        uint32_t string;
    } files[16];
    int n_files;
    uint32_t builtins[TG_SPV_INS], push; /* module variables, 0 until wanted */

    /* the function being written */
    tg_func *func;
    tg_spv_value *values; /* by tg_value.id */
    uint32_t block;       /* label of the open block */
    int line;             /* of the last OpLine in this block; 0: none */
    const tg_source *line_source;
    uint32_t args[TG_SPV_ARGS], program;
    TG_LIST(tg_spv_array) arrays;
    uint32_t marks;   /* words of shared memory, 0 until wanted (loops.c) */
    uint32_t trapped; /* variable with the first trap, 0 until there may be one (trap.c) */
    int copied;       /* operations added by repeated bodies */
    TG_LIST(uint32_t) interface;
};

/* ---- module.c ------------------------------------------------------------------------------- */

void tg_spv_put(tg_spv *s, tg_spv_section section, SpvOp op, size_t n, const uint32_t *words);
/* An instruction with operands. */
#define TG_SPV(s, section, op, ...)                                                                \
    tg_spv_put((s), (section), (op), sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),         \
               (const uint32_t[]){__VA_ARGS__})
/* An instruction of the body with a result of the type. */
uint32_t tg_spv_emit_value(tg_spv *s, SpvOp op, uint32_t type, size_t n, const uint32_t *words);
#define TG_SPV_VALUE(s, op, type, ...)                                                             \
    tg_spv_emit_value((s), (op), (type), sizeof((uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t),     \
                      (const uint32_t[]){__VA_ARGS__})
/* The same, forbidden to be contracted with another. */
uint32_t tg_spv_float_op(tg_spv *s, SpvOp op, uint32_t type, uint32_t x, uint32_t y);
uint32_t tg_spv_ext(tg_spv *s, uint32_t type, uint32_t number, uint32_t x);
uint32_t tg_spv_id(tg_spv *s);
void tg_spv_capability(tg_spv *s, SpvCapability c);
/* Operands ending with a string; `lead` words come first. */
void tg_spv_put_string(tg_spv *s, tg_spv_section section, SpvOp op, size_t n_lead,
                       const uint32_t *lead, const char *text, size_t n_tail, const uint32_t *tail);
void tg_spv_name(tg_spv *s, uint32_t id, const char *name);

uint32_t tg_spv_type_int(tg_spv *s, int bits);
uint32_t tg_spv_type_float(tg_spv *s, int bits);
uint32_t tg_spv_type_bool(tg_spv *s);
uint32_t tg_spv_type_void(tg_spv *s);
/* Any other type. */
uint32_t tg_spv_type_of(tg_spv *s, SpvOp op, size_t n, const uint32_t *words);
uint32_t tg_spv_type_vector(tg_spv *s, uint32_t element, int n);
uint32_t tg_spv_type_array(tg_spv *s, uint32_t element, uint32_t n);
uint32_t tg_spv_type_pointer(tg_spv *s, SpvStorageClass storage, uint32_t to);
uint32_t tg_spv_type_function(tg_spv *s, uint32_t result, size_t n, const uint32_t *params);
uint32_t tg_spv_const(tg_spv *s, int bits, uint64_t v);
uint32_t tg_spv_const_f32(tg_spv *s, float v);
uint32_t tg_spv_const_f64(tg_spv *s, double v);
uint32_t tg_spv_const_bool(tg_spv *s, bool v);
/* A module variable; not interned. */
uint32_t tg_spv_global(tg_spv *s, SpvStorageClass storage, uint32_t type);
/* Names a module variable in the entry's interface, where this version of SPIR-V wants it. */
void tg_spv_interface(tg_spv *s, uint32_t variable, SpvStorageClass storage);
/* Everything in order, behind the header. */
void tg_spv_finish(tg_spv *s, const unsigned char **out, size_t *out_bytes);

/* ---- values --------------------------------------------------------------------------------- */

int tg_spv_lanes(const tg_type *t);
/* Type of one lane in a register, and in memory (bool is a byte). */
uint32_t tg_spv_type(tg_spv *s, const tg_type *t);
uint32_t tg_spv_memory_type(tg_spv *s, const tg_type *t);
int tg_spv_bits(const tg_type *t);      /* of one lane in memory */
bool tg_spv_is_float(const tg_type *t); /* f32, f64: a float in registers */
tg_spv_value tg_spv_get(tg_spv *s, const tg_value *v);
tg_spv_value tg_spv_operand(tg_spv *s, const tg_op *op, int i);
void tg_spv_set(tg_spv *s, const tg_value *v, tg_spv_value x);
tg_spv_value tg_spv_row(tg_spv *s, int n); /* n lanes to fill in */
/* Lane x between register and memory form. */
uint32_t tg_spv_to_memory(tg_spv *s, const tg_type *t, uint32_t x);
uint32_t tg_spv_from_memory(tg_spv *s, const tg_type *t, uint32_t x);
/* A lane's bits as the unsigned integer of its width, and back. */
uint32_t tg_spv_as_bits(tg_spv *s, const tg_type *t, uint32_t x);
uint32_t tg_spv_from_bits(tg_spv *s, const tg_type *t, uint32_t x);
/* An integer of another width; `sign` extends. */
uint32_t tg_spv_resize(tg_spv *s, int from, int to, bool sign, uint32_t x);
void tg_spv_refuse(tg_spv *s, const tg_op *op, const char *why);

/* ---- emit.c, control.c ---------------------------------------------------------------------- */

void tg_spv_line(tg_spv *s, tg_span span);
uint32_t tg_spv_builtin(tg_spv *s, tg_spv_builtin_id i); /* loaded */
void tg_spv_label(tg_spv *s, uint32_t label);            /* opens a block */
void tg_spv_branch(tg_spv *s, uint32_t to);              /* closes it */
void tg_spv_region(tg_spv *s, tg_region *r);
/* if (cond) { ... }: tg_spv_then opens the block and returns the merge label for tg_spv_end. */
uint32_t tg_spv_then(tg_spv *s, uint32_t cond);
void tg_spv_end(tg_spv *s, uint32_t merge);
/* cond ? value made by make(user) : otherwise, without running make when it is false. */
uint32_t tg_spv_guarded(tg_spv *s, uint32_t cond, uint32_t type, uint32_t otherwise,
                        uint32_t (*make)(tg_spv *s, void *user), void *user);

/* ---- trap.c --------------------------------------------------------------------------------- */

/* Keeps a trap where cond holds; the function goes on. */
void tg_spv_trap_if(tg_spv *s, uint32_t cond, tg_span span, int64_t code);
/* At the function's end: the first one kept goes into the report. */
void tg_spv_trap_report(tg_spv *s);

/* ---- loops.c -------------------------------------------------------------------------------- */

/* How many copies of the body a trip of a `for` holds. */
int tg_spv_copies(tg_spv *s, const tg_op *op);
/* Behind a `for` whose index is iv there. */
void tg_spv_for_ended(tg_spv *s, const tg_op *op, uint32_t iv);
/* Before a `while`; the block its test leaves to; that block's code; behind the loop. */
void tg_spv_while_begins(tg_spv *s);
uint32_t tg_spv_while_leaves(tg_spv *s, uint32_t exit);
void tg_spv_while_way_out(tg_spv *s, uint32_t way_out, uint32_t exit);
void tg_spv_while_ended(tg_spv *s, const tg_op *op);

/* ---- groups of operations: each gives the result's lanes ------------------------------------- */

tg_spv_value tg_spv_arith(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_convert(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_reducev(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_memory(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_lane_op(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_atomic(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_array_op(tg_spv *s, tg_op *op);
tg_spv_value tg_spv_matrix(tg_spv *s, tg_op *op); /* a fragment is one value */
void tg_spv_arrays(tg_spv *s, tg_func *f);        /* declares them */
/* Pointer to element index + skip of the array op works on. */
uint32_t tg_spv_element(tg_spv *s, const tg_op *op, int64_t skip, bool *out_shared);
/* Two lanes by NaN-keeping minimum or maximum, any dtype. */
uint32_t tg_spv_minmax(tg_spv *s, const tg_type *t, bool is_max, uint32_t x, uint32_t y);
/* x + y in a lane of t. */
uint32_t tg_spv_add(tg_spv *s, const tg_type *t, uint32_t x, uint32_t y);
uint32_t tg_spv_fma(tg_spv *s, const tg_type *t, uint32_t x, uint32_t y, uint32_t z);
/* The address of an access as a pointer to the memory type. */
uint32_t tg_spv_pointer(tg_spv *s, uint32_t address, uint32_t type);
uint32_t tg_spv_offset(tg_spv *s, uint32_t address, int64_t bytes);

#endif
