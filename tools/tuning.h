/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tuned schedules: what `tegula tune` found, by machine, kernel, types and shape class. A SQLite
 * file; its text form (one entry a line) is what travels and what the project ships
 * (kernels/tuned.txt). Nothing needs an entry: without one the kernel's own defaults apply.
 */
#ifndef TG_TOOL_TUNING_H
#define TG_TOOL_TUNING_H

#include "tools/tool.h"

typedef struct tuning tuning;

typedef struct tuning_entry {
    const char *machine; /* processor and threads, or driver and device */
    const char *kernel;
    const char *shape;    /* tuning_shape of the settings */
    const char *source;   /* hash of the kernel's IR: an entry of another text is not used */
    const char *settings; /* "BM=64 BN=128", "" when the defaults are best */
    double seconds, default_seconds; /* as measured; only their ratio means anything elsewhere */
} tuning_entry;

/* path NULL: $TEGULA_TUNING, else tuning.sqlite in the cache's directory. Read-only,
 * a file that is not there yet is an empty one. NULL after reporting. */
tuning *tuning_open(tool *t, const char *path, bool read_only);
void tuning_close(tuning *d);
const char *tuning_path(const tuning *d);

/* Replaces the entry of the same machine, kernel, shape and source; false after reporting. */
bool tuning_put(tool *t, tuning *d, const tuning_entry *e);
/* Strings in the arena. False when there is none. */
bool tuning_find(tool *t, tuning *d, const char *machine, const char *kernel, const char *shape,
                 const char *source, tuning_entry *out);
/* Calls fn for every entry, in order of machine, kernel and shape. */
bool tuning_each(tool *t, tuning *d, void (*fn)(tool *t, void *user, const tuning_entry *e),
                 void *user);

/* The text form: a first line that names it, then fields between tabs. False after reporting; a
 * line that does not fit is an error that names it and nothing is taken. */
bool tuning_export(tool *t, tuning *d, const char *path);
bool tuning_import(tool *t, tuning *d, const char *path, int *out_entries);
/* An entry of a text file, as tuning_find. */
bool tuning_find_in_text(tool *t, const char *path, const tuning_entry *key, tuning_entry *out);

/*
 * The class of a launch's shape: settings in order of name; a runtime dimension above 16 counts as
 * the next power of two ("M=5 N=<4096 T=f32"), everything else as it is. Tunes and schedule keys
 * take no part.
 */
const char *tuning_shape(tool *t, tg_program *p, const tool_kernel *k, const tg_setting *settings,
                         int n);
/* Hash of the kernel's IR with the given settings and no schedule's choice. */
const char *tuning_source(tool *t, const tool_kernel *k);

/*
 * Settings with the entry of the database or else of the shipped file appended; the same list when
 * there is none. `machine` as of tool_device_machine. d NULL: the shipped file alone.
 */
const tg_setting *tuning_apply(tool *t, tuning *d, const char *machine, tg_program *p,
                               const tool_kernel *k, const tg_setting *settings, int n, int *out_n);

#endif
