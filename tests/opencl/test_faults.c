/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the OpenCL driver says when the library, the devices or the memory are not there, when a
 * program does not build, and when the device is lost: through a made-up library (fake_cl.c).
 */
#include "tests/opencl/support.h"

static const char tile[] = "tegula-ir 1\nkernel tile k {\nsyms N\n"
                           "param y: tensor<i32[N]> out\naxis i by 64\n"
                           "grid (%gy: tensor<i32[N]>) {\n%n = sym {sym = 0} : i64\nyield %n\n}\n"
                           "body (%y: tensor<i32[N]>, %i: i64) {}\n}\n";
#define LOOP(lanes, shared)                                                                        \
    "tegula-ir 1\nkernel loop \"k.phase0\" {\n" OCL_SIMT(lanes, shared, "0") "yield\n}\n}\n"

static void open_fails(tgr_status want, const char *says) {
    ocl_world w = {0};
    assert_int_equal(tgr_context_create(NULL, &w.context), TGR_OK);
    ocl_expect(&w, tgr_device_open(w.context, "opencl", NULL, &w.device), want);
    ocl_expect_message(&w, says);
    assert_int_equal(tgr_device_count(w.context) >= 2, 1); /* the others are there all the same */
    tgr_context_release(w.context);
}

static void test_absent(void **state) {
    (void)state;
    (void)setenv("TEGULA_OPENCL_LIBRARY", "libthere_is_none.so", 1);
    open_fails(TGR_E_NOT_FOUND, "no OpenCL on this machine");
    (void)setenv("TEGULA_OPENCL_LIBRARY", "libm.so.6", 1);
    open_fails(TGR_E_UNSUPPORTED, "lacks functions of OpenCL 1.2");
    (void)setenv("TEGULA_OPENCL_LIBRARY", FAKE_CL, 1);
    (void)setenv("FAKE_CL", "none", 1);
    open_fails(TGR_E_NOT_FOUND, "finds no usable device");
    (void)setenv("FAKE_CL", "clGetPlatformIDs=-1001", 1);
    open_fails(TGR_E_NOT_FOUND, "finds no usable device");
    (void)setenv("FAKE_CL", "clCreateContext=-2", 1);
    open_fails(TGR_E_LOST, "the device is not available");
    (void)setenv("FAKE_CL", "clCreateCommandQueue=-6", 1);
    open_fails(TGR_E_NOMEM, "out of host memory");
    (void)unsetenv("FAKE_CL");
}

static tgr_status load(ocl_world *w, const char *loop, tgr_module **out) {
    size_t n;
    unsigned char *bytes = ocl_package(tile, loop, &n);
    tgr_load_options o = TGR_INIT(tgr_load_options);
    o.flags = TGR_LOAD_TRUSTED;
    tgr_status st = tgr_module_load(w->device, bytes, n, &o, out);
    free(bytes);
    return st;
}

static void open_fake(ocl_world *w) {
    (void)setenv("TEGULA_OPENCL_LIBRARY", FAKE_CL, 1);
    (void)unsetenv("FAKE_CL");
    assert_true(ocl_open(w, "opencl:chip"));
}

static void test_build(void **state) {
    ocl_world w;
    tgr_module *m = NULL;
    (void)state;
    open_fake(&w);
    (void)setenv("FAKE_CL", "clBuildProgram=-11", 1);
    ocl_expect(&w, load(&w, LOOP("32", "0"), &m), TGR_E_INTERNAL);
    ocl_expect_message(&w, "does not build: line 1: no");
    (void)setenv("FAKE_CL", "clCreateKernel=-46", 1);
    ocl_expect(&w, load(&w, LOOP("32", "0"), &m), TGR_E_INTERNAL);
    (void)unsetenv("FAKE_CL");
    ocl_expect(&w, load(&w, LOOP("32", "0"), &m), TGR_OK);
    tgr_module_release(m);
    ocl_close(&w);
}

static tgr_status launch(ocl_world *w, tgr_module *m, tgr_buffer *b) {
    int64_t n = 16;
    tgr_arg arg = tgr_arg_buffer(b, 0, TG_DT_I32, 1, &n);
    return tgr_launch(w->queue, tgr_module_kernel(m, 0), &arg, 1, NULL);
}

static void test_memory(void **state) {
    ocl_world w;
    tgr_buffer *b = NULL;
    (void)state;
    open_fake(&w);
    ocl_expect(&w, tgr_buffer_create(w.device, 1 << 21, 0, &b), TGR_E_NOMEM);
    ocl_expect_message(&w, "the largest have 1048576");
    (void)setenv("FAKE_CL", "clCreateBuffer=-4", 1);
    ocl_expect(&w, tgr_buffer_create(w.device, 64, 0, &b), TGR_E_NOMEM);
    ocl_expect_message(&w, "out of device memory");
    (void)setenv("FAKE_CL", "clEnqueueFillBuffer=-5", 1);
    ocl_expect(&w, tgr_buffer_create(w.device, 64, TGR_BUFFER_ZERO, &b), TGR_E_NOMEM);
    (void)unsetenv("FAKE_CL");
    ocl_close(&w);
}

static void test_lost(void **state) {
    static const char *const faults[] = {"clEnqueueNDRangeKernel=-2", "clFinish=-36",
                                         "clEnqueueReadBuffer=-9999"};
    (void)state;
    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        ocl_world w;
        tgr_module *m = NULL;
        tgr_buffer *b = NULL, *other = NULL;
        open_fake(&w);
        ocl_expect(&w, load(&w, LOOP("32", "0"), &m), TGR_OK);
        ocl_expect(&w, tgr_buffer_create(w.device, 64, 0, &b), TGR_OK);
        ocl_expect(&w, launch(&w, m, b), TGR_OK);
        (void)setenv("FAKE_CL", faults[i], 1);
        ocl_expect(&w, launch(&w, m, b), TGR_E_LOST);
        (void)unsetenv("FAKE_CL");
        ocl_expect(&w, launch(&w, m, b), TGR_E_LOST); /* it stays lost */
        ocl_expect(&w, tgr_buffer_create(w.device, 64, 0, &other), TGR_E_LOST);
        tgr_buffer_release(b);
        tgr_module_release(m);
        ocl_close(&w);
    }
}

static void test_limits(void **state) {
    ocl_world w;
    tgr_module *m = NULL;
    tgr_buffer *b = NULL;
    (void)state;
    open_fake(&w);
    ocl_expect(&w, tgr_buffer_create(w.device, 64, 0, &b), TGR_OK);
    ocl_expect(&w, load(&w, LOOP("64", "0"), &m), TGR_OK);
    ocl_expect(&w, launch(&w, m, b), TGR_E_UNSUPPORTED);
    ocl_expect_message(&w, "work-groups of at most 32");
    tgr_module_release(m);
    ocl_expect(&w, load(&w, LOOP("32", "2048"), &m), TGR_OK);
    ocl_expect(&w, launch(&w, m, b), TGR_E_UNSUPPORTED);
    ocl_expect_message(&w, "needs 2048 bytes of shared memory");
    tgr_module_release(m);
    tgr_buffer_release(b);
    ocl_close(&w);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_absent), cmocka_unit_test(test_build),  cmocka_unit_test(test_memory),
        cmocka_unit_test(test_lost),   cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
