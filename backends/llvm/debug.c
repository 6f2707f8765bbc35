/* SPDX-License-Identifier: Apache-2.0 */
/* Line tables: each instruction points at the statement of the .tg source it came from. */
#include <string.h>

#include "backends/llvm/emit.h"

static const tg_source *source_of(const tg_func *f) {
    if (f->span.source) {
        return f->span.source;
    }
    for (const tg_op *op = f->body ? f->body->first : NULL; op; op = op->next) {
        if (op->span.source) {
            return op->span.source;
        }
    }
    return NULL;
}

void tg_emit_debug_begin(tg_emitter *e, tg_module *m) {
    const tg_source *src = NULL;
    for (tg_func *f = m->first_func; f && !src; f = f->next) {
        src = source_of(f);
    }
    if (!e->options->debug_lines || !src) {
        return;
    }
    e->debug = LLVMCreateDIBuilder(e->module);
    e->debug_file = LLVMDIBuilderCreateFile(e->debug, src->name, strlen(src->name), ".", 1);
    LLVMDIBuilderCreateCompileUnit(e->debug, LLVMDWARFSourceLanguageC11, e->debug_file, "tegula", 6,
                                   1, "", 0, 0, "", 0, LLVMDWARFEmissionLineTablesOnly, 0, 0, 0, "",
                                   0, "", 0);
    LLVMTypeRef i32 = LLVMInt32TypeInContext(e->context);
    LLVMAddModuleFlag(e->module, LLVMModuleFlagBehaviorWarning, "Debug Info Version", 18,
                      LLVMValueAsMetadata(LLVMConstInt(i32, LLVMDebugMetadataVersion(), 0)));
    LLVMAddModuleFlag(e->module, LLVMModuleFlagBehaviorWarning, "Dwarf Version", 13,
                      LLVMValueAsMetadata(LLVMConstInt(i32, 5, 0)));
}

/* The scope for statements of src: code of an imported function names its own file. */
static LLVMMetadataRef scope_of(tg_emitter *e, const tg_source *src) {
    if (!e->func->span.source || src == e->func->span.source) {
        return e->debug_scope;
    }
    for (int i = 0; i < e->n_debug_sources; i++) {
        if (e->debug_sources[i] == src) {
            return e->debug_scopes[i];
        }
    }
    if (e->n_debug_sources == TG_EMIT_MAX_FILES) {
        return NULL;
    }
    int i = e->n_debug_sources++;
    LLVMMetadataRef file = LLVMDIBuilderCreateFile(e->debug, src->name, strlen(src->name), ".", 1);
    e->debug_sources[i] = src;
    e->debug_scopes[i] = LLVMDIBuilderCreateLexicalBlockFile(e->debug, e->debug_scope, file, 0);
    return e->debug_scopes[i];
}

void tg_emit_debug_function(tg_emitter *e, tg_func *f) {
    e->debug_scope = NULL;
    e->n_debug_sources = 0;
    if (!e->debug) {
        return;
    }
    int line = 1, col = 1;
    if (f->span.source) {
        tg_source_position(f->span.source, f->span.begin, &line, &col);
    }
    LLVMMetadataRef type =
        LLVMDIBuilderCreateSubroutineType(e->debug, e->debug_file, NULL, 0, LLVMDIFlagZero);
    LLVMMetadataRef own = e->debug_file;
    if (f->span.source) {
        own = LLVMDIBuilderCreateFile(e->debug, f->span.source->name, strlen(f->span.source->name),
                                      ".", 1);
    }
    e->debug_scope = LLVMDIBuilderCreateFunction(e->debug, own, f->name, strlen(f->name), f->name,
                                                 strlen(f->name), own, (unsigned)line, type, 0, 1,
                                                 (unsigned)line, LLVMDIFlagZero, 1);
    LLVMSetSubprogram(e->function, e->debug_scope);
    LLVMSetCurrentDebugLocation2(
        e->builder,
        LLVMDIBuilderCreateDebugLocation(e->context, (unsigned)line, 0, e->debug_scope, NULL));
}

void tg_emit_debug_location(tg_emitter *e, tg_span span) {
    if (!e->debug_scope || !span.source) {
        return;
    }
    int line = 1, col = 1;
    LLVMMetadataRef scope = scope_of(e, span.source);
    if (!scope) {
        return; /* too many files in one function: the last position stands */
    }
    tg_source_position(span.source, span.begin, &line, &col);
    LLVMSetCurrentDebugLocation2(
        e->builder,
        LLVMDIBuilderCreateDebugLocation(e->context, (unsigned)line, (unsigned)col, scope, NULL));
}

void tg_emit_debug_end(tg_emitter *e) {
    if (e->debug) {
        LLVMDIBuilderFinalize(e->debug);
        LLVMDisposeDIBuilder(e->debug);
        e->debug = NULL;
    }
}
