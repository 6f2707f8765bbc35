/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An OpenCL library that stands before the real one and spoils programs: QUIRKY_CL is text put in
 * front of every program (a macro that makes a function wrong), a program that holds the text
 * QUIRKY_DIE aborts the process, one that holds QUIRKY_HANG never gets built.
 */
#define _GNU_SOURCE
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef cl_program create_fn(cl_context, cl_uint, const char **, const size_t *, cl_int *);

static int holds(const char *text, const char *variable) {
    const char *part = getenv(variable);
    return part && *part && strstr(text, part) != NULL;
}

/* The text as one string. */
static char *join(const char *before, cl_uint n, const char **strings, const size_t *lengths) {
    size_t total = strlen(before) + 1, at = total - 1;
    for (cl_uint i = 0; i < n; i++) {
        total += lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
    }
    char *text = calloc(total + 1, 1);
    if (text) {
        memcpy(text, before, at);
        for (cl_uint i = 0; i < n; i++) {
            size_t k = lengths && lengths[i] ? lengths[i] : strlen(strings[i]);
            memcpy(text + at, strings[i], k);
            at += k;
        }
    }
    return text;
}

CL_API_ENTRY cl_program CL_API_CALL clCreateProgramWithSource(cl_context context, cl_uint n,
                                                              const char **strings,
                                                              const size_t *lengths, cl_int *code) {
    void *symbol = dlsym(RTLD_NEXT, "clCreateProgramWithSource");
    create_fn *real;
    memcpy(&real, &symbol, sizeof real);
    const char *before = getenv("QUIRKY_CL");
    char *text = join(before ? before : "", n, strings, lengths);
    if (!text || !real) {
        *code = CL_OUT_OF_HOST_MEMORY;
        return NULL;
    }
    if (holds(text, "QUIRKY_DIE")) {
        abort();
    }
    while (holds(text, "QUIRKY_HANG")) {
        (void)sleep(1);
    }
    const char *one = text;
    cl_program p = real(context, 1, &one, NULL, code);
    free(text);
    return p;
}
