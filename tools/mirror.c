/* SPDX-License-Identifier: Apache-2.0 */
/* Host arrays in device memory: see mirror.h. */
#include "tools/mirror.h"

static tool_mirror *find(const tool_mirrors *m, const void *data) {
    for (size_t i = 0; i < m->all.count; i++) {
        if (m->all.data[i].data == data) {
            return &m->all.data[i];
        }
    }
    return NULL;
}

static size_t guarded_bytes(const tool_array *a) { return a->bytes + 2 * (size_t)TOOL_GUARD; }

tgr_status tool_mirror_put(tool *t, tool_mirrors *m, tgr_device *device, tgr_queue *queue,
                           const tool_array *a, tgr_arg *out) {
    tool_mirror *known = find(m, a->data);
    tgr_status st = TGR_OK;
    if (!known) {
        tool_mirror fresh = {.data = a->data};
        st = tgr_buffer_create(device, guarded_bytes(a), 0, &fresh.buffer);
        if (st) {
            return st;
        }
        TG_LIST_PUSH(&t->arena, &m->all, fresh);
        known = &m->all.data[m->all.count - 1];
        st = tgr_buffer_write(queue, known->buffer, 0, a->data - TOOL_GUARD, guarded_bytes(a));
    }
    *out = tgr_arg_tensor_strided(NULL, a->dtype, a->rank, a->extent, a->stride_bytes);
    out->buffer = known->buffer;
    out->offset_bytes = TOOL_GUARD;
    return st;
}

tgr_status tool_mirror_get(const tool_mirrors *m, tgr_queue *queue, tool_kernel *k) {
    tgr_status st = TGR_OK;
    for (int i = 0; i < k->n_args && !st; i++) {
        tool_array *a = &k->args[i];
        tool_mirror *known = a->rank && a->data ? find(m, a->data) : NULL;
        if (known) {
            st = tgr_buffer_read(queue, known->buffer, 0, a->data - TOOL_GUARD, guarded_bytes(a));
        }
    }
    return st;
}

void tool_mirror_free(tool_mirrors *m) {
    for (size_t i = 0; i < m->all.count; i++) {
        tgr_buffer_release(m->all.data[i].buffer);
    }
    m->all.count = 0;
}
