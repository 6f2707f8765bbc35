/* SPDX-License-Identifier: Apache-2.0 */
/* Compiling at run time: libtegula adds the compiler; the result goes through the user's cache. */
#include <stdio.h>
#include <string.h>
#include <tegula/compiler.h>

static const char source[] = "kernel axpy(a: f32, x: f32[N], inout y: f32[N])\n"
                             "  grid i: N by 256\n"
                             "{ y[i] = a * x[i] + y[i] }\n";

int main(void) {
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_cache *cache = NULL;
    tgr_module *module = NULL;
    char *why = NULL;
    float x[1000], y[1000];
    int64_t n = 1000;
    for (int i = 0; i < 1000; i++) {
        x[i] = (float)i;
        y[i] = 1;
    }
    tgc_options options = TGR_INIT(tgc_options);
    options.source = source;
    options.source_bytes = strlen(source);
    tgr_arg args[] = {tgr_arg_f32(2), tgr_arg_tensor(x, TG_DT_F32, 1, &n),
                      tgr_arg_tensor(y, TG_DT_F32, 1, &n)};
    tgr_status st = tgr_context_create(NULL, &context);
    st = st ? st : tgr_device_open(context, "cpu", NULL, &device);
    st = st ? st : tgr_queue_create(device, 0, &queue);
    st = st ? st : tgr_cache_open(context, NULL, 0, &cache);
    st = st ? st : tgr_module_from_source(device, &options, cache, NULL, &module, &why);
    st = st ? st : tgr_launch(queue, tgr_module_kernel(module, 0), args, 3, NULL);
    printf("%s, y[999] = %g\n%s", tgr_status_sentence(st), (double)y[999], why ? why : "");
    tgc_text_free(&options, why);
    tgr_module_release(module);
    tgr_cache_release(cache);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    return st != TGR_OK || y[999] != 1999.0f;
}
