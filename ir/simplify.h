/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The folding half of the builders, for passes: the value an operation may be replaced by, or NULL.
 * New constants are built at b; nothing else is.
 */
#ifndef TG_SIMPLIFY_H
#define TG_SIMPLIFY_H

#include "ir/build.h"

tg_value *tg_simplify_binary(tg_builder *b, tg_opcode code, tg_value *x, tg_value *y);
tg_value *tg_simplify_unary(tg_builder *b, tg_opcode code, tg_value *x);
tg_value *tg_simplify_cmp(tg_builder *b, tg_cmp_pred p, tg_value *x, tg_value *y);
tg_value *tg_simplify_select(tg_value *c, tg_value *x, tg_value *y);
tg_value *tg_simplify_cast(tg_builder *b, tg_value *x, const tg_type *type, tg_round round,
                           bool sat);

#endif
