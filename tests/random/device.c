/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Runs a generated kernel on any device of the runtime, by name: the kernel's text goes through the
 * whole compiler for that device and the result is launched. A device that shares the host's memory
 * works on the guarded tensors themselves; for the others each tensor is copied into a buffer
 * between two stretches of a pattern, which must still be there afterwards.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <tegula/compiler.h>

#include "tests/random/run.h"

enum { GUARD_BYTES = 256, GUARD = 0xC5 };

/* What devices with lanes refuse: programs of a packed store that may meet in a byte. */
#define LIMIT "a packed tensor whose bytes may be shared by programs"

typedef struct session {
    tgr_context *context;
    tgr_device *device;
    tgr_queue *queue;
    tgr_module *module;
    tgr_buffer *buffers[GEN_MAX_PARAMS];
    char *copies[GEN_MAX_PARAMS]; /* guard, tensor, guard */
    bool host;
    tg_arena *arena;
} session;

static const char *failure(const session *s, const char *what, tgr_status st) {
    char text[512] = "";
    if (s->context != NULL) {
        (void)tgr_context_message(s->context, text, sizeof text);
    }
    return tg_arena_printf(s->arena, "%s: %s", what,
                           text[0] != '\0' ? text : tgr_status_sentence(st));
}

static void close_session(session *s) {
    for (int p = 0; p < GEN_MAX_PARAMS; p++) {
        if (s->buffers[p] != NULL) {
            tgr_buffer_release(s->buffers[p]);
        }
        free(s->copies[p]);
    }
    if (s->module != NULL) {
        tgr_module_release(s->module);
    }
    if (s->queue != NULL) {
        tgr_queue_release(s->queue);
    }
    if (s->device != NULL) {
        tgr_device_release(s->device);
    }
    if (s->context != NULL) {
        tgr_context_release(s->context);
    }
}

static const char *open_device(session *s, const char *name) {
    tgr_device_options options = TGR_INIT(tgr_device_options);
    options.n_threads = 2;
    tgr_status st = tgr_context_create(NULL, &s->context);
    st = st == TGR_OK ? tgr_device_open(s->context, name, &options, &s->device) : st;
    st = st == TGR_OK ? tgr_queue_create(s->device, 0, &s->queue) : st;
    if (st != TGR_OK) {
        return failure(s, name, st);
    }
    s->host = strncmp(name, "cpu", 3) == 0;
    return NULL;
}

static const char *compile(session *s, const gen_case *c) {
    tg_sb sb;
    tg_sb_init(&sb, s->arena);
    tg_module_print(&sb, c->module);
    tgc_options o = TGR_INIT(tgc_options);
    o.source = sb.data;
    o.source_bytes = sb.len;
    o.from_ir = 1;
    char *diagnostics = NULL;
    tgr_status st = tgr_module_from_source(s->device, &o, NULL, NULL, &s->module, &diagnostics);
    const char *wrong = NULL;
    if (diagnostics != NULL && strstr(diagnostics, LIMIT) != NULL) {
        wrong = tg_arena_printf(s->arena, RUN_REFUSED "%s", diagnostics);
    } else if (st != TGR_OK) {
        wrong = diagnostics != NULL ? tg_arena_printf(s->arena, "compiling: %s", diagnostics)
                                    : failure(s, "compiling", st);
    }
    tgc_text_free(&o, diagnostics);
    return wrong;
}

/* The tensor on the device; what it holds there is copied on the queue. */
static const char *upload(session *s, int p, const case_tensor *t, tgr_arg *arg) {
    size_t n = t->bytes + 2 * GUARD_BYTES;
    s->copies[p] = malloc(n);
    if (s->copies[p] == NULL) {
        return "out of memory";
    }
    memset(s->copies[p], GUARD, n);
    memcpy(s->copies[p] + GUARD_BYTES, t->base, t->bytes);
    tgr_status st = tgr_buffer_create(s->device, n, 0, &s->buffers[p]);
    st = st == TGR_OK ? tgr_buffer_write(s->queue, s->buffers[p], 0, s->copies[p], n) : st;
    arg->data = NULL;
    arg->buffer = s->buffers[p];
    arg->offset_bytes = GUARD_BYTES;
    return st == TGR_OK ? NULL : failure(s, "upload", st);
}

static const char *download(session *s, int p, const case_tensor *t) {
    size_t n = t->bytes + 2 * GUARD_BYTES;
    tgr_status st = tgr_buffer_read(s->queue, s->buffers[p], 0, s->copies[p], n);
    st = st == TGR_OK ? tgr_queue_wait(s->queue) : st;
    if (st != TGR_OK) {
        return failure(s, "download", st);
    }
    for (size_t i = 0; i < GUARD_BYTES; i++) {
        if ((unsigned char)s->copies[p][i] != GUARD ||
            (unsigned char)s->copies[p][n - 1 - i] != GUARD) {
            return tg_arena_printf(s->arena, "bytes beside parameter %d were written", p);
        }
    }
    memcpy(t->base, s->copies[p] + GUARD_BYTES, t->bytes);
    return NULL;
}

static const char *launch(session *s, const gen_case *c, const case_memory *m) {
    tgr_arg args[GEN_MAX_PARAMS];
    tgr_dim_value dims[GEN_MAX_SYMS];
    tgr_launch_options options = TGR_INIT(tgr_launch_options);
    const char *wrong = NULL;
    for (int p = 0; p < m->n && wrong == NULL; p++) {
        const case_tensor *t = &m->tensors[p];
        const tg_type *type = c->func->params[p].type;
        args[p] = t->map == NULL
                      ? tgr_arg_bits(type->dtype, m->scalars[p])
                      : tgr_arg_tensor_strided(t->base, t->dtype, t->rank, t->extent, t->stride);
        if (t->map != NULL && !s->host) {
            wrong = upload(s, p, t, &args[p]);
        }
    }
    for (int i = 0; i < c->func->n_syms; i++) {
        dims[i] = (tgr_dim_value){.name = c->func->syms[i].name, .value = c->syms[i]};
    }
    options.dims = dims;
    options.n_dims = c->func->n_syms;
    tgr_status st = TGR_OK;
    if (wrong == NULL) {
        st = tgr_launch(s->queue, tgr_module_kernel(s->module, 0), args, m->n, &options);
        st = st == TGR_OK ? tgr_queue_wait(s->queue) : st;
        wrong = st == TGR_OK ? NULL : failure(s, "launch", st);
    }
    for (int p = 0; p < m->n && wrong == NULL && !s->host; p++) {
        wrong = s->buffers[p] != NULL ? download(s, p, &m->tensors[p]) : NULL;
    }
    return wrong;
}

const char *run_on_device(const char *name, gen_case *c, case_memory *m, tg_arena *a) {
    session s = {.arena = a};
    const char *wrong = open_device(&s, name);
    wrong = wrong == NULL ? compile(&s, c) : wrong;
    wrong = wrong == NULL ? launch(&s, c, m) : wrong;
    close_session(&s);
    return wrong;
}
