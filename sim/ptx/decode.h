/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Decoding one instruction: its opcode's modifiers are taken one by one by the family it belongs
 * to; one that is left over is an error, so that nothing is executed as something simpler.
 */
#ifndef TEGULA_SIM_DECODE_H
#define TEGULA_SIM_DECODE_H

#include "sim/ptx/sim.h"

enum { MAX_MODIFIERS = 24 };

typedef struct sim_decoder {
    sim_parser *p;
    sim_insn *in;
    const char *op;
    const char *modifier[MAX_MODIFIERS];
    bool used[MAX_MODIFIERS];
    int n;
} sim_decoder;

/* Takes the modifier; false when it is not there. */
bool sim_took(sim_decoder *d, const char *modifier);
/* Takes the first of the types that is left; T_NONE. */
sim_type sim_took_type(sim_decoder *d);
/* Takes the first of the words, 1 + its index; 0: none. words ends in NULL. */
int sim_took_one(sim_decoder *d, const char *const *words);
sim_space sim_took_space(sim_decoder *d);
void sim_took_round(sim_decoder *d);
/* Hints of caches, orders and scopes: executed in order, none makes a difference. */
void sim_took_hints(sim_decoder *d);
/*
 * Operands by a letter each:
 *   D  register, or _              S  register or constant     P  predicate, maybe negated
 *   V  D, or { list }              v  S, or { list }           A  [address]
 *   W  V with no _ in the list
 *   L  label                       T  D and, after a bar, another; else the second is _
 *   M  [address, {list}]: two operands
 *   ?  what follows may be missing
 * A missing one is OPERAND_NONE.
 */
bool sim_operands(sim_decoder *d, const char *letters);
bool sim_refuse(sim_decoder *d, const char *what);
/* True with exec set, or the family refuses this type. */
bool sim_execs(sim_decoder *d, sim_exec exec, sim_class class_);

/* The families. */
typedef bool (*sim_family)(sim_decoder *d);
typedef struct sim_family_row {
    const char *op;
    sim_family decode;
} sim_family_row;
extern const sim_family_row sim_families_integer[], sim_families_float[], sim_families_move[],
    sim_families_memory[], sim_families_warp[], sim_families_matrix[];

/* The names that integers and floats share (add, min, ...) with the types of floats: exec_float.c.
 */
bool sim_float_arithmetic(sim_decoder *d);

/* Bits of a mask in turn. */
#define EACH_LANE(l, mask)                                                                         \
    for (uint32_t left_##l = (mask), l; left_##l && (l = (uint32_t)__builtin_ctz(left_##l), true); \
         left_##l &= left_##l - 1)

#endif
