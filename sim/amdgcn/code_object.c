/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Code objects: ELF files of EM_AMDGPU whose symbols NAME.kd are kernel descriptors of 64 bytes
 * (LLVM, "User Guide for AMDGPU Backend", Kernel Descriptor). Loadable segments are laid out in the
 * machine's memory; a file with relocations left is refused.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim/amdgcn/amd.h"

enum {
    EM_AMDGPU_ = 224,
    DESCRIPTOR_BYTES = 64,
    MAX_IMAGE = 1 << 28,
    MAX_KERNARG = 1024,
    MACH_MASK = 0xff
};

typedef struct reader {
    const uint8_t *bytes;
    size_t n;
    char *message;
} reader;

static sim_status refuse(const reader *r, const char *why) {
    (void)snprintf(r->message, 256, "%s", why);
    return SIM_E_SYNTAX;
}

static bool inside(const reader *r, uint64_t at, uint64_t bytes) {
    return at <= r->n && bytes <= r->n - at;
}

/* EF_AMDGPU_MACH_* to generation; -1: not simulated. */
static int generation_of(uint32_t flags) {
    switch (flags & MACH_MASK) {
    case 0x02f: /* gfx906 */
    case 0x030: /* gfx908 */
    case 0x03f: /* gfx90a */
    case 0x040: /* gfx940 */
    case 0x04b: /* gfx941 */
    case 0x04c: /* gfx942 */
        return 0;
    case 0x041: /* gfx1100 */
    case 0x046: /* gfx1101 */
    case 0x047: /* gfx1102 */
    case 0x044: /* gfx1103 */
    case 0x043: /* gfx1150 */
    case 0x04a: /* gfx1151 */
        return 1;
    default:
        return -1;
    }
}

static uint32_t u32_at(const uint8_t *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static sim_status load_segments(reader *r, const Elf64_Ehdr *h, struct sim_module *m) {
    uint64_t most = 0;
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, r->bytes + h->e_phoff + i * sizeof p, sizeof p);
        if (p.p_type != PT_LOAD) {
            continue;
        }
        if (!inside(r, p.p_offset, p.p_filesz) || p.p_filesz > p.p_memsz || p.p_vaddr > MAX_IMAGE ||
            p.p_memsz > MAX_IMAGE) {
            return refuse(r, "a segment of the code object does not lie in it");
        }
        most = p.p_vaddr + p.p_memsz > most ? p.p_vaddr + p.p_memsz : most;
        if (p.p_flags & PF_X) {
            m->code_begin = p.p_vaddr;
            m->code_end = p.p_vaddr + p.p_filesz;
        }
    }
    if (most == 0 || m->code_end <= m->code_begin || m->code_begin % 4 != 0) {
        return refuse(r, "the code object has no code");
    }
    m->image_bytes = most;
    m->image = calloc(1, most);
    m->code = calloc((m->code_end - m->code_begin) / 4 + 1, sizeof *m->code);
    m->image_at = sim_memory_alloc(m->machine, most);
    if (!m->image || !m->code || !m->image_at) {
        return SIM_E_NOMEM;
    }
    for (uint32_t i = 0; i < h->e_phnum; i++) {
        Elf64_Phdr p;
        memcpy(&p, r->bytes + h->e_phoff + i * sizeof p, sizeof p);
        if (p.p_type == PT_LOAD) {
            memcpy(m->image + p.p_vaddr, r->bytes + p.p_offset, p.p_filesz);
        }
    }
    return sim_memory_write(m->machine, m->image_at, m->image, most) ? SIM_OK : SIM_E_NOMEM;
}

static sim_status add_kernel(reader *r, struct sim_module *m, const char *name, size_t length,
                             uint64_t at) {
    if (at > m->image_bytes || m->image_bytes - at < DESCRIPTOR_BYTES) {
        return refuse(r, "a kernel descriptor does not lie in the code object");
    }
    const uint8_t *d = m->image + at;
    int64_t offset;
    memcpy(&offset, d + 16, sizeof offset);
    sim_kernel k = {.module = m,
                    .lds_bytes = u32_at(d),
                    .private_bytes = u32_at(d + 4),
                    .kernarg_bytes = u32_at(d + 8),
                    .rsrc1 = u32_at(d + 48),
                    .rsrc2 = u32_at(d + 52),
                    .properties = u32_at(d + 56) & 0xffff,
                    .entry = at + (uint64_t)offset};
    if (k.entry < m->code_begin || k.entry >= m->code_end || k.entry % 4 != 0) {
        return refuse(r, "a kernel's entry lies outside of the code");
    }
    if (k.kernarg_bytes > MAX_KERNARG || k.private_bytes > 1 << 20) {
        return refuse(r, "a kernel wants more than 1 KiB of arguments or 1 MiB of scratch a lane");
    }
    k.preload_words = u32_at(d + 56) >> 16 & 0x7f;
    k.preload_at = u32_at(d + 56) >> 23;
    if (k.preload_words > 16 || 4 * (k.preload_words + k.preload_at) > k.kernarg_bytes) {
        return refuse(r, "a kernel wants arguments in registers that it does not have");
    }
    if ((k.properties & 0x0801) != 0) {
        (void)snprintf(r->message, 256, "kernel `%.*s`: a buffer for scratch or a dynamic stack",
                       (int)(length < 60 ? length : 60), name);
        return SIM_E_UNSUPPORTED;
    }
    k.name = strndup(name, length);
    return k.name && SIM_PUSH(&m->kernels, k) ? SIM_OK : SIM_E_NOMEM;
}

static sim_status load_symbols(reader *r, const Elf64_Shdr *symbols, const Elf64_Shdr *strings,
                               struct sim_module *m) {
    static const char end[] = ".kd";
    sim_status st = SIM_OK;
    for (uint64_t i = 0; st == SIM_OK && i < symbols->sh_size / sizeof(Elf64_Sym); i++) {
        Elf64_Sym s;
        memcpy(&s, r->bytes + symbols->sh_offset + i * sizeof s, sizeof s);
        if (s.st_name >= strings->sh_size) {
            return refuse(r, "a symbol's name lies outside of the names");
        }
        const char *name = (const char *)r->bytes + strings->sh_offset + s.st_name;
        size_t n = strnlen(name, strings->sh_size - s.st_name);
        if (n > 3 && n < strings->sh_size - s.st_name && memcmp(name + n - 3, end, 3) == 0) {
            st = add_kernel(r, m, name, n - 3, s.st_value);
        }
    }
    return st;
}

static sim_status read_sections(reader *r, const Elf64_Ehdr *h, struct sim_module *m) {
    sim_status st = SIM_OK;
    for (uint32_t i = 0; st == SIM_OK && i < h->e_shnum; i++) {
        Elf64_Shdr s, names;
        memcpy(&s, r->bytes + h->e_shoff + i * sizeof s, sizeof s);
        if ((s.sh_type == SHT_RELA || s.sh_type == SHT_REL) && s.sh_size > 0) {
            return refuse(r, "the code object has relocations: it is not linked");
        }
        if (s.sh_type != SHT_DYNSYM) {
            continue;
        }
        if (s.sh_link >= h->e_shnum || !inside(r, s.sh_offset, s.sh_size)) {
            return refuse(r, "the symbols lie outside of the code object");
        }
        memcpy(&names, r->bytes + h->e_shoff + s.sh_link * sizeof names, sizeof names);
        if (!inside(r, names.sh_offset, names.sh_size)) {
            return refuse(r, "the symbols' names lie outside of the code object");
        }
        st = load_symbols(r, &s, &names, m);
    }
    return st;
}

static sim_status read_file(reader *r, struct sim_module *m) {
    Elf64_Ehdr h;
    if (r->n < sizeof h || memcmp(r->bytes, ELFMAG, SELFMAG) != 0) {
        return refuse(r, "no ELF file");
    }
    memcpy(&h, r->bytes, sizeof h);
    if (h.e_ident[EI_CLASS] != ELFCLASS64 || h.e_machine != EM_AMDGPU_ || h.e_type != ET_DYN ||
        h.e_phentsize != sizeof(Elf64_Phdr) || h.e_shentsize != sizeof(Elf64_Shdr) ||
        !inside(r, h.e_phoff, (uint64_t)h.e_phnum * sizeof(Elf64_Phdr)) ||
        !inside(r, h.e_shoff, (uint64_t)h.e_shnum * sizeof(Elf64_Shdr))) {
        return refuse(r, "no code object of an AMD GPU");
    }
    m->generation = generation_of(h.e_flags);
    if (m->generation < 0) {
        (void)snprintf(r->message, 256, "code for a machine that is not simulated (flags 0x%x)",
                       (unsigned)h.e_flags);
        return SIM_E_UNSUPPORTED;
    }
    sim_status st = load_segments(r, &h, m);
    st = st ? st : read_sections(r, &h, m);
    return st == SIM_OK && m->kernels.n == 0 ? refuse(r, "the code object has no kernel") : st;
}

sim_status amd_module_load(sim_machine *m, const char *bytes, size_t n, struct sim_module **out,
                           char message[256]) {
    struct sim_module *module = calloc(1, sizeof *module);
    message[0] = '\0';
    if (!module) {
        return SIM_E_NOMEM;
    }
    module->machine = m;
    reader r = {.bytes = (const uint8_t *)bytes, .n = n, .message = message};
    sim_status st = read_file(&r, module);
    if (st != SIM_OK) {
        amd_module_free(module);
        return st;
    }
    *out = module;
    return SIM_OK;
}

void amd_module_free(struct sim_module *module) {
    if (!module) {
        return;
    }
    for (size_t i = 0; i < module->kernels.n; i++) {
        free(module->kernels.data[i].name);
    }
    for (uint64_t i = 0; module->code && i < (module->code_end - module->code_begin) / 4; i++) {
        free(module->code[i].pair);
    }
    sim_memory_free(module->machine, module->image_at);
    free(module->kernels.data);
    free(module->image);
    free(module->code);
    free(module);
}

const sim_kernel *amd_module_kernel(const struct sim_module *module, const char *name) {
    for (size_t i = 0; i < module->kernels.n; i++) {
        if (strcmp(module->kernels.data[i].name, name) == 0) {
            return &module->kernels.data[i];
        }
    }
    return NULL;
}
