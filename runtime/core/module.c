/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Modules: a package read, its code put on a device, kernels found by name. For each variant the
 * code of the best instruction set that the device runs is taken; images nobody takes are not
 * loaded.
 */
#include "internal.h"

#include <errno.h>
#include <stdio.h>

/* ---- loading -------------------------------------------------------------------------------- */

typedef struct loader {
    tgr_module *module;
    const tgr_load_options *options;
} loader;

static bool isa_wanted(const loader *l, uint32_t isa) {
    if (!l->options->isa) {
        return true;
    }
    switch (isa) {
#define TG_X(e, v, n, a)                                                                           \
    case v:                                                                                        \
        return strcmp(n, l->options->isa) == 0;
        TG_ISAS(TG_X)
#undef TG_X
    default:
        return false;
    }
}

static const tgr_code_entry *best_entry(const loader *l, const tgr_kernel_variant *v) {
    const tgr_device *d = l->module->device;
    const tgr_code_entry *best = NULL;
    int32_t best_rank = -1;
    for (uint32_t i = 0; i < v->n_codes; i++) {
        uint32_t isa = l->module->package.blobs[v->codes[i].code].isa;
        int32_t rank = isa_wanted(l, isa) ? d->driver->isa_rank(d->state, isa) : -1;
        if (rank > best_rank) {
            best = &v->codes[i];
            best_rank = rank;
        }
    }
    return best;
}

static tgr_status load_image(const loader *l, uint32_t code) {
    tgr_module *m = l->module;
    if (m->images[code]) {
        return TGR_OK;
    }
    const tgr_blob *b = &m->package.blobs[code];
    tgr_image_desc desc = {.isa = b->isa,
                           .n_imports = b->n_imports,
                           .imports = b->imports,
                           .imports_offset = b->imports_offset,
                           .image_bytes = b->image_bytes,
                           .bss_bytes = b->bss_bytes,
                           .image = b->image};
    return m->device->driver->image_load(m->device->context, m->device->state, &desc,
                                         &m->images[code]);
}

/* Bytes from an entry point to the next one of the same code (0: the rest). */
static uint64_t entry_bytes(const tgr_package *p, uint32_t code, uint64_t offset) {
    uint64_t next = UINT64_MAX;
    for (uint32_t k = 0; k < p->n_kernels; k++) {
        for (uint32_t v = 0; v < p->kernels[k].n_variants; v++) {
            const tgr_kernel_variant *variant = &p->kernels[k].variants[v];
            for (uint32_t i = 0; i < variant->n_codes; i++) {
                const tgr_code_entry *e = &variant->codes[i];
                for (uint32_t f = 0; f <= e->n_phases && e->code == code; f++) {
                    uint64_t at = f < e->n_phases ? e->phase_offset[f] : e->plan_offset;
                    next = at > offset && at < next ? at : next;
                }
            }
        }
    }
    return next == UINT64_MAX ? 0 : next - offset;
}

static void name_entry(const loader *l, const tgr_kernel *k, const tgr_code_entry *e) {
    char text[160];
    tgr_device *d = l->module->device;
    const tgr_package *p = &l->module->package;
    void *image = l->module->images[e->code];
    for (uint32_t i = 0; i < e->n_phases; i++) {
        (void)snprintf(text, sizeof text, "tegula:%.120s.phase%u", k->name, i);
        uint64_t bytes = entry_bytes(p, e->code, e->phase_offset[i]);
        d->driver->image_name(d->context, d->state, image, e->phase_offset[i], bytes, text);
    }
    (void)snprintf(text, sizeof text, "tegula:%.120s.plan", k->name);
    d->driver->image_name(d->context, d->state, image, e->plan_offset,
                          entry_bytes(p, e->code, e->plan_offset), text);
}

static tgr_status load_variant(const loader *l, const tgr_kernel *k, tgr_kernel_variant *v) {
    const tgr_code_entry *e = best_entry(l, v);
    if (!e) {
        return TGR_OK; /* a launch that needs it says so */
    }
    tgr_status st = load_image(l, e->code);
    if (!st) {
        void *image = l->module->images[e->code];
        l->module->device->driver->image_entry(image, e->plan_offset, e->phase_offset, e->n_phases,
                                               &v->entry);
        if (l->options->flags & TGR_LOAD_PERF_MAP && l->module->device->driver->image_name) {
            name_entry(l, k, e);
        }
    }
    return st;
}

static tgr_status load_code(const loader *l) {
    tgr_module *m = l->module;
    tgr_status st = TGR_OK;
    for (uint32_t k = 0; k < m->package.n_kernels && !st; k++) {
        tgr_kernel *kernel = &m->package.kernels[k];
        for (uint32_t v = 0; v < kernel->n_variants && !st; v++) {
            st = load_variant(l, kernel, &kernel->variants[v]);
        }
    }
    return st;
}

static void module_destroy(tgr_module *m) {
    tgr_device *d = m->device;
    tgr_context *context = d->context;
    for (uint32_t i = 0; m->images && i < m->package.n_blobs; i++) {
        if (m->images[i]) {
            d->driver->image_unload(context, d->state, m->images[i]);
        }
    }
    tgr_free(context, m->images, m->package.n_blobs * sizeof *m->images);
    tgr_package_fini(&m->package);
    tgr_free(context, m, sizeof *m);
    tgr_device_release(d);
}

/* A module with its signatures, without code. */
static tgr_status module_make(tgr_device *device, const void *bytes, size_t n_bytes,
                              const tgr_load_options *options, tgr_load_options *out_options,
                              tgr_module **out) {
    tgr_context *context = device->context;
    enum { FLAGS = TGR_LOAD_TRUSTED | TGR_LOAD_PERF_MAP | TGR_LOAD_CHECKED };
    if (!tgr_options_copy(out_options, sizeof *out_options, options) ||
        out_options->flags & ~(uint32_t)FLAGS) {
        return tgr_fail(context, TGR_E_INVALID, "load options: bad struct_bytes or flags");
    }
    tgr_module *m = tgr_alloc(context, sizeof *m);
    if (!m) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading a package");
    }
    atomic_init(&m->refs, 1);
    m->checked = out_options->flags & TGR_LOAD_CHECKED;
    tgr_status st = tgr_package_read(&m->package, context, bytes, n_bytes);
    if (st) {
        tgr_free(context, m, sizeof *m);
        return st;
    }
    m->device = device;
    tgr_device_retain(device);
    m->images = tgr_alloc(context, m->package.n_blobs * sizeof *m->images);
    if (!m->images) {
        module_destroy(m);
        return tgr_fail(context, TGR_E_NOMEM, "out of memory loading a package");
    }
    for (uint32_t i = 0; i < m->package.n_kernels + m->package.n_ops; i++) {
        m->package.kernels[i].module = m;
    }
    *out = m;
    return TGR_OK;
}

/* The caller's bytes may go: nothing may look at them any more. */
static void forget_bytes(tgr_package *p) {
    p->bytes = NULL;
    p->n_bytes = 0;
    p->sections = NULL;
    p->n_sections = 0;
    for (uint32_t i = 0; i < p->n_blobs; i++) {
        p->blobs[i].image = p->blobs[i].imports = NULL;
    }
}

tgr_status tgr_module_load(tgr_device *device, const void *bytes, size_t n_bytes,
                           const tgr_load_options *options, tgr_module **out) {
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_load_options o;
    tgr_module *m;
    tgr_status st = module_make(device, bytes, n_bytes, options, &o, &m);
    if (st) {
        return st;
    }
    if (m->package.n_blobs && device->driver->needs_trust && !(o.flags & TGR_LOAD_TRUSTED)) {
        st = tgr_fail(device->context, TGR_E_UNTRUSTED,
                      "the package holds machine code; load it with TGR_LOAD_TRUSTED if you trust "
                      "where it is from");
    }
    loader l = {.module = m, .options = &o};
    st = st ? st : load_code(&l);
    if (st) {
        module_destroy(m);
        return st;
    }
    forget_bytes(&m->package);
    *out = m;
    return TGR_OK;
}

/* ---- linked code ---------------------------------------------------------------------------- */

static tgr_status link_entry(tgr_module *m, const tgr_linked_entry *e) {
    tgr_context *context = m->device->context;
    if (!e->kernel || !e->plan || e->n_phases < 1 || e->n_phases > TG_CPU_MAX_PHASES) {
        return tgr_fail(context, TGR_E_INVALID, "a linked entry lacks its name, plan or phases");
    }
    for (uint32_t i = 0; i < m->package.n_kernels; i++) {
        tgr_kernel *k = &m->package.kernels[i];
        if (strcmp(k->name, e->kernel) != 0 || e->variant >= k->n_variants ||
            tgr_entry_ready(&k->variants[e->variant].entry)) {
            continue;
        }
        tgr_entry *to = &k->variants[e->variant].entry;
        to->plan = e->plan;
        to->n_phases = (uint32_t)e->n_phases;
        memcpy(to->phases, e->phases, sizeof to->phases);
        for (int32_t p = 0; p < e->n_phases; p++) {
            if (!e->phases[p]) {
                return tgr_fail(context, TGR_E_INVALID, "linked entry `%s` lacks phase %d",
                                e->kernel, p);
            }
        }
        return TGR_OK;
    }
    return tgr_fail(context, TGR_E_NOT_FOUND,
                    "the package has no kernel `%s` with an open variant %u", e->kernel,
                    e->variant);
}

tgr_status tgr_module_load_linked(tgr_device *device, const void *bytes, size_t n_bytes,
                                  const tgr_load_options *options, const tgr_linked_entry *entries,
                                  size_t n_entries, tgr_module **out) {
    if (!device || !out || (!entries && n_entries)) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_load_options o;
    tgr_module *m;
    tgr_status st = module_make(device, bytes, n_bytes, options, &o, &m);
    for (size_t i = 0; i < n_entries && !st; i++) {
        st = link_entry(m, &entries[i]);
        if (st) {
            module_destroy(m);
        }
    }
    if (!st) {
        forget_bytes(&m->package);
        *out = m;
    }
    return st;
}

/* ---- files ---------------------------------------------------------------------------------- */

static tgr_status read_file(tgr_context *context, FILE *f, const char *path, void **out,
                            size_t *out_bytes) {
    if (fseek(f, 0, SEEK_END) != 0) {
        return tgr_fail(context, TGR_E_IO, "%s: %s", path, strerror(errno));
    }
    long n = ftell(f);
    if (n < 0 || (unsigned long long)n > TG_PACK_MAX_BYTES || fseek(f, 0, SEEK_SET) != 0) {
        return tgr_fail(context, TGR_E_IO, "%s: not a file of a package's size", path);
    }
    void *bytes = tgr_alloc(context, (size_t)n);
    if (!bytes) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory reading %s", path);
    }
    if (fread(bytes, 1, (size_t)n, f) != (size_t)n) {
        tgr_free(context, bytes, (size_t)n);
        return tgr_fail(context, TGR_E_IO, "%s: it cannot be read", path);
    }
    *out = bytes;
    *out_bytes = (size_t)n;
    return TGR_OK;
}

tgr_status tgr_module_load_file(tgr_device *device, const char *path,
                                const tgr_load_options *options, tgr_module **out) {
    if (!device || !path || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    FILE *f = fopen(path, "rb");
    if (!f) {
        return tgr_fail(device->context, TGR_E_IO, "%s: %s", path, strerror(errno));
    }
    void *bytes = NULL;
    size_t n = 0;
    tgr_status st = read_file(device->context, f, path, &bytes, &n);
    (void)fclose(f);
    if (!st) {
        st = tgr_module_load(device, bytes, n, options, out);
        tgr_free(device->context, bytes, n);
    }
    return st;
}

/* ---- life and lookup ------------------------------------------------------------------------ */

void tgr_module_retain(tgr_module *module) { atomic_fetch_add(&module->refs, 1); }

void tgr_module_release(tgr_module *module) {
    if (module && atomic_fetch_sub(&module->refs, 1) == 1) {
        module_destroy(module);
    }
}

int32_t tgr_module_kernel_count(const tgr_module *module) {
    return tgr_package_kernel_count(&module->package);
}

tgr_kernel *tgr_module_kernel(tgr_module *module, int32_t index) {
    bool inside = index >= 0 && index < tgr_module_kernel_count(module);
    return inside ? &module->package.kernels[index] : NULL;
}

/* True unless a setting names a binding of k with another value. */
static bool agrees(const tgr_kernel *k, const tgr_setting *settings, int32_t n) {
    for (int32_t i = 0; i < n; i++) {
        for (uint32_t b = 0; b < k->n_bindings; b++) {
            if (settings[i].name && settings[i].value &&
                strcmp(k->bindings[b].name, settings[i].name) == 0 &&
                strcmp(k->bindings[b].value, settings[i].value) != 0) {
                return false;
            }
        }
    }
    return true;
}

tgr_status tgr_module_find(tgr_module *module, const char *name, const tgr_setting *settings,
                           int32_t n_settings, tgr_kernel **out) {
    if (!module || !name || !out || n_settings < 0 || (!settings && n_settings)) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_context *context = module->device->context;
    int32_t same_name = 0, found = 0, n = tgr_module_kernel_count(module);
    for (int32_t i = 0; i < n; i++) {
        tgr_kernel *k = &module->package.kernels[i];
        if (strcmp(k->name, name) != 0) {
            continue;
        }
        same_name++;
        if (agrees(k, settings, n_settings)) {
            found++;
            *out = k;
        }
    }
    if (found == 1) {
        return TGR_OK;
    }
    *out = NULL;
    return found ? tgr_fail(context, TGR_E_INVALID,
                            "%d specialisations of `%s` agree with these settings; name more",
                            found, name)
                 : tgr_fail(context, TGR_E_NOT_FOUND, "%s `%s`",
                            same_name ? "no specialisation with these settings of"
                                      : "no kernel or op",
                            name);
}

/* ---- queries -------------------------------------------------------------------------------- */

void tgr_kernel_get_info(const tgr_kernel *k, tgr_kernel_info *out) {
    *out = (tgr_kernel_info){.name = k->name,
                             .is_op = k->is_op,
                             .n_params = (int32_t)k->n_params,
                             .n_dims = (int32_t)k->n_syms,
                             .n_requires = (int32_t)k->n_requires,
                             .n_bindings = (int32_t)k->n_bindings,
                             .n_variants = (int32_t)k->n_variants};
}

tgr_status tgr_kernel_get_param(const tgr_kernel *kernel, int32_t index, tgr_param_info *out) {
    if (!kernel || !out || index < 0 || (uint32_t)index >= kernel->n_params) {
        return TGR_E_INVALID;
    }
    const tgr_param *p = &kernel->params[index];
    *out = (tgr_param_info){.name = p->name,
                            .dtype = p->dtype,
                            .rank = p->rank,
                            .flags = p->flags,
                            .elem_bytes = p->elem_bytes,
                            .align_bytes = p->align_bytes,
                            .init_bits = p->init_bits};
    return TGR_OK;
}

const char *tgr_kernel_dim_name(const tgr_kernel *kernel, int32_t index) {
    return index >= 0 && (uint32_t)index < kernel->n_syms ? kernel->syms[index] : NULL;
}

tgr_status tgr_kernel_get_binding(const tgr_kernel *kernel, int32_t index, tgr_setting *out) {
    if (!kernel || !out || index < 0 || (uint32_t)index >= kernel->n_bindings) {
        return TGR_E_INVALID;
    }
    *out = kernel->bindings[index];
    return TGR_OK;
}

static size_t dim_text(const tgr_kernel *k, const tgr_dim *d, char *text, size_t size) {
    tgr_text t = {.data = text, .size = text ? size : 0, .length = 0};
    tgr_text_add(&t, "%s", "");
    if (d) {
        tgr_dim_text(&t, d, k->syms);
    }
    return t.length;
}

size_t tgr_kernel_extent_text(const tgr_kernel *kernel, int32_t param, int32_t axis, char *text,
                              size_t size) {
    bool ok = param >= 0 && (uint32_t)param < kernel->n_params && axis >= 0 &&
              axis < kernel->params[param].rank;
    return dim_text(kernel, ok ? &kernel->params[param].dims[axis] : NULL, text, size);
}

size_t tgr_kernel_require_text(const tgr_kernel *kernel, int32_t index, char *text, size_t size) {
    bool ok = index >= 0 && (uint32_t)index < kernel->n_requires;
    return dim_text(kernel, ok ? &kernel->requires_[index] : NULL, text, size);
}

tgr_module *tgr_kernel_module(const tgr_kernel *kernel) { return kernel->module; }
