/* SPDX-License-Identifier: Apache-2.0 */
/* What the made-up libraries of NVIDIA and AMD do not share: fake_cuda.c asks for it. */
#ifndef FAKE_VENDOR_H
#define FAKE_VENDOR_H

#include <stdbool.h>

#include <tegula/sim_ptx.h>

typedef struct fake_vendor {
    const sim_ptx_interface *sim;
    int (*model)(void); /* the simulated machine's number */
    size_t (*param_bytes)(const sim_kernel *k);
    bool objects; /* code is ELF objects that run; else text does, and ELF does nothing */
} fake_vendor;

const fake_vendor *fake_vendor_get(void);
/* Gives the context back and forgets what went wrong, as the end of a process would. */
void fake_cuda_restart(void);

#endif
