/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs of OpenCL devices: OpenCL C or SPIR-V built by the device's compiler, the result kept in
 * the kernel cache under device, driver version, options and code. A cached binary that the driver
 * does not take any more is as good as none.
 */
#include "opencl.h"

#include <stdio.h>

int32_t tgr_cl_isa_rank(void *state, uint32_t isa) {
    cl_state *s = state;
    return isa == TG_ISA_OPENCL_C ? 1 : isa == TG_ISA_SPIRV_OPENCL && s->device->takes_il ? 2 : -1;
}

const char *tgr_cl_build_options(const cl_state *s) {
    return s->device->div_option ? "-cl-std=CL1.2 -cl-fp32-correctly-rounded-divide-sqrt"
                                 : "-cl-std=CL1.2";
}

/* ---- the cache ------------------------------------------------------------------------------ */

static bool make_key(cl_state *s, const cl_image *m, uint8_t key[16]) {
    char head[3 * NAME_BYTES];
    int n = snprintf(head, sizeof head, "opencl binary 1\n%s\n%s\n%s\n%u\n", s->device->name,
                     s->device->version, tgr_cl_build_options(s), m->simt.isa);
    size_t bytes = (size_t)n + m->simt.code_bytes;
    char *all = n > 0 && (size_t)n < sizeof head ? tgr_alloc_raw(s->context, bytes) : NULL;
    if (!all) {
        return false;
    }
    memcpy(all, head, (size_t)n);
    memcpy(all + n, m->simt.code, m->simt.code_bytes);
    tgr_hash128(all, bytes, key);
    tgr_free(s->context, all, bytes);
    return true;
}

static bool build(cl_state *s, cl_program p, const char *options, cl_int *out_code) {
    *out_code = s->api->clBuildProgram(p, 1, &s->device->id, options, NULL, NULL);
    return *out_code == CL_SUCCESS;
}

static cl_program from_cache(cl_state *s, const uint8_t key[16]) {
    void *bytes = NULL;
    size_t n = 0;
    if (tgr_cache_get(s->cache, key, &bytes, &n) != TGR_OK) {
        return NULL;
    }
    const unsigned char *binary = bytes;
    cl_int code, status;
    cl_program p =
        s->api->clCreateProgramWithBinary(s->cl, 1, &s->device->id, &n, &binary, &status, &code);
    tgr_cache_free(s->cache, bytes, n);
    if (code == CL_SUCCESS && status == CL_SUCCESS && build(s, p, "", &code)) {
        return p;
    }
    if (p) {
        (void)s->api->clReleaseProgram(p);
    }
    tgr_log(s->context, TGR_LOG_INFO, "OpenCL: a cached binary is refused; building anew");
    return NULL;
}

static void to_cache(cl_state *s, const uint8_t key[16], cl_program p) {
    size_t n = 0;
    if (s->api->clGetProgramInfo(p, CL_PROGRAM_BINARY_SIZES, sizeof n, &n, NULL) != CL_SUCCESS ||
        n == 0 || n > SIZE_MAX / 2) {
        return;
    }
    unsigned char *bytes = tgr_alloc_raw(s->context, n);
    if (!bytes) {
        return;
    }
    if (s->api->clGetProgramInfo(p, CL_PROGRAM_BINARIES, sizeof bytes, &bytes, NULL) ==
        CL_SUCCESS) {
        tgr_status st = tgr_cache_put(s->cache, key, bytes, n); /* never fails for want of room */
        if (st) {
            tgr_log(s->context, TGR_LOG_WARNING, "OpenCL: a binary was not cached");
        }
    }
    tgr_free(s->context, bytes, n);
}

/* ---- building ------------------------------------------------------------------------------- */

static tgr_status build_failed(cl_state *s, cl_program p, cl_int code) {
    char log[4096];
    size_t n = 0;
    log[0] = '\0';
    /* A log longer than the room is refused whole by some drivers. */
    (void)s->api->clGetProgramBuildInfo(p, s->device->id, CL_PROGRAM_BUILD_LOG, 0, NULL, &n);
    char *all = n ? tgr_alloc(s->context, n + 1) : NULL;
    if (all) {
        (void)s->api->clGetProgramBuildInfo(p, s->device->id, CL_PROGRAM_BUILD_LOG, n, all, NULL);
        tgr_log(s->context, TGR_LOG_ERROR, "%s", all);
        (void)tgr_text_out(all, strlen(all), log, 300);
        tgr_free(s->context, all, n + 1);
    }
    if (code != CL_BUILD_PROGRAM_FAILURE) {
        return tgr_cl_fail(s, code, "building a program");
    }
    return tgr_fail(s->context, TGR_E_INTERNAL, "OpenCL on %s: the program does not build: %s",
                    s->device->name, log);
}

/* Lanes and shared memory are looked at when a kernel is launched: others may fit. */
static tgr_status check_features(cl_state *s, const cl_image *m) {
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < m->simt.n_entries && !st; i++) {
        uint64_t lacks = m->simt.entries[i].features & ~s->device->info.features;
        if (lacks & TGR_SIMT_DIV) {
            tgr_log(s->context, TGR_LOG_WARNING,
                    "%s rounds f32 quotients and roots within 2.5 ULP, not correctly",
                    s->device->name);
        }
        if (lacks) {
            st = tgr_simt_check(s->context, &s->device->info, &m->simt.entries[i]);
        }
    }
    return st;
}

static tgr_status make_program(cl_state *s, cl_image *m) {
    uint8_t key[16];
    bool keyed = make_key(s, m, key);
    m->program = keyed ? from_cache(s, key) : NULL;
    if (m->program) {
        return TGR_OK;
    }
    cl_int code = CL_SUCCESS;
    const char *text = (const char *)m->simt.code;
    size_t n = m->simt.code_bytes;
    m->program = m->simt.isa == TG_ISA_SPIRV_OPENCL
                     ? s->api->clCreateProgramWithIL(s->cl, m->simt.code, n, &code)
                     : s->api->clCreateProgramWithSource(s->cl, 1, &text, &n, &code);
    if (code != CL_SUCCESS) {
        return tgr_cl_fail(s, code, "reading a program");
    }
    tgr_status st = check_features(s, m);
    if (st) {
        return st; /* better than what a compiler says about it */
    }
    const char *options = m->simt.isa == TG_ISA_SPIRV_OPENCL ? "" : tgr_cl_build_options(s);
    if (!build(s, m->program, options, &code)) {
        return build_failed(s, m->program, code);
    }
    if (keyed) {
        to_cache(s, key, m->program);
    }
    return TGR_OK;
}

static tgr_status make_kernel(cl_state *s, const cl_image *m, const char *name, void **out) {
    cl_int code;
    cl_kernel k = s->api->clCreateKernel(m->program, name, &code);
    if (code != CL_SUCCESS) {
        return tgr_cl_fail(s, code, name);
    }
    *out = k;
    return TGR_OK;
}

static tgr_status make_kernels(cl_state *s, cl_image *m) {
    tgr_status st = TGR_OK;
    for (uint32_t i = 0; i < m->simt.n_entries && !st; i++) {
        tgr_simt_entry *e = &m->simt.entries[i];
        st = make_kernel(s, m, e->name, &e->driver);
        st = st || !e->plan ? st : make_kernel(s, m, e->plan, &e->driver_plan);
    }
    return st;
}

tgr_status tgr_cl_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                             void **out_image) {
    cl_state *s = state;
    cl_image *m = tgr_alloc(context, sizeof *m);
    if (!m) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    }
    tgr_status st = tgr_simt_image_read(context, desc, &m->simt);
    pthread_mutex_lock(&s->lock);
    st = st ? st : make_program(s, m);
    st = st ? st : make_kernels(s, m);
    pthread_mutex_unlock(&s->lock);
    if (st) {
        tgr_cl_image_unload(context, s, m);
        return st;
    }
    *out_image = m;
    return TGR_OK;
}

void tgr_cl_image_unload(tgr_context *context, void *state, void *image) {
    cl_state *s = state;
    cl_image *m = image;
    for (uint32_t i = 0; i < m->simt.n_entries; i++) {
        void *kernels[] = {m->simt.entries[i].driver, m->simt.entries[i].driver_plan};
        for (size_t k = 0; k < 2; k++) {
            if (kernels[k]) {
                (void)s->api->clReleaseKernel(kernels[k]);
            }
        }
    }
    if (m->program) {
        (void)s->api->clReleaseProgram(m->program);
    }
    tgr_simt_image_fini(&m->simt);
    tgr_free(context, m, sizeof *m);
}

void tgr_cl_image_entry(void *image, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                        tgr_entry *out) {
    cl_image *m = image;
    (void)plan;
    tgr_simt_image_entry(&m->simt, m, phases, n_phases, out);
}
