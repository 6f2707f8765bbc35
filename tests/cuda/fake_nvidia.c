/* SPDX-License-Identifier: Apache-2.0 */
/* The made-up library of NVIDIA's: PTX, in its simulator. */
#include "tests/cuda/fake_vendor.h"

#include <stdlib.h>

static int model(void) {
    const char *says = getenv("FAKE_CUDA_SM");
    long sm = says ? strtol(says, NULL, 10) : 90;
    return sm >= 90 ? 90 : (int)sm;
}

static size_t param_bytes(const sim_kernel *k) { return sim_kernel_param_bytes(k); }

const fake_vendor *fake_vendor_get(void) {
    static fake_vendor v = {.model = model, .param_bytes = param_bytes};
    v.sim = tegula_sim_ptx();
    return &v;
}
