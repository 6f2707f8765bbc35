/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the references of attention share: one row of softmax in double (attention.md section 1),
 * the parts of a split decode, and the data that go with both.
 */
#ifndef TG_KERNELS_ATTENTION_REF_H
#define TG_KERNELS_ATTENTION_REF_H

#include "kernels/reference.h"

/* A row that collects keys: greatest logit, sum of weights, weighted values. */
typedef struct attention_row {
    double m, l;
    double *acc;
    int64_t dim;
} attention_row;

bool attention_row_init(attention_row *s, int64_t dim);
void attention_row_fini(attention_row *s);
void attention_row_begin(attention_row *s);
/* One key with its scaled logit (natural units); -inf: no key. */
void attention_row_key(attention_row *s, double logit, const double *v);
/* Output and LSE without the sink; no key: 0 and +inf. */
void attention_row_end(const attention_row *s, double sink, double *out, double *lse);
double attention_dot(const double *a, const double *b, int64_t n);

/* The 32-byte record of a part (attention.md K4), decoded. */
typedef struct attention_part {
    int64_t begin_req, end_req, begin_blk, end_blk, begin_split, first_split, last_split;
} attention_part;

enum { ATTENTION_PART_BYTES = 32, ATTENTION_BLOCK = 64 };

attention_part attention_part_read(const tgk_arg *parts, int64_t w);

/* Keys lo .. hi of request r within a part; the slot of the piece, -1 for a whole request. */
typedef struct attention_piece {
    int64_t lo, hi, slot;
} attention_piece;
attention_piece attention_part_piece(const attention_part *p, const tgk_arg *splits, int64_t r,
                                     int64_t len);

/*
 * The arguments of a split decode, found by name: `o` [B, S, H, E], `lse` [B, H, S], `po`
 * [N, S, H, E], `pl` [N, S, H] (base 2), `part`, `splits`, `len`, `sink`.
 */
typedef struct attention_split {
    tgk_arg *o, *lse, *po, *pl;
    const tgk_arg *part, *splits, *len, *sink;
} attention_split;
bool attention_split_find(attention_split *s, tgk_arg *args, int n);
/* Adds the keys lo .. hi of request r, visible to query s of head h, to the row. */
typedef void (*attention_keys)(const void *user, attention_row *row, int64_t r, int64_t s,
                               int64_t h, int64_t lo, int64_t hi);
/* Every piece of every part; the outputs' other elements hold their `init`. */
bool attention_split_run(const attention_split *s, attention_keys keys, const void *user);
/* The op over all pieces, out o and out lse by name: how the work is cut does not matter. */
bool attention_whole(tgk_arg *args, int n, attention_keys keys, const void *user);

/* Inputs. Sinks: a third -inf, a sixth +inf. Lengths 0 .. columns * page, pages at random, junk
 * behind the last page in use. Parts: cut at random places, empty ones too (full: evenly). */
/* A third of the rows of q [.., H, D] gets logits around +300, another around -300 where no finite
 * sink would then take everything (the output would underflow): all keys have 16 in column 0. */
void attention_offsets(tgk_arg *q, tgk_arg *k, const tgk_arg *sink, double scale, tgk_random *r);
void attention_sinks(tgk_arg *a, tgk_random *r);
void attention_pages(tgk_arg *table, tgk_arg *len, int64_t pages, int64_t page, tgk_random *r);
void attention_parts(tgk_arg *part, tgk_arg *splits, const tgk_arg *len, tgk_random *r);

/* Rows of split.tg. */
bool attention_split_combine(tgk_arg *args, int n);
void attention_split_combine_inputs(tgk_arg *args, int n, tgk_random *r);
#endif
