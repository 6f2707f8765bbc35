/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of softmax, parts of a split decode, and the combine of its pieces: see attention_ref.h. */
#include "kernels/attention/attention_ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

bool attention_row_init(attention_row *s, int64_t dim) {
    *s = (attention_row){.acc = calloc((size_t)dim + 1, sizeof(double)), .dim = dim};
    return s->acc != NULL;
}

void attention_row_fini(attention_row *s) { free(s->acc); }

void attention_row_begin(attention_row *s) {
    s->m = -INFINITY;
    s->l = 0;
    memset(s->acc, 0, (size_t)s->dim * sizeof *s->acc);
}

void attention_row_key(attention_row *s, double logit, const double *v) {
    if (logit == -INFINITY) {
        return;
    }
    double m = logit > s->m ? logit : s->m;
    double keep = s->m == -INFINITY ? 0 : exp(s->m - m), p = exp(logit - m);
    s->l = s->l * keep + p;
    for (int64_t d = 0; d < s->dim; d++) {
        s->acc[d] = s->acc[d] * keep + p * v[d];
    }
    s->m = m;
}

void attention_row_end(const attention_row *s, double sink, double *out, double *lse) {
    *lse = s->l > 0 ? s->m + log(s->l) : INFINITY;
    double weight = s->l > 0 && sink != INFINITY ? 1 / (1 + exp(sink - *lse)) : 0;
    for (int64_t d = 0; d < s->dim; d++) {
        out[d] = s->l > 0 ? s->acc[d] / s->l * weight : 0;
    }
}

double attention_dot(const double *a, const double *b, int64_t n) {
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* ---- parts ------------------------------------------------------------------------------------
 */

static int64_t word(const unsigned char *p) {
    uint32_t v = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    return (int32_t)v;
}

static void put_word(unsigned char *p, int64_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)((uint64_t)v >> (8 * i));
    }
}

attention_part attention_part_read(const tgk_arg *parts, int64_t w) {
    const unsigned char *p = parts->bytes + w * ATTENTION_PART_BYTES;
    return (attention_part){.begin_req = word(p),
                            .end_req = word(p + 4),
                            .begin_blk = word(p + 8),
                            .end_blk = word(p + 12),
                            .begin_split = word(p + 16),
                            .first_split = word(p + 20),
                            .last_split = word(p + 24)};
}

attention_piece attention_part_piece(const attention_part *p, const tgk_arg *splits, int64_t r,
                                     int64_t len) {
    bool begins = r == p->begin_req, ends = r == p->end_req;
    bool cut = (begins && p->first_split != 0) || (ends && p->last_split != 0);
    int64_t end = p->end_blk * ATTENTION_BLOCK;
    return (attention_piece){.lo = begins ? p->begin_blk * ATTENTION_BLOCK : 0,
                             .hi = ends && end < len ? end : len,
                             .slot = !cut ? -1 : splits->i[r] + (begins ? p->begin_split : 0)};
}

bool attention_split_find(attention_split *s, tgk_arg *args, int n) {
    *s = (attention_split){tgk_find(args, n, "o"),    tgk_find(args, n, "lse"),
                           tgk_find(args, n, "po"),   tgk_find(args, n, "pl"),
                           tgk_find(args, n, "part"), tgk_find(args, n, "splits"),
                           tgk_find(args, n, "len"),  tgk_find(args, n, "sink")};
    return s->o != NULL && s->lse != NULL && s->po != NULL && s->pl != NULL && s->part != NULL &&
           s->splits != NULL && s->len != NULL && s->sink != NULL;
}

static void fill(tgk_arg *a, double v) {
    for (int64_t i = 0; i < a->count; i++) {
        a->f[i] = v;
    }
}

static void one_piece(const attention_split *s, attention_row *row, attention_keys keys,
                      const void *user, int64_t r, attention_piece at) {
    int64_t queries = s->o->extent[1], heads = s->o->extent[2];
    for (int64_t i = 0; i < queries; i++) {
        for (int64_t h = 0; h < heads; h++) {
            attention_row_begin(row);
            keys(user, row, r, i, h, at.lo, at.hi);
            if (at.slot < 0) {
                attention_row_end(row, s->sink->f[h],
                                  s->o->f + ((r * queries + i) * heads + h) * row->dim,
                                  s->lse->f + (r * heads + h) * queries + i);
                continue;
            }
            int64_t slot = (at.slot * queries + i) * heads + h;
            attention_row_end(row, -INFINITY, s->po->f + slot * row->dim, s->pl->f + slot);
            s->pl->f[slot] = row->l > 0 ? s->pl->f[slot] / log(2.0) : -INFINITY;
        }
    }
}

bool attention_split_run(const attention_split *s, attention_keys keys, const void *user) {
    attention_row row;
    if (!attention_row_init(&row, s->o->extent[3])) {
        return false;
    }
    fill(s->o, 0);
    fill(s->lse, INFINITY);
    fill(s->po, 0);
    fill(s->pl, -INFINITY);
    for (int64_t w = 0; w < s->part->count; w++) {
        attention_part p = attention_part_read(s->part, w);
        for (int64_t r = p.begin_req; r <= p.end_req; r++) {
            one_piece(s, &row, keys, user, r, attention_part_piece(&p, s->splits, r, s->len->i[r]));
        }
    }
    attention_row_fini(&row);
    return true;
}

bool attention_whole(tgk_arg *args, int n, attention_keys keys, const void *user) {
    attention_row row;
    tgk_arg *o = tgk_find(args, n, "o"), *lse = tgk_find(args, n, "lse");
    const tgk_arg *sink = tgk_find(args, n, "sink"), *len = tgk_find(args, n, "len");
    int64_t queries = o->extent[1], heads = o->extent[2];
    if (!attention_row_init(&row, o->extent[3])) {
        return false;
    }
    for (int64_t i = 0; i < o->extent[0] * queries * heads; i++) {
        int64_t h = i % heads, s = i / heads % queries, r = i / heads / queries;
        attention_row_begin(&row);
        keys(user, &row, r, s, h, 0, len->i[r]);
        attention_row_end(&row, sink->f[h], o->f + i * row.dim,
                          lse->f + (r * heads + h) * queries + s);
    }
    attention_row_fini(&row);
    return true;
}

/* ---- inputs -----------------------------------------------------------------------------------
 */

void attention_offsets(tgk_arg *q, tgk_arg *k, const tgk_arg *sink, double scale, tgk_random *r) {
    int64_t d = q->extent[q->rank - 1];
    for (int64_t i = 0; i < k->count && !r->exact; i += d) {
        k->f[i] = 16;
    }
    for (int64_t i = 0; i < q->count && !r->exact; i += d) {
        int64_t kind = tgk_random_below(r, 3) - 1;
        bool lost = kind < 0 && isfinite(sink->f[i / d % sink->count]);
        q->f[i] = lost ? 0 : (double)kind * 300 / (16 * scale);
    }
}

void attention_sinks(tgk_arg *a, tgk_random *r) {
    for (int64_t h = 0; h < a->count; h++) {
        int64_t kind = tgk_random_below(r, 6);
        a->f[h] = kind < 2 ? -INFINITY : kind == 2 ? INFINITY : tgk_random_normal(r);
    }
}

void attention_pages(tgk_arg *table, tgk_arg *len, int64_t pages, int64_t page, tgk_random *r) {
    static const int64_t known[] = {1, 20, 140, 1000}; /* attention.md K4 */
    int64_t columns = table->extent[1], most = columns * page;
    for (int64_t b = 0; b < len->count; b++) {
        bool is_known = b >= 3 && b < 7 && known[b - 3] <= most;
        len->i[b] = r->full || b == 0 ? most
                    : b == 1          ? 0
                    : is_known        ? known[b - 3]
                                      : tgk_random_below(r, most + 1);
        for (int64_t c = 0; c < columns; c++) {
            bool used = c * page < len->i[b];
            table->i[b * columns + c] = used ? tgk_random_below(r, pages) : 2147480000;
        }
    }
}

static int64_t blocks(const tgk_arg *len, int64_t r) {
    int64_t n = (len->i[r] + ATTENTION_BLOCK - 1) / ATTENTION_BLOCK;
    return n > 0 ? n : 1; /* an empty request counts as one block */
}

static int ascending(const void *x, const void *y) {
    const int64_t *a = x, *b = y;
    return *a < *b ? -1 : *a > *b;
}

/* Places where the row of all blocks is cut, ascending: cuts[0] = 0, cuts[parts] = total. */
static void make_cuts(int64_t *cuts, int64_t parts, int64_t total, tgk_random *r) {
    for (int64_t w = 0; w < parts; w++) {
        cuts[w] = r->full ? total * w / parts : w == 0 ? 0 : tgk_random_below(r, total + 1);
    }
    cuts[parts] = total;
    qsort(cuts, (size_t)parts, sizeof *cuts, ascending);
}

/* The request in which block `at` of all blocks lies, and the number of its first block. */
static int64_t request_of(const tgk_arg *len, int64_t at, int64_t *out_first) {
    int64_t r = 0;
    *out_first = 0;
    while (at >= *out_first + blocks(len, r)) {
        *out_first += blocks(len, r++);
    }
    return r;
}

static void put_part(unsigned char *p, const attention_part *v) {
    const int64_t words[8] = {v->begin_req,   v->end_req,     v->begin_blk,  v->end_blk,
                              v->begin_split, v->first_split, v->last_split, 0};
    for (int i = 0; i < 8; i++) {
        put_word(p + 4 * i, words[i]);
    }
}

void attention_parts(tgk_arg *part, tgk_arg *splits, const tgk_arg *len, tgk_random *r) {
    int64_t total = 0, parts = part->count, pieces = 0, last_req = -1, requests = len->count;
    int64_t *cuts = calloc((size_t)parts + 1, sizeof *cuts);
    for (int64_t b = 0; b < requests; b++) {
        total += blocks(len, b);
    }
    if (cuts == NULL) {
        return;
    }
    make_cuts(cuts, parts, total, r);
    memset(splits->i, 0, (size_t)splits->count * sizeof *splits->i);
    for (int64_t w = 0; w < parts; w++) {
        attention_part v = {.begin_req = requests, .end_req = requests - 1};
        if (cuts[w] < cuts[w + 1]) {
            int64_t first, last;
            v.begin_req = request_of(len, cuts[w], &first);
            v.end_req = request_of(len, cuts[w + 1] - 1, &last);
            v.begin_blk = cuts[w] - first;
            v.end_blk = len->i[v.end_req] == 0 ? 0 : cuts[w + 1] - last;
            pieces = v.begin_req == last_req ? pieces : 0;
            v.begin_split = pieces;
            v.first_split = v.begin_blk > 0;
            v.last_split = cuts[w + 1] - last < blocks(len, v.end_req);
            if (v.begin_req == v.end_req) {
                v.first_split = v.last_split = v.first_split || v.last_split;
            }
            for (int64_t q = v.begin_req; q <= v.end_req; q++) {
                splits->i[q + 1]++;
            }
            pieces = v.end_req == v.begin_req ? pieces + 1 : 1;
            last_req = v.end_req;
        }
        put_part(part->bytes + w * ATTENTION_PART_BYTES, &v);
    }
    for (int64_t b = 0; b < requests; b++) {
        splits->i[b + 1] += splits->i[b];
    }
    free(cuts);
}

/* ---- combine ----------------------------------------------------------------------------------
 */

/*
 * split_combine(po: f32[N, S, H, D], pl: f32[N, S, H] base 2, splits: i32[B+1], sink: f32[H], inout
 * o: [B, S, H, D], inout lse: f32[B, H, S]): g = log2 sum 2^L, with a sink g += log2(1 + 2^(s
 * log2(e) - g)); o = sum 2^(L - g) O. A request with one split keeps what it has; none: 0 and +inf.
 */
bool attention_split_combine(tgk_arg *args, int n) {
    if (n != 6) {
        return false;
    }
    const tgk_arg *po = &args[0], *pl = &args[1], *splits = &args[2];
    int64_t queries = po->extent[1], heads = po->extent[2], dim = po->extent[3];
    for (int64_t i = 0; i < args[4].extent[0] * queries * heads; i++) {
        int64_t b = i / (queries * heads), row = i % (queries * heads), h = row % heads;
        int64_t lo = splits->i[b], hi = splits->i[b + 1];
        double sum = 0, top = -INFINITY, sink = args[3].f[h], *o = args[4].f + i * dim;
        if (hi - lo == 1) {
            continue;
        }
        for (int64_t s = lo; s < hi; s++) {
            top = fmax(top, pl->f[s * queries * heads + row]);
        }
        for (int64_t s = lo; s < hi && top > -INFINITY; s++) {
            sum += exp2(pl->f[s * queries * heads + row] - top);
        }
        double g = top + log2(sum), all = g + log2(1 + exp2(sink / log(2.0) - g));
        memset(o, 0, (size_t)dim * sizeof *o);
        for (int64_t s = lo; s < hi && sum > 0; s++) {
            double share = exp2(pl->f[s * queries * heads + row] - all);
            for (int64_t d = 0; d < dim && share > 0; d++) {
                o[d] += share * po->f[(s * queries * heads + row) * dim + d];
            }
        }
        args[5].f[(b * heads + h) * queries + row / heads] = sum > 0 ? g * log(2.0) : INFINITY;
    }
    return true;
}

/* The pieces of one row: around 0, 400 or (unless a finite sink would take everything) -400; a
 * sixth of the rows has no key in any piece, others in some. */
static void partial_lse(tgk_arg *pl, const int64_t *cut, int64_t request, int64_t row, double sink,
                        tgk_random *r) {
    int64_t rows = pl->extent[1] * pl->extent[2], kind = tgk_random_below(r, 6);
    double offset = kind < 2 ? 400 : kind == 2 && !isfinite(sink) ? -400 : 0;
    for (int64_t s = cut[request]; s < cut[request + 1]; s++) {
        bool none = kind == 3 || tgk_random_below(r, 5) == 0;
        pl->f[s * rows + row] = none ? -INFINITY : offset + tgk_random_normal(r) * 3;
    }
}

void attention_split_combine_inputs(tgk_arg *args, int n, tgk_random *r) {
    (void)n;
    int64_t requests = args[4].extent[0], splits = args[0].extent[0], *cut = args[2].i;
    cut[0] = 0;
    for (int64_t b = 1; b <= requests; b++) {
        int64_t left = splits - cut[b - 1], most = left < 4 ? left : 4;
        cut[b] = cut[b - 1] + (r->full  ? splits / requests
                               : b == 1 ? (left > 0) /* kept as it is */
                               : b == 2 ? 0
                                        : tgk_random_below(r, most + 1));
    }
    attention_sinks(&args[3], r);
    int64_t rows = args[0].extent[1] * args[0].extent[2];
    for (int64_t i = 0; i < requests * rows; i++) {
        partial_lse(&args[1], cut, i / rows, i % rows, args[3].f[i % args[0].extent[2]], r);
    }
}
