/* SPDX-License-Identifier: Apache-2.0 */
/* The greedy cut of the split schedule: see tegula/split_schedule.h. */
#include <tegula/split_schedule.h>

/* How far the row of blocks is dealt out. */
typedef struct cursor {
    const int32_t *len;
    int32_t requests, block, overhead;
    int32_t req, blk, piece; /* next block, and pieces of its request so far */
    int32_t splits;          /* pieces of all earlier requests */
} cursor;

static int32_t blocks(const cursor *c, int32_t req) {
    int32_t n = c->len[req] / c->block + (c->len[req] % c->block != 0);
    return n > 0 ? n : 1;
}

/* Gives out work of at most `payload` from the cursor on. */
static void take(cursor *c, int64_t payload, int32_t *out_splits) {
    while (c->req < c->requests) {
        int64_t left = blocks(c, c->req) - c->blk;
        if (payload < left + c->overhead) {
            if (payload > c->overhead) {
                c->blk += (int32_t)(payload - c->overhead);
                c->piece++;
            }
            return;
        }
        payload -= left + c->overhead;
        c->splits += c->piece + 1;
        out_splits[++c->req] = c->splits;
        c->blk = c->piece = 0;
    }
}

static tgh_part next_part(cursor *c, int64_t payload, int32_t *out_splits) {
    tgh_part p = {.begin_req = c->req, .begin_blk = c->blk, .begin_split = c->piece};
    p.first_split = c->blk != 0;
    take(c, payload, out_splits);
    p.end_req = c->blk > 0 ? c->req : c->req - 1;
    if (p.end_req < p.begin_req) {
        return p;
    }
    int32_t last = blocks(c, p.end_req);
    p.end_blk = c->blk > 0 ? c->blk : c->len[p.end_req] == 0 ? 0 : last;
    p.last_split = c->blk > 0;
    if (p.begin_req == p.end_req) {
        p.first_split = p.last_split = p.first_split || p.last_split;
    }
    return p;
}

tgh_split_status tgh_split_schedule(const int32_t *len, int32_t requests, int32_t parts,
                                    int32_t block, int32_t overhead, tgh_part *out_parts,
                                    int32_t *out_splits) {
    cursor c = {.len = len, .requests = requests, .block = block, .overhead = overhead};
    int64_t total = 0;
    if (requests < 0 || parts < 1 || parts > TGH_SPLIT_MAX_PARTS || block < 1 || overhead < 0) {
        return TGH_SPLIT_BAD_ARGUMENT;
    }
    for (int32_t r = 0; r < requests; r++) {
        if (len[r] < 0) {
            return TGH_SPLIT_BAD_ARGUMENT;
        }
        total += (int64_t)blocks(&c, r) + overhead;
    }
    int64_t payload = (total + parts - 1) / parts + overhead;
    out_splits[0] = 0;
    for (int32_t w = 0; w < parts; w++) {
        out_parts[w] = next_part(&c, payload, out_splits);
    }
    return TGH_SPLIT_OK;
}

int32_t tgh_split_parts_for(int32_t units, int32_t queries, int32_t heads, int32_t key_heads) {
    if (units < 1 || queries < 1 || heads < 1 || key_heads < 1) {
        return 1;
    }
    int64_t rows = ((int64_t)queries * heads / key_heads + 63) / 64;
    int64_t parts = rows > 0 ? units / key_heads / rows : 1;
    return parts < 1 ? 1 : parts > TGH_SPLIT_MAX_PARTS ? TGH_SPLIT_MAX_PARTS : (int32_t)parts;
}
