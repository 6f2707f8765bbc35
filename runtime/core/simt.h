/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the drivers of SIMT devices share: reading a SIMT image (package_format.h), the number of
 * programs of a launch, splitting a launch into slices, the tensors that a launch's maps describe
 * (tile.c), and the report of a trap.
 *
 * The device ABI of an entry: five 64-bit words
 *   slots address, first program, end program, scratch address, report address
 * A work-group runs program first + x + y * (groups along x) of itself and does nothing when that
 * is not below end; its scratch begins (program - first) * scratch_bytes behind the scratch
 * address. The report is four u32, zero before the launch: trap code, source line, program low and
 * high.
 *
 * Entries with tensor maps take more: a sixth word, whose bit i says that map i is there, and the
 * maps, 128 bytes each, behind each other from byte TGR_SIMT_MAPS_AT on. A map that is not there is
 * zero and not touched. The plan entry takes the five words alone.
 */
#ifndef TGR_SIMT_H
#define TGR_SIMT_H

#include "internal.h"

enum {
    TGR_SIMT_REPORT_WORDS = 4,
    TGR_SIMT_MAX_POINTERS = 64,
    TGR_SIMT_MAP_BYTES = 128,
    TGR_SIMT_MAPS_AT = 64 /* in the parameters, as the maps' alignment wants it */
};

typedef struct tgr_simt_axis {
    tgr_dim extent; /* over the launch slots */
    int64_t by;
} tgr_simt_axis;

/* A tensor and the box of it that one bulk copy moves; axis 0 is the innermost. */
typedef struct tgr_tile {
    uint64_t address;
    tg_dtype dtype;
    uint32_t rank; /* 1 to TG_SIMT_MAP_RANK */
    uint64_t extents[TG_SIMT_MAP_RANK];
    uint64_t strides[TG_SIMT_MAP_RANK]; /* bytes; that of axis 0 is not looked at */
    uint32_t box[TG_SIMT_MAP_RANK];     /* elements */
    uint32_t swizzle; /* bytes over which rows are spread over the banks: 0, 32, 64, 128 */
} tgr_tile;

/* What of it a kernel was compiled for; the rest follows from the launch slots. */
typedef struct tgr_simt_map {
    tgr_tile fixed;
    tgr_dim address, extents[TG_SIMT_MAP_RANK], strides[TG_SIMT_MAP_RANK];
} tgr_simt_map;

typedef struct tgr_simt_entry {
    uint64_t offset; /* in the image: what the package's entry says */
    const char *name;
    const char *plan; /* entry that computes the plan on the device, or NULL: the axes tell */
    uint32_t lanes, subgroup;
    uint64_t features; /* tgr_simt_feature */
    uint64_t shared_bytes, scratch_bytes;
    uint32_t n_pointers, n_plan_pointers;
    uint32_t *pointers, *plan_pointers; /* slot numbers, ascending */
    uint32_t n_axes;
    uint32_t n_slots; /* of a launch that may run this: all slots named here lie below */
    tgr_simt_axis *axes;
    uint32_t n_maps;
    tgr_simt_map *maps;
    void *driver; /* the driver's own: its kernel or pipeline object; NULL at first */
    void *driver_plan;
} tgr_simt_entry;

typedef struct tgr_simt_image {
    tgr_zone zone; /* of everything here, the code and byte codes included */
    uint32_t isa, n_entries;
    tgr_simt_entry *entries;
    const uint8_t *code; /* NUL-terminated beyond code_bytes; 16-byte aligned */
    size_t code_bytes;
} tgr_simt_image;

/* Reads and checks any bytes; copies what it needs. On failure there is nothing to free. */
tgr_status tgr_simt_image_read(tgr_context *context, const tgr_image_desc *desc,
                               tgr_simt_image *out);
void tgr_simt_image_fini(tgr_simt_image *image);
/* The record at an offset; NULL when there is none. */
tgr_simt_entry *tgr_simt_image_find(tgr_simt_image *image, uint64_t offset);

/* The tgr_driver.image_entry of SIMT drivers: `object`, their code object, holds `image`. */
void tgr_simt_image_entry(tgr_simt_image *image, void *object, const uint64_t *phases,
                          uint32_t n_phases, tgr_entry *out);

/* TGR_E_UNSUPPORTED with a message when the device (as described) lacks something. */
tgr_status tgr_simt_check(tgr_context *context, const tgr_device_info *device,
                          const tgr_simt_entry *entry);
/* The same at a launch, which must also have the slots that the entry names. */
tgr_status tgr_simt_admit(tgr_context *context, const tgr_device_info *device, const tgr_run *run,
                          const tgr_simt_entry *entry);
/* Shows the launch, whose programs are counted, to whoever traces the context. code: as the driver
 * loaded it. */
void tgr_simt_trace(tgr_context *context, const tgr_run *run, const tgr_simt_entry *entry,
                    const void *code, size_t code_bytes, const char *options);
/* Programs of the launch from the axes; TGR_E_TRAP when the grid cannot be. Not for entries with a
 * plan entry. */
tgr_status tgr_simt_programs(tgr_context *context, const tgr_run *run, const tgr_simt_entry *entry,
                             int64_t *out_programs);
/* The same from what the plan entry wrote and reported. */
tgr_status tgr_simt_planned(tgr_context *context, const tgr_run *run, const tg_cpu_plan *plan,
                            const uint32_t report[TGR_SIMT_REPORT_WORDS], int64_t *out_programs);
/* How many programs of the launch to run at once, each with so much scratch: at most `most_groups`,
 * and no more than fit 256 MiB or an eighth of the device's memory (at least one). */
int64_t tgr_simt_slice(const tgr_device_info *device, uint64_t scratch_bytes, int64_t programs,
                       int64_t most_groups);
/* tile.c: can bulk copies move boxes of the tensor? Limits of PTX ISA 8.5, 5.5.3 to 5.5.6, and of
 * the CUDA driver API, cuTensorMapEncodeTiled; coordinates have 31 bits. What hinders goes to `why`
 * (or NULL). */
bool tgr_tile_allowed(const tgr_tile *tile, tgr_text *why);
/* The tensor of a map in a launch with these slots; whether bulk copies can move its boxes. */
bool tgr_simt_tile(const tgr_simt_map *map, const int64_t *slots, tgr_tile *out);
/* TGR_OK, or TGR_E_TRAP with the message the report tells. */
tgr_status tgr_simt_trapped(tgr_context *context, const tgr_run *run,
                            const uint32_t report[TGR_SIMT_REPORT_WORDS]);

#endif
