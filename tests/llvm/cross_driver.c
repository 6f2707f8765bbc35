/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs one function of a blob under an emulator: driver BLOB IMPORTS_OFFSET FUNCTION_OFFSET IN OUT
 * BYTES. Maps the blob, fills its imports, calls f(in, NULL, out) and writes BYTES of out. Exit 0
 * when f gave 0.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <tegula/abi.h>

static long read_file(const char *path, unsigned char *to, long cap) {
    FILE *f = fopen(path, "rb");
    long n = f ? (long)fread(to, 1, (size_t)cap, f) : -1;
    if (f) {
        fclose(f);
    }
    return n;
}

static int run_kernel(unsigned char *code, char **argv, int n, unsigned char *in,
                      unsigned char *out) {
    int64_t slots[64];
    tg_cpu_plan plan;
    struct tg_cpu_report report = {0, 0, 0};
    if (n > 64) {
        return 94;
    }
    for (int i = 0; i < n; i++) {
        int64_t v = atoll(argv[8 + i] + 1);
        unsigned char *base = argv[8 + i][0] == 'i' ? in : out;
        slots[i] = argv[8 + i][0] == 'n' ? v : (int64_t)(intptr_t)(base + v);
    }
    memset(&plan, 0, sizeof plan);
    int r = ((tg_cpu_plan_fn)(uintptr_t)(code + atol(argv[3])))(slots, &plan);
    void *scratch = aligned_alloc(64, ((size_t)plan.scratch_bytes + 127) / 64 * 64);
    void *shared = aligned_alloc(64, ((size_t)plan.shared_bytes + 127) / 64 * 64);
    if (r != 0 || plan.n_phases != 1 || !scratch || !shared) {
        return 95;
    }
    return ((tg_cpu_phase_fn)(uintptr_t)(code + atol(argv[7])))(slots, 0, plan.programs[0], scratch,
                                                                shared, &report);
}

int main(int argc, char **argv) {
    enum { CODE = 1 << 22, DATA = 1 << 20 };
    if (argc < 7) {
        return 90;
    }
    unsigned char *code =
        mmap(NULL, CODE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    unsigned char *in = aligned_alloc(64, DATA), *out = aligned_alloc(64, DATA);
    if (code == MAP_FAILED || !in || !out || read_file(argv[1], code, CODE) <= 0 ||
        read_file(argv[4], in, DATA) < 0) {
        return 91;
    }
    void *(*copy)(void *, const void *, size_t) = memcpy, *(*set)(void *, int, size_t) = memset;
    void *(*move)(void *, const void *, size_t) = memmove;
    unsigned char *slots = code + atol(argv[2]);
    memcpy(slots, &copy, 8);
    memcpy(slots + 8, &set, 8);
    memcpy(slots + 16, &move, 8);
    if (mprotect(code, CODE, PROT_READ | PROT_EXEC) != 0) {
        return 92;
    }
    __builtin___clear_cache((char *)code, (char *)code + CODE);
    memset(out, 0, DATA);
    int32_t (*f)(const void *, const void *, void *) =
        (int32_t (*)(const void *, const void *, void *))(uintptr_t)(code + atol(argv[3]));
    int32_t r = argc > 8 ? run_kernel(code, argv, argc - 8, in, out) : f(in, NULL, out);
    FILE *o = fopen(argv[5], "wb");
    if (r != 0 || !o || fwrite(out, 1, (size_t)atol(argv[6]), o) != (size_t)atol(argv[6]) ||
        fclose(o)) {
        return 93;
    }
    return 0;
}
