/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loaded program behind frontend.h, shared by the front end's own files: the main file, its
 * imports and the built-in std module, with name lookup. program.c fills it; elab*.c reads it.
 */
#ifndef TG_FRONTEND_PROGRAM_H
#define TG_FRONTEND_PROGRAM_H

#include "frontend/ast.h"
#include "frontend/frontend.h"

struct tg_program {
    tg_arena *arena;
    tg_sink *sink;
    tg_strtab names; /* interned names of every file */
    tg_file *main;
    tg_file *std;
    TG_LIST(tg_file *) files;   /* main, std, imports; each file once */
    TG_LIST(tg_decl *) kernels; /* kernels and ops of the main file, in order */
    TG_LIST(tg_case) cases;
    TG_LIST(tg_decl *) case_decls; /* parallel to cases */
    TG_LIST(tg_case) instances;    /* of the instantiate lines: kernel and settings */
    tg_import_fn import;
    void *import_user;
    void *elab; /* the checker's own state */
};

/* The kernel, op, fn, record or const called `name` (interned or not) in a file; NULL when none. */
tg_decl *tg_file_find(const tg_file *f, const char *name);
/* The file that `module` means inside `from`: "std", or an import's name; NULL when none. */
tg_file *tg_program_module(const tg_program *p, const tg_file *from, const char *module);
/* An unqualified name used in `from`: its own declaration, else std's; NULL when none. */
tg_decl *tg_program_find(const tg_program *p, const tg_file *from, const char *name);
/* A setting that is a placement choice: schedule.KEY with a key that back ends know (schedule.c).
 */
bool tg_schedule_key_setting(const char *name);
/* Interns a name. */
const char *tg_program_name(tg_program *p, const char *text);

/* Name=value settings of a case, bench or instantiate declaration: positional values get the names
 * of the kernel's compile-time parameters in order. Reports what does not fit. */
bool tg_program_settings(tg_program *p, const tg_decl *example, tg_setting **out, int *out_n);

/* The text of the built-in std module. */
const tg_source *tg_std_source(void);

#endif
