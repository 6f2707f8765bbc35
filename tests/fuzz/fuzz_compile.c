/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Any bytes through the whole compiler up to loop IR for a wide machine: diagnostics or text, no
 * crash, no leak, bounded memory. The first byte chooses the source's form (program or IR text) and
 * the target.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tegula/compiler.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const char *const targets[] = {"x86-64-v3", "x86-64-v4", "aarch64-neon", "riscv64-v"};
    static const tgr_setting settings[] = {{"T", "f32"}, {"B", "16"}, {"D", "8"}};
    if (size < 1) {
        return 0;
    }
    tgc_options o = TGR_INIT(tgc_options);
    o.source = (const char *)data + 1;
    o.source_bytes = size - 1;
    o.emit = TGC_EMIT_LOOP;
    o.from_ir = data[0] >> 7;
    o.targets = &targets[data[0] % 4];
    o.n_targets = 1;
    o.settings = settings;
    o.n_settings = 3;
    o.limit_bytes = 256u << 20;
    o.verify_each = 1;
    o.no_schedule = data[0] >> 6 & 1;
    tgc_result r;
    if (tgc_compile(&o, &r) == TGR_E_INTERNAL) {
        abort(); /* a pass broke the IR */
    }
    tgc_result_fini(&r);
    return 0;
}
