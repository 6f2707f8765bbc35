/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inside of placement: the state of one placement and its passes.
 *
 *   tile func ─ clone ─▶ placed func without layouts
 *             ─ branch ─▶ costly sides of selects by one condition are computed where wanted
 *             ─ chunk ─▶ contractions that shared memory holds a piece at a time
 *             ─ split ─▶ the program of one of several replicas, where roles are split
 *             ─ whole ─▶ blocks of which nothing is masked are computed without masks
 *             ─ units ─▶ products that the machine's matrix units do
 *             ─ stage ─▶ what moves between lanes goes through buffers
 *             ─ layout ─▶ every tile has holders, conversions are explicit
 *             ─ registers ─▶ operands that lanes hold as their unit wants them stay there
 *             ─ roles ─▶ copies and products in programs of their own, where the machine has units
 *             ─ bulk ─▶ copies that the machine does as boxes of tensors
 *             ─ prefetch ─▶ blocks of a loop fetched while those before are used, elsewhere
 *             ─ capacity ─▶ bytes of the buffers
 *             ─ swizzle ─▶ operands of units that read shared memory lie as those want them
 *             ─ banks ─▶ rows of buffers apart so that lanes do not meet in banks
 *             ─ sync ─▶ barriers
 *
 * All passes work on the one function. Side tables are indexed by value id.
 */
#ifndef TG_PLACE_H
#define TG_PLACE_H

#include "backends/backend.h"
#include "ir/build.h"
#include "ir/layout.h"

typedef struct tg_placer {
    tg_func *f;
    tg_module *m;
    const tg_machine *machine;
    tg_arena *arena; /* the module's: nothing is given back */
    tg_sink *sink;
    int64_t lanes;        /* of one replica */
    int64_t shared_bytes; /* budget of the program */
    bool roles;           /* copies and the rest are to be programs of their own */
    int64_t replicas;     /* copies of the role that computes, 1 usually */
    int64_t split_axis;   /* of its product (of what it stores), where replicas > 1 */
    tg_value *replica;    /* the copy's number: last argument of the body until roles; NULL */
} tg_placer;

/* A placement pass; TG_OK or a reported diagnostic. */
typedef struct tg_place_pass {
    const char *name;
    tg_status (*run)(tg_placer *p);
} tg_place_pass;
/* In order; tests run prefixes of it. */
extern const tg_place_pass tg_place_pipeline[];
extern const size_t tg_place_pipeline_count;

/* clone.c: an empty placed function in `out` gets everything of the tile function; `print` and
 * `assume` stay behind. */
tg_func *tg_place_clone(tg_func *tile, tg_module *out);

/* place.c: runs the first n passes (all: tg_place_pipeline_count). */
tg_status tg_place_prefix(tg_func *kernel, const tg_machine *machine, size_t n, tg_module *out,
                          tg_sink *sink) TG_MUST_USE;

/* split.c: how many replicas share the kernel's tile on the machine; a remark where a schedule asks
 * for more than one and there is no axis to split. Works in a module of its own. */
int64_t tg_place_replicas(tg_func *kernel, const tg_machine *machine, tg_module *out,
                          tg_sink *sink);
/* roles.c: the machine has a copy unit, and the schedule asks for roles, or the machine does and
 * the schedule does not say otherwise; of a tile function. */
bool tg_place_wants_roles(const tg_func *f, const tg_machine *machine);
/* roles_rows.c: the operand that gives the rows of a product's first operand by a span that ends
 * before its tensor does, where nobody sees the product's other rows; 0: there is none. */
int tg_place_hidden_rows(const tg_op *copy, const tg_op *reader, const tg_op *loop);

tg_status tg_place_branch(tg_placer *p);
tg_status tg_place_chunk(tg_placer *p);
tg_status tg_place_split(tg_placer *p);
tg_status tg_place_whole(tg_placer *p);
tg_status tg_place_units(tg_placer *p);
tg_status tg_place_operands(tg_placer *p);
tg_status tg_place_stage(tg_placer *p);
tg_status tg_place_layout(tg_placer *p);
tg_status tg_place_registers(tg_placer *p);
tg_status tg_place_roles(tg_placer *p);
tg_status tg_place_bulk(tg_placer *p);
tg_status tg_place_prefetch(tg_placer *p);
tg_status tg_place_capacity(tg_placer *p);
tg_status tg_place_swizzle(tg_placer *p);
tg_status tg_place_banks(tg_placer *p);
tg_status tg_place_sync(tg_placer *p);

/* ---- schedules (place.c) -------------------------------------------------------------------- */

/* Value of a schedule's key, or NULL; as a number, `otherwise` when absent or not one. Placement
 * reads `warps` (32 lanes each), `vector` (elements of a row that a lane takes together), `stages`
 * (copies of a block that a loop fetches), `roles` and `replicas` (roles that split the tile). */
const char *tg_place_schedule(const tg_func *f, const char *key);
int64_t tg_place_schedule_int(const tg_func *f, const char *key, int64_t otherwise);

/* ---- matrix units (matrix.c) ----------------------------------------------------------------- */

/* Would a unit take the product's elements as they are, were it plain: out of shared memory by
 * itself, or operand a from the lanes' registers? */
bool tg_place_wants_plain(const tg_placer *p, const tg_op *dot);
/* Each sub-group has whole rows of the products on units whose rows are reduced, twice the lanes
 * would share rows, and the accumulators leave room for the rest; before layouts are chosen. */
bool tg_place_rows_whole(const tg_placer *p);
/* A remark for each product: its unit, or why it has none. */
void tg_place_tell_units(const tg_placer *p);
/* Layout of the accumulator of a product with a unit; *out_warps: its groups of lanes along M.
 * `like`: those of another accumulator with the same rows, 0: there is none. */
const tg_layout *tg_place_fragments(tg_placer *p, const tg_op *dot, int64_t like,
                                    int64_t *out_warps);

/* ---- buffers (buffer.c) --------------------------------------------------------------------- */

/* A new buffer of the program, made at the top of the body. */
tg_value *tg_place_buffer(tg_placer *p, tg_dtype t, int rank, const int64_t *shape, tg_span span);
/* window(buf) with the view's axes and offsets per base axis (NULL: zeros); built at b. */
tg_value *tg_place_window(tg_builder *b, tg_value *buf, int rank, const int64_t *shape,
                          const int64_t *axes, const int64_t *offsets);
/* window(buf) as another row-major shape. */
tg_value *tg_place_window_reshape(tg_builder *b, tg_value *buf, int rank, const int64_t *shape);
/* capacity.c: bytes of shared memory that the buffers as they are would need. */
int64_t tg_place_shared_need(tg_placer *p);
/* The buffer op below windows. */
tg_op *tg_place_buffer_of(tg_value *buf);
/* A copy that bulk.c marked. */
bool tg_place_is_bulk(const tg_op *copy);
/* Bytes that the buffer's offset is a multiple of. */
int64_t tg_place_buffer_align(const tg_type *t);
/* Bytes of one element and of all copies. */
int64_t tg_place_elem_bytes(tg_dtype t);
int64_t tg_place_buffer_bytes(const tg_type *t);
tg_op *tg_place_put(tg_builder *b, tg_value *buf, tg_value *x);
tg_value *tg_place_get(tg_builder *b, tg_value *buf, const tg_type *type);

/* How an op uses the buffer in operand i: bits. */
typedef enum tg_place_use { TG_USE_NONE = 0, TG_USE_READ = 1, TG_USE_WRITE = 2 } tg_place_use;
unsigned tg_place_buffer_use(const tg_op *op, int i);

/* Builder right behind the definition of v (start of its region for an argument). */
tg_builder tg_place_after(tg_value *v);

#endif
