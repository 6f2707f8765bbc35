/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Relocations of the three architectures, by number. S is the symbol's image offset, A the addend,
 * P the place. Only forms that do not depend on the load address are applied; the rest are refused
 * by number, so an object that needs more than the image offers never becomes a wrong blob.
 */
#include "backends/pack/blob.h"

typedef struct fix {
    blob_maker *m;
    const blob_reloc *r;
    unsigned char *at;
    uint64_t place;
    uint64_t room;
} fix;

static void unknown(const fix *f) {
    tg_blob_fail(f->m, "relocation type %u is not supported for machine %u", f->r->type,
                 f->m->machine);
}

/* False, after a diagnostic, when fewer than n bytes are left or v does not fit in `bits` signed.
 */
static bool fits(const fix *f, uint64_t n, int64_t v, int bits) {
    if (f->room < n) {
        tg_blob_fail(f->m, "a relocation passes the end of its section");
        return false;
    }
    if (bits < 64 && (v < -(INT64_C(1) << (bits - 1)) || v >= INT64_C(1) << (bits - 1))) {
        tg_blob_fail(f->m, "relocation type %u is out of range", f->r->type);
        return false;
    }
    return true;
}

static void put_bits(const fix *f, uint32_t mask, uint32_t value) {
    tg_blob_put32(f->at, (tg_blob_get32(f->at) & ~mask) | (value & mask));
}

/* S + A - P with wrapping, so that hostile addends are harmless. */
static int64_t relative(const fix *f, uint64_t target) {
    return (int64_t)(target + (uint64_t)f->r->addend - f->place);
}

/* ---- x86-64
 * -------------------------------------------------------------------------------------- */

static void relocate_x86(const fix *f) {
    enum {
        NONE = 0,
        PC32 = 2,
        PLT32 = 4,
        GOTPCREL = 9,
        PC64 = 24,
        GOTPCRELX = 41,
        REX_GOTPCRELX = 42
    };
    uint64_t target;
    switch (f->r->type) {
    case NONE:
        return;
    case GOTPCREL:
    case GOTPCRELX:
    case REX_GOTPCRELX: /* an import's slot is its table entry */
        if (!tg_blob_import_slot(f->m, f->r->symbol, &target)) {
            unknown(f);
            return;
        }
        break;
    case PC32:
    case PLT32:
    case PC64:
        if (!tg_blob_symbol_at(f->m, f->r->symbol, &target)) {
            return;
        }
        break;
    default:
        unknown(f);
        return;
    }
    int64_t v = relative(f, target);
    if (f->r->type == PC64) {
        if (fits(f, 8, v, 64)) {
            tg_blob_put64(f->at, (uint64_t)v);
        }
    } else if (fits(f, 4, v, 32)) {
        tg_blob_put32(f->at, (uint32_t)v);
    }
}

/* ---- AArch64
 * ------------------------------------------------------------------------------------- */

static void put_adr(const fix *f, int64_t v) {
    put_bits(f, 3u << 29 | 0x7FFFFu << 5,
             (uint32_t)(v & 3) << 29 | (uint32_t)(v >> 2 & 0x7FFFF) << 5);
}

/* Low 12 bits of the target into a load, store or add with the given scale. */
static void put_low12(const fix *f, uint64_t target, int scale_log2) {
    uint64_t low = (target + (uint64_t)f->r->addend) & 0xFFF;
    if ((low & ((UINT64_C(1) << scale_log2) - 1)) != 0) {
        tg_blob_fail(f->m, "relocation type %u meets a misaligned address", f->r->type);
        return;
    }
    put_bits(f, 0xFFFu << 10, (uint32_t)(low >> scale_log2) << 10);
}

static void relocate_aarch64(const fix *f) {
    enum {
        NONE = 0,
        PREL64 = 260,
        PREL32 = 261,
        LD_LO19 = 273,
        ADR_LO21 = 274,
        ADR_PG = 275,
        ADD_LO12 = 277,
        LDST8 = 278,
        TSTBR14 = 279,
        CONDBR19 = 280,
        JUMP26 = 282,
        CALL26 = 283,
        LDST16 = 284,
        LDST32 = 285,
        LDST64 = 286,
        LDST128 = 299
    };
    uint64_t s;
    if (f->r->type == NONE) {
        return;
    }
    if (!tg_blob_symbol_at(f->m, f->r->symbol, &s) || !fits(f, 4, 0, 64)) {
        return;
    }
    int64_t v = relative(f, s);
    int64_t pages = (int64_t)((s + (uint64_t)f->r->addend) >> 12) - (int64_t)(f->place >> 12);
    switch (f->r->type) {
    case PREL64:
        if (fits(f, 8, v, 64)) {
            tg_blob_put64(f->at, (uint64_t)v);
        }
        return;
    case PREL32:
        if (fits(f, 4, v, 32)) {
            tg_blob_put32(f->at, (uint32_t)v);
        }
        return;
    case ADR_LO21:
        if (fits(f, 4, v, 21)) {
            put_adr(f, v);
        }
        return;
    case ADR_PG:
        if (fits(f, 4, pages, 21)) {
            put_adr(f, pages);
        }
        return;
    case LD_LO19:
    case CONDBR19:
        if (fits(f, 4, v, 21)) {
            put_bits(f, 0x7FFFFu << 5, (uint32_t)(v >> 2) << 5);
        }
        return;
    case TSTBR14:
        if (fits(f, 4, v, 16)) {
            put_bits(f, 0x3FFFu << 5, (uint32_t)(v >> 2) << 5);
        }
        return;
    case JUMP26:
    case CALL26:
        if (fits(f, 4, v, 28)) {
            put_bits(f, 0x3FFFFFFu, (uint32_t)(v >> 2));
        }
        return;
    case ADD_LO12:
    case LDST8:
        put_low12(f, s, 0);
        return;
    case LDST16:
        put_low12(f, s, 1);
        return;
    case LDST32:
        put_low12(f, s, 2);
        return;
    case LDST64:
        put_low12(f, s, 3);
        return;
    case LDST128:
        put_low12(f, s, 4);
        return;
    default:
        unknown(f);
        return;
    }
}

/* ---- RISC-V
 * --------------------------------------------------------------------------------------- */

enum {
    RV_NONE = 0,
    RV_BRANCH = 16,
    RV_JAL = 17,
    RV_CALL = 18,
    RV_CALL_PLT = 19,
    RV_GOT_HI20 = 20,
    RV_PCREL_HI20 = 23,
    RV_LO12_I = 24,
    RV_LO12_S = 25,
    RV_ADD32 = 35,
    RV_ADD64 = 36,
    RV_SUB32 = 39,
    RV_SUB64 = 40,
    RV_RVC_BRANCH = 44,
    RV_RVC_JUMP = 45,
    RV_RELAX = 51,
    RV_32_PCREL = 57
};

static uint32_t hi20(int64_t v) { return (uint32_t)(v + 0x800) & 0xFFFFF000u; }

/* Offset of the symbol of a HI20 relocation from its auipc. */
static bool pcrel_value(const fix *f, const blob_reloc *hi, uint64_t place, int64_t *out) {
    uint64_t s;
    bool found = hi->type == RV_GOT_HI20 ? tg_blob_import_slot(f->m, hi->symbol, &s)
                                         : tg_blob_symbol_at(f->m, hi->symbol, &s);
    if (!found) {
        tg_blob_fail(f->m, "relocation type %u has no target in the image", hi->type);
        return false;
    }
    *out = (int64_t)(s + (uint64_t)hi->addend - place);
    return true;
}

/* A LO12 names the label of its auipc; the value is that of the HI20 relocation found there. */
static bool paired_value(const fix *f, const blob_section *table, size_t index, int64_t *out) {
    uint64_t label;
    if (!tg_blob_symbol_at(f->m, f->r->symbol, &label)) {
        return false;
    }
    uint64_t base = f->place - f->r->offset;
    size_t count = (size_t)(table->n_bytes / 24);
    for (size_t k = 0; k < count; k++) { /* nearest first: backwards from here, then wrapping */
        blob_reloc hi = tg_blob_reloc_get(f->m, table, (index + count - k) % count);
        if (base + hi.offset == label && (hi.type == RV_PCREL_HI20 || hi.type == RV_GOT_HI20)) {
            return pcrel_value(f, &hi, label, out);
        }
    }
    tg_blob_fail(f->m, "a low-part relocation lacks its high part");
    return false;
}

static void add_to(const fix *f, int bytes, uint64_t v) {
    if (!fits(f, (uint64_t)bytes, 0, 64)) {
        return;
    }
    if (bytes == 8) {
        tg_blob_put64(f->at, tg_blob_get64(f->at) + v);
    } else {
        tg_blob_put32(f->at, tg_blob_get32(f->at) + (uint32_t)v);
    }
}

static void put_jal(const fix *f, int64_t v) {
    uint32_t u = (uint32_t)v;
    put_bits(f, 0xFFFFF000u,
             (u >> 20 & 1) << 31 | (u >> 1 & 0x3FF) << 21 | (u >> 11 & 1) << 20 |
                 (u >> 12 & 0xFF) << 12);
}

static void put_branch(const fix *f, int64_t v) {
    uint32_t u = (uint32_t)v;
    put_bits(f, 0xFE000F80u,
             (u >> 12 & 1) << 31 | (u >> 5 & 0x3F) << 25 | (u >> 1 & 0xF) << 8 |
                 (u >> 11 & 1) << 7);
}

static void put_call(const fix *f, int64_t v) {
    if (fits(f, 8, v, 32)) {
        put_bits(f, 0xFFFFF000u, hi20(v));
        uint32_t jalr = tg_blob_get32(f->at + 4);
        tg_blob_put32(f->at + 4, (jalr & 0xFFFFFu) | (uint32_t)(v & 0xFFF) << 20);
    }
}

static void put_rvc(const fix *f, int64_t v, bool jump) {
    uint32_t u = (uint32_t)v, old, bits, mask;
    if (!fits(f, 2, v, jump ? 12 : 9)) {
        return;
    }
    old = tg_blob_get16(f->at);
    if (jump) {
        mask = 0x1FFC;
        bits = (u >> 11 & 1) << 12 | (u >> 4 & 1) << 11 | (u >> 8 & 3) << 9 | (u >> 10 & 1) << 8 |
               (u >> 6 & 1) << 7 | (u >> 7 & 1) << 6 | (u >> 1 & 7) << 3 | (u >> 5 & 1) << 2;
    } else {
        mask = 0x1C7C;
        bits = (u >> 8 & 1) << 12 | (u >> 3 & 3) << 10 | (u >> 6 & 3) << 5 | (u >> 1 & 3) << 3 |
               (u >> 5 & 1) << 2;
    }
    old = (old & ~mask) | bits;
    f->at[0] = (unsigned char)old;
    f->at[1] = (unsigned char)(old >> 8);
}

static void relocate_low12(const fix *f, const blob_section *table, size_t index) {
    int64_t v;
    if (!fits(f, 4, 0, 64) || !paired_value(f, table, index, &v)) {
        return;
    }
    if (f->r->type == RV_LO12_I) {
        put_bits(f, 0xFFF00000u, (uint32_t)(v & 0xFFF) << 20);
    } else {
        put_bits(f, 0xFE000F80u, (uint32_t)(v >> 5 & 0x7F) << 25 | (uint32_t)(v & 0x1F) << 7);
    }
}

static void relocate_high20(const fix *f) {
    int64_t v;
    if (pcrel_value(f, f->r, f->place, &v) && fits(f, 4, v, 32)) {
        put_bits(f, 0xFFFFF000u, hi20(v));
    }
}

static void relocate_riscv(const fix *f, const blob_section *table, size_t index) {
    uint64_t s = 0;
    switch (f->r->type) {
    case RV_NONE:
    case RV_RELAX:
        return;
    case RV_LO12_I:
    case RV_LO12_S:
        relocate_low12(f, table, index);
        return;
    case RV_PCREL_HI20:
    case RV_GOT_HI20:
        relocate_high20(f);
        return;
    default:
        break;
    }
    if (!tg_blob_symbol_at(f->m, f->r->symbol, &s)) {
        return;
    }
    int64_t v = relative(f, s);
    uint64_t sum = s + (uint64_t)f->r->addend;
    switch (f->r->type) {
    case RV_ADD32:
        add_to(f, 4, sum);
        return;
    case RV_SUB32:
        add_to(f, 4, 0 - sum);
        return;
    case RV_ADD64:
        add_to(f, 8, sum);
        return;
    case RV_SUB64:
        add_to(f, 8, 0 - sum);
        return;
    case RV_CALL:
    case RV_CALL_PLT:
        put_call(f, v);
        return;
    case RV_RVC_BRANCH:
        put_rvc(f, v, false);
        return;
    case RV_RVC_JUMP:
        put_rvc(f, v, true);
        return;
    case RV_JAL:
        if (fits(f, 4, v, 21)) {
            put_jal(f, v);
        }
        return;
    case RV_BRANCH:
        if (fits(f, 4, v, 13)) {
            put_branch(f, v);
        }
        return;
    case RV_32_PCREL:
        if (fits(f, 4, v, 32)) {
            tg_blob_put32(f->at, (uint32_t)v);
        }
        return;
    default:
        unknown(f);
        return;
    }
}

/* ---- doors
 * ---------------------------------------------------------------------------------------- */

void tg_blob_relocate(blob_maker *m, const blob_section *table, size_t index, const blob_reloc *r,
                      uint64_t place, uint64_t room_bytes) {
    fix f = {.m = m, .r = r, .at = m->image + place, .place = place, .room = room_bytes};
    if (m->machine == BLOB_X86_64) {
        relocate_x86(&f);
    } else if (m->machine == BLOB_AARCH64) {
        relocate_aarch64(&f);
    } else {
        relocate_riscv(&f, table, index);
    }
}

void tg_blob_stub(blob_maker *m, uint64_t stub, uint64_t slot) {
    unsigned char *p = m->image + stub;
    if (m->machine == BLOB_X86_64) {
        p[0] = 0xFF; /* jmp [rip + slot] */
        p[1] = 0x25;
        tg_blob_put32(p + 2, (uint32_t)(slot - (stub + 6)));
    } else if (m->machine == BLOB_AARCH64) {
        uint32_t pages = (uint32_t)((slot >> 12) - (stub >> 12));
        tg_blob_put32(p,
                      0x90000010u | (pages & 3) << 29 | (pages >> 2 & 0x7FFFF) << 5); /* adrp x16 */
        tg_blob_put32(p + 4, 0xF9400210u | (uint32_t)((slot & 0xFFF) >> 3)
                                               << 10); /* ldr x16, [x16] */
        tg_blob_put32(p + 8, 0xD61F0200u);             /* br x16 */
    } else {
        int64_t v = (int64_t)(slot - stub);
        tg_blob_put32(p, 0x00000E17u | hi20(v));                         /* auipc t3 */
        tg_blob_put32(p + 4, 0x000E3E03u | (uint32_t)(v & 0xFFF) << 20); /* ld t3, lo(t3) */
        tg_blob_put32(p + 8, 0x000E0067u);                               /* jr t3 */
    }
}
