/* SPDX-License-Identifier: Apache-2.0 */
/* What tests may ask the made-up driver library (fake_cuda.c), by dlsym. */
#ifndef FAKE_CUDA_H
#define FAKE_CUDA_H

/* Forgets the calls made so far. */
void fake_cuda_reset(void);
/* Calls since then, the names of their functions, and the function that was made to fail. */
int fake_cuda_calls(void);
const char *fake_cuda_call(int i);
const char *fake_cuda_failed(void);
/* Things alive: retained contexts, contexts pushed by this thread, modules, streams, events, memory
 * of both sides, work not done. */
int fake_cuda_live(void);

#endif
