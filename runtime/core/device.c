/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: the one table of drivers, and the object that joins a driver's state to its context.
 */
#include "internal.h"

#include <ctype.h>
#include <stdlib.h>

static const tgr_driver *const drivers[] = {
    &tgr_driver_cpu,    &tgr_driver_null,
#if TEGULA_HAVE_OPENCL
    &tgr_driver_opencl,
#endif
#if TEGULA_HAVE_VULKAN
    &tgr_driver_vulkan,
#endif
#if TEGULA_HAVE_CUDA
    &tgr_driver_cuda,
#endif
#if TEGULA_HAVE_HIP
    &tgr_driver_hip,
#endif
#if TEGULA_HAVE_SIM
    &tgr_driver_sim,
#endif
};
_Static_assert(TGR_COUNT_OF(drivers) <= TGR_MAX_DRIVERS, "the context has a place for each");

/* ---- drivers -------------------------------------------------------------------------------- */

/* The driver's globals, made at the first need. */
static tgr_status attach(tgr_context *context, size_t row, void **out) {
    tgr_status st = TGR_OK;
    pthread_mutex_lock(&context->drivers_lock);
    if (!context->driver_globals[row] && drivers[row]->attach) {
        st = drivers[row]->attach(context, &context->driver_globals[row]);
    }
    *out = context->driver_globals[row];
    pthread_mutex_unlock(&context->drivers_lock);
    return st;
}

void tgr_drivers_detach(tgr_context *context) {
    for (size_t i = 0; i < TGR_COUNT_OF(drivers); i++) {
        if (context->driver_globals[i]) {
            drivers[i]->detach(context, context->driver_globals[i]);
        }
    }
}

static bool describe(tgr_context *context, size_t row, int32_t index, tgr_device_info *out) {
    void *globals;
    memset(out, 0, sizeof *out);
    return attach(context, row, &globals) == TGR_OK &&
           drivers[row]->describe(context, globals, index, out);
}

int32_t tgr_device_count(tgr_context *context) {
    int32_t n = 0;
    tgr_device_info info;
    for (size_t row = 0; context && row < TGR_COUNT_OF(drivers); row++) {
        for (int32_t i = 0; describe(context, row, i, &info); i++) {
            n++;
        }
    }
    return n;
}

/* The device of that number over all drivers. */
static bool by_number(tgr_context *context, int64_t number, size_t *out_row, int32_t *out_index,
                      tgr_device_info *info) {
    for (size_t row = 0; row < TGR_COUNT_OF(drivers); row++) {
        for (int32_t i = 0; describe(context, row, i, info); i++) {
            if (number-- == 0) {
                *out_row = row;
                *out_index = i;
                return true;
            }
        }
    }
    return false;
}

tgr_status tgr_device_describe(tgr_context *context, int32_t index, tgr_device_info *out) {
    size_t row;
    int32_t at;
    if (!context || !out) {
        return TGR_E_INVALID;
    }
    return index >= 0 && by_number(context, index, &row, &at, out)
               ? TGR_OK
               : tgr_fail(context, TGR_E_NOT_FOUND, "no device of that number");
}

/* ---- choosing ------------------------------------------------------------------------------- */

static bool is_number(const char *text) {
    size_t n = strlen(text);
    return n > 0 && n < 10 && strspn(text, "0123456789") == n;
}

/* Letter case aside. */
static bool contains(const char *text, const char *part) {
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && text[i] &&
               tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) {
            i++;
        }
        if (!part[i]) {
            return true;
        }
    }
    return false;
}

static tgr_status no_driver(tgr_context *context, const char *name) {
    char list[128];
    tgr_text t = {.data = list, .size = sizeof list, .length = 0};
    for (size_t i = 0; i < TGR_COUNT_OF(drivers); i++) {
        tgr_text_add(&t, "%s%s", i ? ", " : "", drivers[i]->name);
    }
    return tgr_fail(context, TGR_E_NOT_FOUND, "no device `%s` (there are %s)", name, list);
}

/* `which` of one driver's devices: "" the first, a number, a part of the name. */
static tgr_status choose_of(tgr_context *context, size_t row, const char *which,
                            int32_t *out_index) {
    tgr_device_info info;
    void *globals;
    tgr_status st = attach(context, row, &globals);
    if (st) {
        return st; /* the driver said why */
    }
    int32_t number = is_number(which) ? (int32_t)strtol(which, NULL, 10) : -1, n = 0;
    for (int32_t i = 0; describe(context, row, i, &info); i++, n++) {
        if (number >= 0 ? i == number : contains(info.name, which) || !*which) {
            *out_index = i;
            return TGR_OK;
        }
    }
    return tgr_fail(context, TGR_E_NOT_FOUND, "driver %s has no device `%s` (it has %d)",
                    drivers[row]->name, which, n);
}

static tgr_status choose(tgr_context *context, const char *name, size_t *out_row,
                         int32_t *out_index) {
    tgr_device_info info;
    if (strcmp(name, "default") == 0) {
        const char *env = getenv("TEGULA_DEVICE");
        name = env && *env && strcmp(env, "default") != 0 ? env : "cpu";
    }
    if (is_number(name)) {
        return by_number(context, strtol(name, NULL, 10), out_row, out_index, &info)
                   ? TGR_OK
                   : tgr_fail(context, TGR_E_NOT_FOUND, "no device of number %s", name);
    }
    const char *colon = strchr(name, ':');
    size_t n = colon ? (size_t)(colon - name) : strlen(name);
    for (size_t i = 0; i < TGR_COUNT_OF(drivers); i++) {
        if (strlen(drivers[i]->name) == n && strncmp(drivers[i]->name, name, n) == 0) {
            *out_row = i;
            return choose_of(context, i, colon ? colon + 1 : "", out_index);
        }
    }
    return no_driver(context, name);
}

static tgr_status open_chosen(tgr_context *context, const char *name, const tgr_device_options *o,
                              tgr_device *d) {
    size_t row = 0;
    void *globals = NULL;
    tgr_status st = choose(context, name, &row, &d->index);
    st = st ? st : attach(context, row, &globals);
    if (st) {
        return st;
    }
    d->driver = drivers[row];
    (void)describe(context, row, d->index, &d->info);
    return d->driver->open(context, globals, d->index, o, &d->state, &d->n_threads);
}

tgr_status tgr_device_open(tgr_context *context, const char *name,
                           const tgr_device_options *options, tgr_device **out) {
    if (!context || !name || !out) {
        return TGR_E_INVALID;
    }
    *out = NULL;
    tgr_device_options o;
    if (!tgr_options_copy(&o, sizeof o, options) || o.n_threads < 0) {
        return tgr_fail(context, TGR_E_INVALID, "device options: bad struct_bytes or n_threads");
    }
    tgr_device *d = tgr_alloc(context, sizeof *d);
    if (!d) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a device");
    }
    tgr_status st = open_chosen(context, name, &o, d);
    if (st) {
        tgr_free(context, d, sizeof *d);
        return st;
    }
    atomic_init(&d->refs, 1);
    d->context = context;
    tgr_context_retain(context);
    *out = d;
    return TGR_OK;
}

void tgr_device_retain(tgr_device *device) { atomic_fetch_add(&device->refs, 1); }

void tgr_device_release(tgr_device *device) {
    if (device && atomic_fetch_sub(&device->refs, 1) == 1) {
        tgr_context *context = device->context;
        device->driver->close(context, device->state);
        tgr_free(context, device, sizeof *device);
        tgr_context_release(context);
    }
}

void tgr_device_get_info(const tgr_device *device, tgr_device_info *out) { *out = device->info; }

int32_t tgr_device_get_profile(const tgr_device *device, uint64_t *out) {
    uint64_t v = atomic_load(&device->profile);
    *out = v ? v - 1 : 0;
    return v != 0;
}

void tgr_device_set_profile(tgr_device *device, uint64_t profile) {
    atomic_store(&device->profile, profile + 1);
}

tgr_context *tgr_device_context(const tgr_device *device) { return device->context; }

int32_t tgr_device_threads(const tgr_device *device) { return device->n_threads; }
