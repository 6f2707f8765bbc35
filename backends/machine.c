/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The machine table and the detection of the running processor. The table is machines.def; adding a
 * CPU level is one row there and, if the level is to be chosen at run time, one test in host_isa.
 */
#include "backends/backend.h"
#include "ir/matrix.h"

#include <string.h>

#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#endif

static const tg_machine machines[] = {
#define TG_CPU_MACHINE(name_, label_, triple_, cpu_, feat_, isa_, vbytes_, regs_, pipes_, bits_,   \
                       l1_, l2_, l3_)                                                              \
    {.name = name_,                                                                                \
     .vendor = "cpu",                                                                              \
     .label = label_,                                                                              \
     .class_ = TG_MACHINE_CPU,                                                                     \
     .triple = triple_,                                                                            \
     .llvm_cpu = cpu_,                                                                             \
     .llvm_features = feat_,                                                                       \
     .isa_id = isa_,                                                                               \
     .vector_bytes = vbytes_,                                                                      \
     .vector_regs = regs_,                                                                         \
     .fma_pipes = pipes_,                                                                          \
     .features = bits_,                                                                            \
     .l1_bytes = l1_,                                                                              \
     .l2_bytes = l2_,                                                                              \
     .l3_bytes = l3_},
#include "backends/machines.def"
#undef TG_CPU_MACHINE
#define TG_SIMT_MACHINE(name_, vendor_, label_, emitter_, isa_, features_, lanes_, max_, sub_,     \
                        banks_, shared_, regs_, vector_, stages_, quirks_, matrix_)                \
    {.name = name_,                                                                                \
     .vendor = vendor_,                                                                            \
     .label = label_,                                                                              \
     .class_ = TG_MACHINE_SIMT,                                                                    \
     .triple = "",                                                                                 \
     .llvm_cpu = "",                                                                               \
     .llvm_features = "",                                                                          \
     .isa_id = isa_,                                                                               \
     .emitter = emitter_,                                                                          \
     .simt = features_,                                                                            \
     .lanes = lanes_,                                                                              \
     .max_lanes = max_,                                                                            \
     .subgroup = sub_,                                                                             \
     .banks = banks_,                                                                              \
     .shared_bytes = shared_,                                                                      \
     .scratch_bytes = (int64_t)1 << 30,                                                            \
     .vector_bytes = vector_,                                                                      \
     .register_bytes = regs_,                                                                      \
     .stages = stages_,                                                                            \
     .matrix = matrix_,                                                                            \
     .quirks = quirks_,                                                                            \
     .units = TG_UNIT_VECTOR},
#include "backends/machines.def"
#undef TG_SIMT_MACHINE
#define TG_PTX_MACHINE(name_, label_, cpu_, feat_, isa_, shared_, more_, matrix_)                  \
    {.name = name_,                                                                                \
     .vendor = "cuda",                                                                             \
     .label = label_,                                                                              \
     .class_ = TG_MACHINE_SIMT,                                                                    \
     .triple = "nvptx64-nvidia-cuda",                                                              \
     .llvm_cpu = cpu_,                                                                             \
     .llvm_features = feat_,                                                                       \
     .isa_id = isa_,                                                                               \
     .emitter = TG_EMIT_LLVM,                                                                      \
     .simt = TG_SIMT_F64 | TG_SIMT_INT8 | TG_SIMT_INT16 | TG_SIMT_INT64 | TG_SIMT_ATOMIC64 |       \
             TG_SIMT_FMA | TG_SIMT_SUBGROUPS | TG_SIMT_SUBNORMALS | TG_SIMT_DIV | TG_SIMT_ASYNC |  \
             TG_SIMT_MBARRIER | TG_SIMT_HALVES | TG_SIMT_EX2 | (more_),                            \
     .copy_lanes = 128,                                                                            \
     .lanes = 128,                                                                                 \
     .max_lanes = 256,                                                                             \
     .subgroup = 32,                                                                               \
     .banks = 32,                                                                                  \
     .shared_bytes = shared_,                                                                      \
     .scratch_bytes = (int64_t)1 << 30,                                                            \
     .vector_bytes = 16,                                                                           \
     .register_bytes = 1020,                                                                       \
     .stages = 3,                                                                                  \
     .matrix = matrix_,                                                                            \
     .units = TG_UNIT_VECTOR | TG_UNIT_COPY | TG_UNIT_MATRIX},
#include "backends/machines.def"
#undef TG_PTX_MACHINE
#define TG_AMD_MACHINE(name_, label_, feat_, isa_, wave_, regs_, matrix_)                          \
    {.name = name_,                                                                                \
     .vendor = "hip",                                                                              \
     .label = label_,                                                                              \
     .class_ = TG_MACHINE_SIMT,                                                                    \
     .triple = "amdgcn-amd-amdhsa",                                                                \
     .llvm_cpu = name_,                                                                            \
     .llvm_features = feat_,                                                                       \
     .isa_id = isa_,                                                                               \
     .emitter = TG_EMIT_LLVM,                                                                      \
     .simt = TG_SIMT_F64 | TG_SIMT_INT8 | TG_SIMT_INT16 | TG_SIMT_INT64 | TG_SIMT_ATOMIC64 |       \
             TG_SIMT_FMA | TG_SIMT_SUBGROUPS | TG_SIMT_SUBNORMALS | TG_SIMT_DIV |                  \
             TG_SIMT_UNROLLED,                                                                     \
     .lanes = 256,                                                                                 \
     .max_lanes = 512,                                                                             \
     .subgroup = wave_,                                                                            \
     .banks = 32,                                                                                  \
     .shared_bytes = 65536,                                                                        \
     .scratch_bytes = (int64_t)1 << 30,                                                            \
     .vector_bytes = 16,                                                                           \
     .register_bytes = regs_,                                                                      \
     .stages = 1,                                                                                  \
     .matrix = matrix_,                                                                            \
     .units = TG_UNIT_VECTOR},
#include "backends/machines.def"
#undef TG_AMD_MACHINE
};

static const tg_machine models[] = {
#define TG_MODEL_MACHINE(name_, features_, units_, lanes_, max_, copy_, replicas_, stages_,        \
                         shared_, regs_)                                                           \
    {.name = name_,                                                                                \
     .vendor = "modelled",                                                                         \
     .label = "modelled",                                                                          \
     .class_ = TG_MACHINE_SIMT,                                                                    \
     .emitter = TG_EMIT_OPENCL_C,                                                                  \
     .triple = "",                                                                                 \
     .llvm_cpu = "",                                                                               \
     .llvm_features = "",                                                                          \
     .simt = features_,                                                                            \
     .lanes = lanes_,                                                                              \
     .max_lanes = max_,                                                                            \
     .copy_lanes = copy_,                                                                          \
     .replicas = replicas_,                                                                        \
     .banks = 32,                                                                                  \
     .vector_bytes = 16,                                                                           \
     .shared_bytes = shared_,                                                                      \
     .scratch_bytes = (int64_t)1 << 30,                                                            \
     .register_bytes = regs_,                                                                      \
     .stages = stages_,                                                                            \
     .units = units_},
#include "backends/machines.def"
#undef TG_MODEL_MACHINE
};

const tg_machine *tg_machine_model(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(models); i++) {
        if (strcmp(models[i].name, name) == 0) {
            return &models[i];
        }
    }
    return NULL;
}

size_t tg_machine_count(void) { return TG_COUNT_OF(machines); }

const tg_machine *tg_machine_at(size_t i) {
    return i < TG_COUNT_OF(machines) ? &machines[i] : NULL;
}

const tg_machine *tg_machine_find(const char *name) {
    for (size_t i = 0; i < TG_COUNT_OF(machines); i++) {
        if (strcmp(machines[i].name, name) == 0) {
            return &machines[i];
        }
    }
    return NULL;
}

/* ---- quirks ---------------------------------------------------------------------------------- */

static const tg_quirk_row quirk_rows[] = {
#define TG_SIMT_QUIRK(bit_, number_, name_, fault_, answer_)                                       \
    {.bit = TG_QUIRK_##bit_, .name = name_, .fault = fault_, .answer = answer_},
#include "backends/quirks.def"
#undef TG_SIMT_QUIRK
};

const tg_quirk_row *tg_quirk_at(size_t i) {
    return i < TG_COUNT_OF(quirk_rows) ? &quirk_rows[i] : NULL;
}

static void apply_quirks(tg_machine *m) {
    static const struct {
        unsigned quirk, feature;
    } spoilt[] = {{TG_QUIRK_FMA, TG_SIMT_FMA},
                  {TG_QUIRK_DIV, TG_SIMT_DIV},
                  {TG_QUIRK_FLUSHES, TG_SIMT_SUBNORMALS},
                  {TG_QUIRK_NO_F64, TG_SIMT_F64},
                  {TG_QUIRK_NO_ATOMIC64, TG_SIMT_ATOMIC64},
                  {TG_QUIRK_NO_ATOMICS, TG_SIMT_ATOMIC64}};
    for (size_t i = 0; i < TG_COUNT_OF(spoilt); i++) {
        m->simt &= m->quirks & spoilt[i].quirk ? ~spoilt[i].feature : ~0u;
    }
    if (m->quirks & TG_QUIRK_SMALL_SHARED) {
        m->shared_bytes = m->shared_bytes / 2;
    }
    if (m->quirks & TG_QUIRK_SMALL_GROUPS) {
        m->lanes = m->lanes < 64 ? m->lanes : 64;
        m->max_lanes = m->max_lanes < 64 ? m->max_lanes : 64;
    }
}

const tg_machine *tg_machine_with_quirks(tg_arena *a, const tg_machine *m, unsigned quirks) {
    if (m->class_ != TG_MACHINE_SIMT || !(quirks & ~m->quirks)) {
        return m;
    }
    tg_machine *out = TG_NEW(a, tg_machine);
    tg_sb name;
    *out = *m;
    out->quirks |= quirks;
    apply_quirks(out);
    tg_sb_init(&name, a);
    tg_sb_addn(&name, m->name, strcspn(m->name, "+"));
    for (size_t i = 0; i < TG_COUNT_OF(quirk_rows); i++) {
        if (out->quirks & quirk_rows[i].bit) {
            tg_sb_addf(&name, "+%s", quirk_rows[i].name);
        }
    }
    out->name = name.data;
    return out;
}

static unsigned quirk_named(const char *name, size_t n) {
    for (size_t i = 0; i < TG_COUNT_OF(quirk_rows); i++) {
        if (strlen(quirk_rows[i].name) == n && strncmp(quirk_rows[i].name, name, n) == 0) {
            return quirk_rows[i].bit;
        }
    }
    return 0;
}

/* The table has the rows of an architecture in order of capability: the first is the weakest. */
static const tg_machine *with_definitions(tg_arena *a, const tg_machine *m) {
    const tg_machine *base = machines;
    while (base != m && (base->class_ != TG_MACHINE_CPU || strcmp(base->triple, m->triple) != 0)) {
        base++;
    }
    tg_machine *out = TG_NEW(a, tg_machine);
    *out = *m;
    out->name = tg_arena_printf(a, "%s+defined", m->name);
    out->label = "emulated";
    out->llvm_cpu = base->llvm_cpu;
    out->llvm_features = base->llvm_features;
    out->isa_id = base->isa_id;
    out->defined = true;
    return out;
}

const tg_machine *tg_machine_named(tg_arena *a, const char *name) {
    const char *plus = strchr(name, '+');
    const tg_machine *m =
        tg_machine_find(plus ? tg_arena_strndup(a, name, (size_t)(plus - name)) : name);
    unsigned quirks = 0;
    if (m && m->class_ == TG_MACHINE_CPU && plus) {
        return strcmp(plus, "+defined") == 0 ? with_definitions(a, m) : NULL;
    }
    while (m && plus) {
        size_t n = strcspn(plus + 1, "+");
        unsigned bit = quirk_named(plus + 1, n);
        m = bit && m->class_ == TG_MACHINE_SIMT ? m : NULL;
        quirks |= bit;
        plus = plus[1 + n] ? plus + 1 + n : NULL;
    }
    return m ? tg_machine_with_quirks(a, m, quirks) : NULL;
}

/* ---- this processor ---------------------------------------------------------------------------
 */

/* The best level this processor runs; v3 is the floor of the x86 rows. */
static const char *host_name(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    bool v4 = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
              __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") &&
              __builtin_cpu_supports("avx512vl");
    if (v4 && __builtin_cpu_supports("avx512vnni")) {
        bool bf16 = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512vbmi");
        return bf16 ? "x86-64-avx512-bf16" : "x86-64-avx512-vnni";
    }
    bool v3 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
              __builtin_cpu_supports("bmi2") && __builtin_cpu_supports("f16c");
    return v4 ? "x86-64-v4" : v3 ? "x86-64-v3" : "";
#elif defined(__aarch64__)
#if defined(__linux__) && defined(HWCAP_SVE)
    return (getauxval(AT_HWCAP) & HWCAP_SVE) ? "aarch64-sve" : "aarch64-neon";
#else
    return "aarch64-neon";
#endif
#elif defined(__riscv)
    return "riscv64-v";
#else
    return "";
#endif
}

const tg_machine *tg_machine_host(void) { return tg_machine_find(host_name()); }

bool tg_simt_word_char(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

const char *tg_simt_entry_name(tg_arena *a, const tg_func *f) {
    char *name = tg_arena_strdup(a, f->name);
    for (char *c = name; *c != '\0'; c++) {
        *c = tg_simt_word_char(*c) ? *c : '_';
    }
    return name;
}
