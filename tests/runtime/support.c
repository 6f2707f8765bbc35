/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#include "tests/runtime/support.h"

#include <pthread.h>
#include <stdio.h>

#include "tests/common/common.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* ---- heap ----------------------------------------------------------------------------------- */

static void *heap_fn(void *user, void *p, size_t old_bytes, size_t new_bytes) {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    rt_heap *h = user;
    pthread_mutex_lock(&lock);
    bool refuse = new_bytes && h->fail_at && ++h->calls >= h->fail_at &&
                  (h->fail_on || h->calls == h->fail_at);
    refuse |= new_bytes > (size_t)1 << 30; /* sanitizers end the process on such */
    void *q = NULL;
    if (new_bytes == 0) {
        free(p);
    } else if (!refuse) {
        q = realloc(p, new_bytes);
        refuse = q == NULL;
    }
    if (!refuse) {
        h->live_bytes += (long)new_bytes - (long)(p ? old_bytes : 0);
        h->live_blocks += (new_bytes && !p) - (!new_bytes && p);
    }
    pthread_mutex_unlock(&lock);
    return q;
}

tgr_allocator rt_allocator(rt_heap *heap) { return (tgr_allocator){.fn = heap_fn, .user = heap}; }

/* ---- packages ------------------------------------------------------------------------------- */

#if defined(__x86_64__)
/* plan: programs[0] = 1, n_phases = 1, return 0. phase: *(int *)slots[0] = 42, return 0. */
static const unsigned char machine_code[] = {
    0x48, 0xC7, 0x06, 1,    0,    0,    0,    0xC7, 0x46, 0x30, 1,    0,    0,    0,    0x31,
    0xC0, 0xC3, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90, 0x90,
    0x90, 0x90, 0x48, 0x8B, 0x07, 0xC7, 0x00, 42,   0,    0,    0,    0x31, 0xC0, 0xC3, 0x90,
    0x90, 0x90, 0x90, 0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0};
#endif

static size_t make_symbols(const tg_module *m, tg_arena *a, tg_blob_symbol **out) {
    size_t n = 0;
    for (const tg_func *f = m->first_func; f; f = f->next) {
        n += 2;
    }
    *out = TG_NEW_ARRAY(a, tg_blob_symbol, n + 1);
    size_t i = 0;
    for (const tg_func *f = m->first_func; f; f = f->next) {
        (*out)[i++] = (tg_blob_symbol){.name = tg_arena_printf(a, "%s.plan", f->name), .offset = 0};
        (*out)[i++] =
            (tg_blob_symbol){.name = tg_arena_printf(a, "%s.phase0", f->name), .offset = 32};
    }
    return n;
}

typedef struct contents {
    const char *ir;
    bool with_code;
} contents;

static void describe(tg_arena *a, tg_sink *sink, const void *what, tg_package_desc *d) {
    static const tg_machine machine = {.name = "test", .isa_id = TG_ISA_X86_64_V2};
    static const tg_pack_meta meta[] = {{"targets", "test"}};
    const contents *c = what;
    tg_module *m = test_parse(c->ir, false, a, sink);
    tg_pack_kernel *kernels = TG_NEW_ARRAY(a, tg_pack_kernel, 16);
    tg_pack_variant *variants = TG_NEW_ARRAY(a, tg_pack_variant, 16);
    tg_pack_code *code = TG_NEW(a, tg_pack_code);
    tg_blob *blob = TG_NEW(a, tg_blob);
    int n = 0;
    for (tg_func *f = m->first_func; f && n < 16; f = f->next, n++) {
        variants[n] = (tg_pack_variant){.func = f, .schedule = "test"};
        kernels[n] = (tg_pack_kernel){.name = f->name, .variants = &variants[n], .n_variants = 1};
    }
#if defined(__x86_64__)
    if (c->with_code) {
        *blob =
            (tg_blob){.bytes = machine_code, .n_bytes = sizeof machine_code, .imports_offset = 48};
        blob->n_symbols = make_symbols(m, a, &blob->symbols);
    }
#endif
    *code = (tg_pack_code){.machine = &machine, .blob = blob};
    *d = (tg_package_desc){.tool = "test 1",
                           .generator = "",
                           .meta = meta,
                           .n_meta = 1,
                           .kernels = kernels,
                           .n_kernels = n,
                           .codes = code,
                           .n_codes = c->with_code,
                           .ops = m->hostops,
                           .ir = c->ir,
                           .ir_bytes = strlen(c->ir)};
}

unsigned char *rt_package(const char *ir, bool with_code, size_t *out_bytes) {
    contents c = {ir, with_code};
    return test_package(describe, &c, out_bytes);
}

static uint64_t get(const unsigned char *p, int n) {
    uint64_t v = 0;
    for (int i = n - 1; i >= 0; i--) {
        v = v << 8 | p[i];
    }
    return v;
}

static void put_sum(const void *bytes, size_t n, unsigned char *to) {
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, n));
    memcpy(to, c.digest, 16);
}

void rt_resign(unsigned char *bytes, size_t n) {
    if (n < TG_PACK_HEADER_BYTES) {
        return;
    }
    size_t sections = (size_t)get(bytes + 24, 4), table = sections * TG_PACK_ENTRY_BYTES;
    if (sections > TG_PACK_MAX_SECTIONS || table > n - TG_PACK_HEADER_BYTES) {
        return;
    }
    for (int i = 0; i < 8; i++) {
        bytes[16 + i] = (unsigned char)((uint64_t)n >> 8 * i);
    }
    for (size_t i = 0; i < sections; i++) {
        unsigned char *e = bytes + TG_PACK_HEADER_BYTES + i * TG_PACK_ENTRY_BYTES;
        uint64_t at = get(e + 8, 8), size = get(e + 16, 8);
        if (at <= n && size <= n - at) {
            put_sum(bytes + at, (size_t)size, e + 32);
        }
    }
    unsigned char *copy = malloc(32 + table);
    if (copy) {
        memcpy(copy, bytes, 32);
        memcpy(copy + 32, bytes + TG_PACK_HEADER_BYTES, table);
        put_sum(copy, 32 + table, bytes + 32);
        free(copy);
    }
}

/* ---- world ---------------------------------------------------------------------------------- */

static void print_log(void *user, tgr_log_level level, const char *text) {
    (void)user;
    (void)level;
    (void)text;
}

void rt_open(rt_world *w, const char *device, int threads, uint32_t queue_flags) {
    memset(w, 0, sizeof *w);
    tgr_context_options o = TGR_INIT(tgr_context_options);
    o.allocator = rt_allocator(&w->heap);
    o.log = print_log;
    assert_int_equal(tgr_context_create(&o, &w->context), TGR_OK);
    tgr_device_options d = TGR_INIT(tgr_device_options);
    d.n_threads = threads;
    rt_expect(w, tgr_device_open(w->context, device, &d, &w->device), TGR_OK);
    rt_expect(w, tgr_queue_create(w->device, queue_flags, &w->queue), TGR_OK);
}

void rt_close(rt_world *w) {
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
    assert_int_equal(w->heap.live_blocks, 0);
    assert_int_equal(w->heap.live_bytes, 0);
}

void rt_expect(rt_world *w, tgr_status got, tgr_status want) { test_expect(w->context, got, want); }

void rt_expect_message(rt_world *w, const char *part) { test_expect_message(w->context, part); }

/* ---- kernels -------------------------------------------------------------------------------- */

const char rt_add_ir[] = "tegula-ir 1\n"
                         "kernel tile add {\n"
                         "  syms M, N\n"
                         "  param a: tensor<f32[M, N]>\n"
                         "  param b: tensor<f32[M, N]>\n"
                         "  param c: tensor<f32[M, N]> out\n"
                         "  body {}\n"
                         "}\n";

int32_t rt_plan_rows(const int64_t *slots, tg_cpu_plan *plan) {
    plan->programs[0] = slots[1];
    plan->n_phases = 1;
    plan->scratch_bytes = 256;
    plan->shared_bytes = 128;
    return 0;
}

int32_t rt_plan_one(const int64_t *slots, tg_cpu_plan *plan) {
    (void)slots;
    plan->programs[0] = 1;
    plan->n_phases = 1;
    return 0;
}

int32_t rt_add_phase(const int64_t *slots, int64_t begin, int64_t end, void *scratch, void *shared,
                     struct tg_cpu_report *report) {
    (void)report;
    const int64_t *a = slots, *b = slots + 5, *c = slots + 10;
    memset(scratch, 0x5a, 256); /* ours alone */
    if ((uintptr_t)scratch % 64 || (uintptr_t)shared % 64) {
        return TG_CPU_TRAP_ASSERT;
    }
    for (int64_t i = begin; i < end; i++) {
        const float *x = (const float *)(uintptr_t)(a[0] + i * a[3]),
                    *y = (const float *)(uintptr_t)(b[0] + i * b[3]);
        float *z = (float *)(uintptr_t)(c[0] + i * c[3]);
        for (int64_t j = 0; j < a[2]; j++) {
            z[j] = x[j] + y[j];
        }
    }
    return 0;
}
