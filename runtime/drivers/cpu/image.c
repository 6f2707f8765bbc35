/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code images: bytes of a package become executable. The image is copied into fresh writable pages,
 * its import table is filled, then the pages become readable and executable; they are never
 * writable and executable at the same time. Uninitialised data (bss), if any, follows on pages of
 * its own that stay writable.
 */
#define _GNU_SOURCE
#include "cpu.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

typedef struct image {
    char *code;
    size_t code_bytes; /* of the image itself */
    size_t map_bytes;
} image;

static uintptr_t import_address(uint32_t id) {
    switch (id) {
    case TG_IMPORT_MEMCPY:
        return (uintptr_t)memcpy;
    case TG_IMPORT_MEMSET:
        return (uintptr_t)memset;
    case TG_IMPORT_MEMMOVE:
        return (uintptr_t)memmove;
    default:
        return 0;
    }
}

static uint32_t read_u32(const uint8_t *p) {
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static tgr_status fill_imports(tgr_context *context, char *code, const tgr_image_desc *desc) {
    for (uint32_t i = 0; i < desc->n_imports; i++) {
        uint32_t id = read_u32(desc->imports + 4 * (size_t)i);
        uintptr_t address = import_address(id);
        if (!address) {
            return tgr_fail(context, TGR_E_UNSUPPORTED,
                            "the package's code needs function %u, which this runtime lacks", id);
        }
        memcpy(code + desc->imports_offset + 8 * (size_t)i, &address, sizeof address);
    }
    return TGR_OK;
}

static tgr_status make_executable(tgr_context *context, image *m, size_t code_pages) {
    if (mprotect(m->code, code_pages, PROT_READ | PROT_EXEC) != 0) {
        return tgr_fail(context, TGR_E_UNSUPPORTED,
                        "the system does not let memory become executable: %s", strerror(errno));
    }
    __builtin___clear_cache(m->code, m->code + m->code_bytes);
    return TGR_OK;
}

tgr_status tgr_cpu_image_load(tgr_context *context, void *state, const tgr_image_desc *desc,
                              void **out_image) {
    (void)state;
    size_t page = (size_t)sysconf(_SC_PAGESIZE), n = (size_t)desc->image_bytes;
    size_t code_pages = (n + page - 1) / page * page,
           bss_pages = ((size_t)desc->bss_bytes + page - 1) / page * page;
    if (n == 0) {
        return tgr_fail(context, TGR_E_FORMAT, "package: an empty code image");
    }
    image *m = tgr_alloc(context, sizeof *m);
    if (!m) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading code");
    }
    m->map_bytes = code_pages + bss_pages;
    m->code_bytes = n;
    void *at = mmap(NULL, m->map_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) {
        tgr_free(context, m, sizeof *m);
        return tgr_fail(context, TGR_E_NOMEM, "no memory for %zu bytes of code", code_pages);
    }
    m->code = at;
    memcpy(m->code, desc->image, n);
    tgr_status st = fill_imports(context, m->code, desc);
    st = st ? st : make_executable(context, m, code_pages);
    if (st) {
        tgr_cpu_image_unload(context, state, m);
        return st;
    }
    *out_image = m;
    return TGR_OK;
}

void tgr_cpu_image_unload(tgr_context *context, void *state, void *img) {
    (void)state;
    image *m = img;
    (void)munmap(m->code, m->map_bytes);
    tgr_free(context, m, sizeof *m);
}

/* Object pointers become function pointers by their bits: POSIX wants them alike. */
void tgr_cpu_image_entry(void *img, uint64_t plan, const uint64_t *phases, uint32_t n_phases,
                         tgr_entry *out) {
    image *m = img;
    uintptr_t address = (uintptr_t)m->code + (uintptr_t)plan;
    memset(out, 0, sizeof *out);
    memcpy(&out->plan, &address, sizeof address);
    out->n_phases = n_phases;
    out->image = m;
    for (uint32_t i = 0; i < n_phases; i++) {
        address = (uintptr_t)m->code + (uintptr_t)phases[i];
        memcpy(&out->phases[i], &address, sizeof address);
    }
}

/* perf reads /tmp/perf-PID.map: "start size name", hexadecimal. Size 0 stands for
 * the rest of the image. */
void tgr_cpu_image_name(tgr_context *context, void *state, void *img, uint64_t offset,
                        uint64_t bytes, const char *name) {
    (void)state;
    image *m = img;
    char path[64];
    (void)snprintf(path, sizeof path, "/tmp/perf-%ld.map", (long)getpid());
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "a") : NULL;
    if (!f) {
        if (fd >= 0) {
            (void)close(fd);
        }
        tgr_log(context, TGR_LOG_WARNING, "%s: %s", path, strerror(errno));
        return;
    }
    uint64_t size = bytes ? bytes : m->code_bytes - offset;
    (void)fprintf(f, "%llx %llx %s\n", (unsigned long long)(uintptr_t)m->code + offset,
                  (unsigned long long)size, name);
    (void)fclose(f);
}
