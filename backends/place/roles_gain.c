/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which functions are split into roles: those whose schedule names `copy`, those of machines that
 * have replicas, and by themselves loops that do nothing but add one product of blocks, scaled or
 * as it is. Looks at functions as they are before placement.
 */
#include "backends/place/place.h"

#include <string.h>

/* Loads of blocks and of what they are scaled by: by spans and scalars, without a mask. */
static bool is_plain_load(const tg_op *load) {
    for (int i = 0; i < load->n_operands; i++) {
        const tg_type *t = load->operands[i].value->type;
        if (t->kind == TG_TY_TILE && t->rank > 0) {
            return false;
        }
    }
    return true;
}

/* What may stand beside a product: renaming, elementwise work, loads. */
static bool goes_along(const tg_op *op) {
    const tg_type *t = op->n_results == 1 ? op->results[0].type : NULL;
    bool tile = t != NULL && t->kind == TG_TY_TILE && t->rank > 0;
    if (op->n_regions > 0 || op->code == TG_OP_STORE || op->code == TG_OP_ATOMIC) {
        return false;
    }
    return !tile || (op->code == TG_OP_LOAD && is_plain_load(op)) || op->code == TG_OP_PERMUTE ||
           op->code == TG_OP_SPAN_MASK || op->code == TG_OP_BROADCAST ||
           op->code == TG_OP_RESHAPE || op->code == TG_OP_CONST_FLOAT ||
           (tg_op_info_get(op->code)->flags & TG_OPF_ELEMENTWISE) != 0;
}

static bool is_block(const tg_value *v) {
    while (v->def != NULL && v->def->code == TG_OP_PERMUTE) {
        v = v->def->operands[0].value;
    }
    return v->def != NULL && v->def->code == TG_OP_LOAD;
}

/* The loop does nothing but add one product of blocks as tensors have them, scaled or as it is, to
 * what it carries. */
static bool only_multiplies(const tg_op *loop) {
    const tg_op *dot = NULL;
    for (const tg_op *op = loop->regions[0]->first; op != NULL; op = op->next) {
        if (op->code == TG_OP_DOT && dot == NULL) {
            dot = op;
        } else if (!goes_along(op)) {
            return false;
        }
    }
    return dot != NULL && loop->n_results == 1 && is_block(dot->operands[0].value) &&
           is_block(dot->operands[1].value);
}

/* Two groups of lanes that multiply have 64 rows each, and the unit takes them from shared memory.
 */
static bool is_for_groups(const tg_op *dot) {
    enum { ROWS = 128, COLUMNS = 64 };
    const tg_type *t = dot->results[0].type, *a = dot->operands[0].value->type;
    return t->rank == 2 && t->shape[0] % ROWS == 0 && t->shape[1] >= COLUMNS &&
           t->dtype == TG_DT_F32 && tg_dtype_bits(a->dtype) <= 16;
}

/*
 * A machine whose lanes give registers to others (sm_90a) splits what gains by it: contractions
 * fed by copies alone. The loop of the lanes that multiply has neither barriers nor addresses of
 * copies then. Where a loop does more than multiply, the model of the simulator saw no gain.
 */
static bool gains_by_roles(const tg_region *r) {
    bool gains = false;
    for (const tg_op *op = r->first; op != NULL; op = op->next) {
        bool loop = op->code == TG_OP_FOR;
        for (int i = 0; i < op->n_regions; i++) {
            gains |= gains_by_roles(op->regions[i]);
        }
        for (const tg_op *o = loop ? op->regions[0]->first : NULL; o != NULL; o = o->next) {
            if (o->code == TG_OP_DOT && !(is_for_groups(o) && only_multiplies(op))) {
                return false;
            }
            gains |= o->code == TG_OP_DOT;
        }
    }
    return gains;
}

static bool by_itself(const tg_func *f, const tg_machine *machine) {
    return (machine->simt & TG_SIMT_SETREGS) != 0 && machine->replicas == 0 &&
           machine->matrix != 0 && gains_by_roles(f->body);
}

bool tg_place_wants_roles(const tg_func *f, const tg_machine *machine) {
    const char *roles = tg_place_schedule(f, "roles");
    bool wants = roles != NULL ? strstr(roles, "copy") != NULL
                               : machine->replicas > 0 || by_itself(f, machine);
    return wants && (machine->units & TG_UNIT_COPY) != 0;
}
