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

static long read_file(const char *path, unsigned char *to, long cap) {
    FILE *f = fopen(path, "rb");
    long n = f ? (long)fread(to, 1, (size_t)cap, f) : -1;
    if (f) {
        fclose(f);
    }
    return n;
}

int main(int argc, char **argv) {
    enum { CODE = 1 << 22, DATA = 1 << 20 };
    if (argc != 7) {
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
    int32_t r = f(in, NULL, out);
    FILE *o = fopen(argv[5], "wb");
    if (r != 0 || !o || fwrite(out, 1, (size_t)atol(argv[6]), o) != (size_t)atol(argv[6]) ||
        fclose(o)) {
        return 93;
    }
    return 0;
}
