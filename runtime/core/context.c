/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The context: the host's allocator and log, messages of failed calls (one per thread, the oldest
 * thread's place is reused), and the small helpers everything else stands on.
 */
#include "internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

/* ---- tables --------------------------------------------------------------------------------- */

const char *tgr_status_name(tgr_status status) {
    switch (status) {
#define TGR_X(e, v, s)                                                                             \
    case TGR_##e:                                                                                  \
        return "TGR_" #e;
        TGR_STATUSES(TGR_X)
#undef TGR_X
    case TGR_STATUS_LAST:
        break;
    }
    return "TGR_E_?";
}

const char *tgr_status_sentence(tgr_status status) {
    switch (status) {
#define TGR_X(e, v, s)                                                                             \
    case TGR_##e:                                                                                  \
        return s;
        TGR_STATUSES(TGR_X)
#undef TGR_X
    case TGR_STATUS_LAST:
        break;
    }
    return "an unknown status";
}

uint32_t tgr_version(void) {
    return (uint32_t)TGR_VERSION_MAJOR << 16 | (uint32_t)TGR_VERSION_MINOR << 8 | TGR_VERSION_PATCH;
}

typedef struct dtype_row {
    const char *name;
    int32_t bits;
} dtype_row;

static const dtype_row dtypes[] = {
#define TG_X(e, n, b, c) {n, b},
    TG_DTYPES(TG_X)
#undef TG_X
};

const char *tgr_dtype_name(tg_dtype dtype) {
    return (size_t)dtype < TGR_COUNT_OF(dtypes) ? dtypes[dtype].name : NULL;
}

int32_t tgr_dtype_bits(tg_dtype dtype) {
    return (size_t)dtype < TGR_COUNT_OF(dtypes) ? dtypes[dtype].bits : 0;
}

tg_dtype tgr_dtype_from_name(const char *name) {
    for (size_t i = 1; name && i < TGR_COUNT_OF(dtypes); i++) {
        if (strcmp(dtypes[i].name, name) == 0) {
            return (tg_dtype)i;
        }
    }
    return TG_DT_NONE;
}

/* ---- memory --------------------------------------------------------------------------------- */

static void *default_allocate(void *user, void *pointer, size_t old_bytes, size_t new_bytes) {
    (void)user;
    (void)old_bytes;
    if (new_bytes == 0) {
        free(pointer);
        return NULL;
    }
    return realloc(pointer, new_bytes);
}

void *tgr_alloc_raw(tgr_context *context, size_t bytes) {
    return context->allocator.fn(context->allocator.user, NULL, 0, bytes ? bytes : 1);
}

void *tgr_alloc(tgr_context *context, size_t bytes) {
    void *p = tgr_alloc_raw(context, bytes);
    if (p) {
        memset(p, 0, bytes ? bytes : 1);
    }
    return p;
}

void tgr_free(tgr_context *context, void *pointer, size_t bytes) {
    if (pointer) {
        (void)context->allocator.fn(context->allocator.user, pointer, bytes ? bytes : 1, 0);
    }
}

/* ---- zone ----------------------------------------------------------------------------------- */

typedef struct tgr_zone_block {
    struct tgr_zone_block *next;
    size_t bytes;
} tgr_zone_block;

enum { ZONE_BLOCK = 4096, ZONE_ALIGN = 16 };

void *tgr_zone_alloc(tgr_zone *zone, size_t count, size_t bytes) {
    size_t n;
    if (__builtin_mul_overflow(count, bytes, &n) || n > SIZE_MAX / 2) {
        return NULL;
    }
    n = n ? (n + ZONE_ALIGN - 1) / ZONE_ALIGN * ZONE_ALIGN : ZONE_ALIGN;
    if (n > (size_t)(zone->end - zone->next)) {
        size_t head = (sizeof(tgr_zone_block) + ZONE_ALIGN - 1) / ZONE_ALIGN * ZONE_ALIGN;
        size_t size = n + head > ZONE_BLOCK ? n + head : ZONE_BLOCK;
        tgr_zone_block *b = tgr_alloc(zone->context, size);
        if (!b) {
            return NULL;
        }
        b->next = zone->head;
        b->bytes = size;
        zone->head = b;
        zone->next = (char *)b + head;
        zone->end = (char *)b + size;
    }
    void *p = zone->next;
    zone->next += n;
    return p;
}

char *tgr_zone_text(tgr_zone *zone, const void *bytes, size_t n) {
    char *t = tgr_zone_alloc(zone, n + 1, 1);
    if (t && n) {
        memcpy(t, bytes, n);
    }
    return t;
}

void tgr_zone_fini(tgr_zone *zone) {
    while (zone->head) {
        tgr_zone_block *b = zone->head;
        zone->head = b->next;
        tgr_free(zone->context, b, b->bytes);
    }
    zone->next = zone->end = NULL;
}

/* ---- text ----------------------------------------------------------------------------------- */

size_t tgr_text_out(const char *from, size_t length, char *text, size_t size) {
    if (text && size) {
        size_t n = length < size - 1 ? length : size - 1;
        memcpy(text, from, n);
        text[n] = '\0';
    }
    return length;
}

void tgr_text_add(tgr_text *t, const char *format, ...) {
    va_list ap;
    va_start(ap, format);
    size_t room = t->length < t->size ? t->size - t->length : 0;
    int n = vsnprintf(room ? t->data + t->length : NULL, room, format, ap);
    va_end(ap);
    t->length += n > 0 ? (size_t)n : 0;
}

static tgr_message *message_of(tgr_context *context, pthread_t self) {
    for (size_t i = 0; i < TGR_MESSAGE_THREADS; i++) {
        tgr_message *m = &context->messages[i];
        if (m->age && pthread_equal(m->thread, self)) {
            return m;
        }
    }
    return NULL;
}

static tgr_message *message_take(tgr_context *context, pthread_t self) {
    tgr_message *m = message_of(context, self);
    if (m) {
        return m;
    }
    m = &context->messages[0];
    for (size_t i = 1; i < TGR_MESSAGE_THREADS; i++) {
        if (context->messages[i].age < m->age) {
            m = &context->messages[i];
        }
    }
    m->thread = self;
    return m;
}

tgr_status(tgr_fail)(tgr_context *context, tgr_status status, const char *format, ...) {
    char text[TGR_MESSAGE_BYTES];
    va_list ap;
    va_start(ap, format);
    int n = vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (n < 0) {
        text[0] = '\0';
    }
    pthread_mutex_lock(&context->lock);
    tgr_message *m = message_take(context, pthread_self());
    m->age = ++context->clock;
    memcpy(m->text, text, sizeof text);
    pthread_mutex_unlock(&context->lock);
    return status;
}

size_t tgr_context_message(tgr_context *context, char *text, size_t size) {
    if (!context) {
        return tgr_text_out("", 0, text, size);
    }
    pthread_mutex_lock(&context->lock);
    const tgr_message *m = message_of(context, pthread_self());
    const char *from = m ? m->text : "";
    size_t n = tgr_text_out(from, strlen(from), text, size);
    pthread_mutex_unlock(&context->lock);
    return n;
}

void tgr_log(tgr_context *context, tgr_log_level level, const char *format, ...) {
    if (!context->log) {
        return;
    }
    char text[TGR_MESSAGE_BYTES];
    va_list ap;
    va_start(ap, format);
    if (vsnprintf(text, sizeof text, format, ap) < 0) {
        text[0] = '\0';
    }
    va_end(ap);
    context->log(context->log_user, level, text);
}

int64_t tgr_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* ---- life ----------------------------------------------------------------------------------- */

bool tgr_options_copy(void *out, size_t out_bytes, const void *given) {
    memset(out, 0, out_bytes);
    if (!given) {
        return true;
    }
    uint32_t n;
    memcpy(&n, given, sizeof n);
    if (n < sizeof n) {
        return false;
    }
    memcpy(out, given, n < out_bytes ? n : out_bytes);
    return true;
}

tgr_status tgr_context_create(const tgr_context_options *options, tgr_context **out) {
    if (!out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_context_options o;
    if (!tgr_options_copy(&o, sizeof o, options)) {
        return TGR_E_INVALID;
    }
    tgr_allocator a = o.allocator;
    if (!a.fn) {
        a.fn = default_allocate;
    }
    tgr_context *c = a.fn(a.user, NULL, 0, sizeof *c);
    if (!c) {
        return TGR_E_NOMEM;
    }
    memset(c, 0, sizeof *c);
    if (pthread_mutex_init(&c->lock, NULL) != 0) {
        (void)a.fn(a.user, c, sizeof *c, 0);
        return TGR_E_NOMEM;
    }
    if (pthread_mutex_init(&c->drivers_lock, NULL) != 0) {
        pthread_mutex_destroy(&c->lock);
        (void)a.fn(a.user, c, sizeof *c, 0);
        return TGR_E_NOMEM;
    }
    atomic_init(&c->refs, 1);
    c->allocator = a;
    c->log = o.log;
    c->log_user = o.log_user;
    c->profile = o.profile;
    c->profile_user = o.profile_user;
    *out = c;
    return TGR_OK;
}

void tgr_context_retain(tgr_context *context) { atomic_fetch_add(&context->refs, 1); }

void tgr_context_release(tgr_context *context) {
    if (context && atomic_fetch_sub(&context->refs, 1) == 1) {
        tgr_allocator a = context->allocator;
        tgr_drivers_detach(context);
        pthread_mutex_destroy(&context->drivers_lock);
        pthread_mutex_destroy(&context->lock);
        (void)a.fn(a.user, context, sizeof *context, 0);
    }
}
