/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queues, events and captured graphs. A command is run at once (synchronous queue), put into a ring
 * that the queue's thread empties (asynchronous), or appended to a graph (during a capture). The
 * lock of a synchronous queue is held while work runs: that is its order.
 */
#include "internal.h"

#include <errno.h>
#include <time.h>

enum { RING = 64 };

struct tgr_event {
    atomic_int refs;
    tgr_context *context;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool done;
    tgr_status status;
    int64_t time_ns;
    char text[TGR_MESSAGE_BYTES];
};

typedef struct stored_command {
    tgr_command command;
    int64_t slots[TG_PACK_MAX_SLOTS];
} stored_command;

struct tgr_queue {
    atomic_int refs;
    tgr_device *device;
    bool async, stop, busy;
    pthread_mutex_t lock;
    pthread_cond_t changed; /* ring or busy changed */
    pthread_t thread;
    stored_command *ring; /* RING entries */
    uint32_t head, count;
    tgr_status error; /* of asynchronous work, until tgr_queue_wait */
    char error_text[TGR_MESSAGE_BYTES];
    tgr_graph *capture;
    tgr_buffer *workspace;
};

void tgr_queue_lock(tgr_queue *queue) { pthread_mutex_lock(&queue->lock); }
void tgr_queue_unlock(tgr_queue *queue) { pthread_mutex_unlock(&queue->lock); }
tgr_device *tgr_queue_device(tgr_queue *queue) { return queue->device; }

/* ---- events --------------------------------------------------------------------------------- */

static tgr_status event_make(tgr_context *context, tgr_event **out) {
    tgr_event *e = tgr_alloc(context, sizeof *e);
    if (!e) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory making an event");
    }
    atomic_init(&e->refs, 1);
    e->context = context;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&e->lock, NULL);
    pthread_cond_init(&e->changed, &attr);
    pthread_condattr_destroy(&attr);
    tgr_context_retain(context);
    *out = e;
    return TGR_OK;
}

void tgr_event_retain(tgr_event *event) { atomic_fetch_add(&event->refs, 1); }

void tgr_event_release(tgr_event *event) {
    if (event && atomic_fetch_sub(&event->refs, 1) == 1) {
        tgr_context *context = event->context;
        pthread_mutex_destroy(&event->lock);
        pthread_cond_destroy(&event->changed);
        tgr_free(context, event, sizeof *event);
        tgr_context_release(context);
    }
}

static void event_signal(tgr_event *e, tgr_status status, const char *text) {
    pthread_mutex_lock(&e->lock);
    e->done = true;
    e->status = status;
    e->time_ns = tgr_now_ns();
    (void)tgr_text_out(text, strlen(text), e->text, sizeof e->text);
    pthread_cond_broadcast(&e->changed);
    pthread_mutex_unlock(&e->lock);
}

/* Waits without taking the event's status over. */
static bool event_await(tgr_event *e, int64_t timeout_ns) {
    struct timespec until = {0};
    if (timeout_ns > 0) {
        int64_t t = tgr_now_ns();
        t = t > INT64_MAX - timeout_ns ? INT64_MAX : t + timeout_ns;
        until = (struct timespec){.tv_sec = t / 1000000000, .tv_nsec = t % 1000000000};
    }
    pthread_mutex_lock(&e->lock);
    while (!e->done && timeout_ns != 0) {
        int rc = timeout_ns < 0 ? pthread_cond_wait(&e->changed, &e->lock)
                                : pthread_cond_timedwait(&e->changed, &e->lock, &until);
        if (rc == ETIMEDOUT) {
            break;
        }
    }
    bool done = e->done;
    pthread_mutex_unlock(&e->lock);
    return done;
}

tgr_status tgr_event_wait(tgr_event *event, int64_t timeout_ns) {
    if (!event) {
        return TGR_E_INVALID;
    }
    if (!event_await(event, timeout_ns)) {
        return TGR_E_NOT_READY;
    }
    return event->status ? tgr_fail(event->context, event->status, "%s", event->text) : TGR_OK;
}

int64_t tgr_event_time_ns(const tgr_event *event) {
    tgr_event *e = (tgr_event *)(uintptr_t)event;
    pthread_mutex_lock(&e->lock);
    int64_t t = e->time_ns;
    pthread_mutex_unlock(&e->lock);
    return t;
}

/* ---- running and storing -------------------------------------------------------------------- */

/* Runs a command on the thread that is the queue's. */
static tgr_status perform(tgr_queue *q, const tgr_command *c, const int64_t *slots);

static tgr_status perform_graph(tgr_queue *q, tgr_graph *g) {
    const tgr_context *context = q->device->context;
    bool watched = context->profile || context->trace; /* who watches wants each launch */
    tgr_status st = TGR_OK;
    for (const tgr_graph_node *n = tgr_graph_first(g); n && !st;) {
        const tgr_graph_node *after = n->next;
        st = n->replay && !watched ? tgr_graph_replay(g, n, &after)
                                   : perform(q, &n->command, n->slots);
        n = after;
    }
    return st;
}

static tgr_status perform(tgr_queue *q, const tgr_command *c, const int64_t *slots) {
    if (c->kind == TGR_CMD_GRAPH) {
        return perform_graph(q, c->graph);
    }
    if (c->kind == TGR_CMD_EVENT) {
        event_signal(c->event, q->error, q->error_text);
        return TGR_OK;
    }
    if (c->kind == TGR_CMD_WAIT) {
        (void)event_await(c->event, -1);
        return TGR_OK;
    }
    return tgr_command_run(q->device, c, slots);
}

static void ring_put(tgr_queue *q, const tgr_command *c, const int64_t *slots) {
    while (q->count == RING) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
    stored_command *s = &q->ring[(q->head + q->count) % RING];
    s->command = *c;
    if (c->kernel) {
        memcpy(s->slots, slots, c->kernel->n_slots * sizeof *slots);
    }
    tgr_command_retain(c);
    q->count++;
    pthread_cond_broadcast(&q->changed);
}

tgr_status tgr_queue_submit(tgr_queue *queue, const tgr_command *command, const int64_t *slots) {
    if (queue->capture) {
        return tgr_graph_put(queue->capture, command, slots);
    }
    if (queue->async) {
        ring_put(queue, command, slots);
        return TGR_OK;
    }
    return perform(queue, command, slots);
}

static void *queue_thread(void *arg) {
    tgr_queue *q = arg;
    pthread_mutex_lock(&q->lock);
    for (;;) {
        while (q->count == 0 && !q->stop) {
            pthread_cond_wait(&q->changed, &q->lock);
        }
        if (q->count == 0) {
            break;
        }
        stored_command *s = &q->ring[q->head];
        q->busy = true;
        pthread_mutex_unlock(&q->lock);
        tgr_status st = perform(q, &s->command, s->slots);
        tgr_command_release(&s->command);
        pthread_mutex_lock(&q->lock);
        if (st && !q->error) {
            q->error = st;
            (void)tgr_context_message(q->device->context, q->error_text, sizeof q->error_text);
        }
        q->head = (q->head + 1) % RING;
        q->count--;
        q->busy = false;
        pthread_cond_broadcast(&q->changed);
    }
    pthread_mutex_unlock(&q->lock);
    return NULL;
}

static void drain(tgr_queue *q) {
    while (q->async && (q->count || q->busy)) {
        pthread_cond_wait(&q->changed, &q->lock);
    }
}

/* ---- life ----------------------------------------------------------------------------------- */

static tgr_status start_thread(tgr_queue *q) {
    tgr_context *context = q->device->context;
    q->ring = tgr_alloc(context, RING * sizeof *q->ring);
    if (!q->ring) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory making a queue");
    }
    if (pthread_create(&q->thread, NULL, queue_thread, q) != 0) {
        tgr_free(context, q->ring, RING * sizeof *q->ring);
        return tgr_fail(context, TGR_E_NOMEM, "the system gave no thread for a queue");
    }
    return TGR_OK;
}

tgr_status tgr_queue_create(tgr_device *device, uint32_t flags, tgr_queue **out) {
    if (!device || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    if (flags & ~(uint32_t)TGR_QUEUE_ASYNC) {
        return tgr_fail(device->context, TGR_E_INVALID, "unknown queue flags %#x", flags);
    }
    tgr_queue *q = tgr_alloc(device->context, sizeof *q);
    if (!q) {
        return tgr_fail(device->context, TGR_E_NOMEM, "out of memory making a queue");
    }
    atomic_init(&q->refs, 1);
    q->device = device;
    q->async = flags & TGR_QUEUE_ASYNC;
    pthread_mutex_init(&q->lock, NULL);
    pthread_cond_init(&q->changed, NULL);
    tgr_status st = q->async ? start_thread(q) : TGR_OK;
    if (st) {
        pthread_mutex_destroy(&q->lock);
        pthread_cond_destroy(&q->changed);
        tgr_free(device->context, q, sizeof *q);
        return st;
    }
    tgr_device_retain(device);
    *out = q;
    return TGR_OK;
}

void tgr_queue_retain(tgr_queue *queue) { atomic_fetch_add(&queue->refs, 1); }

void tgr_queue_release(tgr_queue *queue) {
    if (!queue || atomic_fetch_sub(&queue->refs, 1) != 1) {
        return;
    }
    tgr_device *device = queue->device;
    if (queue->async) {
        pthread_mutex_lock(&queue->lock);
        queue->stop = true;
        pthread_cond_broadcast(&queue->changed);
        pthread_mutex_unlock(&queue->lock);
        pthread_join(queue->thread, NULL);
        tgr_free(device->context, queue->ring, RING * sizeof *queue->ring);
    }
    tgr_graph_release(queue->capture);
    tgr_buffer_release(queue->workspace);
    pthread_mutex_destroy(&queue->lock);
    pthread_cond_destroy(&queue->changed);
    tgr_free(device->context, queue, sizeof *queue);
    tgr_device_release(device);
}

tgr_status tgr_queue_wait(tgr_queue *queue) {
    if (!queue) {
        return TGR_E_INVALID;
    }
    pthread_mutex_lock(&queue->lock);
    drain(queue);
    tgr_status st = queue->error;
    if (st) {
        st = tgr_fail(queue->device->context, st, "%s", queue->error_text);
    }
    queue->error = TGR_OK;
    queue->error_text[0] = '\0';
    pthread_mutex_unlock(&queue->lock);
    return st;
}

tgr_status tgr_queue_record(tgr_queue *queue, tgr_event **out) {
    if (!queue || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_event *e = NULL;
    tgr_status st = event_make(queue->device->context, &e);
    if (st) {
        return st;
    }
    tgr_command c = {.kind = TGR_CMD_EVENT, .event = e};
    pthread_mutex_lock(&queue->lock);
    st = queue->capture
             ? tgr_fail(queue->device->context, TGR_E_INVALID, "events cannot be captured")
             : tgr_queue_submit(queue, &c, NULL);
    pthread_mutex_unlock(&queue->lock);
    if (st) {
        tgr_event_release(e);
        return st;
    }
    *out = e;
    return TGR_OK;
}

tgr_status tgr_queue_wait_event(tgr_queue *queue, tgr_event *event) {
    if (!queue || !event) {
        return TGR_E_INVALID;
    }
    tgr_command c = {.kind = TGR_CMD_WAIT, .event = event};
    pthread_mutex_lock(&queue->lock);
    tgr_status st = tgr_queue_submit(queue, &c, NULL);
    pthread_mutex_unlock(&queue->lock);
    return st;
}

/* ---- workspace ------------------------------------------------------------------------------ */

tgr_status tgr_queue_workspace(tgr_queue *queue, size_t bytes, void **out) {
    tgr_status st = TGR_OK;
    tgr_buffer *b = queue->workspace;
    if (queue->capture) {
        st = tgr_graph_workspace(queue->capture, bytes, &b);
    } else if (!b || b->memory.bytes < bytes) {
        drain(queue);
        tgr_buffer_release(queue->workspace);
        queue->workspace = NULL;
        st = tgr_buffer_create(queue->device, bytes, 0, &queue->workspace);
        b = queue->workspace;
    }
    *out = st ? NULL : b->memory.pointer;
    return st;
}

/* ---- replay --------------------------------------------------------------------------------- */

tgr_status tgr_capture_begin(tgr_queue *queue) {
    tgr_graph *g = NULL;
    if (!queue) {
        return TGR_E_INVALID;
    }
    tgr_status st = tgr_graph_make(queue->device, &g);
    if (st) {
        return st;
    }
    pthread_mutex_lock(&queue->lock);
    bool twice = queue->capture != NULL;
    queue->capture = twice ? queue->capture : g;
    pthread_mutex_unlock(&queue->lock);
    if (twice) {
        tgr_graph_release(g);
        return tgr_fail(queue->device->context, TGR_E_INVALID, "the queue is capturing already");
    }
    return TGR_OK;
}

tgr_status tgr_capture_end(tgr_queue *queue, tgr_graph **out) {
    if (!queue || !out) {
        return TGR_E_INVALID;
    }
    pthread_mutex_lock(&queue->lock);
    tgr_graph *g = queue->capture;
    queue->capture = NULL;
    pthread_mutex_unlock(&queue->lock);
    *out = NULL;
    if (!g) {
        return tgr_fail(queue->device->context, TGR_E_INVALID, "the queue is not capturing");
    }
    tgr_status st = tgr_graph_settle(g);
    if (st) {
        tgr_graph_release(g);
        return st;
    }
    *out = g;
    return TGR_OK;
}

/* A graph within a graph is its commands. */
static tgr_status submit_commands(tgr_queue *queue, tgr_graph *graph) {
    tgr_status st = TGR_OK;
    for (const tgr_graph_node *n = tgr_graph_first(graph); n && !st; n = n->next) {
        st = tgr_queue_submit(queue, &n->command, n->slots);
    }
    return st;
}

tgr_status tgr_graph_launch(tgr_queue *queue, tgr_graph *graph) {
    if (!queue || !graph) {
        return TGR_E_INVALID;
    }
    if (tgr_graph_device(graph) != queue->device) {
        return tgr_fail(queue->device->context, TGR_E_INVALID,
                        "the graph was captured on another device");
    }
    tgr_command c = {.kind = TGR_CMD_GRAPH, .graph = graph};
    pthread_mutex_lock(&queue->lock);
    tgr_status st =
        queue->capture ? submit_commands(queue, graph) : tgr_queue_submit(queue, &c, NULL);
    pthread_mutex_unlock(&queue->lock);
    return st;
}
