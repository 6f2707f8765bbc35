/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: PTX, which the driver's own compiler translates (and keeps translated in its own cache),
 * or a cubin, fat binary or code object made before. What the compiler says about a text it refuses
 * becomes part of the message.
 */
#include "drivers/cuda/cu.h"

enum { LOG_BYTES = 4096, LOG_SHOWN = 300 };

int32_t tgr_cu_isa_rank(void *state, uint32_t isa) {
    const cu_state *s = state;
    return s->vendor->rank(s->device, isa);
}

/* ---- modules -------------------------------------------------------------------------------- */

static bool is_text(const tgr_simt_image *image) {
    static const uint8_t elf[4] = {0x7f, 'E', 'L', 'F'}, fat[4] = {0x50, 0xed, 0x55, 0xba};
    return image->code_bytes < 4 ||
           (memcmp(image->code, elf, 4) != 0 && memcmp(image->code, fat, 4) != 0);
}

static tgr_status refused(cu_state *s, CUresult code, const char *log) {
    char what[LOG_SHOWN + 64];
    tgr_text t = {.data = what, .size = sizeof what};
    if (*log) {
        tgr_log(s->context, TGR_LOG_ERROR, "%s", log);
    }
    tgr_text_add(&t, "loading code%s%.*s", *log ? ": " : "", (int)LOG_SHOWN, log);
    return tgr_cu_fail(s, code, what);
}

static tgr_status make_module(cu_state *s, cu_image *m) {
    char *log = tgr_alloc(s->context, LOG_BYTES);
    if (!log) {
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory loading code");
    }
    CUjit_option options[] = {CU_JIT_ERROR_LOG_BUFFER, CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES};
    void *values[] = {log, (void *)(uintptr_t)LOG_BYTES};
    unsigned int n = is_text(&m->simt) ? TGR_COUNT_OF(options) : 0;
    CUresult code =
        s->api->cuModuleLoadDataEx(&m->module, m->simt.code, n, n ? options : NULL, values);
    log[LOG_BYTES - 1] = '\0';
    tgr_status st = code ? refused(s, code, log) : TGR_OK;
    m->module = code ? NULL : m->module;
    tgr_free(s->context, log, LOG_BYTES);
    return st;
}

/* ---- kernels -------------------------------------------------------------------------------- */

static CUresult read_cluster(const cu_state *s, cu_kernel *k) {
    static const CUfunction_attribute what[3] = {CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH,
                                                 CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT,
                                                 CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH};
    CUresult code = CUDA_SUCCESS;
    for (int i = 0; i < 3; i++) {
        int v = 1;
        if (s->device->clusters && !code) {
            code = s->api->cuFuncGetAttribute(&v, what[i], k->function);
        }
        k->cluster[i] = v > 1 ? (uint32_t)v : 1;
    }
    return code;
}

/* Shared memory that the code does not declare itself is given at the launch; above what every
 * launch may have, the kernel has to ask. */
static CUresult read_shared(const cu_state *s, cu_kernel *k, uint64_t shared_bytes) {
    int declared = 0;
    CUresult code =
        s->api->cuFuncGetAttribute(&declared, CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES, k->function);
    if (code || shared_bytes <= (uint64_t)declared) {
        return code;
    }
    k->dynamic_shared = (uint32_t)(shared_bytes - (uint64_t)declared);
    return shared_bytes <= (uint64_t)s->device->plain_shared
               ? CUDA_SUCCESS
               : s->api->cuFuncSetAttribute(k->function,
                                            CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                                            (int)k->dynamic_shared);
}

static tgr_status make_kernel(cu_state *s, const cu_image *m, const char *name,
                              uint64_t shared_bytes, cu_kernel *k) {
    int lanes = 0;
    CUresult code = s->api->cuModuleGetFunction(&k->function, m->module, name);
    code = code ? code
                : s->api->cuFuncGetAttribute(&lanes, CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK,
                                             k->function);
    code = code ? code : read_shared(s, k, shared_bytes);
    code = code ? code : read_cluster(s, k);
    k->max_lanes = (uint32_t)lanes;
    return tgr_cu_check(s, code, name);
}

/* What the device lacks for a kernel of the module is said by a launch of it, not here: others may
 * fit. */
static tgr_status make_kernels(cu_state *s, cu_image *m) {
    tgr_status st = TGR_OK;
    m->kernels = tgr_alloc(s->context, 2 * (m->simt.n_entries + 1) * sizeof *m->kernels);
    if (!m->kernels) {
        return tgr_fail(s->context, TGR_E_NOMEM, "out of memory loading code");
    }
    for (uint32_t i = 0; i < m->simt.n_entries && !st; i++) {
        tgr_simt_entry *e = &m->simt.entries[i];
        uint64_t most = (uint64_t)s->device->info.shared_bytes;
        cu_kernel *k = &m->kernels[2 * (size_t)i];
        st = make_kernel(s, m, e->name, e->shared_bytes < most ? e->shared_bytes : most, &k[0]);
        st = st || !e->plan ? st : make_kernel(s, m, e->plan, 0, &k[1]);
        e->driver = &k[0];
        e->driver_plan = &k[1];
    }
    return st;
}

/* ---- images --------------------------------------------------------------------------------- */

tgr_status tgr_cu_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image) {
    cu_state *s = state;
    int before = 0;
    tgr_status st = tgr_cu_enter(s, "loading code", &before);
    if (st) {
        return st;
    }
    cu_image *m = tgr_alloc(context, sizeof *m);
    st = m ? tgr_simt_image_read(context, desc, &m->simt)
           : tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    st = st ? st : make_module(s, m);
    st = st ? st : make_kernels(s, m);
    tgr_cu_leave(s, before);
    if (st && m) {
        tgr_cu_image_unload(context, s, m);
    }
    *out_image = st ? NULL : m;
    return st;
}

void tgr_cu_image_unload(tgr_context *context, void *state, void *image) {
    cu_state *s = state;
    cu_image *m = image;
    int before = 0;
    if (m->module && !atomic_load(&s->lost) &&
        tgr_cu_enter(s, "unloading code", &before) == TGR_OK) {
        (void)s->api->cuModuleUnload(m->module);
        tgr_cu_leave(s, before);
    }
    if (m->kernels) {
        tgr_free(context, m->kernels, 2 * (m->simt.n_entries + 1) * sizeof *m->kernels);
    }
    tgr_simt_image_fini(&m->simt);
    tgr_free(context, m, sizeof *m);
}

void tgr_cu_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out) {
    cu_image *m = image;
    (void)plan;
    tgr_simt_image_entry(&m->simt, m, phases, n_phases, out);
}
