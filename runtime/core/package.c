/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a package's container: header, section table, checksums, META, CODE headers and the IR
 * text. Any bytes may come in. Nothing is believed before it is checked: sizes against the file,
 * checksums before contents, counts against the bytes that are left. Memory used is at most a small
 * multiple of the package's size; unpacking is bounded by TG_PACK_MAX_RAW_BYTES and happens only on
 * request.
 */
#include "cursor.h"
#include "internal.h"

#define XXH_INLINE_ALL
#include <xxhash.h>
#if TEGULA_HAVE_ZSTD
#include <zstd.h>
#endif

void tgr_hash128(const void *bytes, size_t n_bytes, uint8_t out[16]) {
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits(bytes, n_bytes));
    memcpy(out, c.digest, 16);
}

static tgr_status broken(tgr_package *p, const char *what) {
    return tgr_fail(p->context, TGR_E_FORMAT, "package: %s", what);
}

/* ---- header and table ----------------------------------------------------------------------- */

static void table_sum(const uint8_t *bytes, size_t table_bytes, uint8_t out[16]) {
    XXH3_state_t state;
    XXH3_INITSTATE(&state);
    XXH3_128bits_reset(&state);
    XXH3_128bits_update(&state, bytes, 32);
    XXH3_128bits_update(&state, bytes + TG_PACK_HEADER_BYTES, table_bytes);
    XXH128_canonical_t c;
    XXH128_canonicalFromHash(&c, XXH3_128bits_digest(&state));
    memcpy(out, c.digest, 16);
}

static bool zeros(const uint8_t *p, size_t n) {
    for (size_t i = 0; p && i < n; i++) {
        if (p[i]) {
            return false;
        }
    }
    return p != NULL;
}

static tgr_status read_header(tgr_package *p, tgr_cursor *c) {
    const uint8_t *magic = tgr_cursor_bytes(c, 8);
    if (!magic || memcmp(magic, TG_PACK_MAGIC, 8) != 0) {
        return broken(p, "not a Tegula package");
    }
    uint32_t version = tgr_cursor_u32(c), abi = tgr_cursor_u32(c);
    uint64_t total = tgr_cursor_u64(c);
    uint32_t n = tgr_cursor_u32(c), flags = tgr_cursor_u32(c);
    const uint8_t *sum = tgr_cursor_bytes(c, 16), *reserved = tgr_cursor_bytes(c, 16);
    if (c->bad) {
        return broken(p, "shorter than its header");
    }
    if (version != TG_PACK_VERSION || abi != TG_ABI_VERSION) {
        return tgr_fail(p->context, TGR_E_UNSUPPORTED,
                        "package: format %u, ABI %u; this runtime reads format %u, ABI %u", version,
                        abi, TG_PACK_VERSION, TG_ABI_VERSION);
    }
    if (total != p->n_bytes || total > TG_PACK_MAX_BYTES) {
        return broken(p, "its length is not the one in its header");
    }
    if (flags != 0 || !zeros(reserved, 16)) {
        return broken(p, "unknown header flags");
    }
    if (n > TG_PACK_MAX_SECTIONS || n * (size_t)TG_PACK_ENTRY_BYTES > tgr_cursor_left(c)) {
        return broken(p, "the section table does not fit");
    }
    uint8_t want[16];
    table_sum(p->bytes, n * (size_t)TG_PACK_ENTRY_BYTES, want);
    if (memcmp(want, sum, 16) != 0) {
        return broken(p, "checksum of the section table is wrong");
    }
    p->n_sections = n;
    return TGR_OK;
}

static bool known_kind(uint32_t kind) { return kind >= TG_PACK_META && kind <= TG_PACK_IR; }

static tgr_status read_section(tgr_package *p, tgr_cursor *c, tgr_section *s, uint64_t *end) {
    s->kind = tgr_cursor_u32(c);
    s->flags = tgr_cursor_u32(c);
    uint64_t offset = tgr_cursor_u64(c), stored = tgr_cursor_u64(c);
    s->raw_bytes = tgr_cursor_u64(c);
    const uint8_t *sum = tgr_cursor_bytes(c, 16);
    if (c->bad || offset % 16 || offset < *end || offset > p->n_bytes ||
        stored > p->n_bytes - offset) {
        return broken(p, "a section lies outside the file or over another one");
    }
    if (!zeros(p->bytes + *end, (size_t)(offset - *end)) && offset != *end) {
        return broken(p, "bytes between sections");
    }
    bool packed = s->flags & TG_PACK_ZSTD;
    if (s->flags & ~(uint32_t)(TG_PACK_ZSTD | TG_PACK_OPTIONAL) ||
        (packed && s->kind != TG_PACK_IR && known_kind(s->kind)) ||
        (!packed && s->raw_bytes != stored) || s->raw_bytes > TG_PACK_MAX_RAW_BYTES) {
        return broken(p, "a section has flags or a size that cannot be");
    }
    if (!known_kind(s->kind) && !(s->flags & TG_PACK_OPTIONAL)) {
        return tgr_fail(p->context, TGR_E_UNSUPPORTED,
                        "package: section kind %u is newer than this runtime", s->kind);
    }
    s->bytes = p->bytes + offset;
    s->n_bytes = (size_t)stored;
    tgr_hash128(s->bytes, s->n_bytes, s->sum);
    if (memcmp(s->sum, sum, 16) != 0) {
        return broken(p, "a section's checksum is wrong");
    }
    *end = offset + stored;
    return TGR_OK;
}

static tgr_status read_table(tgr_package *p, tgr_cursor *c) {
    p->sections = tgr_zone_alloc(&p->zone, p->n_sections, sizeof *p->sections);
    if (!p->sections) {
        return tgr_fail(p->context, TGR_E_NOMEM, "out of memory reading a package");
    }
    uint64_t end = TG_PACK_HEADER_BYTES + (uint64_t)p->n_sections * TG_PACK_ENTRY_BYTES;
    for (uint32_t i = 0; i < p->n_sections; i++) {
        tgr_status st = read_section(p, c, &p->sections[i], &end);
        if (st) {
            return st;
        }
    }
    return end == p->n_bytes ? TGR_OK : broken(p, "bytes behind the last section");
}

/* ---- META ----------------------------------------------------------------------------------- */

static const char *read_str(tgr_package *p, tgr_cursor *c) {
    uint32_t n = tgr_cursor_count(c, 1, TG_PACK_MAX_STR);
    const uint8_t *b = tgr_cursor_bytes(c, n);
    if (!b || memchr(b, 0, n)) {
        c->bad = true;
        return "";
    }
    const char *t = tgr_zone_text(&p->zone, b, n);
    return t ? t : (c->bad = true, "");
}

static tgr_status read_meta(tgr_package *p, const tgr_section *s) {
    tgr_cursor c = tgr_cursor_make(s->bytes, s->n_bytes);
    p->tool = read_str(p, &c);
    p->generator = read_str(p, &c);
    p->n_meta = tgr_cursor_count(&c, 8, 4096);
    p->meta = tgr_zone_alloc(&p->zone, p->n_meta, sizeof *p->meta);
    for (uint32_t i = 0; p->meta && i < p->n_meta; i++) {
        p->meta[i].name = read_str(p, &c);
        p->meta[i].value = read_str(p, &c);
    }
    if (c.bad || !p->meta || tgr_cursor_left(&c)) {
        p->n_meta = 0;
        return broken(p, "META cannot be read");
    }
    return TGR_OK;
}

/* ---- CODE ----------------------------------------------------------------------------------- */

static tgr_status read_blob(tgr_package *p, const tgr_section *s, tgr_blob *b) {
    tgr_cursor c = tgr_cursor_make(s->bytes, s->n_bytes);
    b->isa = tgr_cursor_u32(&c);
    b->n_imports = tgr_cursor_u32(&c);
    b->imports_offset = tgr_cursor_u64(&c);
    b->image_bytes = tgr_cursor_u64(&c);
    b->bss_bytes = tgr_cursor_u64(&c);
    if (c.bad || b->n_imports > 64) {
        return broken(p, "a CODE section's head cannot be read");
    }
    b->imports = tgr_cursor_bytes(&c, b->n_imports * 4u);
    (void)tgr_cursor_bytes(&c, (16 - tgr_cursor_at(&c) % 16) % 16);
    b->image = c.bad ? NULL : tgr_cursor_bytes(&c, (size_t)b->image_bytes);
    if (c.bad || tgr_cursor_left(&c) || b->bss_bytes > TG_PACK_MAX_RAW_BYTES) {
        return broken(p, "a CODE section is cut short");
    }
    uint64_t slots = (uint64_t)b->n_imports * 8;
    if (slots && (b->imports_offset % 8 || b->imports_offset > b->image_bytes ||
                  slots > b->image_bytes - b->imports_offset)) {
        return broken(p, "a CODE section's import table lies outside its image");
    }
    return TGR_OK;
}

static tgr_status read_blobs(tgr_package *p) {
    for (uint32_t i = 0; i < p->n_sections; i++) {
        p->n_blobs += p->sections[i].kind == TG_PACK_CODE;
    }
    p->blobs = tgr_zone_alloc(&p->zone, p->n_blobs, sizeof *p->blobs);
    if (!p->blobs) {
        return tgr_fail(p->context, TGR_E_NOMEM, "out of memory reading a package");
    }
    uint32_t at = 0;
    for (uint32_t i = 0; i < p->n_sections; i++) {
        if (p->sections[i].kind == TG_PACK_CODE) {
            tgr_status st = read_blob(p, &p->sections[i], &p->blobs[at++]);
            if (st) {
                return st;
            }
        }
    }
    return TGR_OK;
}

/* ---- whole ---------------------------------------------------------------------------------- */

static const tgr_section *only(const tgr_package *p, uint32_t kind, bool *out_twice) {
    const tgr_section *found = NULL;
    for (uint32_t i = 0; i < p->n_sections; i++) {
        if (p->sections[i].kind == kind) {
            *out_twice |= found != NULL;
            found = &p->sections[i];
        }
    }
    return found;
}

static tgr_status read_all(tgr_package *p) {
    tgr_cursor c = tgr_cursor_make(p->bytes, p->n_bytes);
    tgr_status st = read_header(p, &c);
    st = st ? st : read_table(p, &c);
    if (st) {
        return st;
    }
    bool twice = false;
    const tgr_section *meta = only(p, TG_PACK_META, &twice),
                      *kernels = only(p, TG_PACK_KERNELS, &twice);
    const tgr_section *ops = only(p, TG_PACK_OPS, &twice);
    (void)only(p, TG_PACK_IR, &twice);
    if (!meta || !kernels || twice) {
        return broken(p, "META and KERNELS must occur once, OPS and IR at most once");
    }
    st = read_meta(p, meta);
    st = st ? st : read_blobs(p);
    return st ? st : tgr_signatures_read(p, kernels, ops);
}

tgr_status tgr_package_read(tgr_package *package, tgr_context *context, const void *bytes,
                            size_t n_bytes) {
    memset(package, 0, sizeof *package);
    package->context = context;
    package->zone.context = context;
    package->bytes = bytes;
    package->n_bytes = n_bytes;
    tgr_status st =
        bytes ? read_all(package) : tgr_fail(context, TGR_E_INVALID, "package: no bytes");
    if (st) {
        tgr_package_fini(package);
    }
    return st;
}

void tgr_package_fini(tgr_package *package) {
    tgr_free(package->context, package->ir, package->ir_bytes + 1);
    package->ir = NULL;
    tgr_zone_fini(&package->zone);
}

/* Bytes unpacked, or 0 when it cannot be done. A runtime built without zstd has no IR text to show.
 */
static size_t unpack(char *to, size_t n, const tgr_section *s) {
    if (!(s->flags & TG_PACK_ZSTD)) {
        memcpy(to, s->bytes, n);
        return n;
    }
#if TEGULA_HAVE_ZSTD
    return ZSTD_decompress(to, n, s->bytes, s->n_bytes);
#else
    return 0;
#endif
}

tgr_status tgr_package_unpack_ir(tgr_package *p) {
    bool twice = false;
    const tgr_section *s = only(p, TG_PACK_IR, &twice);
    if (!s || p->ir) {
        return TGR_OK;
    }
    size_t n = (size_t)s->raw_bytes;
    char *text = tgr_alloc(p->context, n + 1);
    if (!text) {
        return tgr_fail(p->context, TGR_E_NOMEM, "out of memory unpacking the IR text");
    }
    if (unpack(text, n, s) != n || memchr(text, 0, n)) {
        tgr_free(p->context, text, n + 1);
        return broken(p, "the IR text cannot be unpacked");
    }
    p->ir = text;
    p->ir_bytes = n;
    return TGR_OK;
}

/* ---- public listing ------------------------------------------------------------------------- */

tgr_status tgr_package_open(tgr_context *context, const void *bytes, size_t n_bytes,
                            tgr_package **out) {
    if (!context || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_package *p = tgr_alloc(context, sizeof *p);
    if (!p) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a package");
    }
    tgr_status st = tgr_package_read(p, context, bytes, n_bytes);
    if (!st) {
        st = tgr_package_unpack_ir(p);
        if (st) {
            tgr_package_fini(p);
        }
    }
    if (st) {
        tgr_free(context, p, sizeof *p);
        return st;
    }
    tgr_context_retain(context);
    *out = p;
    return TGR_OK;
}

void tgr_package_release(tgr_package *package) {
    if (package) {
        tgr_context *context = package->context;
        tgr_package_fini(package);
        tgr_free(context, package, sizeof *package);
        tgr_context_release(context);
    }
}

tgr_status tgr_package_verify(tgr_context *context, const void *bytes, size_t n_bytes) {
    tgr_package *p;
    tgr_status st = tgr_package_open(context, bytes, n_bytes, &p);
    if (!st) {
        tgr_package_release(p);
    }
    return st;
}

int32_t tgr_package_section_count(const tgr_package *package) {
    return (int32_t)package->n_sections;
}

static const char *kind_name(uint32_t kind) {
    static const char *const names[] = {"?", "meta", "kernels", "ops", "code", "ir"};
    return kind < TGR_COUNT_OF(names) ? names[kind] : names[0];
}

tgr_status tgr_package_section(const tgr_package *package, int32_t index, tgr_section_info *out) {
    if (!out || index < 0 || (uint32_t)index >= package->n_sections) {
        return TGR_E_INVALID;
    }
    const tgr_section *s = &package->sections[index];
    *out = (tgr_section_info){.kind = s->kind,
                              .flags = s->flags,
                              .name = kind_name(s->kind),
                              .stored_bytes = s->n_bytes,
                              .raw_bytes = s->raw_bytes};
    memcpy(out->checksum, s->sum, 16);
    return TGR_OK;
}

const char *tgr_package_tool(const tgr_package *package) { return package->tool; }

tgr_status tgr_package_meta(const tgr_package *package, int32_t index, tgr_setting *out) {
    if (!out || index < 0 || (uint32_t)index >= package->n_meta) {
        return TGR_E_NOT_FOUND;
    }
    *out = package->meta[index];
    return TGR_OK;
}

int32_t tgr_package_kernel_count(const tgr_package *package) {
    return (int32_t)(package->n_kernels + package->n_ops);
}

const tgr_kernel *tgr_package_kernel(const tgr_package *package, int32_t index) {
    bool inside = index >= 0 && index < tgr_package_kernel_count(package);
    return inside ? &package->kernels[index] : NULL;
}

const char *tgr_package_ir(const tgr_package *package, size_t *out_bytes) {
    if (out_bytes) {
        *out_bytes = package->ir_bytes;
    }
    return package->ir;
}

static const tgr_kernel_variant *variant_of(const tgr_kernel *kernel, int32_t variant) {
    bool inside = variant >= 0 && (uint32_t)variant < kernel->n_variants;
    return inside ? &kernel->variants[variant] : NULL;
}

size_t tgr_kernel_guard_text(const tgr_kernel *kernel, int32_t variant, char *text, size_t size) {
    const tgr_kernel_variant *v = variant_of(kernel, variant);
    tgr_text t = {.data = text, .size = size, .length = 0};
    tgr_text_add(&t, "%s", "");
    if (v) {
        tgr_dim_text(&t, &v->guard, kernel->syms);
    }
    return t.length;
}

const char *tgr_kernel_schedule(const tgr_kernel *kernel, int32_t variant) {
    const tgr_kernel_variant *v = variant_of(kernel, variant);
    return v ? v->schedule : "";
}

int32_t tgr_kernel_code_count(const tgr_kernel *kernel, int32_t variant) {
    const tgr_kernel_variant *v = variant_of(kernel, variant);
    return v ? (int32_t)v->n_codes : 0;
}

static const char *isa_name(uint32_t isa) {
    switch (isa) {
#define TG_X(e, v, n, a)                                                                           \
    case v:                                                                                        \
        return n;
        TG_ISAS(TG_X)
#undef TG_X
    default:
        return "?";
    }
}

tgr_status tgr_kernel_code(const tgr_kernel *kernel, int32_t variant, int32_t index,
                           tgr_code_info *out) {
    const tgr_kernel_variant *v = variant_of(kernel, variant);
    if (!v || !out || index < 0 || (uint32_t)index >= v->n_codes) {
        return TGR_E_INVALID;
    }
    const tgr_code_entry *e = &v->codes[index];
    *out = (tgr_code_info){.isa = "",
                           .n_phases = (int32_t)e->n_phases,
                           .code = (int32_t)e->code,
                           .plan_offset = e->plan_offset};
    memcpy(out->phase_offset, e->phase_offset, sizeof out->phase_offset);
    out->isa = isa_name(kernel->isas[e->code]);
    return TGR_OK;
}
