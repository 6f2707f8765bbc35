/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Going around what drivers do against the rules (backends/quirks.def): the last pass over the loop
 * functions of a SIMT machine that has quirks. What a driver gets wrong is written out in what it
 * gets right, 64-bit integers mostly, so that the bits are those of a device without the quirk.
 *
 *   quirks.c     which operations, and the refusals
 *   soft32.c     f32 sums, products, fma, quotients and roots in integers
 *   convert32.c  conversions, rounding, comparisons of f32 in integers
 *   narrow.c     stores of 8 and 16 bits through their word
 */
#ifndef TG_LOWER_QUIRKS_H
#define TG_LOWER_QUIRKS_H

#include "backends/machine.h"
#include "ir/build.h"

/* In place. TG_E_UNSUPPORTED with a diagnostic that names the quirk where there is no way around.
 */
tg_status tg_go_around(tg_module *loop, const tg_machine *mc, tg_sink *sink) TG_MUST_USE;

#endif
