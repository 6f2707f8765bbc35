/* SPDX-License-Identifier: Apache-2.0 */
/* What the simulators share: growing arrays and a machine's global memory. */
#ifndef TG_SIM_COMMON_MEMORY_H
#define TG_SIM_COMMON_MEMORY_H

#include <tegula/sim_ptx.h>

/* A growing array; see SIM_PUSH. */
#define SIM_ARRAY(T)                                                                               \
    struct {                                                                                       \
        T *data;                                                                                   \
        size_t n, cap;                                                                             \
    }

bool sim_grow(void **data, size_t *cap, size_t n, size_t size);
/* Appends; false when there is no memory. */
#define SIM_PUSH(a, v)                                                                             \
    (sim_grow((void **)&(a)->data, &(a)->cap, (a)->n + 1, sizeof *(a)->data)                       \
         ? ((a)->data[(a)->n++] = (v), true)                                                       \
         : false)

typedef struct sim_range {
    uint64_t begin, bytes;
    uint8_t *data;
    uint8_t *written; /* a bit a byte */
    uint8_t *touched; /* a bit for 32 bytes: by the launch, where times are modelled */
} sim_range;

struct sim_machine {
    int sm;
    SIM_ARRAY(sim_range) ranges; /* ascending */
    uint64_t next;
};

const sim_range *sim_range_find(const sim_machine *m, uint64_t address);
/* Sets or tests bits of a shadow. */
void sim_shadow_set(uint8_t *shadow, uint64_t at, uint64_t bytes);
bool sim_shadow_all(const uint8_t *shadow, uint64_t at, uint64_t bytes);

#endif
