/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of the blob maker: the object as read, the image as laid out, and one relocation routine
 * per architecture. Sources of the formulas: System V psABI for AMD64 (table 4.9), ELF for the Arm
 * 64-bit Architecture (section 5.7), RISC-V psABI (chapter 8). hsaco.c reads AMDGPU's objects with
 * the same reader and lays them out as a file.
 */
#ifndef TG_PACK_BLOB_H
#define TG_PACK_BLOB_H

#include "backends/backend.h"

/* ELF e_machine */
enum { BLOB_X86_64 = 62, BLOB_AARCH64 = 183, BLOB_AMDGPU = 224, BLOB_RISCV = 243 };

/* Section of the object. image_offset is UINT64_MAX for a section that is not loaded. */
typedef struct blob_section {
    uint32_t type, link, info;
    uint64_t flags, offset, n_bytes, align;
    const char *name;
    uint64_t image_offset;
} blob_section;

typedef struct blob_reloc {
    uint64_t offset; /* within its section */
    uint32_t symbol, type;
    int64_t addend;
} blob_reloc;

typedef struct blob_elf_symbol {
    const char *name;
    unsigned type, bind, other, section;
    uint64_t value, n_bytes;
} blob_elf_symbol;

typedef struct blob_maker {
    const unsigned char *obj;
    size_t n_obj;
    tg_arena *arena;
    tg_sink *sink;
    unsigned machine;
    blob_section *sections;
    size_t n_sections;
    uint64_t symtab_offset, n_symbols;
    const blob_section *strings; /* of the symbol table */
    unsigned char *image;
    uint64_t n_image, stubs_offset, imports_offset;
    bool failed;
} blob_maker;

#define BLOB_UNLOADED UINT64_MAX

uint16_t tg_blob_get16(const unsigned char *p);
uint32_t tg_blob_get32(const unsigned char *p);
uint64_t tg_blob_get64(const unsigned char *p);
void tg_blob_put32(unsigned char *p, uint32_t v);
void tg_blob_put64(unsigned char *p, uint64_t v);

/* Reads the object's header, sections and symbol table; false after a diagnostic. */
bool tg_blob_open(blob_maker *m);
/* Symbol i, below n_symbols. */
blob_elf_symbol tg_blob_symbol_get(const blob_maker *m, uint64_t i);

void tg_blob_fail(blob_maker *m, const char *fmt, ...) TG_PRINTF(2, 3);
/* Image offset of symbol i (an import's stub for an undefined one); false after a diagnostic. */
bool tg_blob_symbol_at(blob_maker *m, uint32_t i, uint64_t *out);
/* The import slot of symbol i, or false when it is not an import. */
bool tg_blob_import_slot(blob_maker *m, uint32_t i, uint64_t *out);
/* Relocation i of a table; the table was bounds-checked. */
blob_reloc tg_blob_reloc_get(const blob_maker *m, const blob_section *table, size_t i);

/* blob_reloc.c: applies one relocation at image offset `place`. Reports what it does not know. */
void tg_blob_relocate(blob_maker *m, const blob_section *table, size_t index, const blob_reloc *r,
                      uint64_t place, uint64_t room_bytes);
/* Bytes of one import stub, and its code: jump through the slot. */
enum { BLOB_STUB_BYTES = 16 };
void tg_blob_stub(blob_maker *m, uint64_t stub, uint64_t slot);

#endif
