/* SPDX-License-Identifier: Apache-2.0 */
/* Control flow: control.c. */
#ifndef TG_LOWER_SIMT_CONTROL_H
#define TG_LOWER_SIMT_CONTROL_H

#include "backends/lower/simt/simt.h"

void ts_emit_for(tg_simt *S, tg_op *op);
void ts_emit_if(tg_simt *S, tg_op *op);
void ts_emit_while(tg_simt *S, tg_op *op);

#endif
