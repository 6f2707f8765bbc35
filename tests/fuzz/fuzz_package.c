/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packages of any bytes: read, listed, loaded on the null device, launched with something. The
 * checksums are made right first (unless the first byte of the input asks for the raw bytes), so
 * that the reader's own checks are met. No code is run.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <tegula/package_format.h>
#include <tegula/tegula.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint64_t get(const uint8_t *p, int n) {
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

static void put_sum(const void *bytes, size_t n, uint8_t *to) {
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, n));
    memcpy(to, c.digest, 16);
}

/* Makes header and checksums what the reader wants to see. */
static void resign(uint8_t *b, size_t n) {
    if (n < TG_PACK_HEADER_BYTES) {
        return;
    }
    memcpy(b, TG_PACK_MAGIC, 8);
    memcpy(b + 8, "\1\0\0\0\1\0\0\0", 8);
    for (int i = 0; i < 8; i++) {
        b[16 + i] = (uint8_t)((uint64_t)n >> 8 * i);
    }
    size_t sections = (size_t)get(b + 24, 4), table = sections * TG_PACK_ENTRY_BYTES;
    if (sections > TG_PACK_MAX_SECTIONS || table > n - TG_PACK_HEADER_BYTES) {
        return;
    }
    for (size_t i = 0; i < sections; i++) {
        uint8_t *e = b + TG_PACK_HEADER_BYTES + i * TG_PACK_ENTRY_BYTES;
        uint64_t at = get(e + 8, 8), bytes = get(e + 16, 8);
        if (at <= n && bytes <= n - at) {
            put_sum(b + at, (size_t)bytes, e + 32);
        }
    }
    uint8_t *copy = malloc(32 + table);
    if (copy) {
        memcpy(copy, b, 32);
        memcpy(copy + 32, b + TG_PACK_HEADER_BYTES, table);
        put_sum(copy, 32 + table, b + 32);
        free(copy);
    }
}

static void look(const tgr_package *p) {
    char text[64];
    tgr_section_info section;
    tgr_setting setting;
    tgr_param_info param;
    tgr_code_info code;
    for (int32_t i = 0; tgr_package_section(p, i, &section) == TGR_OK; i++) {
    }
    for (int32_t i = 0; tgr_package_meta(p, i, &setting) == TGR_OK; i++) {
    }
    for (int32_t i = 0; i < tgr_package_kernel_count(p) && i < 50; i++) {
        const tgr_kernel *k = tgr_package_kernel(p, i);
        for (int32_t a = 0; tgr_kernel_get_param(k, a, &param) == TGR_OK; a++) {
            for (int32_t x = 0; x < param.rank; x++) {
                (void)tgr_kernel_extent_text(k, a, x, text, sizeof text);
            }
        }
        for (int32_t v = 0; v < 4; v++) {
            (void)tgr_kernel_guard_text(k, v, text, sizeof text);
            for (int32_t c = 0; tgr_kernel_code(k, v, c, &code) == TGR_OK; c++) {
            }
        }
    }
    (void)tgr_package_ir(p, NULL);
}

/* Arguments that fit the signature as far as they can, with extents from the input. */
static void launch(tgr_queue *queue, tgr_kernel *k, tgr_buffer *memory, const uint8_t *data,
                   size_t size) {
    tgr_arg args[TG_PACK_MAX_PARAMS];
    tgr_kernel_info info;
    size_t at = 0;
    tgr_kernel_get_info(k, &info);
    for (int32_t i = 0; i < info.n_params; i++) {
        tgr_param_info p;
        if (tgr_kernel_get_param(k, i, &p) != TGR_OK) {
            return;
        }
        if (p.flags & TG_PARAM_TENSOR) {
            int64_t extents[TG_MAX_RANK];
            for (int32_t a = 0; a < p.rank; a++) {
                extents[a] = size ? data[at++ % size] % 8 : 1;
            }
            args[i] = tgr_arg_buffer(memory, (size_t)(i * 1024) % 32768, p.dtype, p.rank, extents);
        } else {
            args[i] = tgr_arg_bits(p.dtype, size ? data[at++ % size] : 0);
        }
    }
    tgr_launch_options o = TGR_INIT(tgr_launch_options);
    size_t bytes = 0;
    if (tgr_kernel_workspace(k, args, info.n_params, &o, &bytes) == TGR_OK && bytes < 1u << 20 &&
        info.is_op) {
        (void)!tgr_launch(queue, k, args, info.n_params, &o);
    }
    (void)!tgr_kernel_infer(k, args, info.n_params, NULL, 0, NULL);
    (void)!tgr_kernel_check(k, args, info.n_params, &o);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) {
        return 0;
    }
    size_t n = size - 1;
    uint8_t *bytes = malloc(n ? n : 1); /* exactly as large: a read past the end is seen */
    tgr_context *context = NULL;
    tgr_device *device = NULL;
    tgr_queue *queue = NULL;
    tgr_buffer *memory = NULL;
    if (!bytes || tgr_context_create(NULL, &context) ||
        tgr_device_open(context, "null", NULL, &device) || tgr_queue_create(device, 0, &queue) ||
        tgr_buffer_create(device, 65536, TGR_BUFFER_ZERO, &memory)) {
        abort();
    }
    memcpy(bytes, data + 1, n);
    if (data[0] % 8) {
        resign(bytes, n);
    }
    tgr_package *p = NULL;
    if (tgr_package_open(context, bytes, n, &p) == TGR_OK) {
        look(p);
        tgr_package_release(p);
    }
    tgr_module *m = NULL;
    if (tgr_module_load(device, bytes, n, NULL, &m) == TGR_OK) {
        for (int32_t i = 0; i < tgr_module_kernel_count(m) && i < 20; i++) {
            launch(queue, tgr_module_kernel(m, i), memory, data, size);
        }
        tgr_module_release(m);
    }
    tgr_buffer_release(memory);
    tgr_queue_release(queue);
    tgr_device_release(device);
    tgr_context_release(context);
    free(bytes);
    return 0;
}
