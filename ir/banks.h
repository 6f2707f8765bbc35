/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bank conflicts of shared memory, counted without running: the index of every access is followed
 * back to the lane's number. What all lanes have alike (loop variables, arguments, what is loaded
 * at one address) shifts all of them together and moves no lane into another's bank.
 *
 * The rule, for `banks` banks of 4 bytes: the lanes of a group touch some distinct words; each bank
 * gives one word a cycle, so the access takes as many cycles as the fullest bank has words, and at
 * least words / banks. The degree is the first over the second, rounded up. Wide accesses (8 or 16
 * bytes a lane) that hardware serves by half and quarter groups have degree 1 by the same rule
 * where every part of the group has.
 */
#ifndef TG_BANKS_H
#define TG_BANKS_H

#include "ir/ir.h"

typedef struct tg_bank_access {
    const tg_op *op;    /* aload, astore, aatomic, acopy, fragload */
    const tg_op *array; /* the shared array */
    int degree;         /* of the worst placement; 0: the data decides where lanes go */
    int64_t bytes;      /* of one lane */
} tg_bank_access;

typedef struct tg_bank_options {
    int banks; /* 0: 32 */
    int group; /* lanes that access together; 0: 32 */
} tg_bank_options;

/* The accesses of a SIMT loop function to shared arrays, in order of the code; in the arena. */
size_t tg_bank_count(const tg_func *f, const tg_bank_options *options, tg_arena *a,
                     tg_bank_access **out);
/* A remark for each shared array: its bytes, and the degree of each access with its line. */
void tg_bank_remarks(const tg_func *f, const tg_bank_options *options, tg_arena *a, tg_sink *sink);

#endif
