/* SPDX-License-Identifier: Apache-2.0 */
/* Planted faults: see fault.h. */
#include "tools/fault.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const names[] = {"none", "hang", "crash", "corrupt", "stale", "lost", "beyond"};

bool tool_fault_parse(const char *name, tool_fault *out, bool *out_bad) {
    *out = (tool_fault){.at = 1};
    *out_bad = true;
    if (strncmp(name, "fake", 4) != 0 || (name[4] != '\0' && name[4] != ':')) {
        *out_bad = false;
        return false;
    }
    const char *fault = name[4] == ':' ? name + 5 : "none", *at = strchr(fault, '@');
    const char *slash = strchr(fault, '/');
    at = at != NULL && slash != NULL && at > slash ? NULL : at;
    size_t n = at != NULL ? (size_t)(at - fault) : strcspn(fault, "/");
    for (size_t i = 0; i < TG_COUNT_OF(names); i++) {
        if (strlen(names[i]) == n && strncmp(names[i], fault, n) == 0) {
            out->kind = (tool_fault_kind)i;
            *out_bad = false;
        }
    }
    if (at != NULL) {
        char *end;
        out->at = strtoll(at + 1, &end, 10);
        out->once = *end == '!';
        end += out->once;
        *out_bad = *out_bad || (*end != '\0' && *end != '/') || out->at < 1;
    }
    return true;
}

const char *tool_fault_device(const char *name) {
    tool_fault f;
    bool bad;
    const char *slash = strchr(name, '/');
    return !tool_fault_parse(name, &f, &bad) ? name : slash != NULL ? slash + 1 : "cpu";
}

static bool is_now(const tool_fault *f) {
    return f->once ? f->launches == f->at : f->launches >= f->at;
}

tool_fault_act tool_fault_before(tool_fault *f) {
    f->launches++;
    if (f->kind == TOOL_FAULT_LOST && f->launches >= f->at) {
        return TOOL_FAULT_FAIL;
    }
    if (!is_now(f)) {
        return TOOL_FAULT_RUN;
    }
    if (f->kind == TOOL_FAULT_CRASH) {
        (void)signal(SIGSEGV, SIG_DFL);
        (void)raise(SIGSEGV);
    }
    while (f->kind == TOOL_FAULT_HANG) {
        (void)pause();
    }
    return f->kind == TOOL_FAULT_STALE ? TOOL_FAULT_DROP : TOOL_FAULT_RUN;
}

void tool_fault_after(const tool_fault *f, tool_kernel *k) {
    bool corrupt = f->kind == TOOL_FAULT_CORRUPT, beyond = f->kind == TOOL_FAULT_BEYOND;
    if ((!corrupt && !beyond) || !is_now(f)) {
        return;
    }
    for (int i = 0; i < k->n_args; i++) {
        tool_array *a = &k->args[i];
        if (tool_array_is_output(a) && a->dtype != TG_DT_RECORD && a->count > 0) {
            size_t in_row;
            if (beyond) {
                a->data[a->bytes] ^= 0x44;
                return;
            }
            unsigned char *row = tool_array_row(a, a->count / 2, &in_row);
            int bits = tg_dtype_bits(a->dtype);
            row[bits < 8 ? in_row / (size_t)(8 / bits) : (in_row + 1) * (size_t)(bits / 8) - 1] ^=
                0x44;
            return;
        }
    }
}
