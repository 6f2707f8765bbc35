/* SPDX-License-Identifier: Apache-2.0 */
/* Questions and edits that several passes share. */
#ifndef TG_PASS_UTIL_H
#define TG_PASS_UTIL_H

#include "ir/build.h"
#include "ir/passes.h"

/* Removing the op changes nothing but its results: no write, no trap, in it or its regions. */
bool tg_op_is_removable(const tg_op *op);
/* Same operands give the same results wherever the op stands: pure, or a load of stable memory. */
bool tg_op_is_repeatable(const tg_op *op);
/* A load of memory that no program of this kernel writes (by declaration and by its ops). */
bool tg_load_is_stable(const tg_op *load);
/* The parameter a tensor value is a view of, or -1. */
int tg_tensor_param(const tg_value *tensor);

/* Does `r` enclose (or equal) the place where v is defined? */
bool tg_value_inside(const tg_value *v, const tg_region *r);

/* Removes the last operand, which announced itself by the attribute `masked`. */
void tg_drop_mask(tg_op *op);
/* Moves the ops of r (not its yield) in front of `at`. */
void tg_region_splice(tg_region *r, tg_op *at);
/* The yield of r, or NULL when it has none. */
tg_op *tg_region_yield(const tg_region *r);

/* The dimension expression that an i64 scalar computes from sym, dim and constants; else NULL. */
const tg_dim *tg_value_dim(const tg_value *v);

/* A remark, when the context asks for them. */
void tg_remark(tg_pass_context *ctx, tg_diag_id id, tg_span span, const char *text);

#endif
