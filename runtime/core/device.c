/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Devices: the one table of drivers, and the object that joins a driver's state to its context.
 */
#include "internal.h"

static const tgr_driver *const drivers[] = {&tgr_driver_cpu, &tgr_driver_null};

int32_t tgr_device_count(tgr_context *context) {
    int32_t n = 0;
    tgr_device_info info;
    for (size_t i = 0; context && i < TGR_COUNT_OF(drivers); i++) {
        n += drivers[i]->describe(context, &info);
    }
    return n;
}

tgr_status tgr_device_describe(tgr_context *context, int32_t index, tgr_device_info *out) {
    if (!context || !out) {
        return TGR_E_INVALID;
    }
    for (size_t i = 0; i < TGR_COUNT_OF(drivers); i++) {
        memset(out, 0, sizeof *out);
        if (drivers[i]->describe(context, out) && index-- == 0) {
            return TGR_OK;
        }
    }
    return tgr_fail(context, TGR_E_NOT_FOUND, "no device of that number");
}

static const tgr_driver *find_driver(const char *name) {
    for (size_t i = 0; i < TGR_COUNT_OF(drivers); i++) {
        if (strcmp(drivers[i]->name, name) == 0) {
            return drivers[i];
        }
    }
    return NULL;
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
    const tgr_driver *driver = find_driver(name);
    if (!driver) {
        return tgr_fail(context, TGR_E_NOT_FOUND, "no device `%s` (there are cpu, null)", name);
    }
    tgr_device *d = tgr_alloc(context, sizeof *d);
    if (!d) {
        return tgr_fail(context, TGR_E_NOMEM, "out of memory opening a device");
    }
    tgr_status st = driver->open(context, &o, &d->state, &d->n_threads);
    if (st) {
        tgr_free(context, d, sizeof *d);
        return st;
    }
    atomic_init(&d->refs, 1);
    d->driver = driver;
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

void tgr_device_get_info(const tgr_device *device, tgr_device_info *out) {
    memset(out, 0, sizeof *out);
    (void)device->driver->describe(device->context, out);
}

tgr_context *tgr_device_context(const tgr_device *device) { return device->context; }

int32_t tgr_device_threads(const tgr_device *device) { return device->n_threads; }
