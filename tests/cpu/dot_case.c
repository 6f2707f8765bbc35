/* SPDX-License-Identifier: Apache-2.0 */
/* Builds, compiles and maps the loop function of one matrix product; see dot_case.h. */
#include "tests/cpu/dot_case.h"

#include <string.h>
#include <sys/mman.h>

typedef struct matrix {
    const tg_machine *mc;
    tg_value *base, *row_bytes, *col_bytes;
    bool unit_cols; /* which direction is contiguous */
    tg_dtype dtype, compute;
} matrix;

static int64_t elem_bytes(tg_dtype t) { return tg_dtype_bits(t) / 8; }

static tg_value *element_ptr(const matrix *x, tg_builder *b, tg_value *i, tg_value *j) {
    tg_value *at = tg_build_gep(b, x->base, tg_build_binary(b, TG_OP_MUL, i, x->row_bytes), 1);
    return tg_build_gep(b, at, tg_build_binary(b, TG_OP_MUL, j, x->col_bytes), 1);
}

/* One carrier element, 0 when lane >= valid. */
static tg_value *one_element(const matrix *x, tg_builder *b, tg_value *i, tg_value *j, int lane,
                             tg_value *valid) {
    const tg_type *t = tg_type_scalar(b->module, tg_carrier(x->dtype));
    if (!valid) {
        return tg_build_loadm(b, t, element_ptr(x, b, i, j), elem_bytes(x->dtype));
    }
    tg_value *in = tg_build_cmp(b, TG_CMP_LT, tg_build_index(b, lane), valid);
    tg_op *op = tg_build_if(b, in, 1, &t);
    tg_value *v = tg_build_loadm(b, t, element_ptr(x, b, i, j), elem_bytes(x->dtype));
    tg_build_else(b, op, 1, &v);
    tg_value *zero =
        tg_dtype_is_float(t->dtype) ? tg_build_float(b, t, 0.0) : tg_build_int(b, t, 0);
    tg_build_end_if(b, op, 1, &zero);
    return &op->results[0];
}

static tg_value *masked_load(tg_builder *b, const tg_type *t, tg_value *ptr, tg_value *valid) {
    tg_value *zero =
        tg_dtype_is_float(t->dtype) ? tg_build_float(b, t, 0.0) : tg_build_int(b, t, 0);
    tg_value *args[3] = {ptr, tg_build_pmask(b, valid, t->shape[0]), zero};
    tg_op *op = tg_build_op(b, TG_OP_LOADM, 3, args, 1, &t, 0);
    tg_op_set_int(op, TG_ATTR_MASKED, 1);
    tg_op_set_int(op, TG_ATTR_ALIGN, tg_dtype_bits(t->dtype) / 8);
    return &op->results[0];
}

static tg_value *matrix_vec(void *user, tg_builder *b, tg_value *i, tg_value *j, bool along_cols,
                            int lanes, tg_value *valid) {
    const matrix *x = user;
    const tg_type *t = tg_type_scalar(b->module, tg_carrier(x->dtype));
    tg_value *v;
    if (lanes == 1) {
        v = one_element(x, b, i, j, 0, valid);
    } else if (along_cols == x->unit_cols) {
        const tg_type *vt = tg_type_vec(b->module, t->dtype, lanes);
        tg_value *p = element_ptr(x, b, i, j);
        v = valid ? masked_load(b, vt, p, valid) : tg_build_loadm(b, vt, p, elem_bytes(x->dtype));
    } else {
        const tg_type *vt = tg_type_vec(b->module, t->dtype, lanes);
        v = tg_dtype_is_float(t->dtype) ? tg_build_float(b, vt, 0.0) : tg_build_int(b, vt, 0);
        for (int l = 0; l < lanes; l++) {
            tg_value *step = tg_build_index(b, l);
            tg_value *r = along_cols ? i : tg_build_binary(b, TG_OP_ADD, i, step);
            tg_value *c = along_cols ? tg_build_binary(b, TG_OP_ADD, j, step) : j;
            v = tg_build_insert(b, v, one_element(x, b, r, c, l, valid), l);
        }
    }
    return tg_expand_convert(b, x->mc, v, x->dtype, x->compute, TG_ROUND_RNE, false);
}

dot_layout dot_case_layout(const dot_case *c, const tg_machine *mc) {
    dot_layout l;
    int64_t ab = elem_bytes(c->a_type), bb = elem_bytes(c->b_type), gap = c->strided ? 3 : 0;
    int64_t k = c->k > 0 ? c->k : c->k_len;
    int64_t a_line = ab * (c->a_ld > 0 ? c->a_ld : (c->a_by_k ? k : c->m) + gap);
    int64_t b_line = bb * (c->b_ld > 0 ? c->b_ld : (c->b_by_k ? k : c->n) + gap);
    l.a_k = c->a_by_k ? ab : a_line;
    l.a_row = c->a_by_k ? a_line : ab;
    l.b_k = c->b_by_k ? bb : b_line;
    l.b_row = c->b_by_k ? b_line : bb;
    int64_t lanes = mc->vector_bytes / elem_bytes(c->compute);
    l.acc_pitch = tg_round_up_i64(c->n, lanes) + c->acc_pad;
    return l;
}

static tg_value *slot(tg_builder *b, tg_value *slots, int i, const tg_type *t) {
    tg_op *op = tg_build_op(b, TG_OP_SLOT, 1, &slots, 1, &t, 0);
    tg_op_set_int(op, TG_ATTR_VALUE_I, i);
    return &op->results[0];
}

static tg_dot_operand operand(const dot_case *c, tg_builder *b, matrix *x, bool is_a) {
    bool by_k = is_a ? c->a_by_k : c->b_by_k, base = is_a ? c->a_base : c->b_base;
    tg_range range = is_a ? c->a_range : c->b_range;
    x->unit_cols = is_a == by_k;
    x->dtype = is_a ? c->a_type : c->b_type;
    x->compute = c->compute;
    (void)b;
    return (tg_dot_operand){.vec = matrix_vec,
                            .user = x,
                            .unit_cols = x->unit_cols,
                            .dtype = x->dtype,
                            .ranged = range.hi > range.lo,
                            .range = range,
                            .base = base ? x->base : NULL,
                            .row_bytes = base ? x->row_bytes : NULL,
                            .col_bytes = base ? x->col_bytes : NULL};
}

static tg_status build(const dot_case *c, const tg_machine *mc, tg_module *m, tg_sink *sink,
                       int64_t *out_scratch) {
    tg_func *f = tg_func_make(m, "dot.phase0", TG_LEVEL_LOOP);
    f->role = "phase0";
    f->body = tg_region_make(f, NULL);
    const tg_type *ptr = tg_type_ptr(m), *i64 = tg_type_scalar(m, TG_DT_I64);
    tg_value *slots = tg_region_add_arg(f->body, ptr, "slots");
    tg_region_add_arg(f->body, i64, "begin");
    tg_region_add_arg(f->body, i64, "end");
    tg_value *scratch = tg_region_add_arg(f->body, ptr, "scratch");
    tg_region_add_arg(f->body, ptr, "shared");
    tg_region_add_arg(f->body, ptr, "report");
    tg_builder b = tg_builder_at_end(f->body);
    dot_layout l = dot_case_layout(c, mc);
    matrix xa = {.mc = mc,
                 .base = slot(&b, slots, 0, ptr),
                 .row_bytes = tg_build_index(&b, l.a_row),
                 .col_bytes = tg_build_index(&b, l.a_k)};
    matrix xb = {.mc = mc,
                 .base = slot(&b, slots, 1, ptr),
                 .row_bytes = tg_build_index(&b, l.b_k),
                 .col_bytes = tg_build_index(&b, l.b_row)};
    tg_dot_desc d = {.m = c->m,
                     .n = c->n,
                     .k = c->k,
                     .compute = c->compute,
                     .acc = slot(&b, slots, 2, ptr),
                     .acc_pitch = l.acc_pitch,
                     .acc_zero = c->acc_zero};
    d.m_len = c->fixed ? tg_build_index(&b, c->m_len) : slot(&b, slots, 3, i64);
    d.n_len = c->fixed ? tg_build_index(&b, c->n_len) : slot(&b, slots, 4, i64);
    d.k_len = c->fixed ? tg_build_index(&b, c->k_len) : slot(&b, slots, 5, i64);
    d.kmask = c->kmask ? slot(&b, slots, 6, ptr) : NULL;
    d.a = operand(c, &b, &xa, true);
    d.b = operand(c, &b, &xb, false);
    tg_scratch s = {.base = scratch};
    tg_status status = tg_emit_dot(&b, mc, &s, &d, sink);
    tg_build_op(&b, TG_OP_YIELD, 0, NULL, 0, NULL, 0);
    *out_scratch = s.peak;
    return status;
}

static bool map_code(const unsigned char *obj, size_t n, tg_arena *a, tg_sink *sink,
                     dot_code *out) {
    tg_blob blob;
    if (tg_blob_from_object(obj, n, a, sink, &blob) != TG_OK || blob.n_symbols == 0) {
        return false;
    }
    out->image_bytes = (blob.n_bytes + 4095) / 4096 * 4096;
    out->image =
        mmap(NULL, out->image_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (out->image == MAP_FAILED) {
        return false;
    }
    memcpy(out->image, blob.bytes, blob.n_bytes);
    void *imports[] = {(void *)(uintptr_t)memcpy, (void *)(uintptr_t)memset,
                       (void *)(uintptr_t)memmove};
    memcpy((char *)out->image + blob.imports_offset, imports, sizeof imports);
    if (mprotect(out->image, out->image_bytes, PROT_READ | PROT_EXEC)) {
        return false;
    }
    uintptr_t at = (uintptr_t)out->image + blob.symbols[0].offset;
    out->run = (tg_cpu_phase_fn)at;
    return true;
}

bool dot_case_compile(const dot_case *c, const tg_machine *mc, tg_arena *a, tg_sink *sink,
                      dot_code *out) {
    tg_module *m = tg_module_make(a);
    const unsigned char *obj;
    size_t n;
    *out = (dot_code){0};
    if (build(c, mc, m, sink, &out->scratch_bytes) != TG_OK) {
        return false;
    }
    tg_expand_legalise(m->first_func, mc);
    tg_sb sb;
    tg_sb_init(&sb, a);
    tg_func_print(&sb, m->first_func);
    out->ir = sb.data;
    tg_llvm_options options = {.opt_level = 2, .emit = TG_LLVM_OBJECT};
    return tg_llvm_emit(m, mc, &options, a, sink, &obj, &n) == TG_OK &&
           map_code(obj, n, a, sink, out);
}

void dot_code_unmap(dot_code *code) {
    if (code->image) {
        munmap(code->image, code->image_bytes);
        code->image = NULL;
    }
}
