/* SPDX-License-Identifier: Apache-2.0 */
/* A host in twenty lines: loads a package with libtegula-rt alone (no compiler, no LLVM) and
 * launches. */
#include <stdio.h>
#include <tegula/tegula.h>

int main(int argc, char **argv) {
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_module *module = NULL;
    tgr_kernel *add = NULL;
    float a[1000], b[1000], c[1000];
    int64_t n = 1000;
    for (int i = 0; i < 1000; i++) {
        a[i] = (float)i;
        b[i] = 0.5f;
    }
    tgr_load_options load = TGR_INIT(tgr_load_options);
    load.flags = TGR_LOAD_TRUSTED; /* we built it ourselves */
    tgr_arg args[] = {tgr_arg_tensor(a, TG_DT_F32, 1, &n), tgr_arg_tensor(b, TG_DT_F32, 1, &n),
                      tgr_arg_tensor(c, TG_DT_F32, 1, &n)};
    tgr_status st = tgr_context_create(NULL, &context);
    st = st ? st : tgr_device_open(context, "cpu", NULL, &device);
    st = st ? st : tgr_queue_create(device, 0, &queue);
    st = st ? st : tgr_module_load_file(device, argc > 1 ? argv[1] : "add.tgp", &load, &module);
    st = st ? st : tgr_module_find(module, "add", NULL, 0, &add);
    st = st ? st : tgr_launch(queue, add, args, 3, NULL);
    char why[256] = "";
    (void)tgr_context_message(context, why, sizeof why);
    printf("%s%s, c[999] = %g\n", st ? "failed: " : "fine", why, st ? 0.0 : (double)c[999]);
    tgr_module_release(module);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    return st != TGR_OK;
}
