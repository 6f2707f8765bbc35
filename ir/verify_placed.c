/* SPDX-License-Identifier: Apache-2.0 */
/* Verifier rules of the placed level's own operations and of buffer types. */
#include "ir/layout.h"
#include "ir/verify.h"

bool tg_verify_buffer_type(tg_verifier *v, const tg_type *t) {
    TG_CHECK(v->f->level != TG_LEVEL_TILE, "buffers do not exist at the tile level");
    TG_CHECK(t->dtype > TG_DT_NONE && t->dtype < TG_DT_RECORD && t->depth >= 1, "%s: bad buffer",
             tg_verify_type(v, t));
    for (int i = 0; i < t->rank; i++) {
        TG_CHECK(t->shape[i] >= 1, "%s: extents start at 1", tg_verify_type(v, t));
    }
    return true;
}

bool tg_verify_BUFFER(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_CONVERT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_PUT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_GET(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_GET_AT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_COPY(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_WAIT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_EVENT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_SIGNAL(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_AWAIT(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_ROLE(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}

bool tg_verify_TEAM(tg_verifier *v, const tg_op *op) {
    (void)v;
    (void)op;
    return true;
}
