/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The same kernel linked into the host: `tegula build add.tg --emit obj -o add.o` and `--emit
 * header -o add.h`. Nothing is loaded from a file and no memory has to become executable.
 */
#include <stdio.h>

#include "add.h"

int main(void) {
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_module *module = NULL;
    float a[1000], b[1000], c[1000] = {0};
    int64_t n = 1000;
    for (int i = 0; i < 1000; i++) {
        a[i] = (float)i;
        b[i] = 0.5f;
    }
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 1, &n), tgr_arg_tensor(b, TG_DT_F32, 1, &n),
                      tgr_arg_tensor(c, TG_DT_F32, 1, &n)};
    tgr_status st = tgr_context_create(NULL, &context);
    st = st ? st : tgr_device_open(context, "cpu", NULL, &device);
    st = st ? st : tgr_queue_create(device, 0, &queue);
    st = st ? st
            : tgr_module_load_linked(device, tegula_signatures, sizeof tegula_signatures, NULL,
                                     tegula_entries, TEGULA_N_ENTRIES, &module);
    st = st ? st : tgr_launch(queue, tgr_module_kernel(module, 0), args, 3, NULL);
    printf("%s, c[999] = %g\n", tgr_status_sentence(st), (double)c[999]);
    tgr_module_release(module);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    return st != TGR_OK || c[999] != 999.5f;
}
