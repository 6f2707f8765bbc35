/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an ELF64 relocatable object to one position-independent image:
 *
 *   | text sections | import stubs | read-only data | import slots |
 *
 * Everything inside is addressed relative to the program counter, so the image runs wherever it is
 * mapped (page aligned). Calls to the few runtime imports go through a stub and a slot that the
 * loader fills. Sections that would need writable or absolute data are refused by name. The reader
 * trusts no byte of the object: every offset, index and size is checked.
 */
#include "backends/pack/blob.h"

#include <string.h>

enum {
    ELF_HEADER_BYTES = 64,
    ELF_SECTION_BYTES = 64,
    ELF_SYMBOL_BYTES = 24,
    ELF_RELA_BYTES = 24,
    SHT_PROGBITS_ = 1,
    SHT_SYMTAB_ = 2,
    SHT_RELA_ = 4,
    SHT_NOBITS_ = 8,
    SHT_REL_ = 9,
    SHT_X86_UNWIND_ = 0x70000001,
    SHF_WRITE_ = 1,
    SHF_ALLOC_ = 2,
    SHF_EXEC_ = 4,
    SHF_TLS_ = 0x400,
    STB_LOCAL_ = 0,
    STT_FUNC_ = 2
};

#define MAX_IMAGE_BYTES ((uint64_t)1 << 30)

static const char *const imports[] = {
#define NAME(f) #f,
    TG_BLOB_IMPORTS(NAME)
#undef NAME
};

uint16_t tg_blob_get16(const unsigned char *p) { return (uint16_t)(p[0] | p[1] << 8); }
uint32_t tg_blob_get32(const unsigned char *p) {
    return (uint32_t)tg_blob_get16(p) | (uint32_t)tg_blob_get16(p + 2) << 16;
}
uint64_t tg_blob_get64(const unsigned char *p) {
    return tg_blob_get32(p) | (uint64_t)tg_blob_get32(p + 4) << 32;
}
void tg_blob_put32(unsigned char *p, uint32_t v) {
    for (int i = 0; i < 4; i++) {
        p[i] = (unsigned char)(v >> (8 * i));
    }
}
void tg_blob_put64(unsigned char *p, uint64_t v) {
    tg_blob_put32(p, (uint32_t)v);
    tg_blob_put32(p + 4, (uint32_t)(v >> 32));
}

void tg_blob_fail(blob_maker *m, const char *fmt, ...) {
    va_list ap;
    tg_sb text;
    m->failed = true;
    tg_sb_init(&text, m->arena);
    va_start(ap, fmt);
    tg_sb_addv(&text, fmt, ap);
    va_end(ap);
    tg_error(m->sink, TG_D_BACKEND, (tg_span){0}, "object file: %s", text.data);
}

/* ---- reading ------------------------------------------------------------------------------------
 */

static bool in_object(const blob_maker *m, uint64_t offset, uint64_t n) {
    return offset <= m->n_obj && n <= m->n_obj - offset;
}

/* The NUL-terminated text at `at` of a string section, or "" when there is none. */
static const char *string_at(const blob_maker *m, const blob_section *s, uint64_t at) {
    if (!s || s->type == SHT_NOBITS_ || at >= s->n_bytes || !in_object(m, s->offset, s->n_bytes)) {
        return "";
    }
    const unsigned char *p = m->obj + s->offset + at;
    return memchr(p, 0, (size_t)(s->n_bytes - at)) ? (const char *)p : "";
}

static bool read_header(blob_maker *m) {
    static const unsigned char magic[7] = {0x7F, 'E', 'L', 'F', 2, 1, 1};
    const unsigned char *h = m->obj;
    if (m->n_obj < ELF_HEADER_BYTES || memcmp(h, magic, sizeof magic) != 0 ||
        tg_blob_get16(h + 16) != 1) {
        tg_blob_fail(m, "not a little-endian ELF64 relocatable file");
        return false;
    }
    m->machine = tg_blob_get16(h + 18);
    return true;
}

static bool is_cpu(blob_maker *m) {
    bool known =
        m->machine == BLOB_X86_64 || m->machine == BLOB_AARCH64 || m->machine == BLOB_RISCV;
    if (!known) {
        tg_blob_fail(m, "machine %u is not supported", m->machine);
    }
    return known;
}

static void read_section(blob_maker *m, size_t i, const unsigned char *p) {
    m->sections[i] = (blob_section){.type = tg_blob_get32(p + 4),
                                    .flags = tg_blob_get64(p + 8),
                                    .offset = tg_blob_get64(p + 24),
                                    .n_bytes = tg_blob_get64(p + 32),
                                    .link = tg_blob_get32(p + 40),
                                    .info = tg_blob_get32(p + 44),
                                    .align = tg_blob_get64(p + 48),
                                    .name = "",
                                    .image_offset = BLOB_UNLOADED};
}

static bool read_sections(blob_maker *m) {
    uint64_t at = tg_blob_get64(m->obj + 40);
    uint64_t count = tg_blob_get16(m->obj + 60);
    unsigned names = tg_blob_get16(m->obj + 62);
    if (tg_blob_get16(m->obj + 58) != ELF_SECTION_BYTES || count == 0 || names >= count ||
        !in_object(m, at, count * ELF_SECTION_BYTES)) {
        tg_blob_fail(m, "the section table is damaged");
        return false;
    }
    m->n_sections = (size_t)count;
    m->sections = TG_NEW_ARRAY(m->arena, blob_section, count);
    for (size_t i = 0; i < m->n_sections; i++) {
        read_section(m, i, m->obj + at + i * ELF_SECTION_BYTES);
        const blob_section *s = &m->sections[i];
        if (s->type != SHT_NOBITS_ && i > 0 && !in_object(m, s->offset, s->n_bytes)) {
            tg_blob_fail(m, "section %zu lies outside the file", i);
            return false;
        }
    }
    for (size_t i = 0; i < m->n_sections; i++) {
        uint32_t name = tg_blob_get32(m->obj + at + i * ELF_SECTION_BYTES);
        m->sections[i].name = string_at(m, &m->sections[names], name);
    }
    return true;
}

static bool find_symbols(blob_maker *m) {
    for (size_t i = 1; i < m->n_sections; i++) {
        const blob_section *s = &m->sections[i];
        if (s->type == SHT_SYMTAB_) {
            if (s->link >= m->n_sections) {
                tg_blob_fail(m, "the symbol table names no string table");
                return false;
            }
            m->symtab_offset = s->offset;
            m->n_symbols = s->n_bytes / ELF_SYMBOL_BYTES;
            m->strings = &m->sections[s->link];
            return true;
        }
    }
    tg_blob_fail(m, "no symbol table");
    return false;
}

blob_elf_symbol tg_blob_symbol_get(const blob_maker *m, uint64_t i) {
    const unsigned char *p = m->obj + m->symtab_offset + i * ELF_SYMBOL_BYTES;
    return (blob_elf_symbol){.name = string_at(m, m->strings, tg_blob_get32(p)),
                             .type = p[4] & 15u,
                             .bind = p[4] >> 4u,
                             .other = p[5],
                             .section = tg_blob_get16(p + 6),
                             .value = tg_blob_get64(p + 8),
                             .n_bytes = tg_blob_get64(p + 16)};
}

bool tg_blob_open(blob_maker *m) { return read_header(m) && read_sections(m) && find_symbols(m); }

/* ---- layout -------------------------------------------------------------------------------------
 */

static bool is_loaded(const blob_section *s) {
    return (s->flags & SHF_ALLOC_) && s->n_bytes > 0 && s->type != SHT_X86_UNWIND_ &&
           strcmp(s->name, ".eh_frame") != 0 && strncmp(s->name, ".note", 5) != 0;
}

static bool check_loaded(blob_maker *m, const blob_section *s) {
    if (s->type != SHT_PROGBITS_ || (s->flags & (SHF_WRITE_ | SHF_TLS_))) {
        tg_blob_fail(
            m, "section `%s` (type %u, flags 0x%llx) cannot be part of position-independent code",
            s->name, s->type, (unsigned long long)s->flags);
        return false;
    }
    if (s->align > 4096 || (s->align & (s->align - 1)) != 0 || s->n_bytes > MAX_IMAGE_BYTES) {
        tg_blob_fail(m, "section `%s` has an impossible size or alignment", s->name);
        return false;
    }
    return true;
}

static uint64_t align_up(uint64_t v, uint64_t to) { return to > 1 ? (v + to - 1) / to * to : v; }

/* Places the sections that are (not) executable behind *at. */
static bool place(blob_maker *m, bool text, uint64_t *at) {
    for (size_t i = 1; i < m->n_sections; i++) {
        blob_section *s = &m->sections[i];
        if (!is_loaded(s) || !!(s->flags & SHF_EXEC_) != text) {
            continue;
        }
        if (!check_loaded(m, s)) {
            return false;
        }
        s->image_offset = align_up(*at, s->align);
        *at = s->image_offset + s->n_bytes;
        if (*at > MAX_IMAGE_BYTES) {
            tg_blob_fail(m, "the code is larger than 1 GiB");
            return false;
        }
    }
    return true;
}

static bool lay_out(blob_maker *m) {
    uint64_t at = 0;
    if (!place(m, true, &at)) {
        return false;
    }
    m->stubs_offset = align_up(at, 16);
    at = m->stubs_offset + TG_COUNT_OF(imports) * BLOB_STUB_BYTES;
    if (!place(m, false, &at)) {
        return false;
    }
    m->imports_offset = align_up(at, 8);
    m->n_image = m->imports_offset + TG_COUNT_OF(imports) * 8;
    m->image = tg_arena_alloc(m->arena, (size_t)m->n_image);
    for (size_t i = 1; i < m->n_sections; i++) {
        const blob_section *s = &m->sections[i];
        if (s->image_offset != BLOB_UNLOADED) {
            memcpy(m->image + s->image_offset, m->obj + s->offset, (size_t)s->n_bytes);
        }
    }
    for (size_t i = 0; i < TG_COUNT_OF(imports); i++) {
        tg_blob_stub(m, m->stubs_offset + i * BLOB_STUB_BYTES, m->imports_offset + i * 8);
    }
    return true;
}

/* ---- symbols ------------------------------------------------------------------------------------
 */

static int import_index(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(imports); i++) {
        if (strcmp(imports[i], name) == 0) {
            return (int)i;
        }
    }
    return -1;
}

bool tg_blob_import_slot(blob_maker *m, uint32_t i, uint64_t *out) {
    if (i >= m->n_symbols) {
        return false;
    }
    blob_elf_symbol s = tg_blob_symbol_get(m, i);
    int index = s.section == 0 ? import_index(s.name) : -1;
    *out = index < 0 ? 0 : m->imports_offset + (uint64_t)index * 8;
    return index >= 0;
}

bool tg_blob_symbol_at(blob_maker *m, uint32_t i, uint64_t *out) {
    if (i >= m->n_symbols) {
        tg_blob_fail(m, "a relocation names symbol %u of %llu", i,
                     (unsigned long long)m->n_symbols);
        return false;
    }
    blob_elf_symbol s = tg_blob_symbol_get(m, i);
    if (s.section == 0) {
        int index = import_index(s.name);
        if (index < 0) {
            tg_blob_fail(m, "calls the unknown external function `%s`", s.name);
            return false;
        }
        *out = m->stubs_offset + (uint64_t)index * BLOB_STUB_BYTES;
        return true;
    }
    if (s.section >= m->n_sections || m->sections[s.section].image_offset == BLOB_UNLOADED ||
        s.value > m->sections[s.section].n_bytes) {
        tg_blob_fail(m, "symbol `%s` does not lie in loaded code or data", s.name);
        return false;
    }
    *out = m->sections[s.section].image_offset + s.value;
    return true;
}

static void export_functions(blob_maker *m, tg_blob *out) {
    out->symbols = TG_NEW_ARRAY(m->arena, tg_blob_symbol, m->n_symbols);
    out->n_symbols = 0;
    for (uint64_t i = 1; i < m->n_symbols; i++) {
        blob_elf_symbol s = tg_blob_symbol_get(m, i);
        uint64_t at;
        if (s.type == STT_FUNC_ && s.bind != STB_LOCAL_ && s.section != 0 &&
            tg_blob_symbol_at(m, (uint32_t)i, &at)) {
            out->symbols[out->n_symbols++] =
                (tg_blob_symbol){.name = tg_arena_strdup(m->arena, s.name), .offset = at};
        }
    }
}

/* ---- relocation ---------------------------------------------------------------------------------
 */

blob_reloc tg_blob_reloc_get(const blob_maker *m, const blob_section *table, size_t i) {
    const unsigned char *p = m->obj + table->offset + i * ELF_RELA_BYTES;
    uint64_t info = tg_blob_get64(p + 8);
    return (blob_reloc){.offset = tg_blob_get64(p),
                        .symbol = (uint32_t)(info >> 32),
                        .type = (uint32_t)info,
                        .addend = (int64_t)tg_blob_get64(p + 16)};
}

static void relocate_section(blob_maker *m, const blob_section *table) {
    if (table->info >= m->n_sections) {
        tg_blob_fail(m, "a relocation table belongs to no section");
        return;
    }
    const blob_section *target = &m->sections[table->info];
    if (target->image_offset == BLOB_UNLOADED) {
        return;
    }
    size_t count = (size_t)(table->n_bytes / ELF_RELA_BYTES);
    for (size_t i = 0; i < count && !m->failed; i++) {
        blob_reloc r = tg_blob_reloc_get(m, table, i);
        if (r.offset > target->n_bytes) {
            tg_blob_fail(m, "a relocation lies outside section `%s`", target->name);
            return;
        }
        tg_blob_relocate(m, table, i, &r, target->image_offset + r.offset,
                         target->n_bytes - r.offset);
    }
}

static void relocate_all(blob_maker *m) {
    for (size_t i = 1; i < m->n_sections && !m->failed; i++) {
        const blob_section *s = &m->sections[i];
        if (s->type == SHT_RELA_) {
            relocate_section(m, s);
        } else if (s->type == SHT_REL_ && s->n_bytes > 0) {
            tg_blob_fail(m, "relocations without addends are not supported");
        }
    }
}

tg_status tg_blob_from_object(const unsigned char *obj, size_t n_bytes, tg_arena *a, tg_sink *sink,
                              tg_blob *out) {
    blob_maker m = {.obj = obj, .n_obj = n_bytes, .arena = a, .sink = sink};
    if (!obj || !out) {
        return TG_E_INVALID;
    }
    *out = (tg_blob){0};
    if (!tg_blob_open(&m) || !is_cpu(&m) || !lay_out(&m)) {
        return TG_E_FORMAT;
    }
    relocate_all(&m);
    export_functions(&m, out);
    if (m.failed) {
        *out = (tg_blob){0};
        return TG_E_FORMAT;
    }
    out->bytes = m.image;
    out->n_bytes = (size_t)m.n_image;
    out->imports_offset = (size_t)m.imports_offset;
    return TG_OK;
}
