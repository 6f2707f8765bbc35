/* SPDX-License-Identifier: Apache-2.0 */
/* The references of the V4 family that stand in files of their own, and what they share. */
#ifndef TG_KERNELS_V4_REFS_H
#define TG_KERNELS_V4_REFS_H

#include "kernels/reference.h"

/* One row of n channels of a group's tokens: logits and values `stride` apart, `rows` of them. */
typedef struct tgv_pool {
    int64_t width; /* of c and z */
    int64_t dim, m;
    bool overlap;
    const double *c, *z;
    const double *ape; /* [m][width]; NULL: none */
} tgv_pool;

/* Entry w before the norm; out [dim]. Z + ape is an f32, as the state holds it. */
void tgv_entry(const tgv_pool *p, int64_t w, double *out);
/* RMSNorm with gain g (NULL: 1). */
void tgv_norm(double *y, int64_t n, const double *g, double eps);
/* Turns the last 2 pairs channels by a table row (pairs cosines, pairs sines); sign -1: back. */
void tgv_turn(double *y, int64_t n, const double *cs, int64_t pairs, double sign);
/* Real cosines and sines of position * 10000^(-i / pairs). */
void tgv_fill_table(tgk_arg *cs);

/* What a compressor that takes tokens needs beside its state. ape and `latent` below may be NULL.
 */
typedef struct tgv_tokens {
    int64_t m, dim;
    const double *ape, *g;
    double eps;
    const tgk_arg *cs;
} tgv_tokens;

/* Token p of the request in `slot` of state [SLOTS, M or 2 M, 2, width]; true: it ends a group, and
 * y is the entry. */
bool tgv_stream(tgk_arg *state, int64_t slot, const tgv_tokens *t, int64_t p, const double *c,
                const double *z, double *latent, double *y);
void tgv_poison_state(tgk_arg *state, int64_t slot, int64_t p, int64_t m);
/* Tokens first .. first + count of request b, whose positions begin at p. */
typedef struct tgv_share {
    int64_t b, first, count, p, slot;
} tgv_share;

/* Requests of about equally many tokens at consecutive positions below `most`: at the beginning, at
 * a group's end, at the last positions, anywhere; slots in descending order. */
tgv_share tgv_share_of(int64_t b, int64_t requests, int64_t tokens, int64_t m, int64_t most,
                       tgk_random *r);
/* cu and slot may be NULL. */
void tgv_place_share(const tgv_share *s, tgk_arg *cu, tgk_arg *slot, tgk_arg *pos);

bool tgv_compress_plain(tgk_arg *a, int n);
bool tgv_compress_overlap(tgk_arg *a, int n);
bool tgv_compress_step(tgk_arg *a, int n);
bool tgv_compress_state(tgk_arg *a, int n);
void tgv_inputs_compress(tgk_arg *a, int n, tgk_random *r);
void tgv_inputs_step(tgk_arg *a, int n, tgk_random *r);
void tgv_inputs_state(tgk_arg *a, int n, tgk_random *r);

/* ---- what the layers share (layer_ref.c) ---- */

/* Memory of one reference call; a failed allocation shows as NULL and in `failed`. */
typedef struct tgv_scratch {
    void *block[32];
    int n;
    bool failed;
} tgv_scratch;

double *tgv_take(tgv_scratch *s, int64_t count);
/* Frees all; false when anything failed. */
bool tgv_release(tgv_scratch *s);

double tgv_stored(tg_dtype t, double v);
void tgv_store_all(tg_dtype t, double *v, int64_t n);
/* y [s, n] = x [s, k] w [n, k]^T */
void tgv_product(const double *x, int64_t s, int64_t k, const double *w, int64_t n, double *y);

/* The arguments of a layer by name; rows of it as they are stored between kernels. */
typedef struct tgv_layer {
    tgk_arg *args;
    int n;
    const tgk_arg *x, *cs;
    tg_dtype type;
    int64_t tokens, hidden;
    double eps;
} tgv_layer;

tgv_layer tgv_layer_of(tgk_arg *a, int n);
const tgk_arg *tgv_arg(const tgv_layer *l, const char *name);
double *tgv_latent_rows(const tgv_layer *l, tgv_scratch *s, const char *w, const char *g,
                        bool turn);
double *tgv_head_rows(const tgv_layer *l, tgv_scratch *s, const double *qr, const char *w,
                      bool norm);

/* The keys of one query in the order they are added. */
typedef struct tgv_attend {
    const double *kv, *entries, *sink;
    int64_t dim, heads, window;
    double scale;
    const tgk_arg *cs;
} tgv_attend;

void tgv_add_key(const double *q, const double *row, const tgv_attend *a, double *top, double *sum,
                 double *out);
/* The sink, and the rotation back by the row of position p. */
void tgv_attend_end(const tgv_attend *a, int64_t p, int64_t h, double top, double sum, double *out);
double tgv_score(const double *q, const double *key, const double *w, int64_t heads, int64_t d,
                 double factor);
/* The k best of s[0 .. n) into list, the rest -1; how far the last is above the next. */
double tgv_choose(const double *s, int64_t n, int64_t k, int64_t *list);
void tgv_group_rows(const double *o, int64_t s, const tgk_arg *wa, double *z);
void tgv_scale_weights(tgk_arg *a, int n, tg_dtype type);
void tgv_fill_scalars(tgk_arg *a, int n, tgk_random *r);
/* Logits of a third of the rows around +300 and (without a finite sink: the output would underflow)
 * of another around -300: the first column of every key is 1. */
void tgv_far_logits(tgk_arg *a, int n, tgk_random *r);

bool tgv_project(tgk_arg *a, int n);
bool tgv_latent(tgk_arg *a, int n);
bool tgv_heads(tgk_arg *a, int n);
bool tgv_scores(tgk_arg *a, int n);
bool tgv_attend_all(tgk_arg *a, int n);
bool tgv_attend_some(tgk_arg *a, int n);
bool tgv_group_out(tgk_arg *a, int n);
bool tgv_out(tgk_arg *a, int n);
bool tgv_layer_swa(tgk_arg *a, int n);
bool tgv_layer_hca(tgk_arg *a, int n);
bool tgv_layer_csa(tgk_arg *a, int n);
void tgv_inputs_layer(tgk_arg *a, int n, tgk_random *r);
void tgv_inputs_attend_some(tgk_arg *a, int n, tgk_random *r);
void tgv_inputs_csa(tgk_arg *a, int n, tgk_random *r);

/* ---- new tokens of running requests (step_ref.c, step_rows.c) ---- */

/* Rows of a ring [SLOTS, R, D] or of pages [P, BS, D] as doubles; of records a decoded copy. */
typedef struct tgv_rows {
    tgk_arg *arg; /* NULL: there is none */
    int64_t pages, page, dim;
    double *f;
} tgv_rows;

/* Rows of a page: of the tensor, or by the record's parameter. */
int64_t tgv_page_rows(const tgk_arg *a);
/* a may be NULL. False: no memory. */
bool tgv_rows_init(tgv_rows *r, tgk_arg *a);
void tgv_rows_fini(tgv_rows *r);
/* Stores y as row `at`, in bytes where they are bytes. */
void tgv_rows_put(tgv_rows *r, int64_t at, const double *y);
/* Number of the row with entry w of request b; -1: there is none. */
int64_t tgv_rows_entry(const tgv_rows *r, const tgk_arg *table, int64_t b, int64_t w);
/* NaN in all rows but those that `keep` marks; those of records are drawn, column 0 a 1 if `ones`.
 */
void tgv_rows_fill(tgv_rows *r, const unsigned char *keep, bool ones, tgk_random *random);
/* n values as e4m3 with a power of two keeps them. */
void tgv_through_e4m3(double *x, int64_t n);

bool tgv_store_window(tgk_arg *a, int n);
bool tgv_store_entries(tgk_arg *a, int n);
bool tgv_scores_paged(tgk_arg *a, int n);
bool tgv_attend_step(tgk_arg *a, int n);
bool tgv_step(tgk_arg *a, int n);
void tgv_inputs_running(tgk_arg *a, int n, tgk_random *r);

#endif
