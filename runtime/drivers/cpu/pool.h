/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pool of threads for one parallel loop at a time. See pool.c for the method.
 */
#ifndef TGR_POOL_H
#define TGR_POOL_H

#include <stdbool.h>

#include <tegula/tegula.h>

typedef struct tgr_pool tgr_pool;

/* n_threads counts the calling thread. Fewer workers than asked for (down to none) is not an error.
 */
tgr_status tgr_pool_create(tgr_context *context, int32_t n_threads, int32_t spin_us, bool pin,
                           tgr_pool **out);
void tgr_pool_destroy(tgr_pool *pool);
int32_t tgr_pool_threads(const tgr_pool *pool);

/*
 * Calls body(arg, begin, end, thread) over chunks that cover 0..n, in the calling thread (thread 0)
 * and in workers. Chunks are claimed dynamically. Stops early when a body returns false. One call
 * at a time: the caller holds the device's lock.
 */
typedef bool (*tgr_pool_body)(void *arg, int64_t begin, int64_t end, int32_t thread);
void tgr_pool_run(tgr_pool *pool, int64_t n, tgr_pool_body body, void *arg);

/* Processors this process may use. */
int32_t tgr_pool_processors(void);

#endif
