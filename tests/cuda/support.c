/* SPDX-License-Identifier: Apache-2.0 */
/* See support.h. */
#define _GNU_SOURCE
#include "tests/cuda/support.h"

#include <dlfcn.h>

#include "backends/pack/simt_image.h"
#include "tests/common/common.h"

/* ---- worlds --------------------------------------------------------------------------------- */

cuda_fake cuda_fake_open(void) {
    static const char *const names[] = {"fake_cuda_reset", "fake_cuda_calls", "fake_cuda_call",
                                        "fake_cuda_failed", "fake_cuda_live"};
    cuda_fake f = {0};
    void *library = dlopen(FAKE_CUDA, RTLD_NOW | RTLD_LOCAL), *at[5];
    assert_non_null(library);
    for (int i = 0; i < 5; i++) {
        at[i] = dlsym(library, names[i]);
        assert_non_null(at[i]);
    }
    memcpy(&f, at, sizeof f);
    (void)setenv("TEGULA_CUDA_LIBRARY", FAKE_CUDA, 1);
    return f;
}

static void *count(void *user, void *p, size_t old_bytes, size_t new_bytes) {
    cuda_world *w = user;
    if (new_bytes > 0 && w->until_none > 0 && --w->until_none == 0) {
        return NULL;
    }
    w->host_bytes += (int64_t)new_bytes - (p ? (int64_t)old_bytes : 0);
    if (new_bytes == 0) {
        free(p);
        return NULL;
    }
    return realloc(p, new_bytes);
}

static void note(void *user, const tgr_profile_record *r) {
    cuda_world *w = user;
    w->device_ns = r->device_ns;
}

static void begin(cuda_world *w, bool watched) {
    memset(w, 0, sizeof *w);
    tgr_context_options o = TGR_INIT(tgr_context_options);
    o.allocator = (tgr_allocator){count, w};
    o.profile = watched ? note : NULL;
    o.profile_user = w;
    assert_int_equal(tgr_context_create(&o, &w->context), TGR_OK);
}

void cuda_begin(cuda_world *w) { begin(w, true); }
void cuda_begin_unwatched(cuda_world *w) { begin(w, false); }

void cuda_open(cuda_world *w) {
    cuda_expect(w, tgr_device_open(w->context, "cuda", NULL, &w->device), TGR_OK);
    cuda_expect(w, tgr_queue_create(w->device, 0, &w->queue), TGR_OK);
}

void cuda_end(cuda_world *w) {
    tgr_queue_release(w->queue);
    tgr_device_release(w->device);
    tgr_context_release(w->context);
    assert_int_equal(w->host_bytes, 0);
}

void cuda_expect(cuda_world *w, tgr_status got, tgr_status want) {
    test_expect(w->context, got, want);
}

void cuda_expect_message(cuda_world *w, const char *part) { test_expect_message(w->context, part); }

/* ---- kernels -------------------------------------------------------------------------------- */

static const char tile_text[] =
    "tegula-ir 1\nkernel tile k {\nsyms N\n"
    "param y: tensor<i32[N]> out\nparam x: tensor<i32[N]>\naxis i by 64\n"
    "grid (%gy: tensor<i32[N]>, %gx: tensor<i32[N]>) {\n%z = const {i = 0} : i64\n"
    "%e = load %gx, %z {axes = []} : i32\n%n = cast %e : i64\nyield %n\n}\n"
    "body (%y: tensor<i32[N]>, %x: tensor<i32[N]>, %i: i64) {}\n}\n"
    "kernel tile big {\nsyms N\nparam y: tensor<i32[N]> out\naxis i by 32\n"
    "grid (%gy: tensor<i32[N]>) {\n%n = sym {sym = 0} : i64\nyield %n\n}\n"
    "body (%y: tensor<i32[N]>, %i: i64) {}\n}\n"
    "kernel tile box {\nsyms N\nparam y: tensor<i32[N]> out\nparam x: tensor<i32[N]>\n"
    "axis i by 64\ngrid (%gy: tensor<i32[N]>, %gx: tensor<i32[N]>) {\n"
    "%n = sym {sym = 0} : i64\nyield %n\n}\n"
    "body (%y: tensor<i32[N]>, %x: tensor<i32[N]>, %i: i64) {}\n}\n";

#define SIMT_BODY(name, lanes, shared, scratch, body)                                              \
    "kernel loop \"" name "\" {\nrole simt\nprogram lanes " lanes " shared " shared                \
    " scratch " scratch "\nbody (%slots: ptr, %p: i64, %lane: i32, %scratch: ptr, %report: ptr) "  \
    "{\n" body "yield\n}\n}\n"
#define SIMT(name, lanes, shared, scratch) SIMT_BODY(name, lanes, shared, scratch, "")
#define BOX_MAP                                                                                    \
    "%a = slot %slots {i = 3} : ptr\n%n = slot %slots {i = 4} : i64\n"                             \
    "%m = tmap %a, %n {dtype = i32, shape = [64]} : ptr\n"
static const char loop_text[] =
    "tegula-ir 1\nkernel loop \"k.plan\" {\nrole plan\nbody (%slots: ptr, %plan: ptr) {\nyield\n}\n"
    "}\n" SIMT("k.phase0", "64", "0", "0") SIMT("big.phase0", "32", "65536", "256")
        SIMT_BODY("box.phase0", "64", "384", "0", BOX_MAP);

#define ENTRY_WITH(name, more)                                                                     \
    ".visible .entry " name "(.param .u64 s, .param .u64 f, .param .u64 e, .param .u64 c, "        \
    ".param .u64 r" more ")\n"
#define ENTRY(name) ENTRY_WITH(name, "")
#define BEGIN_PTX                                                                                  \
    "{\n.reg .pred %p<3>;\n.reg .b32 %r<8>;\n.reg .b64 %d<12>;\n"                                  \
    "ld.param.u64 %d0, [s];\nld.param.u64 %d1, [f];\nld.param.u64 %d2, [e];\n"                     \
    "ld.param.u64 %d3, [c];\nld.param.u64 %d4, [r];\nmov.u32 %r0, %tid.x;\n"                       \
    "mov.u32 %r1, %ctaid.x;\ncvt.u64.u32 %d5, %r1;\nadd.u64 %d5, %d5, %d1;\n"
static const char ptx[] =
    ".version 7.8\n.target sm_80\n.address_size 64\n.extern .shared .align 16 .b8 given[];\n"
    /* the plan: programs = x[0], one phase */
    ENTRY("k_plan") ".reqntid 1, 1, 1\n" BEGIN_PTX "ld.global.u64 %d6, [%d0+24];\nld.global.s32 "
                    "%d7, [%d6];\nst.global.u64 [%d3], %d7;\n"
                    "mov.u32 %r2, 1;\nst.global.u32 [%d3+48], %r2;\nret;\n}\n"
    /* y[64 p + lane] = p; program 77 gives up; x[1] = 1 goes astray */
    ENTRY("k_phase0") ".reqntid 64, 1, 1\n" BEGIN_PTX "setp.ge.s64 %p0, %d5, %d2;\n@%p0 ret;\n"
                      "setp.ne.s64 %p1, %d5, 77;\n@%p1 bra ok;\n"
                      "mov.u32 %r2, 1;\nst.global.u32 [%d4], %r2;\nmov.u32 %r2, 7;\nst.global.u32 "
                      "[%d4+4], %r2;\n"
                      "st.global.u64 [%d4+8], %d5;\nok:\nld.global.u64 %d6, [%d0+24];\n"
                      "ld.global.u32 %r3, [%d6+4];\nsetp.ne.u32 %p2, %r3, 1;\nmov.u64 %d8, 64;\n"
                      "@!%p2 st.global.u64 [%d8], %d5;\n"
                      "ld.global.u64 %d6, [%d0];\nshl.b64 %d7, %d5, 8;\nadd.u64 %d6, %d6, %d7;\n"
                      "mul.wide.u32 %d7, %r0, 4;\nadd.u64 %d6, %d6, %d7;\ncvt.u32.u64 %r4, %d5;\n"
                      "st.global.u32 [%d6], %r4;\nret;\n}\n";
static const char ptx_90[] =
    /* y[32 p + lane], through the last words of shared memory and the program's scratch */
    ENTRY(
        "big_phase0") ".reqntid 32, 1, 1\n.explicitcluster\n.reqnctapercluster 2, 1, 1\n" BEGIN_PTX
                      "setp.ge.s64 %p0, %d5, %d2;\n@%p0 ret;\ncvt.u32.u64 %r2, %d5;\nshl.b32 %r2, "
                      "%r2, 5;\n"
                      "add.u32 %r2, %r2, %r0;\nmov.u32 %r3, given;\nshl.b32 %r4, %r0, 2;\nadd.u32 "
                      "%r3, %r3, %r4;\n"
                      "st.shared.u32 [%r3+65408], %r2;\nld.shared.u32 %r5, [%r3+65408];\n"
                      "sub.u64 %d6, %d5, %d1;\nshl.b64 %d6, %d6, 8;\nadd.u64 %d6, %d6, "
                      "%d3;\ncvt.u64.u32 %d7, %r4;\n"
                      "add.u64 %d6, %d6, %d7;\nst.global.u32 [%d6+128], %r5;\nld.global.u32 %r6, "
                      "[%d6+128];\n"
                      "ld.global.u64 %d8, [%d0];\ncvt.u64.u32 %d9, %r6;\nld.global.u64 %d10, "
                      "[%d0+24];\n"
                      "setp.ge.s64 %p1, %d9, %d10;\n@%p1 ret;\n"
                      "shl.b64 %d9, %d9, 2;\nadd.u64 %d8, %d8, %d9;\nst.global.u32 [%d8], "
                      "%r6;\nret;\n}\n";

/* y[64 p + lane] = 1 + x there, by a bulk copy of the box; 1000 where the map is not there. */
static const char ptx_box[] = ENTRY_WITH(
    "box_phase0",
    ", .param .u64 there, .param .align 64 .b8 map[128]") ".reqntid 64, 1, 1\n" BEGIN_PTX
                                                          ".shared .align 128 .b8 "
                                                          "tile[256];\n.shared .align 8 .b64 "
                                                          "full;\n"
                                                          "setp.ge.s64 %p0, %d5, %d2;\n@%p0 "
                                                          "ret;\ncvt.u32.u64 %r2, %d5;\nshl.b32 "
                                                          "%r2, %r2, 6;\n"
                                                          "add.u32 %r3, %r2, %r0;\nmov.u32 %r7, "
                                                          "999;\nld.param.u64 %d6, [there];\n"
                                                          "and.b64 %d6, %d6, 1;\nsetp.eq.u64 %p1, "
                                                          "%d6, 0;\n@%p1 bra write;\n"
                                                          "mov.b64 %d8, map;\ncvta.param.u64 %d9, "
                                                          "%d8;\nsetp.ne.u32 %p2, %r0, 0;\n@%p2 "
                                                          "bra begun;\n"
                                                          "mov.u32 %r4, tile;\nmov.u32 %r5, "
                                                          "full;\nmbarrier.init.shared::cta.b64 "
                                                          "[%r5], 1;\n"
                                                          "fence.mbarrier_init.release.cluster;"
                                                          "\nfence.proxy.async.shared::cta;\n"
                                                          "mbarrier.arrive.expect_tx.shared::cta."
                                                          "b64 _, [%r5], 256;\n"
                                                          "cp.async.bulk.tensor.1d.shared::cluster."
                                                          "global.tile.mbarrier::complete_tx::"
                                                          "bytes [%r4], "
                                                          "[%d9, {%r2}], [%r5];\nbegun:\nbar.sync "
                                                          "0;\nmov.u32 %r5, full;\nwaiting:\n"
                                                          "mbarrier.try_wait.parity.shared::cta."
                                                          "b64 %p2, [%r5], 0;\n@!%p2 bra waiting;\n"
                                                          "mov.u32 %r4, tile;\nshl.b32 %r6, %r0, "
                                                          "2;\nadd.u32 %r4, %r4, "
                                                          "%r6;\nld.shared.u32 %r7, [%r4];\n"
                                                          "write:\nadd.u32 %r7, %r7, "
                                                          "1;\ncvt.s64.s32 %d9, "
                                                          "%r3;\nld.global.u64 %d10, [%d0+8];\n"
                                                          "setp.ge.s64 %p1, %d9, %d10;\n@%p1 "
                                                          "ret;\nld.global.u64 %d8, "
                                                          "[%d0];\nshl.b64 %d9, %d9, 2;\n"
                                                          "add.u64 %d8, %d8, %d9;\nst.global.u32 "
                                                          "[%d8], %r7;\nret;\n}\n";

/* ---- packages ------------------------------------------------------------------------------- */

typedef struct contents {
    const char *machine;
    const void *code; /* NULL: the kernels' PTX */
    size_t code_bytes;
} contents;

static void describe(tg_arena *a, tg_sink *sink, const void *what, tg_package_desc *d) {
    const contents *c = what;
    tg_module *tile = test_parse(tile_text, true, a, sink),
              *loop = test_parse(loop_text, true, a, sink);
    const tg_machine *m = tg_machine_find(c->machine);
    const char *own = tg_arena_printf(a, "%s%s%s", ptx, ptx_90, ptx_box);
    const void *code = c->code ? c->code : own;
    size_t n = c->code ? c->code_bytes : strlen(own);
    tg_blob *blob = TG_NEW(a, tg_blob);
    tg_pack_variant *variants = TG_NEW_ARRAY(a, tg_pack_variant, 3);
    tg_pack_kernel *kernels = TG_NEW_ARRAY(a, tg_pack_kernel, 3);
    tg_pack_code *codes = TG_NEW(a, tg_pack_code);
    assert_non_null(m);
    assert_int_equal(tg_simt_image_make(loop, tile, m, code, n, a, sink, blob), TG_OK);
    variants[0] = (tg_pack_variant){.func = tile->first_func, .schedule = "test"};
    variants[1] = (tg_pack_variant){.func = tile->first_func->next, .schedule = "test"};
    variants[2] = (tg_pack_variant){.func = tile->last_func, .schedule = "test"};
    kernels[0] = (tg_pack_kernel){.name = "k", .variants = &variants[0], .n_variants = 1};
    kernels[1] = (tg_pack_kernel){.name = "big", .variants = &variants[1], .n_variants = 1};
    kernels[2] = (tg_pack_kernel){.name = "box", .variants = &variants[2], .n_variants = 1};
    *codes = (tg_pack_code){.machine = m, .blob = blob};
    d->kernels = kernels;
    d->n_kernels = 3;
    d->codes = codes;
    d->n_codes = 1;
}

unsigned char *cuda_package(const char *machine, const void *code, size_t code_bytes,
                            size_t *out_bytes) {
    contents c = {machine, code, code_bytes};
    return test_package(describe, &c, out_bytes);
}

tgr_status cuda_load(cuda_world *w, const char *machine, const void *code, size_t code_bytes,
                     tgr_module **out) {
    size_t n;
    unsigned char *bytes = cuda_package(machine, code, code_bytes, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = TGR_LOAD_TRUSTED;
    tgr_status st = tgr_module_load(w->device, bytes, n, &o, out);
    free(bytes);
    return st;
}
