/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cache entries of any bytes: the input lies in the cache under a key's name; a get must miss (and
 * delete it) or give bytes whose checksum holds, and the place must be usable afterwards.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <tegula/tegula.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

/* In memory where there is such a place: every entry is synced. */
static char dir[64];

static void remove_directory(void) { (void)rmdir(dir); }

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc;
    (void)argv;
    (void)snprintf(dir, sizeof dir, "%s/tegula-fuzz-cache-XXXXXX",
                   access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(dir)) {
        abort();
    }
    return atexit(remove_directory);
}

static void put_file(const uint8_t *key, const uint8_t *data, size_t size) {
    char path[128];
    int at = snprintf(path, sizeof path, "%s/", dir);
    for (int i = 0; i < 16; i++) {
        at += snprintf(path + at, sizeof path - (size_t)at, "%02x", key[i]);
    }
    (void)snprintf(path + at, sizeof path - (size_t)at, ".tgc");
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size || close(fd) != 0) {
        abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t key[16] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16};
    uint8_t entry[4096];
    size_t n = size < sizeof entry - 48 ? size : sizeof entry - 48;
    memcpy(entry, data, n);
    if (n > 48 && data[0] % 4) { /* a right head, perhaps with one byte of it wrong */
        memcpy(entry, "TGCACH1\n", 8);
        memcpy(entry + 8, key, 16);
        for (int i = 0; i < 8; i++) {
            entry[24 + i] = (uint8_t)((uint64_t)(n - 48) >> 8 * i);
        }
        tgr_hash128(entry + 48, n - 48, entry + 32);
        if (data[0] % 4 == 2) {
            entry[data[1] % n] ^= data[2];
        }
    }
    tgr_context *context = NULL;
    tgr_cache *cache = NULL;
    if (tgr_context_create(NULL, &context) || tgr_cache_open(context, dir, 0, &cache)) {
        abort();
    }
    put_file(key, entry, n);
    void *bytes = NULL;
    size_t got = 0;
    if (tgr_cache_get(cache, key, &bytes, &got) == TGR_OK) {
        if (got != n - 48 || memcmp(bytes, entry + 48, got) != 0) {
            abort();
        }
        tgr_cache_free(cache, bytes, got);
    }
    if (tgr_cache_list(cache, 1, NULL, NULL) || tgr_cache_put(cache, key, "x", 1) ||
        tgr_cache_get(cache, key, &bytes, &got) || got != 1) {
        abort();
    }
    tgr_cache_free(cache, bytes, got);
    if (tgr_cache_clear(cache, NULL)) {
        abort();
    }
    tgr_cache_release(cache);
    tgr_context_release(context);
    return 0;
}
