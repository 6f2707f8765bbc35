/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Defects of roles with replicas: parts that are not shared out, events that count too few or too
 * many of the replicas, memory that is each replica's own and is not. See mutate.h.
 */
#include "tests/check/mutate.h"

#include "ir/build.h"

static bool is_replicated(const tg_op *op) {
    return op->code == TG_OP_ROLE && tg_attr_int(op, TG_ATTR_REPLICAS, 1) > 1;
}

/* The replicated role around an operation; NULL: none. */
static const tg_op *role_of(const tg_op *op) {
    while (op != NULL && op->code != TG_OP_ROLE) {
        op = op->parent->parent;
    }
    return op != NULL && is_replicated(op) ? op : NULL;
}

static const tg_value *number_of(const tg_op *op) {
    const tg_op *role = role_of(op);
    return role != NULL ? role->regions[0]->args[0] : NULL;
}

/* The operand of op that is the replica's number; -1: none. */
static int number_at(const tg_op *op) {
    const tg_value *number = number_of(op);
    for (int i = 0; number != NULL && i < op->n_operands; i++) {
        if (tg_operand(op, i) == number) {
            return i;
        }
    }
    return -1;
}

/* The role with replicas, wherever the operation is. */
static const tg_op *replicas_of(const tg_op *op) {
    for (const tg_op *o = op->func->body->first; o != NULL; o = o->next) {
        if (is_replicated(o)) {
            return o;
        }
    }
    return NULL;
}

static bool feeds(const tg_value *v, tg_opcode code, int depth) {
    for (const tg_use *u = v->uses; u != NULL && depth > 0; u = u->next) {
        if (u->user->code == code || (u->user->n_results == 1 && u->user->n_regions == 0 &&
                                      feeds(&u->user->results[0], code, depth - 1))) {
            return true;
        }
    }
    return false;
}

/* ---- which operations ----------------------------------------------------------------------- */

static bool awaits_all(const tg_op *op) {
    return op->code == TG_OP_AWAIT && tg_attr_int(op, TG_ATTR_N_COUNT, 1) > 1;
}
static bool starts_for_all(const tg_op *op) {
    return op->code == TG_OP_EVENT && tg_attr_int(op, TG_ATTR_N_COUNT, 0) > 1;
}
/* What begins a replica's part: its number times the part, for a store. */
static bool begins_part(const tg_op *op) {
    return op->code == TG_OP_MUL && number_at(op) >= 0 && feeds(&op->results[0], TG_OP_STORE, 4) &&
           !feeds(&op->results[0], TG_OP_LOAD, 4);
}
/* The number of a replica's semaphore: slot * replicas + number. */
static bool numbers_semaphore(const tg_op *op) {
    return op->code == TG_OP_ADD && number_at(op) >= 0 && feeds(&op->results[0], TG_OP_AWAIT, 1);
}
/* A signal of the role that copies: to one replica. */
static bool tells_one(const tg_op *op) {
    return op->code == TG_OP_SIGNAL && op->n_operands > 2 && replicas_of(op) != NULL;
}
/* A signal of a replica that the role that copies counts. */
static bool tells_copier(const tg_op *op) {
    return op->code == TG_OP_SIGNAL && number_of(op) != NULL &&
           starts_for_all(tg_operand(op, 0)->def);
}
static bool copies_part(const tg_op *op) {
    const tg_op *role = op->code == TG_OP_COPY ? replicas_of(op) : NULL;
    if (role == NULL || role_of(op) != NULL || tg_attr_int(op, TG_ATTR_RING, 0) == 0) {
        return false;
    }
    for (const tg_use *u = tg_operand(op, 0)->uses; u != NULL; u = u->next) {
        if (u->user != op && u->user->code == TG_OP_COPY) {
            return true; /* one for each replica */
        }
    }
    return false;
}
/* A buffer whose copies are the replicas', seen through a window by number. */
static bool shows_own(const tg_op *op) {
    return op->code == TG_OP_WINDOW && tg_attr_int(op, TG_ATTR_RING, 0) != 0 && number_at(op) == 1;
}
static bool is_ring_of_parts(const tg_op *op) {
    const tg_op *role = op->code == TG_OP_BUFFER ? replicas_of(op) : NULL;
    if (role == NULL) {
        return false;
    }
    int copies = 0;
    for (const tg_use *u = op->results[0].uses; u != NULL; u = u->next) {
        copies += u->user->code == TG_OP_COPY;
    }
    return copies > 1;
}
static bool meets_own(const tg_op *op) { return op->code == TG_OP_BARRIER && role_of(op) != NULL; }
static bool is_store(const tg_op *op) { return op->code == TG_OP_STORE && role_of(op) != NULL; }
static bool is_loop_with_await(const tg_op *op) {
    if (op->code != TG_OP_FOR || role_of(op) == NULL) {
        return false;
    }
    for (const tg_op *o = op->regions[0]->first; o != NULL; o = o->next) {
        if (o->code == TG_OP_AWAIT) {
            return true;
        }
    }
    return false;
}

/* ---- counts --------------------------------------------------------------------------------- */

static bool add_to(tg_func *f, op_test *test, uint64_t pick, tg_attr_key key, int64_t by) {
    tg_op *op = pick_op(f, test, pick);
    if (op == NULL) {
        return false;
    }
    tg_op_set_int(op, key, tg_attr_int(op, key, 1) + by);
    return true;
}

static bool awaits_one_less(tg_func *f, uint64_t pick) {
    return add_to(f, awaits_all, pick, TG_ATTR_N_COUNT, -1);
}
static bool awaits_one_more(tg_func *f, uint64_t pick) {
    return add_to(f, awaits_all, pick, TG_ATTR_N_COUNT, 1);
}
static bool starts_for_less(tg_func *f, uint64_t pick) {
    return add_to(f, starts_for_all, pick, TG_ATTR_N_COUNT, -1);
}
static bool one_more_replica(tg_func *f, uint64_t pick) {
    return add_to(f, is_replicated, pick, TG_ATTR_REPLICAS, 1);
}
static bool one_replica_less(tg_func *f, uint64_t pick) {
    return add_to(f, is_replicated, pick, TG_ATTR_REPLICAS, -1);
}

/* The function has lanes for one replica less. */
static bool lanes_for_less(tg_func *f, uint64_t pick) {
    const tg_op *role = pick_op(f, is_replicated, pick);
    if (role == NULL) {
        return false;
    }
    f->lanes -= tg_attr_int(role, TG_ATTR_N, 0);
    return true;
}

/* ---- numbers -------------------------------------------------------------------------------- */

/* All replicas take themselves for number 0. */
static bool all_are_first(tg_func *f, op_test *test, uint64_t pick) {
    tg_op *op = pick_op(f, test, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_set_operand(op, number_at(op), tg_build_index(&b, 0));
    return true;
}

static bool one_part(tg_func *f, uint64_t pick) { return all_are_first(f, begins_part, pick); }
static bool one_semaphore(tg_func *f, uint64_t pick) {
    return all_are_first(f, numbers_semaphore, pick);
}
static bool one_buffer(tg_func *f, uint64_t pick) { return all_are_first(f, shows_own, pick); }

/* Parts overlap by one element. */
static bool parts_overlap(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, begins_part, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 1 - number_at(op), TG_OP_SUB, 1);
    return true;
}

static bool part_in_wrong_copy(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, copies_part, pick);
    if (op == NULL) {
        return false;
    }
    nudge_operand(op, 1, TG_OP_ADD, 1);
    return true;
}

static bool half_a_ring(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_ring_of_parts, pick);
    if (op == NULL) {
        return false;
    }
    tg_value *buf = &op->results[0];
    const tg_type *t = buf->type;
    buf->type = tg_type_buffer(f->module, t->space, t->dtype, t->rank, t->shape,
                               tg_max_i64(1, t->depth / 2), t->layout);
    return true;
}

/* ---- who does what -------------------------------------------------------------------------- */

static bool tells_one_less(tg_func *f, uint64_t pick) { return erase_op(f, tells_one, pick); }

/* op only where the replica's number is `which`. */
static bool only_for(tg_op *op, int64_t which) {
    tg_builder b = tg_builder_before(op);
    tg_value *number = role_of(op)->regions[0]->args[0];
    tg_value *cond = tg_build_cmp(&b, TG_CMP_EQ, number, tg_build_index(&b, which));
    tg_op *branch = tg_build_if(&b, cond, 0, NULL);
    tg_op_unlink(op);
    tg_op_append(b.region, op);
    tg_build_else(&b, branch, 0, NULL);
    tg_build_end_if(&b, branch, 0, NULL);
    return true;
}

static bool first_tells(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, tells_copier, pick);
    return op != NULL && only_for(op, 0);
}
static bool last_stores(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_store, pick);
    return op != NULL && only_for(op, tg_attr_int(role_of(op), TG_ATTR_REPLICAS, 1) - 1);
}

/* A barrier of all replicas at once. */
static bool barrier_of_all(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, meets_own, pick);
    if (op == NULL) {
        return false;
    }
    const tg_op *role = role_of(op);
    tg_op_set_int(op, TG_ATTR_N,
                  tg_attr_int(role, TG_ATTR_N, 1) * tg_attr_int(role, TG_ATTR_REPLICAS, 1));
    return true;
}

/* Replica number r does r trips less. */
static bool leaves_early(tg_func *f, uint64_t pick) {
    tg_op *op = pick_op(f, is_loop_with_await, pick);
    if (op == NULL) {
        return false;
    }
    tg_builder b = tg_builder_before(op);
    tg_value *less =
        tg_build_binary(&b, TG_OP_MUL, role_of(op)->regions[0]->args[0], tg_operand(op, 2));
    tg_set_operand(op, 1, tg_build_binary(&b, TG_OP_SUB, tg_operand(op, 1), less));
    return true;
}

const mutation replica_mutations[] = {
    {"a slot is free when one replica is done", awaits_one_less},
    {"a slot waits for a replica too many", awaits_one_more},
    {"slots start as if a replica less used them", starts_for_less},
    {"one replica too many", one_more_replica},
    {"one replica too few", one_replica_less},
    {"lanes for one replica less", lanes_for_less},
    {"all replicas store the first part", one_part},
    {"parts that overlap", parts_overlap},
    {"replicas share a full semaphore", one_semaphore},
    {"replicas share a buffer of their own", one_buffer},
    {"a part in another replica's copy", part_in_wrong_copy},
    {"a ring for half the replicas", half_a_ring},
    {"one replica is not told", tells_one_less},
    {"one replica alone frees a slot", first_tells},
    {"one replica alone stores", last_stores},
    {"a barrier of all replicas", barrier_of_all},
    {"replicas that leave early", leaves_early},
};
const int n_replica_mutations = (int)TG_COUNT_OF(replica_mutations);
