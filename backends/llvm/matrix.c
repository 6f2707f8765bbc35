/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Matrix units: fragments from shared memory, and NVIDIA's mma.sync (AMD's: amd_matrix.c).
 *
 * A fragment is loaded by ldmatrix (PTX ISA 8.5, 9.7.14.5.15) where its words are those of 8x8
 * matrices of 16 bits, as they lie or transposed, and its rows are aligned; else every lane reads
 * its own elements, neighbours together. Which of them follows from the unit's layout. Products are
 * LLVM's intrinsics; those it does not have are instructions as text (9.7.14.5.14).
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/matrix.h"

enum { ROW_BYTES = 16, ROWS = 8, WORD = 4, MAX_WORDS = 4 };

static LLVMTypeRef i32_of(tg_emitter *e) { return LLVMInt32TypeInContext(e->context); }

static LLVMValueRef const32(tg_emitter *e, int64_t v) {
    return LLVMConstInt(i32_of(e), (uint64_t)v, 1);
}

/* ---- loads -----------------------------------------------------------------------------------
 */

typedef struct block {
    const tg_matrix_unit *unit;
    tg_matrix_part part;
    const tg_layout *layout;
    const tg_type *type; /* of the fragment */
    const int64_t *stride;
    int64_t elems, elem_bytes, each; /* each: elements of a word, at least 1 */
    int64_t words;
    int along; /* axis whose stride is 1; -1: none */
} block;

static bool block_of(tg_emitter *e, const tg_op *op, block *x) {
    const tg_type *t = op->results[0].type;
    x->unit = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    x->part = (tg_matrix_part)tg_attr_int(op, TG_ATTR_PART, 0);
    x->layout = tg_matrix_layout(op->func->module, x->unit, x->part);
    x->type = t;
    x->stride = tg_attr_get(op, TG_ATTR_STRIDES)->list;
    x->elems = t->shape[0];
    x->elem_bytes = tg_dtype_bits(t->dtype) / 8;
    x->each = x->elem_bytes < WORD ? WORD / x->elem_bytes : 1;
    x->words = x->elems / x->each;
    x->along = x->stride[1] == 1 ? 1 : x->stride[0] == 1 ? 0 : -1;
    if (x->layout == NULL) {
        tg_emit_refuse(e, op, "it does not say which lane holds what");
        return false;
    }
    return true;
}

static int64_t offset_of(const block *x, const int64_t at[2]) {
    return at[0] * x->stride[0] + at[1] * x->stride[1];
}

/* Words are 8x8 matrices: lane (g, t) holds word t of row g, or, transposed, elements 2t and 2t + 1
 * of column g. */
static bool is_matrices(const block *x, bool trans) {
    int rows = trans ? x->along : 1 - x->along, cols = 1 - rows;
    for (int64_t lane = 0; lane < x->unit->lanes; lane++) {
        for (int64_t i = 0; i < x->elems; i++) {
            int64_t first[2], at[2];
            tg_layout_coords(x->layout, 0, i / x->each * x->each, first);
            tg_layout_coords(x->layout, lane, i, at);
            if (at[rows] != first[rows] + lane / 4 ||
                at[cols] != first[cols] + lane % 4 * x->each + i % x->each) {
                return false;
            }
        }
    }
    return true;
}

/* Whether ldmatrix does it, and transposed. */
static bool has_ldmatrix(const block *x, const tg_op *op, bool *trans) {
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, 1) * x->elem_bytes;
    if (x->along < 0 || align < ROW_BYTES || x->elem_bytes > WORD || x->words > MAX_WORDS ||
        (x->words & (x->words - 1)) != 0) {
        return false;
    }
    *trans = false;
    if (is_matrices(x, false)) {
        return true;
    }
    *trans = true;
    return x->elem_bytes == 2 && is_matrices(x, true);
}

static LLVMValueRef address(tg_emitter *e, tg_op *op, const block *x, LLVMValueRef more) {
    LLVMValueRef index = LLVMBuildAdd(e->builder, tg_emit_operand(e, op, 1), more, "");
    return LLVMBuildInBoundsGEP2(e->builder, tg_emit_dtype(e, x->type->dtype),
                                 tg_emit_operand(e, op, 0), &index, 1, "");
}

static LLVMValueRef lane_of(tg_emitter *e, const tg_matrix_unit *u) {
    LLVMValueRef tid =
        e->is_amd ? tg_emit_amd_lane(e)
                  : tg_emit_intrinsic(e, "llvm.nvvm.read.ptx.sreg.tid.x", 0, NULL, 0, NULL);
    return LLVMBuildURem(e->builder, tid, const32(e, u->lanes), "");
}

/* Bits [first, first + n) of v as a number, times k. */
static LLVMValueRef digit(tg_emitter *e, LLVMValueRef v, int64_t place, int64_t extent, int64_t k) {
    LLVMBuilderRef b = e->builder;
    v = LLVMBuildURem(b, LLVMBuildUDiv(b, v, const32(e, place), ""), const32(e, extent), "");
    return LLVMBuildMul(b, v, const32(e, k), "");
}

/* Lane l gives the address of row l % 8 of matrix l / 8 (of the last lanes any will do). */
static LLVMValueRef emit_ldmatrix(tg_emitter *e, tg_op *op, const block *x, bool trans) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef lane = lane_of(e, x->unit);
    LLVMValueRef more = digit(e, lane, 1, ROWS, x->stride[1 - x->along]);
    for (int64_t w = 1; w < x->words; w *= 2) {
        int64_t at[2];
        tg_layout_coords(x->layout, 0, w * x->each, at);
        more = LLVMBuildAdd(b, more, digit(e, lane, ROWS * w, 2, offset_of(x, at)), "");
    }
    LLVMValueRef p = address(e, op, x, more);
    LLVMTypeRef pointer = LLVMTypeOf(p);
    const char *name = tg_arena_printf(e->arena, "llvm.nvvm.ldmatrix.sync.aligned.m8n8.x%d%s.b16",
                                       (int)x->words, trans ? ".trans" : "");
    LLVMValueRef got = tg_emit_intrinsic(e, name, 1, &pointer, 1, &p);
    LLVMValueRef v = LLVMGetUndef(LLVMVectorType(i32_of(e), (unsigned)x->words));
    for (int64_t w = 0; w < x->words; w++) {
        LLVMValueRef word = x->words == 1 ? got : LLVMBuildExtractValue(b, got, (unsigned)w, "");
        v = LLVMBuildInsertElement(b, v, word, const32(e, w), "");
    }
    return LLVMBuildBitCast(b, v, tg_emit_type(e, x->type), "");
}

/* Do registers i .. i + n - 1 of a lane lie side by side? */
static bool side_by_side(const block *x, int64_t i, int64_t n) {
    for (int64_t k = i; k < i + n; k++) {
        int64_t a[2], c[2];
        tg_layout_coords(x->layout, 0, i, a);
        tg_layout_coords(x->layout, 0, k, c);
        if (offset_of(x, c) != offset_of(x, a) + k - i) {
            return false;
        }
    }
    return true;
}

/* Elements that a lane reads at once: as many as everywhere lie side by side and aligned, up to a
 * word of NVIDIA's and 16 bytes of AMD's. Lanes begin at multiples of their elements along K. */
static int64_t read_at_once(tg_emitter *e, const block *x, const tg_op *op) {
    int64_t align = tg_attr_int(op, TG_ATTR_ALIGN, 1) * x->elem_bytes;
    for (int64_t bytes = e->is_amd ? ROW_BYTES : WORD; bytes > x->elem_bytes; bytes /= 2) {
        int64_t n = bytes / x->elem_bytes;
        bool fits = x->along >= 0 && align >= bytes && x->elems % n == 0;
        for (int64_t i = 0; i < x->elems && fits; i += n) {
            fits = side_by_side(x, i, n);
        }
        if (fits) {
            return n;
        }
    }
    return 1;
}

static LLVMValueRef lane_offset(tg_emitter *e, const block *x) {
    LLVMValueRef lane = lane_of(e, x->unit), sum = const32(e, 0);
    for (int i = 0; i < x->layout->n_modes; i++) {
        const tg_layout_mode *m = &x->layout->modes[i];
        if (m->resource == TG_RES_LANE && m->axis >= 0) {
            int64_t k = m->stride * x->stride[m->axis];
            sum = LLVMBuildAdd(e->builder, sum, digit(e, lane, m->place, m->extent, k), "");
        }
    }
    return sum;
}

static LLVMValueRef emit_elements(tg_emitter *e, tg_op *op, const block *x) {
    LLVMBuilderRef b = e->builder;
    LLVMValueRef lane = lane_offset(e, x);
    int64_t n = read_at_once(e, x, op);
    LLVMTypeRef elem = tg_emit_dtype(e, x->type->dtype);
    LLVMTypeRef read = n > 1 ? tg_emit_int_type(e, (unsigned)(n * x->elem_bytes * 8)) : elem;
    LLVMValueRef v = LLVMGetUndef(LLVMVectorType(read, (unsigned)(x->elems / n)));
    for (int64_t i = 0; i < x->elems / n; i++) {
        int64_t at[2];
        tg_layout_coords(x->layout, 0, i * n, at);
        LLVMValueRef p = address(e, op, x, LLVMBuildAdd(b, lane, const32(e, offset_of(x, at)), ""));
        LLVMValueRef r = LLVMBuildLoad2(b, read, p, "");
        LLVMSetAlignment(r, (unsigned)(n * x->elem_bytes));
        v = LLVMBuildInsertElement(b, v, r, const32(e, i), "");
    }
    return LLVMBuildBitCast(b, v, tg_emit_type(e, x->type), "");
}

LLVMValueRef tg_emit_fragload(tg_emitter *e, tg_op *op) {
    block x;
    bool trans;
    if (!block_of(e, op, &x)) {
        return NULL;
    }
    return e->is_ptx && has_ldmatrix(&x, op, &trans) ? emit_ldmatrix(e, op, &x, trans)
                                                     : emit_elements(e, op, &x);
}

/* ---- products --------------------------------------------------------------------------------
 */

/* LLVM's intrinsic, or the instruction. */
static const struct {
    const char *intrinsic, *text;
} products[TG_MATRIX_COUNT] = {
    [TG_MATRIX_MMA_F16] = {"llvm.nvvm.mma.m16n8k16.row.col.f32.f32", NULL},
    [TG_MATRIX_MMA_BF16] = {"llvm.nvvm.mma.m16n8k16.row.col.bf16", NULL},
    [TG_MATRIX_MMA_TF32] = {"llvm.nvvm.mma.m16n8k8.row.col.tf32", NULL},
    [TG_MATRIX_MMA_F64] = {"llvm.nvvm.mma.m8n8k4.row.col.f64", NULL},
    [TG_MATRIX_MMA_S8] = {"llvm.nvvm.mma.m16n8k32.row.col.s8", NULL},
    [TG_MATRIX_MMA_U8] = {"llvm.nvvm.mma.m16n8k32.row.col.u8", NULL},
    [TG_MATRIX_MMA_S8U8] = {"llvm.nvvm.mma.m16n8k32.row.col.s8.u8", NULL},
    [TG_MATRIX_MMA_U8S8] = {"llvm.nvvm.mma.m16n8k32.row.col.u8.s8", NULL},
    [TG_MATRIX_MMA_E4M3] = {NULL, "mma.sync.aligned.m16n8k32.row.col.f32.e4m3.e4m3.f32"},
    [TG_MATRIX_MMA_E5M2] = {NULL, "mma.sync.aligned.m16n8k32.row.col.f32.e5m2.e5m2.f32"},
};

enum { MAX_ARGS = 16 };

static unsigned bits_of(LLVMTypeRef t) {
    switch ((int)LLVMGetTypeKind(t)) {
    case LLVMVectorTypeKind:
        return LLVMGetVectorSize(t) * bits_of(LLVMGetElementType(t));
    case LLVMIntegerTypeKind:
        return LLVMGetIntTypeWidth(t);
    case LLVMDoubleTypeKind:
        return 64;
    case LLVMHalfTypeKind:
        return 16;
    }
    return 32;
}

/* Appends a fragment to the arguments, in pieces of the type that each of them has. */
static unsigned pass(tg_emitter *e, LLVMValueRef v, LLVMTypeRef *types, LLVMValueRef *args,
                     unsigned at) {
    LLVMBuilderRef b = e->builder;
    unsigned width = bits_of(types[at]), n = bits_of(LLVMTypeOf(v)) / width;
    LLVMTypeRef piece = tg_emit_int_type(e, width);
    v = LLVMBuildBitCast(b, v, LLVMVectorType(piece, n), "");
    for (unsigned i = 0; i < n; i++) {
        LLVMValueRef x = LLVMBuildExtractElement(b, v, const32(e, i), "");
        args[at + i] = LLVMBuildBitCast(b, x, types[at + i], "");
    }
    return at + n;
}

static LLVMTypeRef intrinsic_type(tg_emitter *e, const char *name) {
    return LLVMIntrinsicGetType(e->context, LLVMLookupIntrinsicID(name, strlen(name)), NULL, 0);
}

/* Four f32, four and two words, four f32: what all units of 8-bit floats take. */
static LLVMTypeRef text_type(tg_emitter *e) {
    LLVMTypeRef f32 = LLVMFloatTypeInContext(e->context), word = i32_of(e);
    LLVMTypeRef result[4] = {f32, f32, f32, f32};
    LLVMTypeRef args[10] = {word, word, word, word, word, word, f32, f32, f32, f32};
    LLVMTypeRef r = LLVMStructTypeInContext(e->context, result, 4, 0);
    return LLVMFunctionType(r, args, 10, 0);
}

static LLVMValueRef text_of(tg_emitter *e, LLVMTypeRef type, const char *name) {
    static const char constraints[] = "=f,=f,=f,=f,r,r,r,r,r,r,f,f,f,f";
    const char *text = tg_arena_printf(
        e->arena, "%s {$0,$1,$2,$3}, {$4,$5,$6,$7}, {$8,$9}, {$10,$11,$12,$13};", name);
    return LLVMGetInlineAsm(type, text, strlen(text), constraints, sizeof constraints - 1, 1, 0,
                            LLVMInlineAsmDialectATT, 0);
}

LLVMValueRef tg_emit_mma(tg_emitter *e, tg_op *op) {
    if (e->is_amd) {
        return tg_emit_amd_mma(e, op);
    }
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    LLVMBuilderRef b = e->builder;
    const char *name = products[u->id].intrinsic;
    if (name == NULL && products[u->id].text == NULL) {
        tg_emit_refuse(e, op, "no instruction does it");
        return NULL;
    }
    LLVMTypeRef type = name != NULL ? intrinsic_type(e, name) : text_type(e), types[MAX_ARGS];
    LLVMValueRef args[MAX_ARGS], got;
    unsigned n = 0;
    LLVMGetParamTypes(type, types);
    for (int i = 0; i < TG_PART_COUNT; i++) {
        n = pass(e, tg_emit_operand(e, op, i), types, args, n);
    }
    if (name != NULL) {
        got = tg_emit_intrinsic(e, name, 0, NULL, n, args);
    } else {
        got = LLVMBuildCall2(b, type, text_of(e, type, products[u->id].text), args, n, "");
        unsigned kind = LLVMGetEnumAttributeKindForName("convergent", strlen("convergent"));
        LLVMAddCallSiteAttribute(got, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                 LLVMCreateEnumAttribute(e->context, kind, 0));
    }
    LLVMValueRef v = LLVMGetUndef(tg_emit_type(e, op->results[0].type));
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(v)); i++) {
        v = LLVMBuildInsertElement(b, v, LLVMBuildExtractValue(b, got, i, ""), const32(e, i), "");
    }
    return v;
}
