/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From an AMDGPU relocatable object to a code object: the ELF file that AMD's loaders take (LLVM,
 * "User Guide for AMDGPU Backend", Code Object; ELF gABI, Program Loading and Dynamic Linking).
 *
 *   | header, program headers | .note .dynsym .hash .dynstr read-only data |   read
 *   | code |                                                                   read, execute
 *   | .dynamic |                                                               read, write
 *   | .shstrtab, section headers |                                             not loaded
 *
 * Addresses are file offsets plus a page for each segment before, so that segments share no page.
 * Global symbols (a kernel's entry and its descriptor) become dynamic ones. Relocations are applied
 * here: R_AMDGPU_REL64, REL32_LO and REL32_HI are what LLVM writes, and nothing else is known;
 * whatever would need the loader's help is refused by name. The reader (blob.c) trusts no byte.
 */
#include <string.h>

#include "backends/pack/blob.h"

enum {
    HEADER_BYTES = 64,
    PROGRAM_BYTES = 56,
    SECTION_BYTES = 64,
    SYMBOL_BYTES = 24,
    RELA_BYTES = 24,
    PAGE_BYTES = 4096,
    N_PROGRAMS = 6,
    TYPE_DYN = 3,
    /* section types and flags */
    PROGBITS = 1,
    STRTAB = 3,
    RELA = 4,
    HASH = 5,
    DYNAMIC = 6,
    NOTE = 7,
    REL = 9,
    DYNSYM = 11,
    WRITE = 1,
    ALLOC = 2,
    EXEC = 4,
    /* segments */
    PT_LOAD_ = 1,
    PT_DYNAMIC_ = 2,
    PT_NOTE_ = 4,
    PT_PHDR_ = 6,
    PF_X_ = 1,
    PF_W_ = 2,
    PF_R_ = 4,
    /* symbols */
    LOCAL = 0,
    HIDDEN = 2,
    FIRST_RESERVED_SECTION = 0xff00,
    /* relocations (User Guide for AMDGPU Backend, Relocation Records) */
    R_REL64 = 5,
    R_REL32_LO = 10,
    R_REL32_HI = 11
};

#define MAX_FILE_BYTES ((uint64_t)1 << 30)

/* A section of the file; from: the object's that it holds, or NULL. */
typedef struct part {
    const char *name;
    const blob_section *from;
    uint32_t type, link, info;
    uint64_t flags, offset, address, n_bytes, align, each;
} part;

typedef struct writer {
    blob_maker m;
    TG_LIST(part) parts; /* the first is the null section */
    TG_LIST(uint32_t) exports;
    tg_sb names, section_names;
    uint64_t at, pages; /* end of the file so far; bytes that addresses are ahead of it */
    size_t note, dynsym, hash, dynstr, dynamic, shstrtab;
    uint64_t text_begin, text_end, dynamic_begin; /* offsets */
    unsigned char *file;
} writer;

static uint64_t align_up(uint64_t v, uint64_t to) { return to > 1 ? (v + to - 1) / to * to : v; }

static void put16(unsigned char *p, unsigned v) {
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}

/* ---- layout -----------------------------------------------------------------------------------
 */

static size_t add_part(writer *w, part p) {
    p.offset = align_up(w->at, p.align);
    p.address = p.flags & ALLOC ? p.offset + w->pages : 0;
    w->at = p.offset + p.n_bytes;
    TG_LIST_PUSH(w->m.arena, &w->parts, p);
    return w->parts.count - 1;
}

/* Sections of the object that are loaded: what `wants` says of their flags and type. */
static bool is_code(const blob_section *s) { return (s->flags & EXEC) != 0; }
static bool is_note(const blob_section *s) { return s->type == NOTE; }
static bool is_data(const blob_section *s) { return !is_code(s) && !is_note(s); }

static bool add_loaded(writer *w, bool (*wants)(const blob_section *s)) {
    for (size_t i = 1; i < w->m.n_sections; i++) {
        blob_section *s = &w->m.sections[i];
        if ((s->flags & ALLOC) == 0 || s->n_bytes == 0 || !wants(s)) {
            continue;
        }
        bool plain = s->type == PROGBITS || s->type == NOTE;
        if (!plain || (s->flags & ~(uint64_t)(ALLOC | EXEC | 0x10 | 0x20)) != 0 ||
            s->align > PAGE_BYTES || (s->align & (s->align - 1)) != 0 ||
            s->n_bytes > MAX_FILE_BYTES) {
            tg_blob_fail(&w->m, "section `%s` (type %u, flags 0x%llx) cannot be loaded by itself",
                         s->name, s->type, (unsigned long long)s->flags);
            return false;
        }
        size_t at = add_part(w, (part){.name = s->name,
                                       .from = s,
                                       .type = s->type,
                                       .flags = s->flags & (ALLOC | EXEC),
                                       .n_bytes = s->n_bytes,
                                       .align = s->align});
        s->image_offset = w->parts.data[at].address;
        w->note = s->type == NOTE ? at : w->note;
    }
    return true;
}

/* A new segment: its addresses lie a page beyond those before. */
static void next_segment(writer *w) { w->pages += PAGE_BYTES; }

static bool lay_out(writer *w) {
    uint64_t n = w->exports.count + 1;
    w->at = HEADER_BYTES + N_PROGRAMS * PROGRAM_BYTES;
    TG_LIST_PUSH(w->m.arena, &w->parts, (part){.name = ""});
    if (!add_loaded(w, is_note)) {
        return false;
    }
    w->dynsym = add_part(w, (part){.name = ".dynsym",
                                   .type = DYNSYM,
                                   .flags = ALLOC,
                                   .info = 1,
                                   .n_bytes = n * SYMBOL_BYTES,
                                   .align = 8,
                                   .each = SYMBOL_BYTES});
    w->hash = add_part(w, (part){.name = ".hash",
                                 .type = HASH,
                                 .flags = ALLOC,
                                 .link = (uint32_t)w->dynsym,
                                 .n_bytes = 4 * (2 + 2 * n),
                                 .align = 4,
                                 .each = 4});
    w->dynstr = add_part(w, (part){.name = ".dynstr",
                                   .type = STRTAB,
                                   .flags = ALLOC,
                                   .n_bytes = w->names.len,
                                   .align = 1});
    w->parts.data[w->dynsym].link = (uint32_t)w->dynstr;
    if (!add_loaded(w, is_data)) {
        return false;
    }
    next_segment(w);
    w->text_begin = w->at = align_up(w->at, 256);
    if (!add_loaded(w, is_code)) {
        return false;
    }
    w->text_end = w->at;
    next_segment(w);
    w->dynamic_begin = w->at = align_up(w->at, 16);
    w->dynamic = add_part(w, (part){.name = ".dynamic",
                                    .type = DYNAMIC,
                                    .flags = ALLOC | WRITE,
                                    .link = (uint32_t)w->dynstr,
                                    .n_bytes = 6 * 16,
                                    .align = 8,
                                    .each = 16});
    if (w->at > MAX_FILE_BYTES) {
        tg_blob_fail(&w->m, "the code is larger than 1 GiB");
        return false;
    }
    return true;
}

/* ---- symbols ----------------------------------------------------------------------------------
 */

static bool choose_exports(writer *w) {
    tg_sb_addc(&w->names, '\0');
    for (uint64_t i = 1; i < w->m.n_symbols; i++) {
        blob_elf_symbol s = tg_blob_symbol_get(&w->m, i);
        if (s.bind == LOCAL) {
            continue;
        }
        if (s.section == 0 || s.section >= FIRST_RESERVED_SECTION) {
            tg_blob_fail(&w->m, "symbol `%s` is not in the object", s.name);
            return false;
        }
        if ((s.other & 3u) != HIDDEN) {
            TG_LIST_PUSH(w->m.arena, &w->exports, (uint32_t)i);
            tg_sb_addf(&w->names, "%s%c", s.name, '\0');
        }
    }
    return true;
}

static bool address_of(writer *w, uint32_t i, uint64_t *out) {
    if (i >= w->m.n_symbols) {
        tg_blob_fail(&w->m, "a relocation names symbol %u of %llu", i,
                     (unsigned long long)w->m.n_symbols);
        return false;
    }
    blob_elf_symbol s = tg_blob_symbol_get(&w->m, i);
    const blob_section *in = s.section < w->m.n_sections ? &w->m.sections[s.section] : NULL;
    if (in == NULL || in->image_offset == BLOB_UNLOADED || s.value > in->n_bytes) {
        tg_blob_fail(&w->m, "symbol `%s` does not lie in loaded code or data", s.name);
        return false;
    }
    *out = in->image_offset + s.value;
    return true;
}

/* The section of the file that an address lies in. */
static unsigned part_at(const writer *w, const blob_section *from) {
    unsigned found = 0;
    for (size_t i = 0; i < w->parts.count; i++) {
        found = w->parts.data[i].from == from ? (unsigned)i : found;
    }
    return found;
}

/* ELF gABI, Hash Table. */
static uint32_t name_hash(const char *name) {
    uint32_t h = 0;
    for (; *name != '\0'; name++) {
        h = (h << 4) + (unsigned char)*name;
        uint32_t high = h & 0xf0000000u;
        h = (h ^ high >> 24) & ~high;
    }
    return h;
}

/* As many buckets as symbols, each a chain that ends at 0. */
static void write_symbols(writer *w) {
    uint32_t n = (uint32_t)w->exports.count + 1, name = 1;
    unsigned char *table = w->file + w->parts.data[w->dynsym].offset;
    unsigned char *hash = w->file + w->parts.data[w->hash].offset;
    unsigned char *buckets = hash + 8, *chains = buckets + (size_t)n * 4;
    tg_blob_put32(hash, n);
    tg_blob_put32(hash + 4, n);
    for (uint32_t i = 1; i < n; i++) {
        uint32_t of = w->exports.data[i - 1];
        blob_elf_symbol s = tg_blob_symbol_get(&w->m, of);
        unsigned char *p = table + (size_t)i * SYMBOL_BYTES;
        uint64_t address = 0;
        if (!address_of(w, of, &address)) {
            return;
        }
        tg_blob_put32(p, name);
        p[4] = (unsigned char)(s.bind << 4 | s.type);
        p[5] = (unsigned char)s.other;
        put16(p + 6, part_at(w, &w->m.sections[s.section]));
        tg_blob_put64(p + 8, address);
        tg_blob_put64(p + 16, s.n_bytes);
        name += (uint32_t)strlen(s.name) + 1;
        unsigned char *bucket = buckets + (size_t)(name_hash(s.name) % n) * 4;
        tg_blob_put32(chains + (size_t)i * 4, tg_blob_get32(bucket));
        tg_blob_put32(bucket, i);
    }
}

/* ---- relocations ------------------------------------------------------------------------------
 */

static void relocate(writer *w, const part *to, const blob_reloc *r) {
    uint64_t s = 0, width = r->type == R_REL64 ? 8 : 4;
    if (r->type != R_REL64 && r->type != R_REL32_LO && r->type != R_REL32_HI) {
        tg_blob_fail(&w->m, "AMDGPU relocation %u in section `%s` is not supported", r->type,
                     to->name);
        return;
    }
    if (r->offset > to->n_bytes || width > to->n_bytes - r->offset) {
        tg_blob_fail(&w->m, "a relocation lies outside section `%s`", to->name);
        return;
    }
    if (!address_of(w, r->symbol, &s)) {
        return;
    }
    uint64_t v = s + (uint64_t)r->addend - (to->address + r->offset);
    unsigned char *p = w->file + to->offset + r->offset;
    if (r->type == R_REL64) {
        tg_blob_put64(p, v);
    } else {
        tg_blob_put32(p, (uint32_t)(r->type == R_REL32_HI ? v >> 32 : v));
    }
}

static void relocate_all(writer *w) {
    for (size_t i = 1; i < w->m.n_sections && !w->m.failed; i++) {
        const blob_section *s = &w->m.sections[i];
        if (s->type == REL && s->n_bytes > 0) {
            tg_blob_fail(&w->m, "relocations without addends are not supported");
        }
        if (s->type != RELA || s->info >= w->m.n_sections ||
            w->m.sections[s->info].image_offset == BLOB_UNLOADED) {
            continue;
        }
        const part *to = &w->parts.data[part_at(w, &w->m.sections[s->info])];
        for (size_t k = 0; k < s->n_bytes / RELA_BYTES && !w->m.failed; k++) {
            blob_reloc r = tg_blob_reloc_get(&w->m, s, k);
            relocate(w, to, &r);
        }
    }
}

/* ---- headers ----------------------------------------------------------------------------------
 */

static void write_dynamic(writer *w) {
    enum { DT_HASH_ = 4, DT_STRTAB_ = 5, DT_SYMTAB_ = 6, DT_STRSZ_ = 10, DT_SYMENT_ = 11 };
    const part *p = w->parts.data;
    const uint64_t rows[6][2] = {
        {DT_SYMTAB_, p[w->dynsym].address}, {DT_SYMENT_, SYMBOL_BYTES},
        {DT_STRTAB_, p[w->dynstr].address}, {DT_STRSZ_, p[w->dynstr].n_bytes},
        {DT_HASH_, p[w->hash].address},     {0, 0}};
    for (size_t i = 0; i < TG_COUNT_OF(rows); i++) {
        unsigned char *at = w->file + p[w->dynamic].offset + 16 * i;
        tg_blob_put64(at, rows[i][0]);
        tg_blob_put64(at + 8, rows[i][1]);
    }
}

static void write_program(writer *w, int i, uint32_t type, uint32_t flags, uint64_t begin,
                          uint64_t end, uint64_t ahead, uint64_t align) {
    unsigned char *p = w->file + HEADER_BYTES + (size_t)i * PROGRAM_BYTES;
    tg_blob_put32(p, type);
    tg_blob_put32(p + 4, flags);
    tg_blob_put64(p + 8, begin);
    tg_blob_put64(p + 16, begin + ahead);
    tg_blob_put64(p + 24, begin + ahead);
    tg_blob_put64(p + 32, end - begin);
    tg_blob_put64(p + 40, end - begin);
    tg_blob_put64(p + 48, align);
}

static void write_programs(writer *w) {
    const part *dynamic = &w->parts.data[w->dynamic], *note = &w->parts.data[w->note];
    uint64_t headers = HEADER_BYTES + N_PROGRAMS * PROGRAM_BYTES, data_end = 0;
    for (size_t i = 0; i < w->parts.count && w->parts.data[i].offset < w->text_begin; i++) {
        data_end = w->parts.data[i].offset + w->parts.data[i].n_bytes;
    }
    uint64_t dynamic_end = dynamic->offset + dynamic->n_bytes;
    write_program(w, 0, PT_PHDR_, PF_R_, HEADER_BYTES, headers, 0, 8);
    write_program(w, 1, PT_LOAD_, PF_R_, 0, data_end, 0, PAGE_BYTES);
    write_program(w, 2, PT_LOAD_, PF_R_ | PF_X_, w->text_begin, w->text_end, PAGE_BYTES,
                  PAGE_BYTES);
    write_program(w, 3, PT_LOAD_, PF_R_ | PF_W_, w->dynamic_begin, dynamic_end,
                  (uint64_t)2 * PAGE_BYTES, PAGE_BYTES);
    write_program(w, 4, PT_DYNAMIC_, PF_R_ | PF_W_, w->dynamic_begin, dynamic_end,
                  (uint64_t)2 * PAGE_BYTES, 8);
    write_program(w, 5, PT_NOTE_, PF_R_, note->offset, note->offset + note->n_bytes, 0, 4);
}

static void write_sections(writer *w, uint64_t at) {
    uint32_t name = 0;
    for (size_t i = 0; i < w->parts.count; i++) {
        const part *s = &w->parts.data[i];
        unsigned char *p = w->file + at + i * SECTION_BYTES;
        tg_blob_put32(p, name);
        tg_blob_put32(p + 4, s->type);
        tg_blob_put64(p + 8, s->flags);
        tg_blob_put64(p + 16, s->address);
        tg_blob_put64(p + 24, s->offset);
        tg_blob_put64(p + 32, s->n_bytes);
        tg_blob_put32(p + 40, s->link);
        tg_blob_put32(p + 44, s->info);
        tg_blob_put64(p + 48, s->align);
        tg_blob_put64(p + 56, s->each);
        name += (uint32_t)strlen(s->name) + 1;
    }
}

/* The object's identification, machine and flags with another type. */
static void write_header(writer *w, uint64_t sections) {
    unsigned char *h = w->file;
    memcpy(h, w->m.obj, HEADER_BYTES);
    put16(h + 16, TYPE_DYN);
    tg_blob_put64(h + 24, 0);
    tg_blob_put64(h + 32, HEADER_BYTES);
    tg_blob_put64(h + 40, sections);
    put16(h + 52, HEADER_BYTES);
    put16(h + 54, PROGRAM_BYTES);
    put16(h + 56, N_PROGRAMS);
    put16(h + 58, SECTION_BYTES);
    put16(h + 60, (unsigned)w->parts.count);
    put16(h + 62, (unsigned)w->shstrtab);
}

/* ---- the door ---------------------------------------------------------------------------------
 */

static void add_section_names(writer *w) {
    for (size_t i = 0; i < w->parts.count; i++) {
        tg_sb_addf(&w->section_names, "%s%c", w->parts.data[i].name, '\0');
    }
    tg_sb_addf(&w->section_names, ".shstrtab%c", '\0');
    w->shstrtab = add_part(
        w,
        (part){.name = ".shstrtab", .type = STRTAB, .n_bytes = w->section_names.len, .align = 1});
}

static size_t write_file(writer *w) {
    add_section_names(w);
    uint64_t sections = align_up(w->at, 8), n = sections + w->parts.count * SECTION_BYTES;
    w->file = tg_arena_alloc(w->m.arena, (size_t)n);
    memset(w->file, 0, (size_t)n);
    for (size_t i = 0; i < w->parts.count; i++) {
        const part *p = &w->parts.data[i];
        if (p->from != NULL) {
            memcpy(w->file + p->offset, w->m.obj + p->from->offset, (size_t)p->n_bytes);
        }
    }
    memcpy(w->file + w->parts.data[w->dynstr].offset, w->names.data, w->names.len);
    memcpy(w->file + w->parts.data[w->shstrtab].offset, w->section_names.data,
           w->section_names.len);
    write_symbols(w);
    relocate_all(w);
    write_dynamic(w);
    write_programs(w);
    write_sections(w, sections);
    write_header(w, sections);
    return (size_t)n;
}

tg_status tg_hsaco_link(const unsigned char *obj, size_t n_bytes, tg_arena *a, tg_sink *sink,
                        const unsigned char **out, size_t *out_bytes) {
    writer w = {.m = {.obj = obj, .n_obj = n_bytes, .arena = a, .sink = sink}};
    if (!obj || !out || !out_bytes) {
        return TG_E_INVALID;
    }
    tg_sb_init(&w.names, a);
    tg_sb_init(&w.section_names, a);
    if (!tg_blob_open(&w.m)) {
        return TG_E_FORMAT;
    }
    if (w.m.machine != BLOB_AMDGPU) {
        tg_blob_fail(&w.m, "machine %u is not AMDGPU", w.m.machine);
        return TG_E_FORMAT;
    }
    if (!choose_exports(&w) || !lay_out(&w)) {
        return TG_E_FORMAT;
    }
    size_t n = write_file(&w);
    if (w.m.failed) {
        return TG_E_FORMAT;
    }
    *out = w.file;
    *out_bytes = n;
    return TG_OK;
}
