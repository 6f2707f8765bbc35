/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and events (roles.c). */
#ifndef TG_LOWER_SIMT_ROLES_H
#define TG_LOWER_SIMT_ROLES_H

#include "backends/lower/simt/simt.h"

/* Bytes of shared memory for the events, at a multiple of 8. */
int64_t ts_roles_bytes(const tg_func *f);
/* Before everything else of the body; they lie at `offset`. */
void ts_emit_events(tg_simt *S, int64_t offset);
void ts_emit_await(tg_simt *S, tg_op *op);
void ts_emit_signal(tg_simt *S, tg_op *op);
void ts_emit_role(tg_simt *S, tg_op *role);
/* The event whose signal brings the copy, where it is one of boxes; NULL: none. */
struct ts_event *ts_role_bulk_event(const tg_simt *S, const tg_op *copy);
/* Does the role drive the copy unit and nothing else? */
bool ts_role_copies(const tg_op *role);

#endif
