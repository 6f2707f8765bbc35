/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the operations of SIMT functions at the loop level. */
#include "ir/verify.h"

bool tg_verify_ARRAY(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_ALOAD(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_ASTORE(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_AATOMIC(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_BARRIER(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_SHFL(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_BALLOT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}
