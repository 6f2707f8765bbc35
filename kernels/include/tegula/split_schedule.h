/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The split schedule of the decode kernels (gqa_decode, mla_decode and their FP8 forms): which
 * program attends to which keys of which requests. Requests are a row of blocks of keys; parts of
 * about equal cost are cut off greedily, so that a part has whole requests and at most two pieces
 * of requests. All sizes follow from the batch and the number of parts, never from the lengths: the
 * launches can be captured.
 */
#ifndef TEGULA_SPLIT_SCHEDULE_H
#define TEGULA_SPLIT_SCHEDULE_H

#include <tegula/kernels.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One program's work; the record `Part` of kernels/attention/split.tg, 32 bytes. */
typedef struct tgh_part {
    int32_t begin_req;   /* first request */
    int32_t end_req;     /* last request, inclusive; begin_req - 1: no work */
    int32_t begin_blk;   /* first block of the first request */
    int32_t end_blk;     /* block behind the last one of the last request */
    int32_t begin_split; /* how many pieces of the first request lie in earlier parts */
    int32_t first_split; /* 1: the first request has other pieces elsewhere */
    int32_t last_split;  /* 1: the last request has other pieces elsewhere */
    int32_t pad;         /* 0 */
} tgh_part;

/* Most parts of a schedule, and so most splits of a request. */
#define TGH_SPLIT_MAX_PARTS 160
/* Keys a block, and what starting a request costs in blocks, where the kernels' `BLOCK` and the
 * usual measure are meant. */
#define TGH_SPLIT_BLOCK 64
#define TGH_SPLIT_OVERHEAD 5

typedef enum tgh_split_status {
    TGH_SPLIT_OK = 0,
    TGH_SPLIT_BAD_ARGUMENT /* parts outside 1 .. 160, a negative length, block or overhead */
} tgh_split_status;

/*
 * Cuts `requests` requests of len[r] keys into `parts` parts: the payload of a part is
 * ceil(sum(blocks + overhead) / parts) + overhead, a request without keys counts as one block.
 * out_parts: `parts` records. out_splits: requests + 1 numbers, the running sum of the pieces of
 * the requests; the partial results of request r have slots out_splits[r] .. out_splits[r + 1]
 * (a request in one piece uses none of its slot), requests + parts slots are always enough.
 */
TGH_API tgh_split_status tgh_split_schedule(const int32_t *len, int32_t requests, int32_t parts,
                                            int32_t block, int32_t overhead, tgh_part *out_parts,
                                            int32_t *out_splits);

/* The number of parts that fills `units` (cores, multiprocessors): each part runs once for every
 * key head and every block of 64 rows of the queries x heads that share it; at least 1. */
TGH_API int32_t tgh_split_parts_for(int32_t units, int32_t queries, int32_t heads,
                                    int32_t key_heads);

#ifdef __cplusplus
}
#endif
#endif
