/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Units of four warps for NVPTX (wgmma), which LLVM 19 has no intrinsics for: instructions as text.
 *
 * A product is one piece of text whose outputs are tied to the accumulators it adds to, so LLVM and
 * ptxas keep them in place; without accumulators its predicate says that it starts from 0. What an
 * index adds to a common base is added to the descriptor inside of the text: outside of it LLVM
 * would keep one descriptor a product in registers. The wait gives back the accumulators, so
 * nothing moves in front of it.
 *
 * PTX ISA 8.5: wgmma.mma_async 9.7.15.5, its descriptors 9.7.15.5.1.2.2, wgmma.fence 9.7.15.7.1,
 * commit_group 9.7.15.7.2, wait_group 9.7.15.7.3, fence.proxy.async 9.7.13.4.
 */
#include <string.h>

#include "backends/llvm/emit.h"
#include "ir/build.h"
#include "ir/matrix.h"

enum { GROUP_ROWS = 8, UNIT_BYTES = 16, ADDRESS_MASK = 0x3ffff };

/* PTX's names of the types of d, a and b. */
static const struct {
    const char *types;
    bool whole, turns; /* integers; operands may lie turned */
} texts[TG_MATRIX_COUNT] = {
    [TG_MATRIX_GMMA_F16] = {"f32.f16.f16", false, true},
    [TG_MATRIX_GMMA_BF16] = {"f32.bf16.bf16", false, true},
    [TG_MATRIX_GMMA_S8] = {"s32.s8.s8", true, false},
    [TG_MATRIX_GMMA_U8] = {"s32.u8.u8", true, false},
    [TG_MATRIX_GMMA_S8U8] = {"s32.s8.u8", true, false},
    [TG_MATRIX_GMMA_U8S8] = {"s32.u8.s8", true, false},
    [TG_MATRIX_GMMA_E4M3] = {"f32.e4m3.e4m3", false, false},
    [TG_MATRIX_GMMA_E5M2] = {"f32.e5m2.e5m2", false, false},
};

static LLVMTypeRef i32_of(tg_emitter *e) { return LLVMInt32TypeInContext(e->context); }
static LLVMTypeRef i64_of(tg_emitter *e) { return LLVMInt64TypeInContext(e->context); }

/* ---- text ------------------------------------------------------------------------------------ */

/* Text with n tied values (all of one type) in front of its inputs; gives back the values. */
typedef struct piece {
    LLVMValueRef *args;
    LLVMTypeRef *types, elem;
    unsigned n_args, n_out;
    tg_sb text, constraints;
} piece;

enum { MOST_ARGS = 2 * TG_GMMA_COLUMNS + 8 };

static void piece_init(tg_emitter *e, piece *p, LLVMTypeRef elem, unsigned n_out) {
    *p = (piece){.elem = elem, .n_out = n_out};
    p->args = TG_NEW_ARRAY(e->arena, LLVMValueRef, MOST_ARGS);
    p->types = TG_NEW_ARRAY(e->arena, LLVMTypeRef, MOST_ARGS);
    tg_sb_init(&p->text, e->arena);
    tg_sb_init(&p->constraints, e->arena);
    bool whole = elem == i32_of(e);
    for (unsigned i = 0; i < n_out; i++) {
        tg_sb_addf(&p->constraints, whole ? "=r," : "=f,");
    }
}

static void add_arg(piece *p, LLVMValueRef v) {
    p->types[p->n_args] = LLVMTypeOf(v);
    p->args[p->n_args++] = v;
}

static void add_tied(tg_emitter *e, piece *p, LLVMValueRef vec) {
    for (unsigned i = 0; i < LLVMGetVectorSize(LLVMTypeOf(vec)); i++) {
        tg_sb_addf(&p->constraints, "%u,", p->n_args);
        add_arg(p, LLVMBuildExtractElement(e->builder, vec, LLVMConstInt(i32_of(e), i, 0), ""));
    }
}

/* Number of the next input in the text. */
static unsigned add_input(piece *p, const char *constraint, LLVMValueRef v) {
    tg_sb_addf(&p->constraints, "%s,", constraint);
    add_arg(p, v);
    return p->n_out + p->n_args - 1;
}

static void convergent(tg_emitter *e, LLVMValueRef call) {
    static const char *const names[] = {"convergent", "nounwind"};
    for (size_t i = 0; i < TG_COUNT_OF(names); i++) {
        unsigned kind = LLVMGetEnumAttributeKindForName(names[i], strlen(names[i]));
        LLVMAddCallSiteAttribute(call, (LLVMAttributeIndex)LLVMAttributeFunctionIndex,
                                 LLVMCreateEnumAttribute(e->context, kind, 0));
    }
}

static LLVMValueRef call_of(tg_emitter *e, piece *p) {
    LLVMTypeRef *outs = TG_NEW_ARRAY(e->arena, LLVMTypeRef, p->n_out + 1);
    for (unsigned i = 0; i < p->n_out; i++) {
        outs[i] = p->elem;
    }
    LLVMTypeRef result = p->n_out == 0   ? LLVMVoidTypeInContext(e->context)
                         : p->n_out == 1 ? p->elem
                                         : LLVMStructTypeInContext(e->context, outs, p->n_out, 0);
    LLVMTypeRef type = LLVMFunctionType(result, p->types, p->n_args, 0);
    tg_sb_addf(&p->constraints, "~{memory}");
    LLVMValueRef text = LLVMGetInlineAsm(type, p->text.data, p->text.len, p->constraints.data,
                                         p->constraints.len, 1, 0, LLVMInlineAsmDialectATT, 0);
    LLVMValueRef call = LLVMBuildCall2(e->builder, type, text, p->args, p->n_args, "");
    convergent(e, call);
    return call;
}

/* Outputs from `from` on as a value of a vector type. */
static LLVMValueRef outputs(tg_emitter *e, LLVMValueRef got, unsigned from, const tg_type *t) {
    LLVMValueRef v = LLVMGetUndef(tg_emit_type(e, t));
    for (unsigned i = 0; i < (unsigned)t->shape[0]; i++) {
        LLVMValueRef x = LLVMBuildExtractValue(e->builder, got, from + i, "");
        v = LLVMBuildInsertElement(e->builder, v, x, LLVMConstInt(i32_of(e), i, 0), "");
    }
    return v;
}

static void bare(tg_emitter *e, const char *text) {
    piece p;
    piece_init(e, &p, i32_of(e), 0);
    tg_sb_addf(&p.text, "%s", text);
    (void)call_of(e, &p);
}

/* ---- descriptors ----------------------------------------------------------------------------- */

/* Takes what is added to a base off an index. */
static const tg_value *base_of(const tg_value *v, int64_t *more) {
    while (v->def != NULL && v->def->code == TG_OP_ADD) {
        const tg_op *add = v->def;
        int side = add->operands[1].value->def != NULL &&
                           add->operands[1].value->def->code == TG_OP_CONST_INT
                       ? 1
                       : 0;
        const tg_op *c = add->operands[side].value->def;
        if (c == NULL || c->code != TG_OP_CONST_INT) {
            break;
        }
        *more += tg_attr_int(c, TG_ATTR_VALUE_I, 0);
        v = add->operands[1 - side].value;
    }
    return v;
}

static uint64_t field(int64_t bytes, int at) {
    return (uint64_t)(bytes / UNIT_BYTES & 0x3fff) << at;
}

/* A term of an index: its value and what multiplies it, in units of a descriptor's address. */
typedef struct term {
    const tg_value *v;
    int64_t units;
} term;

enum { MOST_TERMS = 8 };

/* Sums and products with constants taken apart; -1: the index is no sum of whole units. */
static int terms_of(const tg_value *v, int64_t bytes, term *out, int n) {
    const tg_op *op = v->def;
    int64_t c;
    if (n < 0 || n == MOST_TERMS) {
        return -1;
    }
    if (op != NULL && op->code == TG_OP_ADD) {
        n = terms_of(op->operands[0].value, bytes, out, n);
        return terms_of(op->operands[1].value, bytes, out, n);
    }
    if (tg_value_const_int(v, &c) && c * bytes % UNIT_BYTES == 0) {
        out[n] = (term){NULL, c * bytes / UNIT_BYTES};
        return n + 1;
    }
    for (int side = 0; op != NULL && op->code == TG_OP_MUL && side < 2; side++) {
        if (tg_value_const_int(op->operands[side].value, &c) && c * bytes % UNIT_BYTES == 0) {
            out[n] = (term){op->operands[1 - side].value, c * bytes / UNIT_BYTES};
            return n + 1;
        }
    }
    return -1;
}

static bool is_inside(const term *t, const tg_op *op) {
    return t->v != NULL && (t->v->def != NULL ? t->v->def->parent : t->v->region) == op->parent;
}

/* What is known outside of the loop first, so that it stays there: what a ring's position adds is
 * one operation then. */
static LLVMValueRef add_terms(tg_emitter *e, const tg_op *op, LLVMValueRef sum, const term *terms,
                              int n) {
    LLVMBuilderRef b = e->builder;
    for (int inside = 0; inside < 2; inside++) {
        for (int i = 0; i < n; i++) {
            if (is_inside(&terms[i], op) != (inside == 1)) {
                continue;
            }
            LLVMValueRef by = LLVMConstInt(i32_of(e), (uint64_t)terms[i].units, 0);
            LLVMValueRef v =
                terms[i].v == NULL ? by : LLVMBuildMul(b, tg_emit_get(e, terms[i].v), by, "");
            sum = LLVMBuildAdd(b, sum, v, "");
        }
    }
    return sum;
}

/* Low word of the descriptor of array[0]: its address and the leading dimension. Said in the entry
 * block where the array's place is a constant: loops find it made. */
static LLVMValueRef low_of(tg_emitter *e, LLVMValueRef array, LLVMValueRef more_bytes,
                           uint64_t leading) {
    LLVMBuilderRef b = e->builder;
    LLVMBasicBlockRef here = LLVMGetInsertBlock(b);
    bool fixed = LLVMIsConstant(array) && more_bytes == NULL && e->alloca_mark != NULL;
    if (fixed) {
        LLVMPositionBuilderBefore(b, e->alloca_mark);
    }
    /* in 32 bits: addresses of the address space have 64 */
    LLVMValueRef v = LLVMBuildPtrToInt(b, array, i32_of(e), "");
    v = more_bytes != NULL ? LLVMBuildAdd(b, v, more_bytes, "") : v;
    v = LLVMBuildAnd(b, v, LLVMConstInt(i32_of(e), ADDRESS_MASK, 0), "");
    v = LLVMBuildLShr(b, v, LLVMConstInt(i32_of(e), 4, 0), "");
    v = LLVMBuildOr(b, v, LLVMConstInt(i32_of(e), leading, 0), "");
    if (fixed) {
        LLVMPositionBuilderAtEnd(b, here);
    }
    return v;
}

/* Low word of array[index]; the memory of a block ends before the address's field does. */
static LLVMValueRef low_at(tg_emitter *e, const tg_op *op, int at, const tg_value *index,
                           uint64_t leading) {
    LLVMBuilderRef b = e->builder;
    int64_t bytes = tg_dtype_bits(op->operands[at].value->type->dtype) / 8;
    LLVMValueRef array = tg_emit_operand(e, op, at);
    term terms[MOST_TERMS];
    int n = terms_of(index, bytes, terms, 0);
    if (n >= 0) {
        return add_terms(e, op, low_of(e, array, NULL, leading), terms, n);
    }
    LLVMValueRef width = LLVMConstInt(i32_of(e), (uint64_t)bytes, 0);
    return low_of(e, array, LLVMBuildMul(b, tg_emit_get(e, index), width, ""), leading);
}

/* Descriptor of the matrix at array[base]; *out_more: what the text adds to it. */
static LLVMValueRef descriptor(tg_emitter *e, const tg_op *op, int at, const int64_t *how,
                               int64_t *out_more) {
    enum { LEADING = 16, STRIDE = 32, MODE = 62 };
    int64_t bytes = tg_dtype_bits(op->operands[at].value->type->dtype) / 8, more = 0;
    const tg_value *base = base_of(op->operands[at + 1].value, &more);
    if (more * bytes % UNIT_BYTES != 0) {
        base = op->operands[at + 1].value;
        more = 0;
    }
    *out_more = more * bytes / UNIT_BYTES;
    uint64_t leading = how[1] != 0 ? field(how[2] * bytes, LEADING) : UINT64_C(1) << LEADING;
    uint64_t mode = how[0] == 128 ? 1 : how[0] == 64 ? 2 : 3;
    uint64_t high = mode << MODE | field(GROUP_ROWS * how[0], STRIDE);
    LLVMValueRef low = low_at(e, op, at, base, leading);
    return LLVMBuildOr(e->builder, LLVMBuildZExt(e->builder, low, i64_of(e), ""),
                       LLVMConstInt(i64_of(e), high, 0), "");
}

/* ---- products -------------------------------------------------------------------------------- */

static void list_operands(piece *p, unsigned from, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        tg_sb_addf(&p->text, "%s$%u", i > 0 ? "," : "", from + i);
    }
}

static LLVMValueRef emit_gmma(tg_emitter *e, tg_op *op) {
    const tg_matrix_unit *u = tg_matrix_find(tg_attr_str(op, TG_ATTR_UNIT));
    const tg_type *t = op->results[0].type;
    const int64_t *how = tg_attr_get(op, TG_ATTR_STRIDES)->list;
    bool registers = op->operands[0].value->type->kind == TG_TY_VEC;
    int b = registers ? 1 : 2;
    bool adds = op->n_operands > b + 2;
    unsigned n = (unsigned)t->shape[0], a_at, b_at;
    int64_t more_a = 0, more_b = 0;
    if (texts[u->id].types == NULL) {
        tg_emit_refuse(e, op, "no instruction does it");
        return NULL;
    }
    piece p;
    piece_init(e, &p, tg_emit_dtype(e, t->dtype), n);
    if (adds) {
        add_tied(e, &p, tg_emit_operand(e, op, op->n_operands - 1));
    }
    if (registers) {
        LLVMTypeRef words = LLVMVectorType(i32_of(e), 4);
        LLVMValueRef v = LLVMBuildBitCast(e->builder, tg_emit_operand(e, op, 0), words, "");
        a_at = p.n_out + p.n_args;
        for (unsigned i = 0; i < 4; i++) {
            (void)add_input(
                &p, "r", LLVMBuildExtractElement(e->builder, v, LLVMConstInt(i32_of(e), i, 0), ""));
        }
    } else {
        a_at = add_input(&p, "l", descriptor(e, op, 0, how, &more_a));
    }
    b_at = add_input(&p, "l", descriptor(e, op, b, how + 3, &more_b));
    tg_sb_addf(&p.text, "{ .reg .pred p; .reg .b64 xa, xb; ");
    if (!registers) {
        tg_sb_addf(&p.text, "add.s64 xa, $%u, %lld; ", a_at, (long long)more_a);
    }
    tg_sb_addf(&p.text, "add.s64 xb, $%u, %lld; setp.ne.b32 p, %d, 0; ", b_at, (long long)more_b,
               adds ? 1 : 0);
    tg_sb_addf(&p.text, "wgmma.mma_async.sync.aligned.m64n%uk%d.%s {", n * 2, u->k,
               texts[u->id].types);
    list_operands(&p, 0, n);
    tg_sb_addf(&p.text, "}, ");
    if (registers) {
        tg_sb_addf(&p.text, "{");
        list_operands(&p, a_at, 4);
        tg_sb_addf(&p.text, "}");
    } else {
        tg_sb_addf(&p.text, "xa");
    }
    tg_sb_addf(&p.text, ", xb, p%s", texts[u->id].whole ? "" : ", 1, 1");
    if (texts[u->id].turns && !registers) {
        tg_sb_addf(&p.text, ", %d", (int)how[1]);
    }
    if (texts[u->id].turns) {
        tg_sb_addf(&p.text, ", %d", (int)how[4]);
    }
    tg_sb_addf(&p.text, "; }");
    return outputs(e, call_of(e, &p), 0, t);
}

static void emit_gwait(tg_emitter *e, tg_op *op) {
    unsigned n = 0, at = 0;
    for (int i = 0; i < op->n_results; i++) {
        n += (unsigned)op->results[i].type->shape[0];
    }
    piece p;
    bool some = op->n_results > 0;
    piece_init(e, &p, some ? tg_emit_dtype(e, op->results[0].type->dtype) : i32_of(e), n);
    for (int i = 0; i < op->n_results; i++) {
        add_tied(e, &p, tg_emit_operand(e, op, i));
    }
    tg_sb_addf(&p.text, "wgmma.wait_group.sync.aligned %d;", (int)tg_attr_int(op, TG_ATTR_N, 0));
    LLVMValueRef got = call_of(e, &p);
    for (int i = 0; i < op->n_results; i++) {
        tg_emit_set(e, &op->results[i], outputs(e, got, at, op->results[i].type));
        at += (unsigned)op->results[i].type->shape[0];
    }
}

bool tg_emit_products(tg_emitter *e, tg_op *op, LLVMValueRef *out) {
    switch ((int)op->code) {
    case TG_OP_PFENCE:
        bare(e, "fence.proxy.async.shared::cta;");
        return true;
    case TG_OP_GFENCE:
        bare(e, "wgmma.fence.sync.aligned;");
        return true;
    case TG_OP_GCOMMIT:
        bare(e, "wgmma.commit_group.sync.aligned;");
        return true;
    case TG_OP_GMMA:
        *out = emit_gmma(e, op);
        return true;
    case TG_OP_GWAIT:
        emit_gwait(e, op);
        *out = op->n_results == 1 ? tg_emit_get(e, &op->results[0]) : NULL;
        return true;
    }
    return false;
}
