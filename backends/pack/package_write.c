/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The package container: header, section table with checksums, sections META, KERNELS, OPS, CODE,
 * IR. Signatures and ops are encoded in package_sig.c. Deterministic: no time, no path, no address.
 */
#include "backends/pack/package_sig.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>
#include <zstd.h>

enum { ZSTD_LEVEL = 3, ALIGN = 16 };

typedef struct section {
    uint32_t kind, flags;
    const char *bytes;
    size_t n, raw;
} section;

static void hash(const void *bytes, size_t n, char out[16]) {
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, n));
    memcpy(out, c.digest, 16);
}

static void pad(tg_sb *sb) {
    static const char zeros[ALIGN];
    tg_sb_addn(sb, zeros, (ALIGN - sb->len % ALIGN) % ALIGN);
}

/* ---- sections ------------------------------------------------------------------------------- */

static section of_text(uint32_t kind, const tg_sb *sb) {
    return (section){.kind = kind, .bytes = sb->data, .n = sb->len, .raw = sb->len};
}

static section make_meta(tg_packer *p) {
    const tg_package_desc *d = p->desc;
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_pack_str(&sb, d->tool ? d->tool : "");
    tg_pack_str(&sb, d->generator ? d->generator : "");
    tg_pack_u32(&sb, (uint32_t)d->n_meta);
    for (int i = 0; i < d->n_meta; i++) {
        tg_pack_str(&sb, d->meta[i].key);
        tg_pack_str(&sb, d->meta[i].value);
    }
    return of_text(TG_PACK_META, &sb);
}

static section make_code(tg_packer *p, const tg_pack_code *code) {
#define TG_X(name) TG_IMPORT_##name,
    enum {
        TG_IMPORT_memcpy = TG_IMPORT_MEMCPY,
        TG_IMPORT_memset = TG_IMPORT_MEMSET,
        TG_IMPORT_memmove = TG_IMPORT_MEMMOVE
    };
    static const uint32_t imports[] = {TG_BLOB_IMPORTS(TG_X)};
#undef TG_X
    tg_sb sb;
    tg_sb_init(&sb, p->arena);
    tg_pack_u32(&sb, (uint32_t)code->machine->isa_id);
    size_t n = code->machine->class_ == TG_MACHINE_CPU ? TG_COUNT_OF(imports) : 0;
    tg_pack_u32(&sb, (uint32_t)n);
    tg_pack_u64(&sb, code->blob->imports_offset);
    tg_pack_u64(&sb, code->blob->n_bytes);
    tg_pack_u64(&sb, 0);
    for (size_t i = 0; i < n; i++) {
        tg_pack_u32(&sb, imports[i]);
    }
    pad(&sb);
    tg_sb_addn(&sb, (const char *)code->blob->bytes, code->blob->n_bytes);
    return of_text(TG_PACK_CODE, &sb);
}

static section make_ir(tg_packer *p) {
    size_t n = p->desc->ir_bytes, bound = ZSTD_compressBound(n);
    char *packed = tg_arena_alloc(p->arena, bound);
    size_t got = ZSTD_compress(packed, bound, p->desc->ir, n, ZSTD_LEVEL);
    if (ZSTD_isError(got) || got >= n) {
        return (section){.kind = TG_PACK_IR, .bytes = p->desc->ir, .n = n, .raw = n};
    }
    return (section){
        .kind = TG_PACK_IR, .flags = TG_PACK_ZSTD, .bytes = packed, .n = got, .raw = n};
}

static size_t make_sections(tg_packer *p, section *out) {
    size_t n = 0;
    tg_sb kernels, ops;
    tg_sb_init(&kernels, p->arena);
    tg_sb_init(&ops, p->arena);
    tg_pack_kernels(p, &kernels);
    out[n++] = make_meta(p);
    out[n++] = of_text(TG_PACK_KERNELS, &kernels);
    if (p->desc->ops) {
        tg_pack_ops(p, &ops);
        out[n++] = of_text(TG_PACK_OPS, &ops);
    }
    for (int i = 0; i < p->desc->n_codes; i++) {
        out[n++] = make_code(p, &p->desc->codes[i]);
    }
    if (p->desc->ir && p->desc->ir_bytes) {
        out[n++] = make_ir(p);
    }
    return n;
}

/* ---- container ------------------------------------------------------------------------------ */

static void put_header(tg_sb *sb, size_t n_sections, size_t total) {
    tg_sb_addn(sb, TG_PACK_MAGIC, 8);
    tg_pack_u32(sb, TG_PACK_VERSION);
    tg_pack_u32(sb, TG_ABI_VERSION);
    tg_pack_u64(sb, total);
    tg_pack_u32(sb, (uint32_t)n_sections);
    tg_pack_u32(sb, 0);
    for (int i = 0; i < 4; i++) {
        tg_pack_u64(sb, 0); /* checksum, reserved */
    }
}

static void put_entry(tg_sb *sb, const section *s, size_t offset) {
    char sum[16];
    hash(s->bytes, s->n, sum);
    tg_pack_u32(sb, s->kind);
    tg_pack_u32(sb, s->flags);
    tg_pack_u64(sb, offset);
    tg_pack_u64(sb, s->n);
    tg_pack_u64(sb, s->raw);
    tg_sb_addn(sb, sum, 16);
}

static size_t round_up(size_t n) { return (n + ALIGN - 1) / ALIGN * ALIGN; }

static void seal(tg_packer *p, tg_sb *sb, size_t table_bytes) {
    char *copy = tg_arena_alloc(p->arena, 32 + table_bytes);
    memcpy(copy, sb->data, 32);
    memcpy(copy + 32, sb->data + TG_PACK_HEADER_BYTES, table_bytes);
    hash(copy, 32 + table_bytes, sb->data + 32);
}

static void put_all(tg_packer *p, const section *s, size_t n, tg_sb *sb) {
    size_t table = n * TG_PACK_ENTRY_BYTES, at = TG_PACK_HEADER_BYTES + table, total = at;
    for (size_t i = 0; i < n; i++) {
        total = round_up(total) + s[i].n;
    }
    put_header(sb, n, total);
    for (size_t i = 0; i < n; i++) {
        at = round_up(at);
        put_entry(sb, &s[i], at);
        at += s[i].n;
    }
    for (size_t i = 0; i < n; i++) {
        pad(sb);
        tg_sb_addn(sb, s[i].bytes, s[i].n);
    }
    seal(p, sb, table);
}

tg_status tg_package_write(const tg_package_desc *desc, tg_arena *a, tg_sink *sink,
                           const unsigned char **out, size_t *out_bytes) {
    tg_packer p = {.desc = desc, .arena = a, .sink = sink};
    size_t most = (size_t)desc->n_codes + 4;
    section *sections = TG_NEW_ARRAY(a, section, most);
    size_t n = make_sections(&p, sections);
    tg_sb sb;
    tg_sb_init(&sb, a);
    put_all(&p, sections, n, &sb);
    if (!p.failed && (n > TG_PACK_MAX_SECTIONS || sb.len > TG_PACK_MAX_BYTES)) {
        tg_pack_fail(&p, (tg_span){0}, "the package would have %zu sections and %zu bytes", n,
                     sb.len);
    }
    *out = (const unsigned char *)sb.data;
    *out_bytes = sb.len;
    return p.failed ? TG_E_UNSUPPORTED : TG_OK;
}
